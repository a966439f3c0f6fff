#include "cli/command.h"
#include "tests/unit/check.h"

static void one_option_takes_an_argument_everywhere_or_nowhere(void **state)
{
	(void)state;
	for (const struct command *const *a = commands; *a; a++) {
		for (const struct command *const *b = commands; *b; b++) {
			for (const struct option_spec *x = (*a)->options; x->name; x++) {
				for (const struct option_spec *y = (*b)->options; y->name; y++)
					assert_true(strcmp(x->name, y->name) != 0 ||
						    !x->argument == !y->argument);
			}
		}
	}
}

static void no_command_hides_a_global_option(void **state)
{
	(void)state;
	for (const struct command *const *c = commands; *c; c++) {
		for (const struct option_spec *o = (*c)->options; o->name; o++) {
			for (const struct option_spec *g = global_options; g->name; g++)
				assert_string_not_equal(o->name, g->name);
		}
	}
}

static void expect_found(const char *const *words, size_t n, const char *name, size_t taken)
{
	size_t found_taken = 0;
	const struct command *c = command_find(words, n, &found_taken);

	assert_non_null(c);
	assert_string_equal(c->name, name);
	assert_int_equal(found_taken, taken);
}

static void commands_are_found_by_all_their_words(void **state)
{
	static const char *const check[] = {"account", "check", "anna"}, *const show[] = {"show"},
				 *const half[] = {"account"}, *const beginning[] = {"sho"};
	size_t taken;

	(void)state;
	expect_found(check, 3, "account check", 2);
	expect_found(show, 1, "show", 1);
	assert_null(command_find(half, 1, &taken));
	assert_null(command_find(beginning, 1, &taken));
	assert_null(command_find(show, 0, &taken));
}

static void unknown_commands_are_answered_with_known_ones(void **state)
{
	static const char *const near[] = {"verfy"}, *const half[] = {"account", "x"},
				 *const far[] = {"\x1b[2J"};
	struct fault f;

	(void)state;
	assert_int_equal(command_unknown(near, 1, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_non_null(strstr(f.text, "\"verify\""));
	assert_int_equal(command_unknown(half, 2, &f), -1);
	assert_non_null(strstr(f.text, "account list"));
	assert_int_equal(command_unknown(far, 1, &f), -1);
	assert_null(strchr(f.text, '\x1b'));
	assert_int_equal(command_unknown(far, 0, &f), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_option_takes_an_argument_everywhere_or_nowhere),
		TEST(no_command_hides_a_global_option),
		TEST(commands_are_found_by_all_their_words),
		TEST(unknown_commands_are_answered_with_known_ones),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
