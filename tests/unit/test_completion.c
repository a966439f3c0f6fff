#include "cli/command.h"
#include "cli/completion.h"
#include "tests/unit/check.h"

#include <ctype.h>

static void expect_known(const char *command, const char *argument, size_t len)
{
	if (!completion_knows(slice_of(argument, len)))
		fail_msg("%s: cli/completion.c does not say what to offer for %.*s", command,
			(int)len, argument);
}

static void what_to_offer_is_known_for_every_option(void **state)
{
	(void)state;
	for (const struct option_spec *o = global_options; o->name; o++) {
		if (o->argument)
			expect_known("popkeep", o->argument, strlen(o->argument));
	}
	for (const struct command *const *c = commands; *c; c++) {
		for (const struct option_spec *o = (*c)->options; o->name; o++) {
			if (o->argument)
				expect_known((*c)->name, o->argument, strlen(o->argument));
		}
	}
}

/* Words in capitals; what stands behind an option is that option's. */
static void what_to_offer_is_known_for_every_operand(void **state)
{
	(void)state;
	for (const struct command *const *c = commands; *c; c++) {
		const char *at = (*c)->arguments;

		while (*at && *at != '-') {
			size_t len = 0;

			while (isupper((unsigned char)at[len]))
				len++;
			if (len > 0)
				expect_known((*c)->name, at, len);
			at += len ? len : 1;
		}
	}
}

static void an_unknown_word_is_not_known(void **state)
{
	(void)state;
	assert_false(completion_knows(slice_text("XYZZY")));
	assert_true(completion_knows(slice_text("FILE")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_to_offer_is_known_for_every_option),
		TEST(what_to_offer_is_known_for_every_operand),
		TEST(an_unknown_word_is_not_known),
	};

	return cmocka_run_group_tests_name("completion", tests, NULL, NULL);
}
