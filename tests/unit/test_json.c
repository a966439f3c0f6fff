#include "cli/json.h"
#include "tests/unit/check.h"

static void expect_text(struct slice bytes, const char *line)
{
	struct json_line l;

	json_line_begin(&l, "x");
	json_add_bytes(&l, "k", bytes);
	char *text CLEANUP(freep) = json_line_text(&l);
	assert_non_null(text);
	assert_string_equal(text, line);
}

static void text_is_kept_and_written_in_ascii(void **state)
{
	(void)state;
	expect_text(slice_text("a\"\\b"), "{\"type\":\"x\",\"k\":\"a\\\"\\\\b\"}\n");
	expect_text(slice_text("\xc3\xbc\x1b"), "{\"type\":\"x\",\"k\":\"\\u00FC\\u001B\"}\n");
	expect_text(slice_of("a\0b", 3), "{\"type\":\"x\",\"k\":\"a\\u0000b\"}\n");
	expect_text(slice_of(NULL, 0), "{\"type\":\"x\",\"k\":\"\"}\n");
}

static void bytes_that_are_no_utf8_are_escaped(void **state)
{
	(void)state;
	expect_text(slice_text("\xff\\"), "{\"type\":\"x\",\"k\":\"\\\\xff\\\\\\\\\"}\n");
	expect_text(
		slice_text("\xed\xa0\x80"), "{\"type\":\"x\",\"k\":\"\\\\xed\\\\xa0\\\\x80\"}\n");
}

static void moments_are_utc_and_none_is_null(void **state)
{
	struct json_line l;

	(void)state;
	json_line_begin(&l, "x");
	json_add_moment(&l, "a", 1795293296123);
	json_add_moment(&l, "b", 0);
	char *text CLEANUP(freep) = json_line_text(&l);
	assert_string_equal(
		text, "{\"type\":\"x\",\"a\":\"2026-11-21T20:34:56.123Z\",\"b\":null}\n");
}

static void counts_stay_in_range(void **state)
{
	struct json_line l;

	(void)state;
	json_line_begin(&l, "x");
	json_add_count(&l, "a", UINT64_MAX);
	char *text CLEANUP(freep) = json_line_text(&l);
	assert_string_equal(text, "{\"type\":\"x\",\"a\":9223372036854775807}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(text_is_kept_and_written_in_ascii),
		TEST(bytes_that_are_no_utf8_are_escaped),
		TEST(moments_are_utc_and_none_is_null),
		TEST(counts_stay_in_range),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
