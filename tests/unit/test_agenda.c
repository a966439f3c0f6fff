#include "daemon/agenda.h"

#include "tests/unit/check.h"

#include <string.h>

enum { MANY = 10000 };

static struct fault f;
static struct agenda_entry entries[MANY];

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static int setup(void **state)
{
	(void)state;
	memset(entries, 0, sizeof entries);
	return 0;
}

static void put_all(struct agenda *a)
{
	uint32_t random = 1;

	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(agenda_put(a, &entries[i], next_random(&random) % 5000, &f), 0);
	assert_int_equal(a->n, MANY);
}

static void take_all_in_order(struct agenda *a, size_t expected)
{
	int64_t last = INT64_MIN;
	size_t n = 0;

	for (struct agenda_entry *e; (e = agenda_take(a, INT64_MAX)); n++) {
		assert_true(e->due >= last);
		assert_false(agenda_has(e));
		last = e->due;
	}
	assert_int_equal(n, expected);
	assert_null(agenda_first(a));
}

static void ten_thousand_come_out_in_order(void **state)
{
	struct agenda a CLEANUP(agenda_deinit) = {0};

	(void)state;
	put_all(&a);
	take_all_in_order(&a, MANY);
}

static void what_was_moved_comes_at_its_new_time(void **state)
{
	struct agenda a CLEANUP(agenda_deinit) = {0};
	uint32_t random = 2;

	(void)state;
	put_all(&a);
	for (size_t i = 0; i < MANY; i++) {
		int64_t due = (int64_t)next_random(&random) % 9000 - 4500;

		assert_int_equal(agenda_put(&a, &entries[i], due, &f), 0);
		assert_int_equal(entries[i].due, due);
		assert_true(agenda_first(&a)->due <= due);
	}
	take_all_in_order(&a, MANY);
}

static void what_was_removed_does_not_come(void **state)
{
	struct agenda a CLEANUP(agenda_deinit) = {0};

	(void)state;
	put_all(&a);
	for (size_t i = 0; i < MANY; i += 3)
		agenda_remove(&a, &entries[i]);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(agenda_has(&entries[i]), i % 3 != 0);
	take_all_in_order(&a, MANY - (MANY + 2) / 3);
}

static void nothing_is_taken_before_its_time(void **state)
{
	struct agenda a CLEANUP(agenda_deinit) = {0};

	(void)state;
	assert_null(agenda_take(&a, INT64_MAX));
	assert_int_equal(agenda_put(&a, &entries[0], 10, &f), 0);
	assert_null(agenda_take(&a, 9));
	assert_ptr_equal(agenda_take(&a, 10), &entries[0]);
}

static void what_is_in_no_agenda_is_not_removed(void **state)
{
	struct agenda a CLEANUP(agenda_deinit) = {0};

	(void)state;
	assert_int_equal(agenda_put(&a, &entries[0], 10, &f), 0);
	agenda_remove(&a, &entries[1]);
	assert_int_equal(a.n, 1);
	assert_ptr_equal(agenda_first(&a), &entries[0]);
}

#define FRESH(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(ten_thousand_come_out_in_order),
		FRESH(what_was_moved_comes_at_its_new_time),
		FRESH(what_was_removed_does_not_come),
		FRESH(nothing_is_taken_before_its_time),
		FRESH(what_is_in_no_agenda_is_not_removed),
	};

	return cmocka_run_group_tests_name("agenda", tests, NULL, NULL);
}
