/* The archive's upkeep by a child of the runner. Sealing itself is the integration tests'; here
 * nothing is due, and files that wait for the seal-command keep it busy. */
#include "archive/handle.h"
#include "archive/upkeep.h"
#include "daemon/runner_private.h"
#include "daemon/upkeep.h"
#include "tests/unit/world.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

enum { PATIENCE_MS = 20000 };

static const struct runner_times patient = {
	.secret_ms = 15000, .alert_ms = 15000, .stop_ms = 15000};

static void put_file(const char *folder, const char *name, const char *text)
{
	char path[160];

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	(void)fclose(file);
}

/* One sealed segment waits. */
static int begin(void **state)
{
	(void)world_begin(state);
	struct world *w = *state;

	put_file(w->path, "segments/000001.tar.zst", "one");
	assert_int_equal(sqlite3_exec(catalog_handle(w->store->catalog),
				 "INSERT INTO segment (number, state, length, class) VALUES "
				 "(1, 2, 3, 'a')",
				 NULL, NULL, NULL),
		SQLITE_OK);
	return 0;
}

static struct runner *start(struct world *w, const char *command)
{
	struct runner *r = NULL;
	char config[256], path[128];

	(void)snprintf(config, sizeof config, "seal-command = '%s'\n", command);
	put_file(w->path, "conf", config);
	(void)snprintf(path, sizeof path, "%s/conf", w->path);
	ok(w, runner_start_timed(path, w->path, &patient, &r, &w->f));
	return r;
}

static void wish(struct world *w, struct runner *r, unsigned what, const char *text)
{
	ok(w, runner_upkeep(r, what, text, &w->f));
}

static struct runner_answer next(struct world *w, struct runner *r)
{
	int64_t deadline = monotonic_ms() + PATIENCE_MS;
	struct runner_answer a;
	int kind;

	while ((kind = runner_take(r, &a, &w->f)) == RUNNER_NOTHING) {
		struct pollfd p = {.fd = runner_fd(r), .events = POLLIN};

		if (monotonic_ms() > deadline)
			fail_msg("no answer came");
		(void)poll(&p, 1, PATIENCE_MS + 1000);
	}
	assert_int_equal(kind, RUNNER_UPKEEP);
	return a;
}

static void expect(struct world *w, struct runner *r, enum upkeep_news news, const char *text)
{
	struct runner_answer a = next(w, r);

	if (a.tag != news)
		fail_msg("%d, where %d was expected: %s", (int)a.tag, (int)news, a.text);
	if (!strstr(a.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, a.text);
}

static struct upkeep noted(struct world *w, enum upkeep_job job)
{
	struct upkeep u;

	ok(w, store_get_upkeep(w->store, job, &u, &w->f));
	return u;
}

static void what_waits_is_handed_over(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) = start(w, "test -s $POPKEEP_FILE");

	wish(w, r, UPKEEP_HAND_OVER, NULL);
	expect(w, r, NEWS_HANDED, "segments/000001.tar.zst");
	expect(w, r, NEWS_COMMAND_WELL, "");
	expect(w, r, NEWS_ENDED, "");
	assert_true(noted(w, UPKEEP_COMMAND).succeeded > 0);
}

static void nothing_that_is_due_is_well(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) = start(w, "true");

	wish(w, r, UPKEEP_SEAL_DUE, NULL);
	expect(w, r, NEWS_SEAL_WELL, "");
	expect(w, r, NEWS_ENDED, "");
	assert_int_equal(noted(w, UPKEEP_SEAL).tried, 0);
}

static void a_command_that_fails_is_told_and_noted(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) = start(w, "exit 3");

	wish(w, r, UPKEEP_HAND_OVER, NULL);
	struct runner_answer a = next(w, r);
	assert_int_equal(a.tag, NEWS_COMMAND_FAILED);
	assert_int_equal(a.fault.code, FAULT_ACCESS);
	assert_string_equal(a.fault.text, a.text);
	expect(w, r, NEWS_ENDED, "");
	assert_string_equal(noted(w, UPKEEP_COMMAND).text, a.text);
}

static void an_archive_that_cannot_be_opened_is_told(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) = start(w, "true");
	char path[128];

	(void)snprintf(path, sizeof path, "%s/POPKEEP", w->path);
	assert_int_equal(unlink(path), 0);
	wish(w, r, UPKEEP_SEAL_DUE | UPKEEP_HAND_OVER, NULL);
	expect(w, r, NEWS_SEAL_FAILED, "not a popkeep archive");
	expect(w, r, NEWS_ENDED, "");
}

/* The pid of the upkeep child, which is the command's parent. */
static pid_t wait_for_child(struct world *w)
{
	int64_t deadline = monotonic_ms() + PATIENCE_MS;
	char path[128], text[32] = "";

	(void)snprintf(path, sizeof path, "%s/pid", w->path);
	while (!strchr(text, '\n')) {
		FILE *file = fopen(path, "r");

		if (file) {
			text[fread(text, 1, sizeof text - 1, file)] = '\0';
			(void)fclose(file);
		}
		if (monotonic_ms() > deadline)
			fail_msg("no command began");
		(void)poll(NULL, 0, 5);
	}
	return (pid_t)strtoul(text, NULL, 10);
}

#define HANGS                                                                                      \
	"echo $PPID >$POPKEEP_ARCHIVE/pid; while kill -0 $PPID; do sleep 0.1; done 2>/dev/null"

static void one_that_is_to_end_ends_soon_and_notes_nothing(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) = start(w, HANGS);

	wish(w, r, UPKEEP_HAND_OVER, NULL);
	(void)wait_for_child(w);
	int64_t began = monotonic_ms();
	wish(w, r, UPKEEP_END, NULL);
	expect(w, r, NEWS_ENDED, "");
	assert_true(monotonic_ms() - began < 5000);
	assert_int_equal(noted(w, UPKEEP_COMMAND).tried, 0);
}

static void one_that_died_is_told_of_and_can_be_noted(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) = start(w, HANGS);

	wish(w, r, UPKEEP_HAND_OVER, NULL);
	assert_int_equal(kill(wait_for_child(w), SIGKILL), 0);
	expect(w, r, NEWS_ENDED, "ended by signal 9");
	wish(w, r, UPKEEP_NOTE, "it died");
	expect(w, r, NEWS_ENDED, "");
	assert_string_equal(noted(w, UPKEEP_SEAL).text, "it died");
	assert_int_equal(noted(w, UPKEEP_SEAL).code, FAULT_SYSTEM);
}

static void only_one_runs_at_a_time(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) = start(w, HANGS);

	wish(w, r, UPKEEP_HAND_OVER, NULL);
	(void)wait_for_child(w);
	wish(w, r, UPKEEP_SEAL_DUE, NULL);
	wish(w, r, UPKEEP_END, NULL);
	expect(w, r, NEWS_ENDED, "");
	wish(w, r, UPKEEP_SEAL_DUE, NULL);
	expect(w, r, NEWS_SEAL_WELL, "");
	expect(w, r, NEWS_ENDED, "");
}

static void it_ends_with_the_runner(void **state)
{
	struct world *w = *state;
	struct runner *r = start(w, HANGS);

	wish(w, r, UPKEEP_HAND_OVER, NULL);
	pid_t child = wait_for_child(w);
	(void)runner_stop(r);
	assert_true(kill(child, 0) < 0 && errno == ESRCH);
}

/* What the runner holds open is not the child's: it has its socket, and the archive. */
static void it_has_none_of_the_runners_descriptors(void **state)
{
	struct world *w = *state;
	struct runner *r CLEANUP(runner_stopp) =
		start(w, "ls -l /proc/$PPID/fd >$POPKEEP_ARCHIVE/fds");
	char path[128], text[4096];

	wish(w, r, UPKEEP_HAND_OVER, NULL);
	expect(w, r, NEWS_HANDED, "");
	expect(w, r, NEWS_COMMAND_WELL, "");
	expect(w, r, NEWS_ENDED, "");
	(void)snprintf(path, sizeof path, "%s/fds", w->path);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	(void)fclose(file);
	const char *socket = strstr(text, "socket:");
	/* Hardened, it shows nobody what it has open; as root one sees it all the same. */
	if (!socket)
		skip();
	assert_null(strstr(socket + 1, "socket:"));
	assert_null(strstr(text, "signalfd"));
}

#define UPKEEP_TEST(name) cmocka_unit_test_setup_teardown(name, begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UPKEEP_TEST(what_waits_is_handed_over),
		UPKEEP_TEST(nothing_that_is_due_is_well),
		UPKEEP_TEST(a_command_that_fails_is_told_and_noted),
		UPKEEP_TEST(an_archive_that_cannot_be_opened_is_told),
		UPKEEP_TEST(one_that_is_to_end_ends_soon_and_notes_nothing),
		UPKEEP_TEST(one_that_died_is_told_of_and_can_be_noted),
		UPKEEP_TEST(only_one_runs_at_a_time),
		UPKEEP_TEST(it_ends_with_the_runner),
		UPKEEP_TEST(it_has_none_of_the_runners_descriptors),
	};

	return cmocka_run_group_tests_name("runner_upkeep", tests, NULL, NULL);
}
