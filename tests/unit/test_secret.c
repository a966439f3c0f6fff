#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/secret.h"
#include "daemon/secret_command.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static char folder[] = "/tmp/popkeep-secret-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof path, "%s/password", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

static void write_file(const char *bytes, size_t len, mode_t mode)
{
	(void)unlink(path);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int get(enum secret_source source, const char *value, struct secret *ret, struct fault *f)
{
	char name[] = "anna", user[] = "anna", host[] = "pop.example.com", text[256];
	struct account a = {.name = name, .user = user, .host = host, .secret_source = source};

	(void)snprintf(text, sizeof text, "%s", value);
	a.secret_value = text;
	return secret_read(&a, ret, f);
}

static void expect(enum secret_source source, const char *value, const char *secret)
{
	struct secret s CLEANUP(secret_deinit) = {0};
	struct fault f = {0};

	if (get(source, value, &s, &f) < 0)
		fail_msg("%s", f.text);
	assert_string_equal(s.text, secret);
	assert_int_equal(s.len, strlen(secret));
}

static void expect_fault(
	enum secret_source source, const char *value, enum fault_code code, const char *part)
{
	struct secret s = {0};
	struct fault f = {0};

	assert_int_equal(get(source, value, &s, &f), -1);
	assert_null(s.text);
	assert_int_equal(f.code, code);
	assert_int_equal(f.scope, SCOPE_ACCOUNT);
	if (!strstr(f.text, part) || !strstr(f.text, "account anna: "))
		fail_msg("\"%s\" is not in \"%s\"", part, f.text);
	assert_null(strstr(f.text, "geheim"));
}

static void the_first_line_of_a_file_is_the_secret(void **state)
{
	(void)state;
	write_file("geheim \r\nnotes\n", 15, 0600);
	expect(SECRET_FILE, path, "geheim ");
	write_file("geheim", 6, 0400);
	expect(SECRET_FILE, path, "geheim");
}

static void a_file_that_others_can_read_is_refused(void **state)
{
	(void)state;
	write_file("geheim\n", 7, 0640);
	expect_fault(SECRET_FILE, path, FAULT_ACCESS, "chmod 600");
	write_file("geheim\n", 7, 0604);
	expect_fault(SECRET_FILE, path, FAULT_ACCESS, "chmod 600");
}

/* Root reads what the archive's owner keeps for the service. */
static void a_file_of_another_user_is_refused_but_not_to_root(void **state)
{
	struct account a = {.secret_source = SECRET_FILE, .secret_value = path};
	struct secret secret CLEANUP(secret_deinit) = {0};
	struct fault f;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file("geheim\n", 7, 0600);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_int_equal(secret_read(&a, &secret, &f), 0);
	/* Somebody else could only read it when others may, and is told first whose it is. */
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(chmod(folder, 0711), 0);
	assert_int_equal(seteuid(54321), 0);
	expect_fault(SECRET_FILE, path, FAULT_ACCESS, "another user");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(folder, 0700), 0);
}

static void no_secret_is_right_where_the_mechanism_needs_none(void **state)
{
	char external[] = "EXTERNAL", plain[] = "PLAIN";
	struct account a = {.secret_source = SECRET_NONE, .auth = external};
	struct secret secret CLEANUP(secret_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(secret_read(&a, &secret, &f), 0);
	assert_int_equal(secret.len, 0);
	a.auth = plain;
	assert_int_equal(secret_read(&a, &secret, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
}

static void files_without_a_usable_secret_are_refused(void **state)
{
	char long_text[LIMIT_SECRET + 1];

	(void)state;
	write_file("\n", 1, 0600);
	expect_fault(SECRET_FILE, path, FAULT_ACCESS, "the file holds nothing");
	write_file("ge\0heim\n", 8, 0600);
	expect_fault(SECRET_FILE, path, FAULT_ACCESS, "NUL");
	memset(long_text, 'x', sizeof long_text);
	write_file(long_text, sizeof long_text, 0600);
	expect_fault(SECRET_FILE, path, FAULT_ACCESS, "more than 16384");
	expect_fault(SECRET_FILE, folder, FAULT_ACCESS, "is no file");
	expect_fault(SECRET_FILE, "/nonexistent/\x1b", FAULT_ACCESS, "/nonexistent/\\x1b");
}

static void a_command_prints_the_secret(void **state)
{
	(void)state;
	expect(SECRET_COMMAND, "echo geheim", "geheim");
	expect(SECRET_TOKEN_COMMAND, "printf 'to%sken\\nmore\\n' -", "to-ken");
}

static void commands_that_give_nothing_usable_are_named_without_their_output(void **state)
{
	(void)state;
	expect_fault(SECRET_COMMAND, "echo geheim; exit 3", FAULT_ACCESS,
		"password-command: the command ended with status 3");
	expect_fault(SECRET_COMMAND, "kill -TERM $$", FAULT_ACCESS, "signal 15");
	expect_fault(SECRET_TOKEN_COMMAND, "true", FAULT_ACCESS,
		"token-command: the command prints nothing");
	expect_fault(SECRET_COMMAND, "printf 'ge\\0heim'", FAULT_ACCESS, "NUL");
	expect_fault(SECRET_COMMAND, "head -c 100000 /dev/zero | tr '\\0' x", FAULT_ACCESS,
		"prints more than 16384 bytes");
	expect_fault(SECRET_COMMAND, "read line || exit 7", FAULT_ACCESS, "status 7");
}

static void a_command_that_leaves_a_child_behind_does_not_block(void **state)
{
	int64_t before = monotonic_ms();

	(void)state;
	expect(SECRET_COMMAND, "echo geheim; sleep 20 2>&- & exit 0", "geheim");
	assert_true(monotonic_ms() - before < 10000);
}

static void a_command_that_hangs_is_killed_with_its_children(void **state)
{
	struct secret_command *c CLEANUP(secret_command_freep) = NULL;
	struct secret s = {0};
	struct fault f = {0};
	char command[128];
	int r;

	(void)state;
	(void)snprintf(command, sizeof command, "(echo $$ > %s; sleep 1000)", path);
	write_file("", 0, 0600);
	assert_int_equal(secret_command_begin(command, 300, &c, &f), 0);
	while ((r = secret_command_step(c, &s, &f)) == SECRET_COMMAND_WAIT) {
		struct pollfd p = {.fd = secret_command_fd(c), .events = POLLIN};
		(void)poll(&p, 1, 50);
	}
	assert_int_equal(r, -1);
	assert_non_null(strstr(f.text, "did not end"));
	secret_command_freep(&c);

	FILE *file = fopen(path, "r");
	char number[16] = {0};
	assert_non_null(file);
	assert_non_null(fgets(number, sizeof number, file));
	(void)fclose(file);
	pid_t group = (pid_t)strtoul(number, NULL, 10);
	assert_true(group > 1);
	int64_t deadline = monotonic_ms() + 5000;
	while (kill(-group, 0) == 0 && monotonic_ms() < deadline)
		(void)poll(NULL, 0, 10);
	assert_int_equal(kill(-group, 0), -1);
}

static void a_command_inherits_no_descriptor(void **state)
{
	int fd CLEANUP(fd_closep) = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	char command[64];

	(void)state;
	assert_true(fd > 2);
	(void)snprintf(command, sizeof command, "test -e /proc/self/fd/%d || echo none", fd);
	expect(SECRET_COMMAND, command, "none");
}

static void a_credential_comes_from_systemds_folder(void **state)
{
	(void)state;
	write_file("geheim\n", 7, 0440);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	expect(SECRET_CREDENTIAL, "password", "geheim");
	expect_fault(SECRET_CREDENTIAL, "../password", FAULT_USAGE, "not a name");
	write_file("geheim\n", 7, 0444);
	expect_fault(SECRET_CREDENTIAL, "password", FAULT_ACCESS, "others");
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	expect_fault(SECRET_CREDENTIAL, "password", FAULT_ACCESS, "CREDENTIALS_DIRECTORY");
}

static void an_account_without_a_source_is_told_what_there_is(void **state)
{
	(void)state;
	expect_fault(SECRET_NONE, "", FAULT_USAGE, "password-command");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_line_of_a_file_is_the_secret),
		TEST(a_file_that_others_can_read_is_refused),
		TEST(a_file_of_another_user_is_refused_but_not_to_root),
		TEST(no_secret_is_right_where_the_mechanism_needs_none),
		TEST(files_without_a_usable_secret_are_refused),
		TEST(a_command_prints_the_secret),
		TEST(commands_that_give_nothing_usable_are_named_without_their_output),
		TEST(a_command_that_leaves_a_child_behind_does_not_block),
		TEST(a_command_that_hangs_is_killed_with_its_children),
		TEST(a_command_inherits_no_descriptor),
		TEST(a_credential_comes_from_systemds_folder),
		TEST(an_account_without_a_source_is_told_what_there_is),
	};

	return cmocka_run_group_tests_name("secret", tests, make_folder, remove_folder);
}
