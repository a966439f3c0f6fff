/* Files that go to the seal-command. The command of each test writes what it was given to a file.
 */
#include "daemon/handover.h"

#include "archive/handle.h"
#include "archive/limits.h"
#include "tests/unit/world.h"

#include <fcntl.h>
#include <stdio.h>

static void put_file(const struct world *w, const char *name, const char *text)
{
	char path[160];

	(void)snprintf(path, sizeof path, "%s/%s", w->path, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	(void)fclose(file);
}

static const char *file_text(const struct world *w, const char *name, char *to, size_t size)
{
	char path[160];

	(void)snprintf(path, sizeof path, "%s/%s", w->path, name);
	FILE *file = fopen(path, "r");
	to[file ? fread(to, 1, size - 1, file) : 0] = '\0';
	if (file)
		(void)fclose(file);
	return to;
}

/* Two sealed segments wait. */
static int begin(void **state)
{
	(void)world_begin(state);
	struct world *w = *state;

	put_file(w, "segments/000001.tar.zst", "one");
	put_file(w, "segments/000002.tar.zst", "two");
	assert_int_equal(sqlite3_exec(catalog_handle(w->store->catalog),
				 "INSERT INTO segment (number, state, length, class) VALUES "
				 "(1, 2, 3, 'a'), (2, 2, 3, 'a')",
				 NULL, NULL, NULL),
		SQLITE_OK);
	return 0;
}

static struct upkeep noted(struct world *w)
{
	struct upkeep u;

	ok(w, store_get_upkeep(w->store, UPKEEP_COMMAND, &u, &w->f));
	return u;
}

static int run(struct world *w, const char *command)
{
	struct handover_job job = {.command = command, .timeout_ms = LIMIT_HANDOVER_MS};

	return handover_run(w->store, &job, &w->f);
}

static void each_file_is_given_once_and_in_order(void **state)
{
	struct world *w = *state;
	char text[600], expected[600];

	ok(w, run(w, "echo $POPKEEP_KIND $POPKEEP_FILE >>$POPKEEP_ARCHIVE/said; "
		     "cat $POPKEEP_FILE >>$POPKEEP_ARCHIVE/said"));
	(void)snprintf(expected, sizeof expected,
		"segment %s/segments/000001.tar.zst\nonesegment %s/segments/000002.tar.zst\ntwo",
		w->path, w->path);
	assert_string_equal(file_text(w, "said", text, sizeof text), expected);
	assert_true(noted(w).succeeded > 0);
	ok(w, run(w, "false"));
	assert_int_equal(noted(w).code, FAULT_NONE);
}

static void a_closed_ledger_file_is_of_kind_ledger(void **state)
{
	struct world *w = *state;
	char text[100];

	ok(w, run(w, "true"));
	put_file(w, "ledger/000001.log", "");
	assert_int_equal(sqlite3_exec(catalog_handle(w->store->catalog),
				 "UPDATE state SET ledger_file = 2", NULL, NULL, NULL),
		SQLITE_OK);
	ok(w, run(w, "echo $POPKEEP_KIND >>$POPKEEP_ARCHIVE/said"));
	assert_string_equal(file_text(w, "said", text, sizeof text), "ledger\n");
}

static void one_that_fails_is_tried_again_and_those_behind_it_wait(void **state)
{
	struct world *w = *state;
	char text[100];

	assert_true(run(w, "echo x >>$POPKEEP_ARCHIVE/said; exit 7") < 0);
	assert_int_equal(w->f.code, FAULT_ACCESS);
	assert_string_equal(w->f.text, "seal-command: segments/000001.tar.zst: the command ended "
				       "with status 7; run it by hand to see why");
	assert_string_equal(noted(w).text, w->f.text);
	assert_int_equal(noted(w).code, FAULT_ACCESS);
	assert_string_equal(file_text(w, "said", text, sizeof text), "x\n");
	ok(w, run(w, "echo y >>$POPKEEP_ARCHIVE/said"));
	assert_string_equal(file_text(w, "said", text, sizeof text), "x\ny\ny\n");
	assert_int_equal(noted(w).code, FAULT_NONE);
}

static void what_was_taken_before_a_failure_is_not_given_again(void **state)
{
	struct world *w = *state;
	char text[100];

	assert_true(run(w, "case $POPKEEP_FILE in *2.tar.zst) exit 1; esac") < 0);
	ok(w, run(w, "echo ${POPKEEP_FILE##*/} >>$POPKEEP_ARCHIVE/said"));
	assert_string_equal(file_text(w, "said", text, sizeof text), "000002.tar.zst\n");
}

static void one_that_takes_too_long_is_ended(void **state)
{
	struct world *w = *state;
	struct handover_job job = {.command = "sleep 60", .timeout_ms = 50};
	int64_t began = monotonic_ms();

	assert_true(handover_run(w->store, &job, &w->f) < 0);
	assert_true(monotonic_ms() - began < 10000);
	assert_string_equal(w->f.text,
		"seal-command: segments/000001.tar.zst: the command did not end within 0 s");
	assert_int_equal(noted(w).code, FAULT_ACCESS);
}

static int say_stop(void *context)
{
	return ++*(int *)context > 1;
}

static void whoever_is_told_to_stop_ends_the_command_and_notes_nothing(void **state)
{
	struct world *w = *state;
	int asked = 0;
	struct handover_job job = {.command = "sleep 60",
		.timeout_ms = LIMIT_HANDOVER_MS,
		.stop = say_stop,
		.context = &asked};

	assert_true(handover_run(w->store, &job, &w->f) < 0);
	assert_int_equal(w->f.code, FAULT_INTERRUPT);
	assert_int_equal(noted(w).tried, 0);
}

static void count(void *context, const char *path)
{
	assert_int_equal(strncmp(path, "segments/00000", 14), 0);
	++*(int *)context;
}

static void each_that_was_taken_is_told(void **state)
{
	struct world *w = *state;
	int n = 0;
	struct handover_job job = {
		.command = "true", .timeout_ms = LIMIT_HANDOVER_MS, .handed = count, .context = &n};

	ok(w, handover_run(w->store, &job, &w->f));
	assert_int_equal(n, 2);
}

static void trouble_ends_when_nothing_waits_any_more(void **state)
{
	struct world *w = *state;

	assert_true(run(w, "false") < 0);
	assert_int_equal(sqlite3_exec(catalog_handle(w->store->catalog), "DELETE FROM segment",
				 NULL, NULL, NULL),
		SQLITE_OK);
	ok(w, run(w, "false"));
	assert_int_equal(noted(w).code, FAULT_NONE);
}

#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, begin, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILES_TEST(each_file_is_given_once_and_in_order),
		FILES_TEST(a_closed_ledger_file_is_of_kind_ledger),
		FILES_TEST(one_that_fails_is_tried_again_and_those_behind_it_wait),
		FILES_TEST(what_was_taken_before_a_failure_is_not_given_again),
		FILES_TEST(one_that_takes_too_long_is_ended),
		FILES_TEST(whoever_is_told_to_stop_ends_the_command_and_notes_nothing),
		FILES_TEST(each_that_was_taken_is_told),
		FILES_TEST(trouble_ends_when_nothing_waits_any_more),
	};

	return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
