#include "cli/date.h"

#include "archive/civil.h"

#include <ctype.h>
#include <strings.h>
#include <time.h>

static moment_ms civil_moment(const struct civil *c, enum date_zone zone)
{
	if (zone == DATE_UTC)
		return civil_utc(c);
	struct tm tm = {.tm_year = c->year - 1900,
		.tm_mon = c->month - 1,
		.tm_mday = c->day,
		.tm_hour = c->hour,
		.tm_min = c->minute,
		.tm_sec = c->second,
		.tm_isdst = -1};

	return (moment_ms)mktime(&tm) * 1000 + c->millis;
}

/* Time of day behind a date; *ret_unit: the milliseconds that its last field stands for. */
static int time_of_day(struct civil_reader *r, struct civil *c, moment_ms *ret_unit)
{
	*ret_unit = 60000;
	c->hour = civil_number(r, 2, 2);
	if (!civil_accept(r, ':'))
		return 1;
	c->minute = civil_number(r, 2, 2);
	if (!civil_accept(r, ':'))
		return 0;
	*ret_unit = 1000;
	c->second = civil_number(r, 2, 2);
	if (!civil_accept(r, '.'))
		return 0;
	*ret_unit = 1;
	int digits = 0;
	for (; r->at < r->end && isdigit(*r->at); r->at++, digits++) {
		if (digits < 3)
			c->millis = c->millis * 10 + (*r->at - '0');
	}
	for (int i = digits; i < 3; i++)
		c->millis *= 10;
	return digits > 0 ? 0 : 1;
}

static int day_span(struct civil c, enum date_zone zone, moment_ms *ret_begin, moment_ms *ret_end)
{
	struct civil next = c;

	/* mktime() and civil_utc() carry the 32nd over; a day with a change of the clock has 23 or
	 * 25 hours. */
	next.day++;
	*ret_begin = civil_moment(&c, zone);
	*ret_end = civil_moment(&next, zone);
	return 0;
}

int date_parse(struct slice text, enum date_zone zone, moment_ms *ret_begin, moment_ms *ret_end)
{
	if (text.len == 0)
		return 1;
	struct civil_reader r = civil_reader_make(text);
	struct civil c = {.year = civil_number(&r, 4, 4)};
	moment_ms unit;
	int east = 0;

	if (!civil_accept(&r, '-'))
		return 1;
	c.month = civil_number(&r, 2, 2);
	if (!civil_accept(&r, '-'))
		return 1;
	c.day = civil_number(&r, 2, 2);
	if (!civil_is_valid(&c))
		return 1;
	if (r.at == r.end)
		return day_span(c, zone, ret_begin, ret_end);
	if (!civil_accept(&r, 'T') && !civil_accept(&r, 't') && !civil_accept(&r, ' '))
		return 1;
	if (time_of_day(&r, &c, &unit) != 0 || !civil_is_valid(&c))
		return 1;
	if (r.at != r.end) {
		zone = DATE_UTC;
		if (!civil_accept(&r, 'Z') && !civil_accept(&r, 'z') &&
			civil_offset(&r, &east) != 0)
			return 1;
	}
	if (r.at != r.end)
		return 1;
	*ret_begin = civil_moment(&c, zone) - (moment_ms)east * 60000;
	*ret_end = *ret_begin + unit;
	return 0;
}

/* ---- In words -------------------------------------------------------------------------------- */

/* The beginning of a day, whose month and day may lie outside of the year and the month. */
static moment_ms day_moment(struct tm day, enum date_zone zone)
{
	struct tm tm = {.tm_year = day.tm_year,
		.tm_mon = day.tm_mon,
		.tm_mday = day.tm_mday,
		.tm_isdst = -1};

	return (moment_ms)(zone == DATE_UTC ? timegm(&tm) : mktime(&tm)) * 1000;
}

/* YYYY and YYYY-MM. */
static int parse_month(
	struct slice text, enum date_zone zone, moment_ms *ret_begin, moment_ms *ret_end)
{
	struct civil_reader r = civil_reader_make(text);
	int year = civil_number(&r, 4, 4), month = 1;
	bool is_month = civil_accept(&r, '-');

	if (is_month)
		month = civil_number(&r, 2, 2);
	if (year < 1 || month < 1 || month > 12 || r.at != r.end)
		return 1;
	struct tm begin = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1}, end = begin;
	end.tm_mon += is_month ? 1 : 12;
	*ret_begin = day_moment(begin, zone);
	*ret_end = day_moment(end, zone);
	return 0;
}

static bool is_word(struct slice text, const char *word)
{
	return text.len == strlen(word) &&
	       strncasecmp((const char *)text.data, word, text.len) == 0;
}

/* How long before today, in days and months. */
static int parse_ago(struct slice text, int *ret_days, int *ret_months)
{
	static const struct {
		uint8_t letter;
		int days, months;
	} units[] = {{'d', 1, 0}, {'w', 7, 0}, {'m', 0, 1}, {'y', 0, 12}};
	struct civil_reader r = civil_reader_make(text);

	*ret_days = *ret_months = 0;
	if (is_word(text, "today"))
		return 0;
	if (is_word(text, "yesterday")) {
		*ret_days = 1;
		return 0;
	}
	int n = civil_number(&r, 1, 4);
	if (n < 0 || r.at == r.end || r.at + 1 != r.end)
		return 1;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (units[i].letter != *r.at)
			continue;
		*ret_days = n * units[i].days;
		*ret_months = n * units[i].months;
		return 0;
	}
	return 1;
}

int date_parse_words(struct slice text, enum date_zone zone, moment_ms now, moment_ms *ret_begin,
	moment_ms *ret_end)
{
	time_t seconds = (time_t)(now / 1000);
	struct tm day = {0};
	int days, months;

	if (text.len == 0)
		return 1;
	if (date_parse(text, zone, ret_begin, ret_end) == 0 ||
		parse_month(text, zone, ret_begin, ret_end) == 0)
		return 0;
	if (parse_ago(text, &days, &months) != 0)
		return 1;
	if (!(zone == DATE_UTC ? gmtime_r(&seconds, &day) : localtime_r(&seconds, &day)))
		return 1;
	day.tm_mday -= days;
	day.tm_mon -= months;
	*ret_begin = day_moment(day, zone);
	day.tm_mday++;
	*ret_end = day_moment(day, zone);
	return 0;
}
