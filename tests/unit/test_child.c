#include "daemon/child.h"

#include "archive/moment.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATIENCE_MS = 20000 };

static void begin(struct child *c, const char *command, char *const *extra)
{
	struct fault f = {0};

	if (child_start(command, CHILD_PIPE, extra, c, &f) < 0)
		fail_msg("%s", f.text);
}

/* Everything that the command prints until nobody holds its pipe open. */
static const char *output_of(const struct child *c)
{
	static char text[4096];
	int64_t deadline = monotonic_ms() + PATIENCE_MS;
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = c->out, .events = POLLIN};
		ssize_t n = read(c->out, text + len, sizeof text - 1 - len);

		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		else if (monotonic_ms() > deadline)
			fail_msg("the command hangs");
		else
			(void)poll(&p, 1, 1000);
	}
	text[len] = '\0';
	return text;
}

static int end_of(struct child *c, struct fault *f)
{
	int64_t deadline = monotonic_ms() + PATIENCE_MS;
	int r;

	while ((r = child_end(c, f)) == CHILD_RUNS) {
		struct pollfd p = {.fd = c->process, .events = POLLIN};

		if (monotonic_ms() > deadline)
			fail_msg("the command hangs");
		(void)poll(&p, 1, 1000);
	}
	return r;
}

static void a_command_prints_and_ends(void **state)
{
	struct child c CLEANUP(child_deinit) = CHILD_NONE;
	struct fault f = {0};

	(void)state;
	begin(&c, "echo one; read x || echo no input", NULL);
	assert_string_equal(output_of(&c), "one\nno input\n");
	assert_int_equal(end_of(&c, &f), 0);
	assert_int_equal(c.pid, 0);
}

static void how_a_command_ended_is_told(void **state)
{
	struct child failed CLEANUP(child_deinit) = CHILD_NONE;
	struct child killed CLEANUP(child_deinit) = CHILD_NONE;
	struct fault f = {0};

	(void)state;
	begin(&failed, "exit 3", NULL);
	assert_int_equal(end_of(&failed, &f), -1);
	assert_int_equal(f.code, FAULT_ACCESS);
	assert_non_null(strstr(f.text, "status 3"));
	begin(&killed, "kill -TERM $$", NULL);
	assert_int_equal(end_of(&killed, &f), -1);
	assert_non_null(strstr(f.text, "signal 15"));
}

static void extra_entries_win_over_the_environments(void **state)
{
	char one[] = "POPKEEP_ONE=1 of 2", two[] = "POPKEEP_TWO=";
	char *const extra[] = {one, two, NULL};
	struct child c CLEANUP(child_deinit) = CHILD_NONE;

	(void)state;
	assert_int_equal(setenv("POPKEEP_ONE", "old", 1), 0);
	assert_int_equal(setenv("POPKEEP_ON", "kept", 1), 0);
	begin(&c, "env | grep -E \"^POPKEEP_(ON|ONE|TWO)=\" | sort", extra);
	assert_string_equal(output_of(&c), "POPKEEP_ON=kept\nPOPKEEP_ONE=1 of 2\nPOPKEEP_TWO=\n");
	assert_int_equal(unsetenv("POPKEEP_ONE"), 0);
	assert_int_equal(unsetenv("POPKEEP_ON"), 0);
}

static void no_descriptor_is_passed_on(void **state)
{
	struct child c CLEANUP(child_deinit) = CHILD_NONE;
	int fd CLEANUP(fd_closep) = open("/dev/null", O_RDONLY);

	(void)state;
	assert_true(fd > 2);
	begin(&c, "ls /proc/$$/fd; :", NULL);
	assert_string_equal(output_of(&c), "0\n1\n2\n");
}

static void neither_handlers_nor_the_mask_are_passed_on(void **state)
{
	struct child c CLEANUP(child_deinit) = CHILD_NONE;
	sigset_t all, before;

	(void)state;
	sigfillset(&all);
	assert_int_equal(sigprocmask(SIG_BLOCK, &all, &before), 0);
	void (*handler)(int) = signal(SIGHUP, SIG_IGN);
	/* The last digits: the C library keeps signals 32 and 33 for itself. */
	begin(&c, "grep -E '^Sig(Blk|Ign)' /proc/self/status | grep -o .......$", NULL);
	(void)signal(SIGHUP, handler);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_string_equal(output_of(&c), "0000000\n0000000\n");
}

static void what_is_printed_goes_to_stderr_where_no_pipe_is_wanted(void **state)
{
	struct child c CLEANUP(child_deinit) = CHILD_NONE;
	struct fault f = {0};
	char text[64] = "";
	int pipes[2];

	(void)state;
	int saved CLEANUP(fd_closep) = dup(STDERR_FILENO);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(dup2(pipes[1], STDERR_FILENO), STDERR_FILENO);
	int r = child_start("echo printed", CHILD_STDERR, NULL, &c, &f);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(r, 0);
	assert_int_equal(c.out, -1);
	assert_int_equal(end_of(&c, &f), 0);
	assert_int_equal(read(pipes[0], text, sizeof text - 1), 8);
	assert_string_equal(text, "printed\n");
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void the_whole_group_is_ended(void **state)
{
	struct child c CLEANUP(child_deinit) = CHILD_NONE;

	(void)state;
	begin(&c, "sleep 1000 & sleep 1000", NULL);
	/* The pipe ends when the last of them has. */
	int out CLEANUP(fd_closep) = dup(c.out);
	child_deinit(&c);
	assert_int_equal(c.pid, 0);
	assert_int_equal(c.process, -1);
	c.out = fd_take(&out);
	assert_string_equal(output_of(&c), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_prints_and_ends),
		TEST(how_a_command_ended_is_told),
		TEST(extra_entries_win_over_the_environments),
		TEST(no_descriptor_is_passed_on),
		TEST(neither_handlers_nor_the_mask_are_passed_on),
		TEST(what_is_printed_goes_to_stderr_where_no_pipe_is_wanted),
		TEST(the_whole_group_is_ended),
	};

	return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
