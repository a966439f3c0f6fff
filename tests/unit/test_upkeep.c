/* How upkeep went, what waits to be sealed, and which files the seal-command was given. */
#include "archive/upkeep.h"

#include "archive/handle.h"
#include "tests/unit/schema.h"
#include "tests/unit/world.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct fault failure(const char *text)
{
	struct fault f;

	fault_record(&f, FAULT_WRITE, SCOPE_ARCHIVE, 0, "%s", text);
	return f;
}

static struct upkeep upkeep_of(struct world *w, enum upkeep_job job)
{
	struct upkeep u;

	ok(w, store_get_upkeep(w->store, job, &u, &w->f));
	return u;
}

static void a_job_that_never_ran_is_nothing(void **state)
{
	struct world *w = *state;
	struct upkeep u = upkeep_of(w, UPKEEP_SEAL);

	assert_int_equal(u.tried, 0);
	assert_int_equal(u.succeeded, 0);
	assert_int_equal(u.code, FAULT_NONE);
	assert_string_equal(u.text, "");
}

static void a_success_stays_known_through_later_failures(void **state)
{
	struct world *w = *state;
	struct fault no = failure("disk full");

	ok(w, store_put_upkeep(w->store, UPKEEP_SEAL, NULL, &w->f));
	struct upkeep well = upkeep_of(w, UPKEEP_SEAL);
	assert_true(well.succeeded > 0 && well.succeeded == well.tried);
	ok(w, store_put_upkeep(w->store, UPKEEP_SEAL, &no, &w->f));
	struct upkeep ill = upkeep_of(w, UPKEEP_SEAL);
	assert_true(ill.succeeded == well.succeeded && ill.tried >= well.tried);
	assert_int_equal(ill.code, FAULT_WRITE);
	assert_string_equal(ill.text, "disk full");
	assert_int_equal(upkeep_of(w, UPKEEP_COMMAND).tried, 0);
}

static void a_first_failure_succeeded_never(void **state)
{
	struct world *w = *state;
	struct fault no = failure("disk full");

	ok(w, store_put_upkeep(w->store, UPKEEP_COMMAND, &no, &w->f));
	assert_int_equal(upkeep_of(w, UPKEEP_COMMAND).succeeded, 0);
	ok(w, store_put_upkeep(w->store, UPKEEP_COMMAND, NULL, &w->f));
	assert_true(upkeep_of(w, UPKEEP_COMMAND).succeeded > 0);
	assert_string_equal(upkeep_of(w, UPKEEP_COMMAND).text, "");
}

static void a_text_that_is_too_long_is_cut_between_characters(void **state)
{
	struct world *w = *state;
	struct fault no = failure("");

	memset(no.text, 'x', sizeof no.text - 1);
	no.text[sizeof no.text - 1] = '\0';
	memcpy(no.text + sizeof((struct upkeep){0}.text) - 2, "\xc3\xa4", 2);
	ok(w, store_put_upkeep(w->store, UPKEEP_SEAL, &no, &w->f));
	assert_int_equal(
		strlen(upkeep_of(w, UPKEEP_SEAL).text), sizeof((struct upkeep){0}.text) - 2);
}

static void run_sql(struct world *w, const char *text)
{
	assert_int_equal(
		sqlite3_exec(catalog_handle(w->store->catalog), text, NULL, NULL, NULL), SQLITE_OK);
}

static void what_another_wrote_into_the_catalog_is_escaped(void **state)
{
	struct world *w = *state;

	run_sql(w, "INSERT INTO upkeep VALUES (1, 5, 0, 999, 'a' || char(27) || '[2J')");
	assert_string_equal(upkeep_of(w, UPKEEP_SEAL).text, "a\\x1b[2J");
	assert_int_equal(upkeep_of(w, UPKEEP_SEAL).code, FAULT_SYSTEM);
}

static void nothing_of_it_is_in_the_ledger(void **state)
{
	struct world *w = *state;
	char path[128];
	struct stat before, after;

	(void)snprintf(path, sizeof path, "%s/ledger/000001.log", w->path);
	assert_int_equal(stat(path, &before), 0);
	ok(w, store_put_upkeep(w->store, UPKEEP_SEAL, NULL, &w->f));
	ok(w, store_handed_over(w->store, "segments/000001.tar.zst", &w->f));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void a_reader_of_a_catalog_from_before_sees_nothing(void **state)
{
	struct world *w = *state;
	char path[HANDOVER_PATH];
	struct unsealed u;

	run_sql(w, SCHEMA_BACK_TO_3);
	store_close(w->store);
	w->store = NULL;
	ok(w, store_open(w->path, NULL, STORE_READ, &w->store, &w->f));
	assert_int_equal(upkeep_of(w, UPKEEP_SEAL).tried, 0);
	assert_int_equal(store_next_handover(w->store, path, &w->f), 0);
	assert_int_equal(store_next_unsealed(w->store, 0, &u, &w->f), 0);
}

static void whoever_holds_the_turn_is_waited_for(void **state)
{
	struct world *w = *state;

	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->other, &w->f));
	ok(w, turns_take_commit(w->other->lock_fd, 1000, &w->f));
	assert_int_equal(turn_test(w->store->lock_fd, TURN_COMMIT, &w->f), TURN_TAKEN);
	turn_release(w->other->lock_fd, TURN_COMMIT);
	ok(w, store_put_upkeep(w->store, UPKEEP_SEAL, NULL, &w->f));
	assert_int_equal(turn_test(w->other->lock_fd, TURN_COMMIT, &w->f), 0);
}

static void a_writer_that_died_notes_nothing(void **state)
{
	struct world *w = *state;
	struct fault no = failure("disk full");

	(void)store_die(w->store, &no);
	assert_true(store_put_upkeep(w->store, UPKEEP_SEAL, NULL, &w->f) < 0);
	assert_int_equal(w->f.code, FAULT_WRITE);
}

/* ---- Waiting to be sealed -------------------------------------------------------------------- */

static void segments_with_mail_that_are_not_sealed_wait(void **state)
{
	struct world *w = *state;
	struct unsealed u;

	run_sql(w,
		"INSERT INTO segment (number, state, length, class, messages, bytes, first) VALUES"
		" (1, 2, 10, 'a', 5, 50, 1), (2, 3, 10, 'b', 6, 60, 2),"
		" (3, 1, 0, 'c', 0, 0, 0), (4, 1, 10, 'c' || char(10), 7, 70, 3);");
	assert_int_equal(store_next_unsealed(w->store, 0, &u, &w->f), UNSEALED_SEGMENT);
	assert_int_equal(u.segment, 2);
	assert_int_equal(u.messages, 6);
	assert_int_equal(u.bytes, 60);
	assert_int_equal(u.first, 2);
	assert_string_equal(u.class_, "b");
	assert_int_equal(store_next_unsealed(w->store, 2, &u, &w->f), UNSEALED_SEGMENT);
	assert_int_equal(u.segment, 4);
	assert_string_equal(u.class_, "c\\x0a");
	assert_int_equal(store_next_unsealed(w->store, 4, &u, &w->f), 0);
}

/* ---- Handing over ---------------------------------------------------------------------------- */

static void make_file(struct world *w, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/%s", w->path, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void assert_next(struct world *w, const char *expected)
{
	char path[HANDOVER_PATH] = "";
	int r = store_next_handover(w->store, path, &w->f);

	ok(w, r);
	assert_int_equal(r, expected ? HANDOVER_FILE : 0);
	assert_string_equal(path, expected ? expected : "");
}

static void sealed_segments_are_handed_over_by_number_and_once(void **state)
{
	struct world *w = *state;

	make_file(w, "segments/000002.tar.zst");
	make_file(w, "segments/1000007.tar.zst");
	run_sql(w, "INSERT INTO segment (number, state, length, class) VALUES (1, 3, 1, 'a'),"
		   " (1000007, 2, 1, 'a'), (2, 2, 1, 'a'), (3, 1, 1, 'a'), (4, 4, 1, 'a');");
	assert_next(w, "segments/000002.tar.zst");
	assert_next(w, "segments/000002.tar.zst");
	ok(w, store_handed_over(w->store, "segments/000002.tar.zst", &w->f));
	assert_next(w, "segments/1000007.tar.zst");
	ok(w, store_handed_over(w->store, "segments/1000007.tar.zst", &w->f));
	ok(w, store_handed_over(w->store, "segments/1000007.tar.zst", &w->f));
	assert_next(w, NULL);
}

static void a_segment_that_is_gone_keeps_nobody_waiting(void **state)
{
	struct world *w = *state;

	make_file(w, "segments/000002.tar.zst");
	run_sql(w, "INSERT INTO segment (number, state, length, class) VALUES (1, 2, 1, 'a'),"
		   " (2, 2, 1, 'a');");
	assert_next(w, "segments/000002.tar.zst");
}

static void a_ledger_file_is_handed_over_when_the_next_has_begun(void **state)
{
	struct world *w = *state;

	assert_next(w, NULL);
	make_file(w, "ledger/000002.log");
	run_sql(w, "UPDATE state SET ledger_file = 3");
	assert_next(w, "ledger/000001.log");
	ok(w, store_handed_over(w->store, "ledger/000001.log", &w->f));
	assert_next(w, "ledger/000002.log");
	ok(w, store_handed_over(w->store, "ledger/000002.log", &w->f));
	assert_next(w, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_job_that_never_ran_is_nothing),
		WORLD_TEST(a_success_stays_known_through_later_failures),
		WORLD_TEST(a_first_failure_succeeded_never),
		WORLD_TEST(a_text_that_is_too_long_is_cut_between_characters),
		WORLD_TEST(what_another_wrote_into_the_catalog_is_escaped),
		WORLD_DROP_TEST(nothing_of_it_is_in_the_ledger),
		WORLD_DROP_TEST(a_reader_of_a_catalog_from_before_sees_nothing),
		WORLD_TEST(whoever_holds_the_turn_is_waited_for),
		WORLD_TEST(a_writer_that_died_notes_nothing),
		WORLD_TEST(segments_with_mail_that_are_not_sealed_wait),
		WORLD_TEST(sealed_segments_are_handed_over_by_number_and_once),
		WORLD_TEST(a_segment_that_is_gone_keeps_nobody_waiting),
		WORLD_DROP_TEST(a_ledger_file_is_handed_over_when_the_next_has_begun),
	};

	return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}
