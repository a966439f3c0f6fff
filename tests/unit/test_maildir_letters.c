#include "cli/maildir_letters.h"
#include "tests/unit/check.h"

static void expect(const char *flags, const char *wanted)
{
	char letters[MAILDIR_LETTERS];

	maildir_letters(flags, letters);
	assert_string_equal(letters, wanted);
}

static void flags_become_letters_in_the_order_of_the_alphabet(void **state)
{
	(void)state;
	expect("", "");
	expect("\\Seen", "S");
	expect("\\Seen \\Flagged", "FS");
	expect("\\Deleted \\Seen \\Answered $Forwarded \\Flagged \\Draft", "DFPRST");
}

static void flags_are_known_in_any_case(void **state)
{
	(void)state;
	expect("\\seen $FORWARDED", "PS");
}

static void what_is_a_part_of_a_word_is_no_flag(void **state)
{
	(void)state;
	expect("\\SeenBy x\\Seen $Forwarded2 work", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_become_letters_in_the_order_of_the_alphabet),
		cmocka_unit_test(flags_are_known_in_any_case),
		cmocka_unit_test(what_is_a_part_of_a_word_is_no_flag),
	};

	return cmocka_run_group_tests_name("maildir_letters", tests, NULL, NULL);
}
