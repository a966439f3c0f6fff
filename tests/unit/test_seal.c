/* Sealing on a real folder: what goes in comes out, whatever happens meanwhile. */
#include "archive/check.h"
#include "archive/find.h"
#include "archive/handle.h"
#include "archive/limits.h"
#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

static const struct seal_due all_due = {0};

static int seal(struct world *w, struct forked *worker, struct seal_result *ret)
{
	struct seal_job job = forked_job(worker);

	return store_seal(w->store, &all_due, &job, ret, &w->f);
}

static void seal_all(struct world *w)
{
	struct forked worker = {0};
	struct seal_result r;
	int got;

	while ((got = seal(w, &worker, &r)) == 0)
		;
	ok(w, got);
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

static void a_sealed_segment_holds_all_that_the_open_one_held(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_result r = {0};

	keep(w, 0, 20);
	ok(w, store_seal_is_due(w->store, &all_due, &w->f));
	off_t before = size_of(w, "segments/000001.open.tar.zst");
	assert_int_equal(seal(w, &worker, &r), 0);
	assert_int_equal(r.segment, 2);
	assert_int_equal(r.sources, 1);
	assert_int_equal(r.messages, 20);
	assert_int_equal(r.from_size, before);
	assert_int_equal(r.size, size_of(w, "segments/000002.tar.zst"));
	assert_false(exists(w, "segments/000001.open.tar.zst"));
	assert_false(exists(w, "segments/seal.tmp"));
	assert_int_equal(mode_of(w, "segments/000002.tar.zst"), 0440);
	assert_int_equal(seal(w, &worker, &r), SEAL_NOTHING);
	assert_int_equal(store_seal_is_due(w->store, &all_due, &w->f), SEAL_NOTHING);
	all_is_well(w, 20);
}

static void each_class_has_segments_of_its_own(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	keep_of(w, 5, 5, "legal");
	keep_of(w, 10, 5, "short");
	seal_all(w);
	assert_true(exists(w, "segments/000004.tar.zst"));
	assert_true(exists(w, "segments/000005.tar.zst"));
	assert_true(exists(w, "segments/000006.tar.zst"));
	keep(w, 15, 5);
	all_is_well(w, 20);
}

static void large_parts_are_shared_and_come_back(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 6; i++)
		keep_attachment(w, i, i % 2);
	keep_large(w, 90);
	seal_all(w);
	all_is_well(w, 7);
}

static void only_what_is_due_is_sealed(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;
	const struct seal_due large = {.bytes = 100000}, old = {.age_ms = 3600000};

	keep(w, 0, 5);
	assert_int_equal(store_seal_is_due(w->store, &large, &w->f), SEAL_NOTHING);
	assert_int_equal(store_seal_is_due(w->store, &old, &w->f), SEAL_NOTHING);
	assert_int_equal(store_seal(w->store, &large, &job, &r, &w->f), SEAL_NOTHING);
	sql(w, "UPDATE segment SET first = first - 4000000");
	assert_int_equal(store_seal_is_due(w->store, &old, &w->f), 0);
	sql(w, "UPDATE segment SET first = first + 4000000, bytes = 100000");
	assert_int_equal(store_seal_is_due(w->store, &large, &w->f), 0);
	assert_int_equal(store_seal(w->store, &large, &job, &r, &w->f), 0);
	assert_int_equal(worker.runs, 1);
}

static void a_full_segment_is_followed_by_another(void **state)
{
	struct world *w = *state;
	const struct seal_due large = {.bytes = GIB};

	keep(w, 0, 2);
	sql(w, "UPDATE segment SET messages = 249998");
	keep(w, 2, 5);
	assert_true(exists(w, "segments/000002.open.tar.zst"));
	assert_int_equal(number_of(w, "SELECT messages FROM segment WHERE number = 1"), 250000);
	assert_int_equal(number_of(w, "SELECT state FROM segment WHERE number = 1"), 3);
	assert_int_equal(number_of(w, "SELECT messages FROM segment WHERE number = 2"), 3);
	assert_int_equal(store_seal_is_due(w->store, &large, &w->f), 0);
	sql(w, "UPDATE segment SET messages = 4 WHERE number = 1");
	sql(w, "UPDATE segment SET bytes = 4294967296 WHERE number = 2");
	keep(w, 7, 1);
	assert_true(exists(w, "segments/000003.open.tar.zst"));
	rebuild(w);
	assert_int_equal(number_of(w, "SELECT count(*) FROM segment WHERE state = 1"), 1);
	seal_all(w);
	all_is_well(w, 8);
}

static void seal_with_another(struct world *w)
{
	struct store *ours = w->store;

	w->store = NULL;
	reopen(w);
	seal_all(w);
	store_close(w->store);
	w->store = ours;
}

/* ---- Meanwhile ------------------------------------------------------------------------------- */

static void keep_by_another(void *context)
{
	struct world *w = context;
	struct store *ours = w->store;

	w->store = w->other;
	keep(w, 100, 7);
	w->store = ours;
}

static void ingest_goes_on_into_a_new_segment(void **state)
{
	struct world *w = *state;
	struct forked worker = {.meanwhile = keep_by_another, .context = w};
	struct seal_result r;

	keep(w, 0, 10);
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->other, &w->f));
	assert_int_equal(seal(w, &worker, &r), 0);
	assert_int_equal(r.segment, 3);
	assert_int_equal(r.messages, 10);
	assert_true(exists(w, "segments/000002.open.tar.zst"));
	all_is_well(w, 17);
}

static void a_reader_with_an_old_cursor_finds_what_was_moved(void **state)
{
	struct world *w = *state;
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	unsigned n = 0;

	keep(w, 0, 10);
	ok(w, store_open(w->path, NULL, STORE_READ, &w->other, &w->f));
	ok(w, find_open(w->other, NULL, NULL, &c, &w->f));
	assert_int_equal(find_next(c, &m, &w->f), FIND_ROW);
	seal_all(w);
	do {
		ok(w, message_check(w->other, &m, &w->f));
		n++;
	} while (find_next(c, &m, &w->f) == FIND_ROW);
	assert_int_equal(n, 10);
}

static void verify_beside_a_seal_finds_no_damage(void **state)
{
	struct world *w = *state;

	for (unsigned steps = 0; steps < 12; steps++) {
		struct verify *v CLEANUP(verify_closep) = NULL;
		struct damage d;
		int r = 1;

		keep(w, 1000 * steps, 3);
		keep_of(w, 1000 * steps + 3, 3, "legal");
		ok(w, verify_open(w->store, VERIFY_FULL, &v, &w->f));
		for (unsigned i = 0; i < steps && r > 0; i++)
			r = verify_step(v, &d, &w->f);
		seal_with_another(w);
		while (r > 0) {
			if (r == VERIFY_DAMAGE)
				fail_msg("after %u steps: %s", steps, d.text);
			r = verify_step(v, &d, &w->f);
		}
		ok(w, r);
	}
}

static void a_second_job_waits_for_its_turn(void **state)
{
	struct world *w = *state;
	struct seal_job job = {0};

	keep(w, 0, 1);
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->other, &w->f));
	assert_int_equal(turn_try(w->other->lock_fd, TURN_MAINTENANCE, &w->f), 0);
	/* LIMIT_MAINTENANCE_MS is too long for a test: only that it is taken. */
	assert_int_equal(turn_try(w->store->lock_fd, TURN_MAINTENANCE, &w->f), TURN_TAKEN);
	turn_release(w->other->lock_fd, TURN_MAINTENANCE);
	(void)job;
}

static void sealed_meanwhile_behind_its_back(void *context)
{
	sql(context, "UPDATE message SET entry_offset = entry_offset + 512 WHERE id = "
		     "(SELECT max(id) FROM message)");
}

static void a_message_that_was_moved_meanwhile_stops_the_job(void **state)
{
	struct world *w = *state;
	struct forked worker = {.meanwhile = sealed_meanwhile_behind_its_back, .context = w};
	struct seal_result r;

	keep(w, 0, 5);
	assert_true(seal(w, &worker, &r) < 0);
	assert_int_equal(w->f.code, FAULT_BUSY);
	assert_true(exists(w, "segments/000001.open.tar.zst"));
	assert_false(exists(w, "segments/seal.tmp"));
	sql(w, "UPDATE message SET entry_offset = entry_offset - 512 WHERE id = "
	       "(SELECT max(id) FROM message)");
	seal_all(w);
	all_is_well(w, 5);
}

static void rebuilt_meanwhile(void *context)
{
	struct world *w = context;
	struct rebuild_sums sums;

	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	keep_by_another(w);
}

static void a_catalog_rebuilt_meanwhile_loses_nothing(void **state)
{
	struct world *w = *state;
	struct forked worker = {.meanwhile = rebuilt_meanwhile, .context = w};
	struct seal_result r;

	keep(w, 0, 5);
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->other, &w->f));
	/* The rebuilt catalog takes the segment for one that is appended to. */
	assert_true(seal(w, &worker, &r) < 0);
	assert_int_equal(w->f.code, FAULT_BUSY);
	seal_all(w);
	all_is_well(w, 12);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static void a_damaged_segment_stays_and_others_are_sealed(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_result r;

	keep(w, 0, 5);
	keep_of(w, 5, 5, "legal");
	flip(w, "segments/000001.open.tar.zst", 60);
	assert_int_equal(seal(w, &worker, &r), 0);
	assert_int_equal(r.segment, 3);
	char *notice CLEANUP(freep) = store_take_notice(w->store);
	assert_non_null(notice);
	assert_non_null(strstr(notice, "segment 000001: message "));
	assert_true(seal(w, &worker, &r) < 0);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
	assert_non_null(strstr(w->f.text, "segment 000001: message "));
	assert_true(exists(w, "segments/000001.open.tar.zst"));
	flip(w, "segments/000001.open.tar.zst", 60);
	seal_all(w);
	all_is_well(w, 10);
}

static void a_segment_in_which_something_was_never_found_is_not_sealed(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_result r;

	keep(w, 0, 2);
	keep(w, 2, 2);
	keep_of(w, 4, 2, "legal");
	flip(w, "segments/000001.open.tar.zst", 60);
	rebuild(w);
	assert_int_equal(seal(w, &worker, &r), 0); /* the other class */
	assert_true(seal(w, &worker, &r) < 0);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
	assert_non_null(strstr(w->f.text, "segment 000001"));
	assert_true(exists(w, "segments/000001.open.tar.zst"));
	flip(w, "segments/000001.open.tar.zst", 60);
	rebuild(w);
	seal_all(w);
	all_is_well(w, 6);
}

static void a_damaged_ledger_is_not_sealed_over(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_result r;

	keep(w, 0, 5);
	flip(w, "ledger/000001.log", 300);
	assert_true(seal(w, &worker, &r) < 0);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
	assert_int_equal(worker.runs, 0);
	flip(w, "ledger/000001.log", 300);
	seal_all(w);
	all_is_well(w, 5);
}

/* ---- Repack ---------------------------------------------------------------------------------- */

static void small_segments_of_a_class_and_month_become_one(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r = {0};

	for (unsigned i = 0; i < 4; i++) {
		keep(w, 10 * i, 5);
		keep_of(w, 10 * i + 5, 5, i ? NULL : "legal");
		seal_all(w);
	}
	assert_int_equal(store_repack(w->store, 1000, &job, &r, &w->f), SEAL_NOTHING);
	assert_int_equal(store_repack(w->store, MIB, &job, &r, &w->f), 0);
	assert_int_equal(r.sources, 4);
	assert_int_equal(r.messages, 35);
	assert_int_equal(store_repack(w->store, MIB, &job, &r, &w->f), SEAL_NOTHING);
	assert_int_equal(number_of(w, "SELECT count(*) FROM segment"), 2);
	all_is_well(w, 40);
}

static void segments_of_different_months_stay_apart(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r = {0};

	keep(w, 0, 5);
	seal_all(w);
	keep(w, 5, 5);
	seal_all(w);
	sql(w, "UPDATE segment SET first = first - 40 * 86400000 WHERE number = 2");
	assert_int_equal(store_repack(w->store, MIB, &job, &r, &w->f), SEAL_NOTHING);
	assert_int_equal(worker.runs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(a_sealed_segment_holds_all_that_the_open_one_held),
		WORLD_DROP_TEST(each_class_has_segments_of_its_own),
		WORLD_DROP_TEST(large_parts_are_shared_and_come_back),
		WORLD_DROP_TEST(only_what_is_due_is_sealed),
		WORLD_DROP_TEST(a_full_segment_is_followed_by_another),
		WORLD_DROP_TEST(ingest_goes_on_into_a_new_segment),
		WORLD_DROP_TEST(a_reader_with_an_old_cursor_finds_what_was_moved),
		WORLD_DROP_TEST(verify_beside_a_seal_finds_no_damage),
		WORLD_DROP_TEST(a_second_job_waits_for_its_turn),
		WORLD_DROP_TEST(a_message_that_was_moved_meanwhile_stops_the_job),
		WORLD_DROP_TEST(a_catalog_rebuilt_meanwhile_loses_nothing),
		WORLD_DROP_TEST(a_damaged_segment_stays_and_others_are_sealed),
		WORLD_DROP_TEST(a_segment_in_which_something_was_never_found_is_not_sealed),
		WORLD_DROP_TEST(a_damaged_ledger_is_not_sealed_over),
		WORLD_DROP_TEST(small_segments_of_a_class_and_month_become_one),
		WORLD_DROP_TEST(segments_of_different_months_stay_apart),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
