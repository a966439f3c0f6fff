#include "archive/escape.h"
#include "tests/unit/check.h"

static void expect(const char *in, size_t len, const char *out)
{
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(4096);
	struct fault f = {0};

	assert_int_equal(escape_append(&b, slice_of(in, len), &f), 0);
	assert_string_equal(buffer_text(&b), out);
}

static void printable_utf8_stays(void **state)
{
	(void)state;
	expect("Gr\xc3\xbc\xc3\x9f"
	       "e \xe2\x82\xac",
		11,
		"Gr\xc3\xbc\xc3\x9f"
		"e \xe2\x82\xac");
}

static void controls_and_malformed_bytes_become_hex(void **state)
{
	(void)state;
	expect("a\x1b[31m\n\0b", 8, "a\\x1b[31m\\x0a\\x00");
	expect("\xc2\x9b", 2, "\\xc2\\x9b");
	expect("\xc0\xaf\xff", 3, "\\xc0\\xaf\\xff");
	expect("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");
	expect("\\", 1, "\\\\");
}

static void characters_that_reorder_text_become_hex(void **state)
{
	(void)state;
	expect("\xe2\x80\xae"
	       "gpj.exe",
		10, "\\xe2\\x80\\xaegpj.exe");
	expect("\xef\xbb\xbf", 3, "\\xef\\xbb\\xbf");
}

static void text_that_does_not_fit_is_cut_at_a_whole_character(void **state)
{
	char small[8];

	(void)state;
	assert_string_equal(escape_text(slice_text("1234567"), small, sizeof small), "1234567");
	assert_string_equal(escape_text(slice_text("12345678"), small, sizeof small), "1234...");
	assert_string_equal(escape_text(slice_text("123\x01\x02"), small, sizeof small), "123...");
}

static void what_is_escaped_already_stays_the_same(void **state)
{
	char once[64], again[64];

	(void)state;
	(void)escape_text(slice_text("a\\b\n\xff grün"), once, sizeof once);
	assert_string_equal(escape_again(slice_text(once), again, sizeof again), once);
	assert_string_equal(escape_again(slice_text("a\\b\n"), again, sizeof again), "a\\b\\x0a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(printable_utf8_stays),
		TEST(controls_and_malformed_bytes_become_hex),
		TEST(characters_that_reorder_text_become_hex),
		TEST(text_that_does_not_fit_is_cut_at_a_whole_character),
		TEST(what_is_escaped_already_stays_the_same),
	};

	return cmocka_run_group_tests_name("escape", tests, NULL, NULL);
}
