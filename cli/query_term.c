#include "cli/query_term.h"

#include "archive/digest.h"
#include "archive/escape.h"
#include "daemon/nearest.h"
#include "daemon/quantity.h"

#include <inttypes.h>

/* What is beyond is taken for these, so that what the canonical text says of a bound can always be
 * read again. No message is as large; years have four digits. */
static const int64_t SIZE_END = INT64_C(1) << 60;
static const moment_ms YEAR_1000 = INT64_C(-30610224000000), YEAR_9999 = INT64_C(253370764800000);

typedef int term(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f);

static int wrong_value(const char *value, const char *what, struct fault *f)
{
	char text[128];

	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "\"%s\" is no %s",
		escape_text(slice_text(value), text, sizeof text), what);
}

static int take_text(struct condition *c, const char *text, size_t len, struct fault *f)
{
	c->text = strndup(text, len);
	return c->text ? 0 : fault_memory(f);
}

/* ---- Spans ----------------------------------------------------------------------------------- */

enum comparison { AT, LESS, AT_MOST, MORE, AT_LEAST };

/* The sign that *text begins with is stepped over. */
static enum comparison take_comparison(const char **text)
{
	static const struct {
		const char *sign;
		enum comparison meaning;
	} signs[] = {{"<=", AT_MOST}, {">=", AT_LEAST}, {"<", LESS}, {">", MORE}, {"=", AT}};

	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		size_t len = strlen(signs[i].sign);

		if (strncmp(*text, signs[i].sign, len) == 0) {
			*text += len;
			return signs[i].meaning;
		}
	}
	return AT;
}

/* begin and end: the span that was named. */
static void set_span(struct condition *c, enum comparison sign, int64_t begin, int64_t end)
{
	if (sign == AT || sign == AT_LEAST)
		c->low = begin;
	if (sign == MORE)
		c->low = end;
	if (sign == LESS)
		c->high = begin;
	if (sign == AT || sign == AT_MOST)
		c->high = end;
}

static moment_ms within_years(moment_ms t)
{
	return t < YEAR_1000 ? YEAR_1000 : t > YEAR_9999 ? YEAR_9999 : t;
}

static int set_dates(const char *date, enum comparison sign, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	moment_ms begin, end;

	if (date_parse_words(slice_text(date), context->zone, context->now, &begin, &end) != 0)
		return wrong_value(date,
			"date; write 2026, 2026-01, 2026-01-31, 2026-01-31T23:59:00 with Z, +01:00 "
			"or nothing behind it, today, yesterday, or 7d, 2w, 3m, 1y (so long ago)",
			f);
	set_span(c, sign, within_years(begin), within_years(end));
	return 0;
}

static int compared_date(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	const char *value = t->value;
	enum comparison sign = take_comparison(&value);

	return set_dates(value, sign, context, c, f);
}

static int before_date(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	return set_dates(t->value, LESS, context, c, f);
}

static int after_date(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	return set_dates(t->value, MORE, context, c, f);
}

static int on_date(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	return set_dates(t->value, AT, context, c, f);
}

static int compared_size(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	const char *value = t->value;
	enum comparison sign = take_comparison(&value);
	uint64_t n;

	(void)context;
	if (quantity_size(value, &n) != 0)
		return wrong_value(value,
			"size; write bytes, or 10K, 3M, 1G, with >, >=, < or <= in "
			"front",
			f);
	int64_t begin = n < (uint64_t)SIZE_END ? (int64_t)n : SIZE_END;
	set_span(c, sign, begin, begin < SIZE_END ? begin + 1 : SIZE_END);
	return 0;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static int account(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	(void)context;
	return take_text(c, t->value, strlen(t->value), f);
}

static int id(const struct query_token *t, const struct query_context *context, struct condition *c,
	struct fault *f)
{
	size_t len = strlen(t->value);

	(void)context;
	if (len == 0 || len > DIGEST_HEX || strspn(t->value, "0123456789abcdefABCDEF") != len)
		return wrong_value(t->value,
			"id; write the first digits (0-9, a-f) of one, as search shows it", f);
	if (take_text(c, t->value, len, f) < 0)
		return -1;
	for (char *p = c->text; *p; p++)
		*p = *p >= 'A' && *p <= 'F' ? (char)(*p | 0x20) : *p;
	return 0;
}

static int message_id(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	const char *text = t->value + strspn(t->value, "<");
	size_t len = strlen(text);

	(void)context;
	while (len > 0 && text[len - 1] == '>')
		len--;
	if (len == 0)
		return wrong_value(t->value, "Message-ID", f);
	return take_text(c, text, len, f);
}

static int has(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	static const char *const known[] = {"attachment", "attachments"};

	(void)context, (void)c;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (nearest_distance(t->value, known[i]) == 0)
			return 0;
	}
	return wrong_value(t->value, "thing that has: can ask for; there is has:attachment", f);
}

/* Whether FTS5 may find a word in it: what is beyond ASCII may be a letter. */
static bool has_word(const char *text)
{
	for (const char *p = text; *p; p++) {
		uint8_t c = (uint8_t)*p;

		if (c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
			return true;
	}
	return false;
}

static int words(const struct query_token *t, const struct query_context *context,
	struct condition *c, struct fault *f)
{
	size_t len = strlen(t->value);

	(void)context;
	c->prefix = t->prefix;
	if (!t->quoted && len > 0 && t->value[len - 1] == '*') {
		c->prefix = true;
		len--;
	}
	if (!t->quoted && memchr(t->value, '*', len))
		return wrong_value(
			t->value, "word; a * can stand at its end, for any word that begins so", f);
	if (!has_word(t->value))
		return wrong_value(t->value, "word: there is no letter and no digit in it", f);
	return take_text(c, t->value, len, f);
}

/* ---- All of them ----------------------------------------------------------------------------- */

static const struct {
	const char *key;
	enum condition_kind kind;
	enum condition_field field;
	term *read;
} terms[] = {
	{"", CONDITION_WORDS, FIELD_ANY, words},
	{"from", CONDITION_WORDS, FIELD_FROM, words},
	{"to", CONDITION_WORDS, FIELD_TO, words},
	{"cc", CONDITION_WORDS, FIELD_CC, words},
	{"subject", CONDITION_WORDS, FIELD_SUBJECT, words},
	{"account", CONDITION_ACCOUNT, FIELD_ANY, account},
	{"archived", CONDITION_ARCHIVED, FIELD_ANY, compared_date},
	{"size", CONDITION_SIZE, FIELD_ANY, compared_size},
	{"date", CONDITION_DATE, FIELD_ANY, compared_date},
	{"before", CONDITION_DATE, FIELD_ANY, before_date},
	{"after", CONDITION_DATE, FIELD_ANY, after_date},
	{"on", CONDITION_DATE, FIELD_ANY, on_date},
	{"id", CONDITION_ID, FIELD_ANY, id},
	{"msgid", CONDITION_MESSAGE_ID, FIELD_ANY, message_id},
	{"has", CONDITION_ATTACHMENT, FIELD_ANY, has},
};

int query_term(const struct query_token *t, const struct query_context *context,
	struct condition **ret, struct fault *f)
{
	for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
		if (strcmp(terms[i].key, t->key) != 0)
			continue;
		struct condition *c CLEANUP(condition_freep) = condition_new(terms[i].kind, f);
		if (!c)
			return -1;
		c->field = terms[i].field;
		if (t->prefix && terms[i].read != words)
			return wrong_value(t->value, "word: a * can stand behind words alone", f);
		if (terms[i].read(t, context, c, f) < 0)
			return -1;
		*ret = TAKE(c);
		return 0;
	}
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "a query has no such key");
}
