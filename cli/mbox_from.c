#include "cli/mbox_from.h"

#include "archive/civil.h"

#include <stdbool.h>
#include <strings.h>

static size_t left(const struct civil_reader *r)
{
	return (size_t)(r->end - r->at);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool skip_blanks(struct civil_reader *r)
{
	const uint8_t *begin = r->at;

	while (r->at < r->end && is_blank(*r->at))
		r->at++;
	return r->at > begin;
}

/* Letters. */
static struct slice take_word(struct civil_reader *r)
{
	const uint8_t *begin = r->at;

	while (r->at < r->end &&
		((*r->at >= 'A' && *r->at <= 'Z') || (*r->at >= 'a' && *r->at <= 'z')))
		r->at++;
	return slice_of(begin, (size_t)(r->at - begin));
}

static bool is_word(struct slice word, const char *text)
{
	return word.len == strlen(text) &&
	       strncasecmp((const char *)word.data, text, word.len) == 0;
}

/* Which of the names the next word is, from 0; -1: none. */
static int take_name(struct civil_reader *r, const char *const *names, int n)
{
	struct slice word = take_word(r);

	for (int i = 0; i < n; i++) {
		if (is_word(word, names[i]))
			return i;
	}
	return -1;
}

static int take_weekday(struct civil_reader *r)
{
	static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

	return take_name(r, days, 7);
}

static int take_month(struct civil_reader *r)
{
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	return take_name(r, months, 12) + 1;
}

/* Four digits, or two: 1970 to 2069. */
static bool take_year(struct civil_reader *r, int *ret)
{
	const uint8_t *begin = r->at;
	int year = civil_number(r, 2, 4);
	long digits = r->at - begin;

	if (year < 0 || digits == 3 || (r->at < r->end && !is_blank(*r->at))) {
		r->at = begin;
		return false;
	}
	*ret = digits == 4 ? year : year < 70 ? year + 2000 : year + 1900;
	return true;
}

/* Names that do not stand here are taken for UTC: there are too many, and several mean two. */
static int zone_hours(struct slice word)
{
	static const struct {
		const char *name;
		int hours;
	} named[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
		{"PST", -8}, {"PDT", -7}, {"MET", 1}, {"MEZ", 1}, {"CET", 1}, {"MEST", 2},
		{"MESZ", 2}, {"CEST", 2}, {"BST", 1}, {"EET", 2}, {"EEST", 3}, {"JST", 9},
		{"DST", 1}};

	for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
		if (is_word(word, named[i].name))
			return named[i].hours;
	}
	return 0;
}

static bool is_capital(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (word.data[i] > 'Z')
			return false;
	}
	return true;
}

/* "+0100", "PST", and "DST" behind one. False: the next is none, and nothing was taken. */
static bool take_zone(struct civil_reader *r, int *minutes)
{
	struct civil_reader begin = *r;
	int offset = 0;

	if (left(r) > 0 && (*r->at == '+' || *r->at == '-')) {
		if (civil_offset(r, &offset) == 0 && (left(r) == 0 || is_blank(*r->at))) {
			*minutes += offset;
			return true;
		}
	} else {
		struct slice word = take_word(r);

		if (word.len > 0 && word.len <= 5 && is_capital(word) &&
			(left(r) == 0 || is_blank(*r->at))) {
			*minutes += zone_hours(word) * 60;
			return true;
		}
	}
	*r = begin;
	return false;
}

/* Up to two, with the blanks before them. */
static void take_zones(struct civil_reader *r, int *minutes)
{
	for (int i = 0; i < 2; i++) {
		struct civil_reader begin = *r;

		if (!skip_blanks(r) || !take_zone(r, minutes)) {
			*r = begin;
			return;
		}
	}
}

static bool take_time(struct civil_reader *r, struct civil *c)
{
	c->hour = civil_number(r, 1, 2);
	if (c->hour < 0 || !civil_accept(r, ':'))
		return false;
	c->minute = civil_number(r, 2, 2);
	if (civil_accept(r, ':'))
		c->second = civil_number(r, 2, 2);
	return true;
}

/* "5 10:20:30 MET 2015 DST", behind the month. */
static bool take_asctime(struct civil_reader *r, struct civil *c, int *minutes)
{
	if (!skip_blanks(r))
		return false;
	c->day = civil_number(r, 1, 2);
	if (c->day < 0 || !skip_blanks(r) || !take_time(r, c))
		return false;
	take_zones(r, minutes);
	if (!skip_blanks(r) || !take_year(r, &c->year))
		return false;
	take_zones(r, minutes);
	return true;
}

/* "5 Jan 2015 10:20:30 +0000", behind the weekday's blank. */
static bool take_field(struct civil_reader *r, struct civil *c, int *minutes)
{
	c->day = civil_number(r, 1, 2);
	if (c->day < 0 || !skip_blanks(r))
		return false;
	c->month = take_month(r);
	if (c->month < 1 || !skip_blanks(r) || !take_year(r, &c->year) || !skip_blanks(r) ||
		!take_time(r, c))
		return false;
	take_zones(r, minutes);
	return true;
}

static bool ends_line(struct civil_reader *r)
{
	static const char REMOTE[] = "remote from ";

	(void)skip_blanks(r);
	return left(r) == 0 ||
	       (left(r) >= sizeof REMOTE - 1 && memcmp(r->at, REMOTE, sizeof REMOTE - 1) == 0);
}

/* A date that begins with a weekday, and with which the line ends. */
static bool take_date(struct civil_reader r, moment_ms *ret)
{
	struct civil c = {0};
	int minutes = 0;

	if (take_weekday(&r) < 0)
		return false;
	(void)civil_accept(&r, ',');
	if (!skip_blanks(&r) || left(&r) == 0)
		return false;
	bool taken;
	if (*r.at >= '0' && *r.at <= '9') {
		taken = take_field(&r, &c, &minutes);
	} else {
		c.month = take_month(&r);
		taken = c.month >= 1 && take_asctime(&r, &c, &minutes);
	}
	if (!taken || !civil_is_valid(&c) || !ends_line(&r))
		return false;
	moment_ms t = civil_utc(&c) - (moment_ms)minutes * 60000;
	*ret = t > 0 ? t : 0;
	return true;
}

int mbox_from_parse(struct slice line, moment_ms *ret)
{
	if (line.len < MBOX_FROM_LEN || memcmp(line.data, "From ", MBOX_FROM_LEN) != 0)
		return 1;
	struct civil_reader r = civil_reader_make(line);
	for (r.at += MBOX_FROM_LEN; r.at < r.end; r.at++) {
		if (is_blank(r.at[-1]) && !is_blank(*r.at) && take_date(r, ret))
			return 0;
	}
	return 1;
}
