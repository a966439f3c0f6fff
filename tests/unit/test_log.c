#include "daemon/log.h"

#include "archive/bytes.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int saved = -1, reading = -1;

/* stderr is a pipe that we read. */
static int catch_stderr(void **state)
{
	int pipes[2];

	(void)state;
	saved = dup(STDERR_FILENO);
	if (saved < 0 || pipe2(pipes, O_NONBLOCK) < 0 || dup2(pipes[1], STDERR_FILENO) < 0)
		return -1;
	(void)close(pipes[1]);
	reading = pipes[0];
	log_set_level(LOG_LEVEL_INFO);
	return unsetenv("JOURNAL_STREAM");
}

static int release_stderr(void **state)
{
	(void)state;
	if (dup2(saved, STDERR_FILENO) < 0)
		return -1;
	return close(saved) == 0 && close(reading) == 0 ? 0 : -1;
}

static const char *written(void)
{
	static char text[8192];
	ssize_t n = read(reading, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void a_line_names_program_and_account(void **state)
{
	(void)state;
	log_open("popkeepd");
	log_line(LOG_LEVEL_INFO, NULL, "%d accounts", 3);
	log_line(LOG_LEVEL_ERROR, "anna", "login refused");
	assert_string_equal(
		written(), "popkeepd: 3 accounts\npopkeepd: account anna: login refused\n");
}

static void a_line_is_one_line_and_is_not_escaped_twice(void **state)
{
	(void)state;
	log_open("popkeepd");
	log_line(LOG_LEVEL_INFO, "a\nb", "one\ntwo \\x0a \\\\ \x1b[2J \xff grün");
	assert_string_equal(written(), "popkeepd: account a\\x0ab: one\\x0atwo \\x0a \\\\ "
				       "\\x1b[2J \\xff grün\n");
}

static void a_text_too_long_is_cut_and_ends_its_line(void **state)
{
	char text[10000];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	log_line(LOG_LEVEL_INFO, "anna", "%s", text);
	const char *line = written();
	assert_in_range(strlen(line), 1000, 4000);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	/* Each byte becomes four. */
	memset(text, '\x01', sizeof text - 1);
	log_line(LOG_LEVEL_INFO, "anna", "%s", text);
	line = written();
	assert_string_equal(line + strlen(line) - 4, "...\n");
}

static void lines_beyond_the_level_are_dropped(void **state)
{
	(void)state;
	log_open("popkeepd");
	log_line(LOG_LEVEL_DEBUG, NULL, "no");
	log_set_level(LOG_LEVEL_DEBUG);
	log_line(LOG_LEVEL_DEBUG, NULL, "yes");
	log_set_level(LOG_LEVEL_ERROR);
	log_line(LOG_LEVEL_WARNING, NULL, "no");
	log_line(LOG_LEVEL_ERROR, NULL, "yes, too");
	assert_string_equal(written(), "popkeepd: yes\npopkeepd: yes, too\n");
}

static void a_stderr_that_is_not_the_journal_gets_plain_lines(void **state)
{
	static const char *const streams[] = {
		"1:2", "", ":", "x:y", "1", "1:", "99999999999999999999:1"};

	(void)state;
	for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
		assert_int_equal(setenv("JOURNAL_STREAM", streams[i], 1), 0);
		log_open("popkeepd");
		log_line(LOG_LEVEL_INFO, NULL, "plain");
		assert_string_equal(written(), "popkeepd: plain\n");
	}
}

enum { PASSED, FAILED, SKIPPED };

/* In a process of its own, whose /run is its own too: as if a journal were there. */
static int log_to_a_journal(void)
{
	static const char EXPECTED[] = "MESSAGE=account anna: login\\x0arefused\nPRIORITY=4\n"
				       "SYSLOG_IDENTIFIER=popkeepd\nPOPKEEP_ACCOUNT=anna\n"
				       "POPKEEP_ARCHIVE=/var/lib/popkeep\n";
	struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/socket"};
	char stream[64], text[4096] = "";
	struct stat st;

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return SKIPPED;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/run", "tmpfs", 0, NULL) < 0)
		return SKIPPED;
	int journal CLEANUP(fd_closep) = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (mkdir("/run/systemd", 0700) < 0 || mkdir("/run/systemd/journal", 0700) < 0 ||
		bind(journal, (const struct sockaddr *)&address, sizeof address) < 0 ||
		fstat(STDERR_FILENO, &st) < 0)
		return FAILED;
	(void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	(void)setenv("JOURNAL_STREAM", stream, 1);
	log_open("popkeepd");
	log_set_archive("/var/lib/popkeep");
	log_line(LOG_LEVEL_WARNING, "anna", "login\nrefused");
	ssize_t n = recv(journal, text, sizeof text - 1, 0);
	if (n >= 0 && strcmp(text, EXPECTED) == 0)
		return PASSED;
	(void)dprintf(saved, "# %s\n", text);
	return FAILED;
}

static void the_journal_gets_fields(void **state)
{
	int status = 0;

	(void)state;
	if (!POPKEEP_SYSTEMD)
		skip();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(log_to_a_journal());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), PASSED);
	assert_string_equal(written(), "");
}

static void a_stderr_that_is_redirected_since_gets_plain_lines(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	for (unsigned i = 0; i < 2; i++) {
		char stream[64];

		(void)snprintf(stream, sizeof stream, "%llu:%llu",
			(unsigned long long)st.st_dev + i, (unsigned long long)st.st_ino + !i);
		assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
		log_open("popkeepd");
		log_line(LOG_LEVEL_INFO, NULL, "plain");
		assert_string_equal(written(), "popkeepd: plain\n");
	}
}

#define CAUGHT(name) cmocka_unit_test_setup_teardown(name, catch_stderr, release_stderr)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CAUGHT(a_line_names_program_and_account),
		CAUGHT(a_line_is_one_line_and_is_not_escaped_twice),
		CAUGHT(a_text_too_long_is_cut_and_ends_its_line),
		CAUGHT(lines_beyond_the_level_are_dropped),
		CAUGHT(a_stderr_that_is_not_the_journal_gets_plain_lines),
		CAUGHT(a_stderr_that_is_redirected_since_gets_plain_lines),
		CAUGHT(the_journal_gets_fields),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
