/* INTERNALDATE, as daemon/imap_name.h has it. */
#include "archive/decimal.h"
#include "daemon/imap_name.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
/* Years 0 to 9999, as archive/moment.h. */
static const int64_t FIRST_S = -INT64_C(62167219200), LAST_S = INT64_C(253402300799);

void imap_date_format(moment_ms t, char ret[static IMAP_DATE_TEXT])
{
	int64_t s = t / 1000 - (t % 1000 < 0);
	time_t clamped = s < FIRST_S ? FIRST_S : s > LAST_S ? LAST_S : s;
	struct tm tm = {0};

	(void)gmtime_r(&clamped, &tm);
	/* The remainders change nothing: they tell the compiler how long it can become. */
	(void)snprintf(ret, IMAP_DATE_TEXT, "%02u-%.3s-%04u %02u:%02u:%02u +0000",
		(unsigned)tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12),
		(unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		(unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

static bool take_char(struct slice *from, char c)
{
	if (from->len == 0 || from->data[0] != (uint8_t)c)
		return false;
	*from = slice_of(from->data + 1, from->len - 1);
	return true;
}

/* digits digits, least..most. */
static bool take_digits(struct slice *from, size_t digits, int least, int most, int *ret)
{
	int value = 0;

	if (from->len < digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (from->data[i] < '0' || from->data[i] > '9')
			return false;
		value = value * 10 + (from->data[i] - '0');
	}
	*from = slice_of(from->data + digits, from->len - digits);
	*ret = value;
	return value >= least && value <= most;
}

static bool take_day(struct slice *from, int *ret)
{
	(void)take_char(from, ' ');
	return take_digits(from, from->len > 1 && from->data[1] == '-' ? 1 : 2, 1, 31, ret);
}

static bool take_month(struct slice *from, int *ret)
{
	for (int i = 0; from->len >= 3 && i < 12; i++) {
		if (strncasecmp((const char *)from->data, months + (size_t)(3 * i), 3) == 0) {
			*from = slice_of(from->data + 3, from->len - 3);
			*ret = i;
			return true;
		}
	}
	return false;
}

int imap_date_parse(struct slice text, moment_ms *ret)
{
	struct tm tm = {0};
	int year, hours, minutes;

	if (!take_day(&text, &tm.tm_mday) || !take_char(&text, '-') ||
		!take_month(&text, &tm.tm_mon) || !take_char(&text, '-') ||
		!take_digits(&text, 4, 0, 9999, &year) || !take_char(&text, ' ') ||
		!take_digits(&text, 2, 0, 23, &tm.tm_hour) || !take_char(&text, ':') ||
		!take_digits(&text, 2, 0, 59, &tm.tm_min) || !take_char(&text, ':') ||
		!take_digits(&text, 2, 0, 60, &tm.tm_sec) || !take_char(&text, ' '))
		return 1;
	bool west = take_char(&text, '-');
	if ((!west && !take_char(&text, '+')) || !take_digits(&text, 2, 0, 99, &hours) ||
		!take_digits(&text, 2, 0, 59, &minutes) || text.len > 0)
		return 1;
	tm.tm_year = year - 1900;
	int64_t offset = hours * 3600 + minutes * 60;
	*ret = ((int64_t)timegm(&tm) + (west ? offset : -offset)) * 1000;
	return 0;
}
