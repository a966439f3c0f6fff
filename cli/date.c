#include "cli/date.h"

#include <ctype.h>
#include <strings.h>
#include <time.h>

/* What is still to be read. */
struct reader {
	const uint8_t *at, *end;
};

static bool accept(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != (uint8_t)c)
		return false;
	r->at++;
	return true;
}

/* least to most digits; -1 when there are fewer. */
static int number(struct reader *r, int least, int most)
{
	int value = 0, n = 0;

	while (n < most && r->at < r->end && *r->at >= '0' && *r->at <= '9') {
		value = value * 10 + (*r->at++ - '0');
		n++;
	}
	return n < least ? -1 : value;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* A date and time of day, not yet in a zone. */
struct civil {
	int year, month, day, hour, minute, second, millis;
};

static bool civil_is_valid(const struct civil *c)
{
	return c->year >= 1 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
	       c->day <= days_in(c->year, c->month) && c->hour >= 0 && c->hour <= 23 &&
	       c->minute >= 0 && c->minute <= 59 && c->second >= 0 && c->second <= 60;
}

static moment_ms civil_moment(const struct civil *c, enum date_zone zone)
{
	struct tm tm = {.tm_year = c->year - 1900,
		.tm_mon = c->month - 1,
		.tm_mday = c->day,
		.tm_hour = c->hour,
		.tm_min = c->minute,
		.tm_sec = c->second,
		.tm_isdst = -1};

	return (moment_ms)(zone == DATE_UTC ? timegm(&tm) : mktime(&tm)) * 1000 + c->millis;
}

/* "+01:00", "-0130": minutes east of UTC; 0, or 1 when it is none. */
static int offset(struct reader *r, int *ret_minutes)
{
	bool west = accept(r, '-');

	if (!west && !accept(r, '+'))
		return 1;
	int hours = number(r, 2, 2);
	(void)accept(r, ':');
	int minutes = number(r, 2, 2);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return 1;
	*ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
	return 0;
}

/* Time of day behind a date; *ret_unit: the milliseconds that its last field stands for. */
static int time_of_day(struct reader *r, struct civil *c, moment_ms *ret_unit)
{
	*ret_unit = 60000;
	c->hour = number(r, 2, 2);
	if (!accept(r, ':'))
		return 1;
	c->minute = number(r, 2, 2);
	if (!accept(r, ':'))
		return 0;
	*ret_unit = 1000;
	c->second = number(r, 2, 2);
	if (!accept(r, '.'))
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

	/* mktime() and timegm() carry the 32nd over; a day with a change of the clock has 23 or 25
	 * hours. */
	next.day++;
	*ret_begin = civil_moment(&c, zone);
	*ret_end = civil_moment(&next, zone);
	return 0;
}

int date_parse(struct slice text, enum date_zone zone, moment_ms *ret_begin, moment_ms *ret_end)
{
	if (text.len == 0)
		return 1;
	struct reader r = {text.data, text.data + text.len};
	struct civil c = {.year = number(&r, 4, 4)};
	moment_ms unit;
	int east = 0;

	if (!accept(&r, '-'))
		return 1;
	c.month = number(&r, 2, 2);
	if (!accept(&r, '-'))
		return 1;
	c.day = number(&r, 2, 2);
	if (!civil_is_valid(&c))
		return 1;
	if (r.at == r.end)
		return day_span(c, zone, ret_begin, ret_end);
	if (!accept(&r, 'T') && !accept(&r, 't') && !accept(&r, ' '))
		return 1;
	if (time_of_day(&r, &c, &unit) != 0 || !civil_is_valid(&c))
		return 1;
	if (r.at != r.end) {
		zone = DATE_UTC;
		if (!accept(&r, 'Z') && !accept(&r, 'z') && offset(&r, &east) != 0)
			return 1;
	}
	if (r.at != r.end)
		return 1;
	*ret_begin = civil_moment(&c, zone) - (moment_ms)east * 60000;
	*ret_end = *ret_begin + unit;
	return 0;
}

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
		r->at++;
}

static bool accept_word(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || strncasecmp((const char *)r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

static int month_name(struct reader *r)
{
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	for (int i = 0; i < 12; i++) {
		if (accept_word(r, months[i]))
			return i + 1;
	}
	return -1;
}

/* RFC 5322 section 4.3: two digits are 1950 to 2049, three are counted from 1900. */
static int mail_year(struct reader *r)
{
	const uint8_t *begin = r->at;
	int year = number(r, 2, 4);
	long digits = r->at - begin;

	if (digits == 2)
		return year + (year < 50 ? 2000 : 1900);
	return digits == 3 ? year + 1900 : year;
}

static int mail_zone(struct reader *r)
{
	static const struct {
		const char *name;
		int hours;
	} named[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
		{"PST", -8}, {"PDT", -7}};
	int minutes = 0;

	skip_blanks(r);
	if (offset(r, &minutes) == 0)
		return minutes;
	for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
		if (accept_word(r, named[i].name))
			return named[i].hours * 60;
	}
	return 0;
}

int date_parse_mail(struct slice text, moment_ms *ret)
{
	if (text.len == 0)
		return 1;
	struct reader r = {text.data, text.data + text.len};
	struct civil c = {0};
	const uint8_t *comma = memchr(text.data, ',', text.len < 16 ? text.len : 16);

	if (comma)
		r.at = comma + 1;
	skip_blanks(&r);
	c.day = number(&r, 1, 2);
	skip_blanks(&r);
	c.month = month_name(&r);
	skip_blanks(&r);
	c.year = mail_year(&r);
	skip_blanks(&r);
	c.hour = number(&r, 1, 2);
	if (!accept(&r, ':'))
		return 1;
	c.minute = number(&r, 2, 2);
	if (accept(&r, ':'))
		c.second = number(&r, 2, 2);
	if (!civil_is_valid(&c))
		return 1;
	*ret = civil_moment(&c, DATE_UTC) - (moment_ms)mail_zone(&r) * 60000;
	return 0;
}
