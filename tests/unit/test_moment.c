#include "archive/moment.h"
#include "tests/unit/check.h"

static void a_moment_reads_back_as_written(void **state)
{
	static const moment_ms some[] = {0, 1, 999, 1795293296123, -1, -62167219200000};
	char text[MOMENT_TEXT];
	moment_ms again;

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		moment_format(some[i], text);
		assert_int_equal(moment_parse(slice_text(text), &again), 0);
		assert_int_equal(again, some[i]);
	}
	moment_format(1795293296123, text);
	assert_string_equal(text, "2026-11-21T20:34:56.123Z");
}

static void other_shapes_are_not_moments(void **state)
{
	static const char *const bad[] = {"", "2026-11-21T20:34:56Z", "2026-13-21T20:34:56.123Z",
		"2026-02-30T20:34:56.123Z", "2026-11-21t20:34:56.123Z", "2026-11-21T20:34:56.12aZ"};
	moment_ms t;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(moment_parse(slice_text(bad[i]), &t), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_moment_reads_back_as_written),
		TEST(other_shapes_are_not_moments),
	};

	return cmocka_run_group_tests_name("moment", tests, NULL, NULL);
}
