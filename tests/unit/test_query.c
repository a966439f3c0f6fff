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
	struct query q CLEANUP(query_deinit) = {0};
	struct fault f;

	assert_int_equal(read_words(words, &q, &f), 0);
	assert_string_equal(q.canonical, canonical);
}

static void words_and_options_say_the_same(void **state)
{
	(void)state;
	expect("account:anna archived:>=2026-01-31 archived:<2026-03-01",
		"account:anna archived:>=2026-01-31T00:00:00.000Z "
		"archived:<2026-03-01T00:00:00.000Z");
	expect("--account anna --since=2026-01-31 --before 2026-03-01",
		"account:anna archived:>=2026-01-31T00:00:00.000Z "
		"archived:<2026-03-01T00:00:00.000Z");
	expect("size:>=10K size:<=1M id:ab12", "size:>=10240 size:<1048577 id:ab12");
	expect("--min-size 10K --max-size 1M --id ab12", "size:>=10240 size:<1048577 id:ab12");
}

static void comparisons_mean_what_they_say(void **state)
{
	(void)state;
	expect("size:>10", "size:>=11");
	expect("size:<10", "size:<10");
	expect("size:10", "size:>=10 size:<11");
	expect("archived:2026-01-31", "archived:>=2026-01-31T00:00:00.000Z "
				      "archived:<2026-02-01T00:00:00.000Z");
	expect("archived:>2026-01-31", "archived:>=2026-02-01T00:00:00.000Z");
	expect("archived:<=2026-01-31", "archived:<2026-02-01T00:00:00.000Z");
}

static void everything_else_is_refused_with_what_is_understood(void **state)
{
	static const char *const bad[] = {"hello", "from:anna", "account:", "id:xyz",
		"id:", "size:big", "size:", "archived:yesterday",
		"archived:", "size:>=99999999999999999999", "ACCOUNT:x"};

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
		TEST(everything_else_is_refused_with_what_is_understood),
	};

	return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
