/* Sealing on a real folder: what goes in comes out, whatever happens meanwhile. */
#include "archive/check.h"
#include "archive/find.h"
#include "archive/limits.h"
#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

static const struct seal_due all_due = {0};

static int seal(struct world *w, struct forked *worker, struct seal_result *ret)
{
	struct seal_job job = forked_job(worker);

	return store_seal(w->store, &all_due, &job, ret, &w->f);
}

static void a_sealed_segment_holds_all_that_the_open_one_held(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_result r = {0};

	keep(w, 0, 20);
	ok(w, store_seal_is_due(w->store, &all_due, &w->f));
	assert_int_equal(seal(w, &worker, &r), 0);
	assert_int_equal(r.segment, 2);
	assert_int_equal(r.sources, 1);
	assert_int_equal(r.messages, 20);
	assert_false(exists(w, "segments/000001.open.tar.zst"));
	assert_false(exists(w, "segments/seal.tmp"));
	assert_int_equal(mode_of(w, "segments/000002.tar.zst"), 0440);
	assert_int_equal(count(w), 20);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
	assert_int_equal(seal(w, &worker, &r), SEAL_NOTHING);
	reopen(w);
	every_message_reads(w);
	rebuild_is_the_same(w);
	assert_int_equal(damages(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(a_sealed_segment_holds_all_that_the_open_one_held),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
