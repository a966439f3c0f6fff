#include "archive/civil.h"

bool civil_accept(struct civil_reader *r, char c)
{
	if (r->at == r->end || *r->at != (uint8_t)c)
		return false;
	r->at++;
	return true;
}

int civil_number(struct civil_reader *r, int least, int most)
{
	int value = 0, n = 0;

	while (n < most && r->at < r->end && *r->at >= '0' && *r->at <= '9') {
		value = value * 10 + (*r->at++ - '0');
		n++;
	}
	return n < least ? -1 : value;
}

int civil_offset(struct civil_reader *r, int *ret_minutes)
{
	bool west = civil_accept(r, '-');

	if (!west && !civil_accept(r, '+'))
		return 1;
	int hours = civil_number(r, 2, 2);
	(void)civil_accept(r, ':');
	int minutes = civil_number(r, 2, 2);
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return 1;
	*ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
	return 0;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

bool civil_is_valid(const struct civil *c)
{
	return c->year >= 1 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
	       c->day <= days_in(c->year, c->month) && c->hour >= 0 && c->hour <= 23 &&
	       c->minute >= 0 && c->minute <= 59 && c->second >= 0 && c->second <= 60;
}

/* By hand: timegm() takes a lock and may look for the zone's file. */
moment_ms civil_utc(const struct civil *c)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	enum { DAYS_TO_1970 = 719162 }; /* since 0001-01-01 */
	int64_t past = c->year - 1;
	int64_t days = past * 365 + past / 4 - past / 100 + past / 400 + before[c->month - 1] +
		       (c->month > 2 && is_leap(c->year)) + c->day - 1 - DAYS_TO_1970;

	return (((days * 24 + c->hour) * 60 + c->minute) * 60 + c->second) * 1000 + c->millis;
}
