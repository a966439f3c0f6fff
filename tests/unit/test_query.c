#include "cli/query.h"
#include "tests/unit/check.h"

#include <stdio.h>
#include <time.h>

static const struct option_spec options[] = {QUERY_OPTIONS, {NULL, 0, NULL, NULL}};
static const struct option_spec *const tables[] = {options, NULL};

/* words: separated by blanks. */
static int read_words(const char *words, struct query *ret, struct fault *f)
{
	static char copy[256], *argv[16];
	struct arguments a CLEANUP(arguments_deinit) = {0};
	int argc = 1;
	char *rest = copy;

	(void)snprintf(copy, sizeof copy, "%s", words);
	argv[0] = copy;
	for (char *word; (word = strsep(&rest, " ")) && argc < 15;)
		argv[argc++] = word;
	assert_int_equal(arguments_parse(&a, argc, argv, tables, f), 0);
	return query_read(ret, &a, true, f);
}

static void expect(const char *words, const char *canonical)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(4096);
	struct query q;
	struct fault f;

	assert_int_equal(read_words(words, &q, &f), 0);
	assert_int_equal(query_canonical(&q.filter, &to, &f), 0);
	assert_string_equal(buffer_text(&to), canonical);
}

static void words_and_options_say_the_same(void **state)
{
	(void)state;
	expect("account:anna archived:>=2026-01-31 archived:<2026-03-01",
		"messages account:anna archived:>=2026-01-31T00:00:00.000Z "
		"archived:<2026-03-01T00:00:00.000Z");
	expect("--account anna --since=2026-01-31 --before 2026-03-01",
		"messages account:anna archived:>=2026-01-31T00:00:00.000Z "
		"archived:<2026-03-01T00:00:00.000Z");
	expect("size:>=10K size:<=1M id:ab12", "messages size:>=10240 size:<=1048576 id:ab12");
	expect("--min-size 10K --max-size 1M --id ab12",
		"messages size:>=10240 size:<=1048576 id:ab12");
}

static void comparisons_mean_what_they_say(void **state)
{
	(void)state;
	expect("size:>10", "messages size:>=11");
	expect("size:<10", "messages size:<=9");
	expect("size:10", "messages size:>=10 size:<=10");
	expect("archived:2026-01-31", "messages archived:>=2026-01-31T00:00:00.000Z "
				      "archived:<2026-02-01T00:00:00.000Z");
	expect("archived:>2026-01-31", "messages archived:>=2026-02-01T00:00:00.000Z");
	expect("archived:<=2026-01-31", "messages archived:<2026-02-01T00:00:00.000Z");
}

static void all_words_must_hold(void **state)
{
	(void)state;
	expect("size:>10 size:>20 size:<90 size:<80", "messages size:>=21 size:<=79");
	expect("archived:>=2026-01-01 archived:>=2026-02-01 archived:<2026-05-01 "
	       "archived:<2026-04-01",
		"messages archived:>=2026-02-01T00:00:00.000Z archived:<2026-04-01T00:00:00.000Z");
}

static void contradictions_match_nothing(void **state)
{
	static const char *const some[] = {"size:<0", "size:<10 size:>20", "size:0",
		"archived:>=2026-02-01 archived:<2026-01-01", "archived:<1960-01-01",
		"archived:<1970-01-01"};

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		struct query q;
		struct fault f;

		assert_int_equal(read_words(some[i], &q, &f), 0);
		assert_true(q.nothing);
	}
}

static void everything_else_is_refused_with_what_is_understood(void **state)
{
	static const char *const bad[] = {"hello", "from:anna", "account:", "id:xyz",
		"id:", "size:big", "size:", "archived:yesterday",
		"archived:", "account:a account:b", "id:aa id:bb", "size:>=99999999999999999999",
		"ACCOUNT:x"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct query q;
		struct fault f;

		assert_int_equal(read_words(bad[i], &q, &f), -1);
		assert_int_equal(f.code, FAULT_USAGE);
	}
	struct query q;
	struct fault f;
	assert_int_equal(read_words("invoice", &q, &f), -1);
	assert_non_null(strstr(f.text, "account:NAME"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words_and_options_say_the_same),
		TEST(comparisons_mean_what_they_say),
		TEST(all_words_must_hold),
		TEST(contradictions_match_nothing),
		TEST(everything_else_is_refused_with_what_is_understood),
	};

	return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
