#include "cli/date.h"

#include "archive/civil.h"

#include <ctype.h>
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
