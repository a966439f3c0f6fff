#include "cli/output.h"
#include "cli/progress.h"
#include "tests/unit/check.h"

#include <locale.h>
#include <time.h>

static void counts_have_commas(void **state)
{
	char text[TEXT_NUMBER];

	(void)state;
	assert_string_equal(text_count(0, text), "0");
	assert_string_equal(text_count(999, text), "999");
	assert_string_equal(text_count(5012, text), "5,012");
	assert_string_equal(text_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
}

static void sizes_have_units(void **state)
{
	char text[TEXT_NUMBER];

	(void)state;
	assert_string_equal(text_size(0, text), "0 B");
	assert_string_equal(text_size(999, text), "999 B");
	assert_string_equal(text_size(1000, text), "1.0 kB");
	assert_string_equal(text_size(3400000, text), "3.4 MB");
	assert_string_equal(text_size(99960, text), "100 kB");
	assert_string_equal(text_size(999949, text), "1.0 MB");
	assert_string_equal(text_size(UINT64_MAX, text), "18.4 EB");
}

static void durations_are_words(void **state)
{
	char text[TEXT_NUMBER];

	(void)state;
	assert_string_equal(text_duration(-5, text), "0 s");
	assert_string_equal(text_duration(1, text), "1 s");
	assert_string_equal(text_duration(200000, text), "3 min 20 s");
	assert_string_equal(text_duration(7500000, text), "2 h 5 min");
	assert_string_equal(text_duration(INT64_C(300000000), text), "3 days");
}

static void moments_are_of_the_zone_that_is_asked_for(void **state)
{
	struct output local = {0}, utc = {.utc = true};
	char text[TEXT_MOMENT];

	(void)state;
	assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
	tzset();
	assert_string_equal(text_minute(&local, 1795293296123, text), "2026-11-21 21:34");
	assert_string_equal(text_minute(&utc, 1795293296123, text), "2026-11-21 20:34Z");
	assert_string_equal(text_second(&utc, -1, text), "1969-12-31 23:59:59Z");
}

static void wide_characters_take_two_columns(void **state)
{
	static const char wide[] = "\xe6\x97\xa5\xe6\x9c\xac";

	(void)state;
	assert_int_equal(text_width(slice_text("abc")), 3);
	assert_int_equal(text_width(slice_text(wide)), 4);
	assert_int_equal(text_fit(slice_text(wide), 3), 3);
	assert_int_equal(text_fit(slice_text(wide), 4), 6);
	assert_int_equal(text_fit(slice_text("abc"), 0), 0);
	/* A combining accent belongs to its letter. */
	assert_int_equal(text_fit(slice_text("e\xcc\x81x"), 1), 3);
}

static void a_bar_fits_every_width(void **state)
{
	const struct progress_state s = {.label = "fetching",
		.done = 450000000,
		.all = 1000000000,
		.items = 12345,
		.items_all = 23456};
	char line[PROGRESS_LINE];

	(void)state;
	for (unsigned columns = 0; columns < 200; columns++) {
		progress_line(&s, 10000, columns, line);
		assert_true(strlen(line) <= columns);
	}
	progress_line(&s, 10000, 100, line);
	assert_string_equal(line, "fetching [#############.................]  45% 12,345/23,456 "
				  "45.0 MB/s 0:13");
}

static void twenty_columns_show_share_rate_and_time(void **state)
{
	const struct progress_state s = {.label = "fetching", .done = 45000000, .all = 100000000};
	char line[PROGRESS_LINE];

	(void)state;
	progress_line(&s, 10000, 19, line);
	assert_string_equal(line, " 45% 4.5 MB/s 0:13");
}

static void a_bar_without_a_whole_shows_what_is_known(void **state)
{
	const struct progress_state s = {.label = "fetching"};
	char line[PROGRESS_LINE];

	(void)state;
	progress_line(&s, 10000, 79, line);
	assert_string_equal(line, "fetching");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_have_commas),
		TEST(sizes_have_units),
		TEST(durations_are_words),
		TEST(moments_are_of_the_zone_that_is_asked_for),
		TEST(wide_characters_take_two_columns),
		TEST(a_bar_fits_every_width),
		TEST(twenty_columns_show_share_rate_and_time),
		TEST(a_bar_without_a_whole_shows_what_is_known),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
