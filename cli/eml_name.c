#include "cli/eml_name.h"

#include "archive/escape.h"

#include <stdio.h>
#include <time.h>

enum { YEAR_LEAST = 1970, YEAR_MOST = 9999 };
#define DAY_MS INT64_C(86400000)

/* ---- Texts ----------------------------------------------------------------------------------- */

/* What stands for a character: itself, a dash, a blank, or nothing (0). Beyond the first plane is
 * what some versions of macOS do not know yet, and refuse. */
static uint32_t substitute(struct slice character, uint32_t c)
{
	char shown[32];

	if (c == '/' || c == '\\' || c == ':' || c == '|')
		return '-';
	if (c < 0x80 && strchr("\"*<>?", (int)c))
		return c == 0 ? ' ' : '_';
	if (c == '\t' || c == '\n' || c == '\r' || c == ' ' || c == 0xa0 || c == 0x3000 ||
		(c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x1680)
		return ' ';
	if (c > 0xffff)
		return '_';
	/* What is not safe to print is not what it seems. */
	(void)escape_text(character, shown, sizeof shown);
	return shown[0] == '\\' ? 0 : c;
}

void eml_safe_text(struct slice text, size_t max, char *ret)
{
	size_t used = 0, characters = 0;
	bool blank = false;

	while (text.len > 0 && characters < EML_CHARACTERS) {
		uint32_t c = 0;
		size_t len = utf8_next(text, &c);
		struct slice character = slice_of(text.data, len ? len : 1);
		uint32_t s = len ? substitute(character, c) : '_';

		text = slice_of(text.data + character.len, text.len - character.len);
		if (s == ' ' || s == 0) {
			blank |= s == ' ' && used > 0;
			continue;
		}
		size_t need = (blank ? 1 : 0) + (s == c && len ? len : 1);
		if (used + need >= max)
			break;
		if (blank)
			ret[used++] = ' ';
		blank = false;
		if (s == c && len)
			memcpy(ret + used, character.data, len);
		else
			ret[used] = (char)s;
		used += s == c && len ? len : 1;
		characters++;
	}
	ret[used] = '\0';
}

/* ---- Names ----------------------------------------------------------------------------------- */

static bool broken_down(moment_ms t, enum date_zone zone, struct tm *ret)
{
	time_t seconds = (time_t)(t / 1000);

	return (zone == DATE_UTC ? gmtime_r(&seconds, ret) : localtime_r(&seconds, ret)) &&
	       ret->tm_year + 1900 >= YEAR_LEAST && ret->tm_year + 1900 <= YEAR_MOST;
}

static void time_of(
	const struct message *m, const struct header *h, enum date_zone zone, struct tm *ret)
{
	moment_ms t;

	/* What claims to be from the future is not. */
	if (mail_date_parse(buffer_slice(&h->field[HEADER_DATE]), &t) == 0 && t > 0 &&
		(m->archived <= 0 || t <= m->archived + DAY_MS) && broken_down(t, zone, ret))
		return;
	if (!broken_down(m->archived, zone, ret))
		*ret = (struct tm){.tm_year = YEAR_LEAST - 1900, .tm_mday = 1};
}

void eml_name(const struct message *m, const struct header *h, enum date_zone zone, size_t digits,
	char ret[static EML_NAME])
{
	char subject[EML_SUBJECT + 1], hex[DIGEST_HEX + 1];
	struct tm tm;

	time_of(m, h, zone, &tm);
	eml_safe_text(buffer_slice(&h->field[HEADER_SUBJECT]), sizeof subject, subject);
	digest_hex(&m->digest, hex);
	(void)snprintf(ret, EML_NAME, "%04d-%02d/%04d-%02d-%02d %02d%02d %s [%.*s].eml",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		tm.tm_hour, tm.tm_min, subject[0] ? subject : "no subject", (int)digits, hex);
}
