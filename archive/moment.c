#include "archive/moment.h"

#include <stdio.h>
#include <time.h>

static const int64_t YEAR_0 = -62167219200000, YEAR_9999_END = 253402300799999;

static int64_t clock_ms(clockid_t clock)
{
	struct timespec now = {0};

	(void)clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

moment_ms moment_now(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

void moment_format(moment_ms t, char ret[static MOMENT_TEXT])
{
	struct tm tm = {0};

	t = t < YEAR_0 ? YEAR_0 : t > YEAR_9999_END ? YEAR_9999_END : t;
	int64_t millis = (t % 1000 + 1000) % 1000;
	time_t seconds = (time_t)((t - millis) / 1000);
	(void)gmtime_r(&seconds, &tm);
	(void)snprintf(ret, MOMENT_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		(unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
		(unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		(unsigned)tm.tm_sec % 100, (unsigned)millis % 1000);
}

static int digits(const uint8_t *at, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9')
			return -1;
		value = value * 10 + (at[i] - '0');
	}
	return value;
}

int moment_parse(struct slice text, moment_ms *ret)
{
	if (text.len != MOMENT_TEXT - 1)
		return 1;
	const uint8_t *p = text.data;
	struct tm tm = {
		.tm_year = digits(p, 4) - 1900,
		.tm_mon = digits(p + 5, 2) - 1,
		.tm_mday = digits(p + 8, 2),
		.tm_hour = digits(p + 11, 2),
		.tm_min = digits(p + 14, 2),
		.tm_sec = digits(p + 17, 2),
	};
	int millis = digits(p + 20, 3);
	moment_ms t = (int64_t)timegm(&tm) * 1000 + millis;
	char again[MOMENT_TEXT];

	moment_format(t, again);
	if (millis < 0 || memcmp(again, p, MOMENT_TEXT - 1) != 0)
		return 1;
	*ret = t;
	return 0;
}
