#include "daemon/nearest.h"
#include "tests/unit/check.h"

#include <string.h>

static void the_distance_counts_edits_and_swapped_neighbours(void **state)
{
	(void)state;
	assert_int_equal(nearest_distance("", ""), 0);
	assert_int_equal(nearest_distance("", "abc"), 3);
	assert_int_equal(nearest_distance("kitten", "sitting"), 3);
	assert_int_equal(nearest_distance("usre", "user"), 1);
	assert_int_equal(nearest_distance("Fetch", "fetch"), 0);
	assert_int_equal(nearest_distance("abcd", "badc"), 2);
}

static void a_word_too_long_is_like_nothing(void **state)
{
	char word[NEAREST_WORD_MAX + 2];

	(void)state;
	memset(word, 'a', sizeof word);
	word[NEAREST_WORD_MAX + 1] = '\0';
	assert_true(nearest_distance(word, "a") == (size_t)-1);
	assert_true(nearest_distance("a", word) == (size_t)-1);
	word[NEAREST_WORD_MAX] = '\0';
	assert_int_equal(nearest_distance(word, word), 0);
	assert_int_equal(nearest_distance(word, ""), NEAREST_WORD_MAX);
}

static void the_nearest_word_is_found_and_a_far_one_is_not(void **state)
{
	static const char *const known[] = {"fetch", "status", "search", "show"};

	(void)state;
	assert_string_equal(nearest_of("fetsh", known, 4), "fetch");
	assert_string_equal(nearest_of("satus", known, 4), "status");
	assert_string_equal(nearest_of("serach", known, 4), "search");
	assert_null(nearest_of("delete", known, 4));
	assert_null(nearest_of("x", known, 4));
	assert_null(nearest_of("", known, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_distance_counts_edits_and_swapped_neighbours),
		TEST(a_word_too_long_is_like_nothing),
		TEST(the_nearest_word_is_found_and_a_far_one_is_not),
	};

	return cmocka_run_group_tests_name("nearest", tests, NULL, NULL);
}
