/* Starting and ending a worker, with programs that say they are one. */
#include "daemon/worker_start.h"

#include "archive/limits.h"
#include "archive/moment.h"
#include "tests/unit/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* What a worker of one's own is like: its first line, and what it does then. */
#define GREETING "echo popkeep-worker 1 complete a wall >&3\n"

struct job {
	struct worker_starter starter;
	struct seal_starter seal;
	struct seal_worker worker;
	int scratch, ledger, source;
	struct fault f;
};

static int set_up(void **state)
{
	struct job *j = calloc(1, sizeof *j);

	assert_non_null(j);
	if (folder_enter(state) < 0)
		return -1;
	free(*state); /* the folder's name is asked for again */
	*state = j;
	folder_put("scratch", "");
	folder_put("LEDGER", "lines\n");
	folder_put("source", "segment\n");
	j->scratch = open("scratch", O_RDWR | O_CLOEXEC);
	j->ledger = open("LEDGER", O_RDONLY | O_CLOEXEC);
	j->source = open("source", O_RDONLY | O_CLOEXEC);
	worker_starter_init(&j->starter, SANDBOX_BEST);
	j->seal = worker_starter(&j->starter);
	assert_int_equal(unsetenv("POPKEEP_WORKER"), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct job *j = *state;
	char path[PATH_MAX];

	worker_starter_deinit(&j->starter);
	fd_closep(&j->scratch);
	fd_closep(&j->ledger);
	fd_closep(&j->source);
	free(j);
	assert_non_null(getcwd(path, sizeof path));
	folder_remove(path);
	return chdir("/");
}

static int start_named(struct job *j, const char *program)
{
	const struct seal_fds fds = {.request = -1,
		.out = -1,
		.status = -1,
		.scratch = j->scratch,
		.ledger = j->ledger,
		.source = &j->source,
		.sources = 1};

	assert_int_equal(setenv("POPKEEP_WORKER", program, 1), 0);
	return j->seal.start(j->seal.context, &fds, &j->worker, &j->f);
}

static int start(struct job *j, const char *script)
{
	char text[1024], path[PATH_MAX + 8];

	(void)snprintf(text, sizeof text, "#!/bin/sh\n%s", script);
	folder_put("worker", text);
	assert_int_equal(chmod("worker", 0700), 0);
	assert_non_null(getcwd(path, PATH_MAX));
	(void)snprintf(path + strlen(path), 8, "/worker");
	return start_named(j, path);
}

static int end(struct job *j)
{
	return j->seal.end(j->seal.context, &j->f);
}

/* All that comes out of the worker. */
static const char *output(struct job *j)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = read(j->worker.out, text + len, sizeof text - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static void must(struct job *j, int r)
{
	if (r < 0)
		fail_msg("%s", j->f.text);
}

static void a_worker_gets_its_descriptors(void **state)
{
	struct job *j = *state;

	must(j, start(j, GREETING "read line; echo $line; cat <&5; cat <&6; echo kept >&4; "
				  "echo done >&3"));
	assert_string_equal(j->starter.sandbox.text, "a wall");
	assert_false(j->starter.sandbox.incomplete);
	assert_int_equal(write(j->worker.request, "request\n", 8), 8);
	assert_string_equal(output(j), "request\nlines\nsegment\n");
	char text[16] = "";
	assert_int_equal(read(j->worker.status, text, sizeof text - 1), 5);
	assert_string_equal(text, "done\n");
	assert_int_equal(pread(j->scratch, text, 5, 0), 5);
	assert_memory_equal(text, "kept\n", 5);
	must(j, end(j));
	assert_int_equal(j->starter.pid, 0);
}

static void a_worker_gets_nothing_else(void **state)
{
	struct job *j = *state;

	assert_int_equal(setenv("POPKEEP_SECRET", "hunter2", 1), 0);
	/* The shell has its script as 10, and adds PWD. */
	must(j, start(j, GREETING
			"ls /proc/$$/fd; tr '\\0' '\\n' </proc/$$/environ; readlink /proc/$$/fd/2; "
			"grep -E '^Sig(Blk|Ign)' /proc/$$/status | grep -o .......$; "
			"cut -d' ' -f 1,5 /proc/$$/stat"));
	const char *text = output(j);
	char expected[128];
	(void)snprintf(expected, sizeof expected,
		"0\n1\n10\n2\n3\n4\n5\n6\n/dev/null\n0000000\n0000000\n%d %d\n", j->starter.pid,
		j->starter.pid);
#if defined(__SANITIZE_ADDRESS__)
	assert_non_null(strstr(text, "0\n1\n10\n2\n3\n4\n5\n6\n"));
	assert_null(strstr(text, "hunter2"));
#else
	assert_string_equal(text, expected);
#endif
	must(j, end(j));
	assert_int_equal(unsetenv("POPKEEP_SECRET"), 0);
}

static void the_mode_and_how_many_segments_are_arguments(void **state)
{
	struct job *j = *state;

	must(j, start(j, GREETING "echo $#: $*"));
	assert_string_equal(output(j), "3: seal best 1\n");
	must(j, end(j));
	j->starter.mode = SANDBOX_REQUIRED;
	must(j, start(j, GREETING "echo $#: $*"));
	assert_string_equal(output(j), "3: seal required 1\n");
	must(j, end(j));
}

static void how_a_worker_ended_is_said_in_words(void **state)
{
	struct job *j = *state;

	must(j, start(j, GREETING "exit 3"));
	assert_int_equal(end(j), -1);
	assert_int_equal(j->f.code, FAULT_SYSTEM);
	assert_string_equal(j->f.text, "popkeep-worker ended with status 3");
	must(j, start(j, GREETING "kill -SEGV $$"));
	assert_int_equal(end(j), -1);
	assert_string_equal(
		j->f.text, "popkeep-worker was ended by signal 11 (Segmentation fault)");
}

static void a_worker_that_does_not_end_is_killed_with_its_group(void **state)
{
	struct job *j = *state;
	int64_t began = monotonic_ms();

	must(j, start(j, GREETING "trap '' TERM; sleep 1000 & echo $!; exec >/dev/null; "
				  "while :; do sleep 1000; done"));
	int out CLEANUP(fd_closep) = dup(j->worker.out); /* ends with the last of them */
	char text[16] = "";
	assert_true(read(out, text, sizeof text - 1) > 0);
	pid_t pid = j->starter.pid;
	assert_int_equal(end(j), -1);
	assert_non_null(strstr(j->f.text, "was killed"));
	assert_int_equal(read(out, text, sizeof text - 1), 0);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_in_range(monotonic_ms() - began, LIMIT_WORKER_STOP_MS, 4 * LIMIT_WORKER_STOP_MS);
}

static void a_stopped_worker_is_killed(void **state)
{
	struct job *j = *state;

	must(j, start(j, GREETING "kill -STOP $$"));
	assert_int_equal(end(j), -1);
	assert_non_null(strstr(j->f.text, "was killed"));
}

static void a_worker_that_is_given_up_is_gone(void **state)
{
	struct job *j = *state;

	must(j, start(j, GREETING "sleep 1000"));
	pid_t pid = j->starter.pid;
	worker_starter_deinit(&j->starter);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(j->starter.pid, 0);
	assert_int_equal(j->starter.ends.out, -1);
}

static void programs_that_are_no_worker_are_told(void **state)
{
	struct job *j = *state;

	j->starter.start_ms = 300;
	assert_int_equal(start_named(j, "/bin/true"), -1);
	assert_non_null(strstr(j->f.text, "popkeep-worker (/bin/true): it ended without saying"));
	assert_int_equal(start_named(j, "/bin/false"), -1);
	assert_non_null(strstr(j->f.text, "ended with status 1"));
	assert_int_equal(start_named(j, "/usr/bin/yes"), -1);
	assert_non_null(strstr(j->f.text, "did not say within 0.3 s"));
	assert_int_equal(start(j, "head -c 100000 /dev/zero >&3; sleep 1000"), -1);
	assert_int_equal(j->starter.pid, 0);
}

static void another_version_is_refused(void **state)
{
	struct job *j = *state;

	assert_int_equal(start(j, "echo popkeep-worker 2 complete '\033[2J' >&3"), -1);
	assert_non_null(strstr(j->f.text, "says \"popkeep-worker 2 complete \\x1b[2J\""));
	assert_int_equal(j->f.code, FAULT_SYSTEM);
}

static void what_the_worker_complains_of_is_passed_on(void **state)
{
	struct job *j = *state;

	assert_int_equal(start(j, "echo failed no room '\033' >&3; exit 1"), -1);
	assert_non_null(strstr(j->f.text, "): no room \\x1b"));
}

static void an_incomplete_sandbox_is_told_or_refused(void **state)
{
	struct job *j = *state;

	must(j, start(j, "echo popkeep-worker 1 incomplete no Landlock, seccomp >&3"));
	assert_true(j->starter.sandbox.incomplete);
	assert_string_equal(j->starter.sandbox.text, "no Landlock, seccomp");
	must(j, end(j));
	j->starter.mode = SANDBOX_REQUIRED;
	assert_int_equal(start(j, "echo popkeep-worker 1 incomplete no Landlock >&3"), -1);
}

static void a_missing_program_is_named(void **state)
{
	struct job *j = *state;
	char path[PATH_MAX];

	assert_int_equal(start_named(j, "/nowhere/worker"), -1);
	assert_non_null(strstr(j->f.text, "POPKEEP_WORKER names /nowhere/worker"));
	folder_put("text", "no program\n");
	assert_int_equal(start_named(j, "text"), -1);
	assert_int_equal(chmod("text", 0700), 0);
	assert_int_equal(start_named(j, "./text"), -1);
	assert_non_null(strstr(j->f.text, "cannot be run: Exec format error"));
	/* A worker may be installed on this machine. */
	assert_int_equal(unsetenv("POPKEEP_WORKER"), 0);
	int r = worker_find(path, &j->f);
	if (r == 0)
		assert_non_null(strstr(path, "popkeep-worker"));
	else
		assert_non_null(strstr(j->f.text, "the program popkeep-worker is missing"));
}

static void a_worker_dies_with_who_started_it(void **state)
{
	struct job *j = *state;
	int pipes[2];

	/* So that who loses its parent becomes ours. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(pipes), 0);
	pid_t parent = fork();
	if (parent == 0) {
		if (start(j, GREETING "sleep 1000") < 0)
			_exit(1);
		if (write(pipes[1], &j->starter.pid, sizeof(pid_t)) < 0)
			_exit(1);
		_exit(0); /* without a word to the worker */
	}
	pid_t worker = 0;
	int status;
	assert_int_equal(read(pipes[0], &worker, sizeof worker), (int)sizeof worker);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	(void)kill(-worker, SIGKILL); /* its sleep, if it came that far */
	while (waitpid(-1, &status, 0) > 0)
		;
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void low_descriptors_are_moved_out_of_the_way(void **state)
{
	struct job *j = *state;

	/* The segment lies where the request goes, and so on round. */
	int saved CLEANUP(fd_closep) = fcntl(0, F_DUPFD_CLOEXEC, 20);
	assert_int_equal(dup2(j->source, 0), 0);
	int source = j->source, ledger = j->ledger;
	j->source = 0;
	int three CLEANUP(fd_closep) = fcntl(ledger, F_DUPFD_CLOEXEC, 3);
	j->ledger = three;
	int r = start(j, GREETING "cat <&5; cat <&6");
	j->source = source;
	j->ledger = ledger;
	if (saved >= 0)
		(void)dup2(saved, 0);
	must(j, r);
	assert_string_equal(output(j), "lines\nsegment\n");
	must(j, end(j));
}

static bool at_once(void)
{
	return true;
}

static void who_waits_for_a_worker_can_stop(void **state)
{
	struct job *j = *state;

	j->starter.stop = at_once;
	assert_int_equal(start_named(j, "/usr/bin/yes"), -1);
	assert_int_equal(j->f.code, FAULT_INTERRUPT);
	assert_int_equal(j->starter.pid, 0);
}

static void how_long_it_may_be_silent_is_a_duration(void **state)
{
	struct job *j = *state;
	int64_t ms = -1;

	assert_int_equal(unsetenv("POPKEEP_WORKER_TIMEOUT"), 0);
	must(j, worker_patience(&j->starter, &ms, &j->f));
	assert_int_equal(ms, 0);
	assert_int_equal(setenv("POPKEEP_WORKER_TIMEOUT", "3s", 1), 0);
	must(j, worker_patience(&j->starter, &ms, &j->f));
	assert_int_equal(ms, 3000);
	assert_int_equal(j->starter.start_ms, 3000);
	assert_int_equal(setenv("POPKEEP_WORKER_TIMEOUT", "soon", 1), 0);
	assert_int_equal(worker_patience(&j->starter, &ms, &j->f), -1);
	assert_int_equal(j->f.code, FAULT_USAGE);
	assert_int_equal(unsetenv("POPKEEP_WORKER_TIMEOUT"), 0);
}

#define JOB(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		JOB(a_worker_gets_its_descriptors),
		JOB(a_worker_gets_nothing_else),
		JOB(the_mode_and_how_many_segments_are_arguments),
		JOB(how_a_worker_ended_is_said_in_words),
		JOB(a_worker_that_does_not_end_is_killed_with_its_group),
		JOB(a_stopped_worker_is_killed),
		JOB(a_worker_that_is_given_up_is_gone),
		JOB(programs_that_are_no_worker_are_told),
		JOB(another_version_is_refused),
		JOB(what_the_worker_complains_of_is_passed_on),
		JOB(an_incomplete_sandbox_is_told_or_refused),
		JOB(a_missing_program_is_named),
		JOB(a_worker_dies_with_who_started_it),
		JOB(who_waits_for_a_worker_can_stop),
		JOB(how_long_it_may_be_silent_is_a_duration),
		JOB(low_descriptors_are_moved_out_of_the_way),
	};

	return cmocka_run_group_tests_name("worker start", tests, NULL, NULL);
}
