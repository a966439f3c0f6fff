#include "daemon/room.h"

#include "tests/unit/check.h"

static uint64_t free_now(void)
{
	struct room r = {0};

	assert_int_equal(room_look(&r, "/", NULL, 0), 0);
	return r.free_bytes;
}

static void a_disk_with_room_is_not_full(void **state)
{
	struct room r = {0};

	(void)state;
	assert_int_equal(room_look(&r, "/", NULL, 1), 0);
	assert_false(r.full);
	assert_true(r.free_bytes > 0);
}

static void it_becomes_full_once_and_has_room_again_once(void **state)
{
	struct room r = {0};

	(void)state;
	assert_int_equal(room_look(&r, "/", NULL, UINT64_MAX / 2), ROOM_CHANGED);
	assert_true(r.full);
	assert_int_equal(room_look(&r, "/", NULL, UINT64_MAX / 2), 0);
	assert_true(r.full);
	assert_int_equal(room_look(&r, "/", NULL, 1), ROOM_CHANGED);
	assert_false(r.full);
}

static void a_little_more_than_enough_is_wanted_before_it_goes_on(void **state)
{
	struct room full = {.full = true}, not_full = {0};
	uint64_t almost = free_now() / 100 * 97;

	(void)state;
	assert_int_equal(room_look(&not_full, "/", NULL, almost), 0);
	assert_false(not_full.full);
	assert_int_equal(room_look(&full, "/", NULL, almost), 0);
	assert_true(full.full);
}

static void the_fuller_of_two_disks_counts(void **state)
{
	struct room r = {0};

	(void)state;
	/* /proc has no room at all. */
	assert_int_equal(room_look(&r, "/", "/proc", 1), ROOM_CHANGED);
	assert_int_equal(r.free_bytes, 0);
}

static void what_is_not_there_counts_as_having_room(void **state)
{
	struct room r = {0};

	(void)state;
	assert_int_equal(room_look(&r, "/no/such/folder", NULL, 1), 0);
	assert_false(r.full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_with_room_is_not_full),
		TEST(it_becomes_full_once_and_has_room_again_once),
		TEST(a_little_more_than_enough_is_wanted_before_it_goes_on),
		TEST(the_fuller_of_two_disks_counts),
		TEST(what_is_not_there_counts_as_having_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
