#include "cli/options.h"
#include "tests/unit/check.h"

#include <stdio.h>

static const struct option_spec global[] = {{"archive", 'C', "ARCHIVE", ""}, {"json", 0, NULL, ""},
	{"quiet", 'q', NULL, ""}, {"verbose", 'v', NULL, ""}, {NULL, 0, NULL, NULL}};
static const struct option_spec command[] = {{"limit", 0, "N", ""}, {NULL, 0, NULL, NULL}};
static const struct option_spec *const tables[] = {global, command, NULL};

/* words: separated by blanks. */
static int parse(struct arguments *ret, const char *words, struct fault *f)
{
	static char copy[256], *argv[32];
	int argc = 1;
	char *rest = copy;

	(void)snprintf(copy, sizeof copy, "%s", words);
	argv[0] = copy + sizeof copy - 1;
	for (char *word; (word = strsep(&rest, " ")) && argc < 31;)
		argv[argc++] = word;
	return arguments_parse(ret, argc, argv, tables, f);
}

static void options_stand_before_and_behind_words(void **state)
{
	struct arguments a CLEANUP(arguments_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(parse(&a, "-C dir --limit 5 search --json x -q", &f), 0);
	assert_string_equal(option_value(&a, "archive"), "dir");
	assert_string_equal(option_value(&a, "limit"), "5");
	assert_true(option_given(&a, "json"));
	assert_true(option_given(&a, "quiet"));
	assert_false(option_given(&a, "verbose"));
	assert_int_equal(a.operand_n, 2);
	assert_string_equal(a.operand[1], "x");
}

static void an_argument_may_be_joined(void **state)
{
	struct arguments a CLEANUP(arguments_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(parse(&a, "--limit=7 -Cdir -qv", &f), 0);
	assert_string_equal(option_value(&a, "limit"), "7");
	assert_string_equal(option_value(&a, "archive"), "dir");
	assert_true(option_given(&a, "quiet") && option_given(&a, "verbose"));
}

static void the_last_value_counts(void **state)
{
	struct arguments a CLEANUP(arguments_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(parse(&a, "--limit 1 --limit=2", &f), 0);
	assert_string_equal(option_value(&a, "limit"), "2");
}

static void two_dashes_end_the_options(void **state)
{
	struct arguments a CLEANUP(arguments_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(parse(&a, "show -- --json -", &f), 0);
	assert_false(option_given(&a, "json"));
	assert_int_equal(a.operand_n, 3);
	assert_string_equal(a.operand[1], "--json");
	assert_string_equal(a.operand[2], "-");
}

static void unknown_options_are_refused_with_the_nearest(void **state)
{
	struct arguments a CLEANUP(arguments_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(parse(&a, "--limti 5", &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_non_null(strstr(f.text, "--limit?"));
	assert_int_equal(parse(&a, "--xyzzy", &f), -1);
	assert_null(strstr(f.text, "did you mean"));
	assert_int_equal(parse(&a, "-x", &f), -1);
	assert_non_null(strstr(f.text, "-x"));
}

static void missing_and_superfluous_arguments_are_refused(void **state)
{
	struct arguments a CLEANUP(arguments_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(parse(&a, "--limit", &f), -1);
	assert_non_null(strstr(f.text, "needs N"));
	assert_int_equal(parse(&a, "-C", &f), -1);
	assert_int_equal(parse(&a, "--json=yes", &f), -1);
}

static void too_many_options_are_refused(void **state)
{
	char *argv[2 * OPTIONS_MAX];
	char option[] = "-q";
	struct arguments a CLEANUP(arguments_deinit) = {0};
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof argv / sizeof *argv; i++)
		argv[i] = option;
	assert_int_equal(arguments_parse(&a, 2 * OPTIONS_MAX, argv, tables, &f), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_stand_before_and_behind_words),
		TEST(an_argument_may_be_joined),
		TEST(the_last_value_counts),
		TEST(two_dashes_end_the_options),
		TEST(unknown_options_are_refused_with_the_nearest),
		TEST(missing_and_superfluous_arguments_are_refused),
		TEST(too_many_options_are_refused),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
