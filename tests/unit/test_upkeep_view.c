/* What status makes of the archive's upkeep. */
#include "cli/upkeep_view.h"

#include "archive/handle.h"
#include "tests/unit/world.h"

static void note_failure(struct world *w, enum upkeep_job job)
{
	struct fault no;

	fault_record(&no, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "no");
	ok(w, store_put_upkeep(w->store, job, &no, &w->f));
}

static bool is_ill(struct world *w, const struct config *config)
{
	struct upkeep_view v CLEANUP(upkeep_view_deinit) = {0};

	ok(w, upkeep_view_read(&v, w->store, config, &w->f));
	return upkeep_view_is_ill(&v);
}

static void a_new_archive_is_well(void **state)
{
	assert_false(is_ill(*state, NULL));
}

static void a_seal_that_failed_is_ill_until_one_goes_well(void **state)
{
	struct world *w = *state;

	ok(w, store_put_upkeep(w->store, UPKEEP_SEAL, NULL, &w->f));
	assert_false(is_ill(w, NULL));
	note_failure(w, UPKEEP_SEAL);
	assert_true(is_ill(w, NULL));
	ok(w, store_put_upkeep(w->store, UPKEEP_SEAL, NULL, &w->f));
	assert_false(is_ill(w, NULL));
}

static void a_verify_that_found_damage_is_ill(void **state)
{
	note_failure(*state, UPKEEP_VERIFY);
	assert_true(is_ill(*state, NULL));
}

static void a_seal_command_counts_as_long_as_one_is_configured(void **state)
{
	char command[] = "cp";
	struct config with = {.seal_command = command}, without = {0};

	note_failure(*state, UPKEEP_COMMAND);
	assert_true(is_ill(*state, &with));
	assert_false(is_ill(*state, &without));
	assert_true(is_ill(*state, NULL));
}

static void what_is_not_sealed_is_added_up(void **state)
{
	struct world *w = *state;
	struct config never = {.seal = SEAL_NEVER};
	struct upkeep_view v CLEANUP(upkeep_view_deinit) = {0};

	assert_int_equal(
		sqlite3_exec(catalog_handle(w->store->catalog),
			"INSERT INTO segment (number, state, length, class, messages, bytes, first)"
			" VALUES (1, 2, 10, 'a', 5, 50, 1), (2, 3, 10, 'b', 6, 60, 9),"
			" (4, 1, 10, 'c', 7, 70, 3)",
			NULL, NULL, NULL),
		SQLITE_OK);
	ok(w, upkeep_view_read(&v, w->store, &never, &w->f));
	assert_int_equal(v.segments, 2);
	assert_int_equal(v.messages, 13);
	assert_int_equal(v.bytes, 130);
	assert_int_equal(v.since, 3);
	assert_int_equal(v.unsealed[1].segment, 4);
	assert_int_equal(v.service, SEALS_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_new_archive_is_well),
		WORLD_TEST(a_seal_that_failed_is_ill_until_one_goes_well),
		WORLD_TEST(a_verify_that_found_damage_is_ill),
		WORLD_TEST(a_seal_command_counts_as_long_as_one_is_configured),
		WORLD_TEST(what_is_not_sealed_is_added_up),
	};

	return cmocka_run_group_tests_name("upkeep_view", tests, NULL, NULL);
}
