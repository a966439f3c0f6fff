#include "cli/config_write.h"
#include "tests/unit/folder.h"

#include "archive/limits.h"
#include "daemon/config.h"

#include <stdio.h>
#include <stdlib.h>

/* What config_load() reads from an account's section as it was written. */
static struct config *read_back(const char *user, const char *command)
{
	const struct config_pair pairs[] = {{"server", "pop3s://pop.example.com"}, {"user", user},
		{"tls-ca-file", NULL}, {"password-command", command}};
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(64 * KIB);
	struct config *c = NULL;
	char folder[64], path[96];
	struct fault f = {0};

	assert_int_equal(config_write_account(&text, "anna", pairs, 4, &f), 0);
	folder_make(folder);
	(void)snprintf(path, sizeof path, "%s/popkeep.conf", folder);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
	assert_int_equal(fclose(file), 0);
	if (config_load(path, &c, &f) < 0)
		fail_msg("%s\n%s", f.text, buffer_text(&text));
	folder_remove(folder);
	return c;
}

static void expect_as_it_is(const char *value)
{
	struct config *c CLEANUP(config_freep) = read_back(value, value);

	assert_int_equal(c->accounts_n, 1);
	assert_string_equal(c->accounts[0].name, "anna");
	assert_string_equal(c->accounts[0].user, value);
	assert_string_equal(c->accounts[0].secret_value, value);
}

static void values_are_read_as_they_were_written(void **state)
{
	static const char *const values[] = {"anna", "a\"b\\c'd", "${HOME}", "$HOME", "\\${HOME}",
		"${NOT_IN_THE_ENVIRONMENT}", "\\", "\\\\", "# no comment", "/* nor this */",
		"// this", "{}()=+,*", "\xc3\xa4\xff", "\\n", "\\x41", "\\101", "tab\tx", "\0011",
		"\x7f", "ends with \\", "~/x", "%s%n", " x "};

	(void)state;
	(void)setenv("HOME", "/home/anna", 1);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		expect_as_it_is(values[i]);
}

static void a_command_may_have_several_lines(void **state)
{
	struct config *c CLEANUP(config_freep) = read_back("anna", "a\nb\r\nc");

	(void)state;
	assert_string_equal(c->accounts[0].secret_value, "a\nb\r\nc");
}

static void keys_without_value_are_left_out(void **state)
{
	struct config *c CLEANUP(config_freep) = read_back("anna", "true");

	(void)state;
	assert_null(c->accounts[0].tls_ca_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_are_read_as_they_were_written),
		TEST(a_command_may_have_several_lines),
		TEST(keys_without_value_are_left_out),
	};

	return cmocka_run_group_tests_name("config_write", tests, NULL, NULL);
}
