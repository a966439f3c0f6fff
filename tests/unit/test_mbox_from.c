#include "cli/mbox_from.h"
#include "tests/unit/check.h"

static const moment_ms DAY = INT64_C(1420453230000); /* 2015-01-05T10:20:30Z */

static void expect(const char *line, moment_ms wanted)
{
	moment_ms t = -1;

	if (mbox_from_parse(slice_text(line), &t) != 0)
		fail_msg("no date: %s", line);
	if (t != wanted)
		fail_msg("%s: %lld", line, (long long)t);
}

static void expect_none(const char *line)
{
	moment_ms t = -1;

	if (mbox_from_parse(slice_text(line), &t) != 1 || t != -1)
		fail_msg("a date: %s", line);
}

static void the_date_may_stand_in_any_way_that_is_written(void **state)
{
	(void)state;
	expect("From anna@example.com Mon Jan  5 10:20:30 2015", DAY);
	expect("From - Mon Jan 05 10:20:30 2015", DAY);
	expect("From ???@??? Mon Jan 05 10:20:30 2015 ", DAY);
	expect("From 1234567@xxx Mon Jan 05 10:20:30 +0000 2015", DAY);
	expect("From a Mon, 05 Jan 2015 10:20:30 +0000", DAY);
	expect("From a Mon, 5 Jan 2015 10:20:30", DAY);
	expect("From Mon Jan  5 10:20:30 2015", DAY);
	expect("From  Mon Jan  5 10:20:30 2015", DAY);
	expect("From \"Anna B\" <a@b c> Mon Jan  5 10:20:30 2015", DAY);
	expect("From Mon Jan Mon Jan  5 10:20:30 2015", DAY);
	expect("From a Mon Jan  5 10:20 2015", DAY - 30000);
	expect("From a Mon Jan  5 10:20:30 15 remote from host", DAY);
	expect("From a\tMon\tJan\t5\t10:20:30\t2015", DAY);
}

static void a_zone_counts(void **state)
{
	(void)state;
	expect("From a Mon Jan  5 11:20:30 2015 +0100", DAY);
	expect("From a Mon Jan  5 02:20:30 -0800 2015", DAY);
	expect("From a Mon Jan  5 02:20:30 PST 2015", DAY);
	expect("From a Mon Jan  5 12:20:30 MET DST 2015", DAY);
	expect("From a Mon Jan  5 12:20:30 2015 MET DST", DAY);
	expect("From a Mon Jan  5 10:20:30 GMT 2015", DAY);
	expect("From a Mon Jan  5 10:20:30 XYZ 2015", DAY);
}

static void what_is_before_1970_is_not_known(void **state)
{
	(void)state;
	expect("From a Mon Jan  5 10:20:30 1960", 0);
	expect("From a Thu Jan  1 00:00:00 1970", 0);
}

static void other_lines_have_no_date(void **state)
{
	static const char *const others[] = {"", "From", "From ", "From a",
		"from a Mon Jan  5 10:20:30 2015", "From aMon Jan  5 10:20:30 2015",
		"From a Mon Jan  5 10:20:30 2015 at noon", "From a Mon Jan  5 2015",
		"From a Mon Jan 32 10:20:30 2015", "From a Mon Feb 29 10:20:30 2015",
		"From a Mon Jan  5 24:20:30 2015", "From a Mon Jan  5 10:60:30 2015",
		"From a Mon Jan  5 10:20:3 2015", "From a Mon Jan  5 10:20:30 205",
		"From a Mon Jan  5 10:20:30 20155", "From a Mon Jan  5 10:20:30",
		"From a Moon Jan  5 10:20:30 2015", "From a Mon Jane  5 10:20:30 2015",
		"From a Mon  5 10:20:30 2015", "From a Mon", "From a Mon ", "From a Mon Jan",
		"From a Mon, 05 Jan 2015", ">From a Mon Jan  5 10:20:30 2015"};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		expect_none(others[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_date_may_stand_in_any_way_that_is_written),
		TEST(a_zone_counts),
		TEST(what_is_before_1970_is_not_known),
		TEST(other_lines_have_no_date),
	};

	return cmocka_run_group_tests_name("mbox_from", tests, NULL, NULL);
}
