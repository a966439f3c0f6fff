/* What a seal that was cut off leaves: FORMAT.md, "Sealing", state by state. */
#include "archive/check.h"
#include "archive/handle.h"
#include "archive/limits.h"
#include "archive/salvage.h"
#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

static const struct seal_due all_due = {0};

#define OPEN_1	 "segments/000001.open.tar.zst"
#define OPEN_2	 "segments/000002.open.tar.zst"
#define SEALED_2 "segments/000002.tar.zst"

static void seal_all(struct world *w)
{
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;
	int got;

	while ((got = store_seal(w->store, &all_due, &job, &r, &w->f)) == 0)
		;
	ok(w, got);
}

static void copy_file(struct world *w, const char *from, const char *to)
{
	char command[400];

	(void)snprintf(command, sizeof command, "cp -p %s %s", path_of(w, from), path_of(w, to));
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own paths */
}

static void close_store(struct world *w)
{
	store_close(w->store);
	w->store = NULL;
}

/* The catalog as it was at a moment: what a power cut can bring back. */
static void save_catalog(struct world *w)
{
	close_store(w);
	copy_file(w, "catalog.db", "saved");
	reopen(w);
}

static void bring_back_catalog(struct world *w)
{
	close_store(w);
	(void)unlink(path_of(w, "catalog.db-wal"));
	(void)unlink(path_of(w, "catalog.db-shm"));
	copy_file(w, "saved", "catalog.db");
}

static void all_is_well(struct world *w, unsigned messages)
{
	assert_int_equal(count(w), messages);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
}

static void an_unfinished_file_is_removed_by_the_next_job(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	copy_file(w, OPEN_1, "segments/seal.tmp");
	reopen(w);
	assert_true(exists(w, "segments/seal.tmp"));
	all_is_well(w, 5);
	ok(w, store_tidy(w->store, &w->f));
	assert_false(exists(w, "segments/seal.tmp"));
	all_is_well(w, 5);
}

/* The catalog knows as little as after the group `known`; the replaced file is there or not. */
static void replays(struct world *w, bool file_is_there)
{
	keep(w, 0, 5);
	save_catalog(w);
	keep(w, 5, 5);
	copy_file(w, OPEN_1, "aside-1");
	seal_all(w);
	keep(w, 10, 5);
	if (file_is_there)
		copy_file(w, "aside-1", OPEN_1);
	bring_back_catalog(w);
	reopen(w);
	assert_int_equal(number_of(w, "SELECT state FROM segment WHERE number = 2"), 2);
	assert_int_equal(exists(w, OPEN_1), file_is_there);
	all_is_well(w, 15);
	ok(w, store_tidy(w->store, &w->f));
	assert_false(exists(w, OPEN_1));
	assert_int_equal(number_of(w, "SELECT count(*) FROM segment"), 2);
	keep(w, 15, 1);
	all_is_well(w, 16);
}

static void a_seal_that_the_catalog_lost_is_replayed(void **state)
{
	replays(*state, false);
}

static void a_replaced_file_that_is_there_still_is_left_to_the_next_job(void **state)
{
	replays(*state, true);
}

static void several_seals_and_a_repack_are_replayed(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	save_catalog(w);
	for (unsigned i = 0; i < 3; i++) {
		keep(w, 10 * i, 5);
		keep_of(w, 10 * i + 5, 5, "legal");
		seal_all(w);
	}
	while (store_repack(w->store, MIB, &job, &r, &w->f) == 0)
		;
	keep(w, 40, 2);
	bring_back_catalog(w);
	reopen(w);
	assert_int_equal(number_of(w, "SELECT count(*) FROM segment"), 3);
	all_is_well(w, 32);
	seal_all(w);
	all_is_well(w, 32);
}

static void a_torn_group_behind_a_seal_is_cut(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	save_catalog(w);
	seal_all(w);
	keep(w, 5, 5);
	int fd CLEANUP(fd_closep) = open(path_of(w, "ledger/000001.log"), O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "v=1 event=seal t=2026", 21), 21);
	bring_back_catalog(w);
	reopen(w);
	all_is_well(w, 10);
}

static void a_sealed_file_that_no_line_names_goes_when_it_is_not_needed(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	seal_all(w);
	keep(w, 5, 5);
	copy_file(w, SEALED_2, "segments/000009.tar.zst");
	reopen(w);
	all_is_well(w, 10);
	ok(w, store_tidy(w->store, &w->f));
	assert_false(exists(w, "segments/000009.tar.zst"));
	assert_true(exists(w, SEALED_2));
	all_is_well(w, 10);
}

static void a_sealed_file_that_no_line_names_stays_when_something_is_only_there(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	seal_all(w);
	copy_file(w, SEALED_2, "segments/000009.tar.zst");
	flip(w, SEALED_2, 100);
	reopen(w);
	ok(w, store_tidy(w->store, &w->f));
	char *notice CLEANUP(freep) = store_take_notice(w->store);
	assert_non_null(notice);
	assert_non_null(strstr(notice, "whole nowhere else"));
	assert_true(exists(w, "segments/000009.tar.zst"));
	/* What it has is not lost. */
	rebuild(w);
	every_message_reads(w);
}

static void where_a_sealed_file_is_lost_the_replaced_one_serves(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	copy_file(w, OPEN_1, "aside-1");
	save_catalog(w);
	seal_all(w);
	keep(w, 5, 5);
	copy_file(w, "aside-1", OPEN_1);
	for (int damaged = 0; damaged < 2; damaged++) {
		if (damaged)
			flip(w, SEALED_2, 100);
		else
			assert_int_equal(rename(path_of(w, SEALED_2), path_of(w, "aside-2")), 0);
		rebuild(w);
		every_message_reads(w);
		ok(w, store_tidy(w->store, &w->f));
		assert_true(exists(w, OPEN_1));
		every_message_reads(w);
		if (!damaged)
			assert_int_equal(rename(path_of(w, "aside-2"), path_of(w, SEALED_2)), 0);
	}
	bring_back_catalog(w);
	reopen(w);
	every_message_reads(w);
	assert_int_equal(count(w), 10);
	flip(w, SEALED_2, 100);
	rebuild(w);
	ok(w, store_tidy(w->store, &w->f));
	assert_false(exists(w, OPEN_1));
	all_is_well(w, 10);
}

/* Killed before the replaced file was removed; then the new one is damaged. */
static void what_a_damaged_heir_lost_is_read_from_the_replaced_file_again(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct salvage_sums sums;

	keep(w, 0, 5);
	save_catalog(w);
	copy_file(w, OPEN_1, "aside-1");
	seal_all(w);
	keep(w, 5, 5);
	copy_file(w, "aside-1", OPEN_1);
	bring_back_catalog(w);
	reopen(w);
	assert_int_equal(number_of(w, "SELECT state FROM segment WHERE number = 1"), 4);
	flip(w, SEALED_2, 100);
	ok(w, store_tidy(w->store, &w->f));
	assert_true(exists(w, OPEN_1));
	assert_int_equal(count(w), 10);
	every_message_reads(w);
	seal_all(w);
	assert_false(exists(w, OPEN_1));
	ok(w, store_salvage(w->store, 2, 0, &job, NULL, NULL, &sums, &w->f));
	assert_int_equal(sums.lost, 0);
	all_is_well(w, 10);
}

static void without_either_file_replay_gives_up_and_rebuild_names_it(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	save_catalog(w);
	seal_all(w);
	keep(w, 5, 5);
	assert_int_equal(rename(path_of(w, SEALED_2), path_of(w, "aside-2")), 0);
	bring_back_catalog(w);
	assert_true(store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f) < 0);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
	assert_non_null(strstr(w->f.text, "segment 000002"));
	rebuild(w);
	assert_int_equal(count(w), 10);
	assert_int_equal(readable(w), 5);
	assert_true(damages(w) > 0);
	close_store(w);
	assert_int_equal(rename(path_of(w, "aside-2"), path_of(w, SEALED_2)), 0);
	rebuild(w);
	all_is_well(w, 10);
}

/* Killed at each call that changes something: what the driver's recorder does for all, in short. */
static void a_job_that_fails_to_write_the_ledger_is_taken_up_again(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	keep(w, 0, 5);
	/* Somebody wrote behind the end, which the next group finds. */
	assert_int_equal(rename(path_of(w, "ledger/000001.log"), path_of(w, "ledger/kept")), 0);
	assert_true(store_seal(w->store, &all_due, &job, &r, &w->f) < 0);
	assert_int_equal(rename(path_of(w, "ledger/kept"), path_of(w, "ledger/000001.log")), 0);
	reopen(w);
	seal_all(w);
	all_is_well(w, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(an_unfinished_file_is_removed_by_the_next_job),
		WORLD_DROP_TEST(a_seal_that_the_catalog_lost_is_replayed),
		WORLD_DROP_TEST(a_replaced_file_that_is_there_still_is_left_to_the_next_job),
		WORLD_DROP_TEST(several_seals_and_a_repack_are_replayed),
		WORLD_DROP_TEST(a_torn_group_behind_a_seal_is_cut),
		WORLD_DROP_TEST(a_sealed_file_that_no_line_names_goes_when_it_is_not_needed),
		WORLD_DROP_TEST(
			a_sealed_file_that_no_line_names_stays_when_something_is_only_there),
		WORLD_DROP_TEST(where_a_sealed_file_is_lost_the_replaced_one_serves),
		WORLD_DROP_TEST(what_a_damaged_heir_lost_is_read_from_the_replaced_file_again),
		WORLD_DROP_TEST(without_either_file_replay_gives_up_and_rebuild_names_it),
		WORLD_DROP_TEST(a_job_that_fails_to_write_the_ledger_is_taken_up_again),
	};

	return cmocka_run_group_tests_name("seal_left", tests, NULL, NULL);
}
