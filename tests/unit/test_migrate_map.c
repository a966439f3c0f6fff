#include "archive/limits.h"
#include "cli/migrate_map.h"
#include "tests/unit/check.h"

static void expect_fault(const char *text, enum fault_code code, const char *part)
{
	struct migrate_map m CLEANUP(migrate_map_deinit) = {0};
	struct fault f;

	assert_int_equal(migrate_map_parse(slice_text(text), "x.csv", &m, &f), -1);
	assert_int_equal(f.code, code);
	if (!strstr(f.text, part))
		fail_msg("\"%s\" does not hold \"%s\"", f.text, part);
}

static void columns_stand_in_any_order_and_fields_in_quotes(void **state)
{
	struct migrate_map m CLEANUP(migrate_map_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(
		migrate_map_parse(
			slice_text("\xef\xbb\xbfUser,\"Target\",ACCOUNT,password command\r\n"
				   "\r\n"
				   "bob,imaps://x,anna,\"echo \"\"a,b\"\"\r\nc\"\r\n"
				   ",maildir:/x,bert,"),
			"x.csv", &m, &f),
		0);
	assert_int_equal(m.n, 2);
	assert_string_equal(m.rows[0].account, "anna");
	assert_string_equal(m.rows[0].target, "imaps://x");
	assert_string_equal(m.rows[0].user, "bob");
	assert_string_equal(m.rows[0].password_command, "echo \"a,b\"\r\nc");
	assert_int_equal(m.rows[0].line, 3);
	assert_string_equal(m.rows[1].account, "bert");
	assert_null(m.rows[1].user);
	assert_null(m.rows[1].password_command);
	assert_int_equal(m.rows[1].line, 5);
}

static void what_is_wrong_is_named_with_line_and_column(void **state)
{
	(void)state;
	expect_fault("", FAULT_USAGE, "line 1, column 1: no such column");
	expect_fault("account,account\n", FAULT_USAGE, "line 1, column 9: this column");
	expect_fault("account,target,\n", FAULT_USAGE, "line 1, column 16: no such column");
	expect_fault("account,target\n", FAULT_USAGE, "names no mailbox");
	expect_fault("account,target\nÜx,a\"b\n", FAULT_USAGE, "line 2, column 4: a quote in");
	expect_fault("account,target\n\"a\"x,b\n", FAULT_USAGE, "line 2, column 1: something");
	expect_fault("account,target\na,\"b\n\n", FAULT_USAGE, "line 2, column 3: a quote that");
	expect_fault(
		"account,target\n\"a\nb\",c\n,d\n", FAULT_USAGE, "line 4, column 1: no account");
	expect_fault("account,target\na,\n", FAULT_USAGE, "line 2, column 3: no target");
	expect_fault("account,target\na,b,c\n", FAULT_USAGE, "line 2, column 5: more fields");
	expect_fault("account,target\na\n", FAULT_USAGE, "line 2, column 1: fewer fields");
}

static void bytes_that_cannot_be_in_a_field_are_refused(void **state)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(64 * KIB);
	struct migrate_map m CLEANUP(migrate_map_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(
		migrate_map_parse(slice_of("account,target\na\0b,c\n", 21), "x", &m, &f), -1);
	assert_non_null(strstr(f.text, "NUL"));
	assert_int_equal(buffer_append_text(&text, "account,target\na,", &f), 0);
	for (unsigned i = 0; i < LIMIT_CONFIG_VALUE + 10; i++)
		assert_int_equal(buffer_append(&text, "x", 1, &f), 0);
	assert_int_equal(migrate_map_parse(buffer_slice(&text), "x", &m, &f), -1);
	assert_non_null(strstr(f.text, "too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(columns_stand_in_any_order_and_fields_in_quotes),
		TEST(what_is_wrong_is_named_with_line_and_column),
		TEST(bytes_that_cannot_be_in_a_field_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
