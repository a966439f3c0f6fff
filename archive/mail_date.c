#include "archive/mail_date.h"

#include "archive/civil.h"

#include <strings.h>

static void skip_blanks(struct civil_reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
		r->at++;
}

static bool accept_word(struct civil_reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || strncasecmp((const char *)r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

static int month_name(struct civil_reader *r)
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
static int mail_year(struct civil_reader *r)
{
	const uint8_t *begin = r->at;
	int year = civil_number(r, 2, 4);
	long digits = r->at - begin;

	if (digits == 2)
		return year + (year < 50 ? 2000 : 1900);
	return digits == 3 ? year + 1900 : year;
}

static int mail_zone(struct civil_reader *r)
{
	static const struct {
		const char *name;
		int hours;
	} named[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
		{"PST", -8}, {"PDT", -7}};
	int minutes = 0;

	skip_blanks(r);
	if (civil_offset(r, &minutes) == 0)
		return minutes;
	for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
		if (accept_word(r, named[i].name))
			return named[i].hours * 60;
	}
	return 0;
}

static bool read_time(struct civil_reader *r, struct civil *c)
{
	skip_blanks(r);
	c->hour = civil_number(r, 1, 2);
	if (!civil_accept(r, ':'))
		return false;
	c->minute = civil_number(r, 2, 2);
	if (civil_accept(r, ':'))
		c->second = civil_number(r, 1, 2);
	return true;
}

/* "Sat Sep 21 08:18:08 2002", as C's asctime() writes it. */
static bool read_c_date(struct civil_reader *r, struct civil *c)
{
	c->month = month_name(r);
	skip_blanks(r);
	c->day = civil_number(r, 1, 2);
	if (c->month < 0 || c->day < 0 || !read_time(r, c))
		return false;
	skip_blanks(r);
	c->year = civil_number(r, 4, 4);
	return true;
}

/* Day, month and year, "-" between them or blanks, then the time. */
static bool read_mail_date(struct civil_reader *r, struct civil *c)
{
	c->day = civil_number(r, 1, 2);
	skip_blanks(r);
	(void)civil_accept(r, '-');
	c->month = month_name(r);
	skip_blanks(r);
	(void)civil_accept(r, '-');
	c->year = mail_year(r);
	return read_time(r, c);
}

/* A day of the week, with a comma or without one. */
static void skip_day(struct civil_reader *r, struct slice text)
{
	const uint8_t *comma = memchr(text.data, ',', text.len < 16 ? text.len : 16);

	if (comma) {
		r->at = comma + 1;
	} else {
		static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

		for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
			if (accept_word(r, days[i]))
				break;
		}
	}
	skip_blanks(r);
}

int mail_date_parse(struct slice text, moment_ms *ret)
{
	if (text.len == 0)
		return 1;
	struct civil_reader r = civil_reader_make(text);
	struct civil c = {0};

	skip_blanks(&r);
	skip_day(&r, text);
	bool digits = r.at < r.end && *r.at >= '0' && *r.at <= '9';
	if (!(digits ? read_mail_date(&r, &c) : read_c_date(&r, &c)) || !civil_is_valid(&c))
		return 1;
	*ret = civil_utc(&c) - (moment_ms)mail_zone(&r) * 60000;
	return 0;
}
