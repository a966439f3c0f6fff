#include "cli/date.h"
#include "tests/unit/check.h"

#include <time.h>

static void use_zone(const char *zone)
{
	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
}

static void expect_span(const char *text, enum date_zone zone, const char *begin, const char *end)
{
	char written[MOMENT_TEXT];
	moment_ms from, to;

	assert_int_equal(date_parse(slice_text(text), zone, &from, &to), 0);
	moment_format(from, written);
	assert_string_equal(written, begin);
	moment_format(to, written);
	assert_string_equal(written, end);
}

static void a_day_is_one_of_the_callers_zone(void **state)
{
	(void)state;
	use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	expect_span(
		"2026-01-31", DATE_LOCAL, "2026-01-30T23:00:00.000Z", "2026-01-31T23:00:00.000Z");
	expect_span("2026-01-31", DATE_UTC, "2026-01-31T00:00:00.000Z", "2026-02-01T00:00:00.000Z");
}

static void a_day_on_which_the_clock_changes_has_its_own_length(void **state)
{
	(void)state;
	use_zone("CET-1CEST,M3.5.0,M10.5.0/3");
	expect_span(
		"2026-03-29", DATE_LOCAL, "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z");
	expect_span(
		"2026-10-25", DATE_LOCAL, "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z");
}

static void a_time_names_its_minute_second_or_millisecond(void **state)
{
	(void)state;
	use_zone("UTC");
	expect_span("2026-11-21T20:34", DATE_LOCAL, "2026-11-21T20:34:00.000Z",
		"2026-11-21T20:35:00.000Z");
	expect_span("2026-11-21 20:34:56Z", DATE_LOCAL, "2026-11-21T20:34:56.000Z",
		"2026-11-21T20:34:57.000Z");
	expect_span("2026-11-21T20:34:56.5+01:00", DATE_LOCAL, "2026-11-21T19:34:56.500Z",
		"2026-11-21T19:34:56.501Z");
	expect_span("2026-11-21T20:34:56.123456-0230", DATE_LOCAL, "2026-11-21T23:04:56.123Z",
		"2026-11-21T23:04:56.124Z");
}

static void what_is_no_date_is_refused(void **state)
{
	static const char *const bad[] = {"", "2026", "2026-11", "2026-13-01", "2026-02-30",
		"2025-02-29", "2026-00-01", "2026-01-00", "26-01-01", "2026-1-1", "2026-11-21T",
		"2026-11-21T24:00", "2026-11-21T20:60", "2026-11-21T20:34x", "2026-11-21T20:34:56.",
		"2026-11-21T20:34+1", "2026-11-21T20:34+25:00", "yesterday", "2026-11-21 "};
	moment_ms from, to;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(date_parse(slice_text(bad[i]), DATE_LOCAL, &from, &to), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_day_is_one_of_the_callers_zone),
		TEST(a_day_on_which_the_clock_changes_has_its_own_length),
		TEST(a_time_names_its_minute_second_or_millisecond),
		TEST(what_is_no_date_is_refused),
	};

	return cmocka_run_group_tests_name("date", tests, NULL, NULL);
}
