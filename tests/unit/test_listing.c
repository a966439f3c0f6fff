#include "daemon/listing.h"

#include "archive/limits.h"
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

static int add_uidl(struct listing *l, const char *line, struct fault *f)
{
	return listing_add_uidl(l, slice_text(line), f);
}

static int add_size(struct listing *l, const char *line, struct fault *f)
{
	return listing_add_size(l, slice_text(line), f);
}

static void check_entry(
	const struct listing *l, size_t i, uint32_t number, const char *uidl, uint64_t size)
{
	assert_true(i < l->n);
	assert_int_equal(l->entries[i].number, number);
	assert_int_equal(slice_compare(listing_uidl(l, &l->entries[i]), slice_text(uidl)), 0);
	assert_int_equal(l->entries[i].size, size);
}

static void uidl_and_list_are_joined_by_number(void **state)
{
	struct listing l CLEANUP(listing_deinit);
	struct fault f;

	(void)state;
	listing_init(&l);
	assert_int_equal(add_uidl(&l, "1 b", &f), 0);
	assert_int_equal(add_uidl(&l, "2 a", &f), 0);
	assert_int_equal(add_uidl(&l, "4 c", &f), 0);
	listing_uidl_end(&l);
	assert_int_equal(add_size(&l, "1 100", &f), 0);
	assert_int_equal(add_size(&l, "3 1", &f), 0);
	assert_int_equal(add_size(&l, "2 200 octets", &f), 0);
	assert_int_equal(l.without_uidl, 1);
	assert_int_equal(l.first_without, 3);
	assert_int_equal(l.bytes, 300);
	listing_sort(&l);
	assert_int_equal(l.n, 3);
	check_entry(&l, 0, 2, "a", 200);
	check_entry(&l, 1, 1, "b", 100);
	check_entry(&l, 2, 4, "c", SIZE_UNKNOWN);
}

static void numbers_may_come_in_any_order(void **state)
{
	struct listing l CLEANUP(listing_deinit);
	struct fault f;

	(void)state;
	listing_init(&l);
	assert_int_equal(add_uidl(&l, "30 c", &f), 0);
	assert_int_equal(add_uidl(&l, "10 a", &f), 0);
	assert_int_equal(add_uidl(&l, "20 b", &f), 0);
	listing_uidl_end(&l);
	assert_int_equal(add_size(&l, "20 2", &f), 0);
	assert_int_equal(add_size(&l, "30 3", &f), 0);
	assert_int_equal(add_size(&l, "10 1", &f), 0);
	listing_sort(&l);
	check_entry(&l, 0, 10, "a", 1);
	check_entry(&l, 1, 20, "b", 2);
	check_entry(&l, 2, 30, "c", 3);
}

static void the_same_uidl_is_ordered_by_size_then_number(void **state)
{
	struct listing l CLEANUP(listing_deinit);
	struct fault f;

	(void)state;
	listing_init(&l);
	assert_int_equal(add_uidl(&l, "1 x", &f), 0);
	assert_int_equal(add_uidl(&l, "2 x", &f), 0);
	assert_int_equal(add_uidl(&l, "3 x", &f), 0);
	listing_uidl_end(&l);
	assert_int_equal(add_size(&l, "1 9", &f), 0);
	assert_int_equal(add_size(&l, "2 5", &f), 0);
	assert_int_equal(add_size(&l, "3 5", &f), 0);
	listing_sort(&l);
	check_entry(&l, 0, 2, "x", 5);
	check_entry(&l, 1, 3, "x", 5);
	check_entry(&l, 2, 1, "x", 9);
}

static void a_uidl_is_any_bytes(void **state)
{
	static const char wild[] = "7  \x01\t\"\\ a\xff\x80 ";
	struct listing l CLEANUP(listing_deinit);
	struct fault f;

	(void)state;
	listing_init(&l);
	assert_int_equal(add_uidl(&l, wild, &f), 0);
	assert_int_equal(add_uidl(&l, "8", &f), 0);
	assert_int_equal(add_uidl(&l, "9   ", &f), 0);
	assert_int_equal(add_uidl(&l, "  0010    spaced", &f), 0);
	check_entry(&l, 0, 7, wild + 3, SIZE_UNKNOWN);
	check_entry(&l, 1, 8, "", SIZE_UNKNOWN);
	check_entry(&l, 2, 9, "", SIZE_UNKNOWN);
	check_entry(&l, 3, 10, "spaced", SIZE_UNKNOWN);
}

static void a_uidl_has_a_longest(void **state)
{
	char line[LIMIT_UIDL + 8];
	struct listing l CLEANUP(listing_deinit);
	struct fault f;

	(void)state;
	listing_init(&l);
	memset(line, 'u', sizeof line);
	memcpy(line, "5 ", 2);
	assert_int_equal(listing_add_uidl(&l, slice_of(line, 2 + LIMIT_UIDL), &f), 0);
	memcpy(line, "6 ", 2);
	assert_int_equal(listing_add_uidl(&l, slice_of(line, 3 + LIMIT_UIDL), &f), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
	assert_non_null(strstr(f.text, "message 6 "));
}

static void malformed_lines_are_named(void **state)
{
	static const char *const uidl[] = {"", " ", "x a", "-1 a", "1x a", "0 a", "2000001 a",
		"99999999999999999999 a", "+1 a"};
	static const char *const list[] = {"", "2", "2 ", "2 x", "2 5x", "2 -", "0 5", "2000001 5"};
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof uidl / sizeof *uidl; i++) {
		struct listing l CLEANUP(listing_deinit);
		listing_init(&l);
		assert_int_equal(add_uidl(&l, uidl[i], &f), -1);
		assert_int_equal(f.code, FAULT_PROTOCOL);
		assert_non_null(strstr(f.text, "this listing cannot be used: UIDL has"));
	}
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		struct listing l CLEANUP(listing_deinit);
		listing_init(&l);
		assert_int_equal(add_size(&l, list[i], &f), -1);
		assert_int_equal(f.code, FAULT_PROTOCOL);
		assert_non_null(strstr(f.text, "this listing cannot be used: LIST has"));
	}
}

static void a_number_twice_is_a_fault(void **state)
{
	struct listing l CLEANUP(listing_deinit);
	struct fault f;

	(void)state;
	listing_init(&l);
	assert_int_equal(add_uidl(&l, "1 a", &f), 0);
	assert_int_equal(add_uidl(&l, "2 a", &f), 0);
	assert_int_equal(add_uidl(&l, "1 b", &f), -1);
	assert_non_null(strstr(f.text, "message 1 twice"));
	listing_uidl_end(&l);
	assert_int_equal(add_size(&l, "1 5", &f), 0);
	assert_int_equal(add_size(&l, "9 5", &f), 0);
	assert_int_equal(add_size(&l, "9 5", &f), -1);
	assert_non_null(strstr(f.text, "message 9 twice"));
}

static void sizes_that_are_none_are_unknown(void **state)
{
	struct listing l CLEANUP(listing_deinit);
	struct fault f;

	(void)state;
	listing_init(&l);
	assert_int_equal(add_uidl(&l, "1 a", &f), 0);
	assert_int_equal(add_uidl(&l, "2 b", &f), 0);
	assert_int_equal(add_uidl(&l, "3 c", &f), 0);
	listing_uidl_end(&l);
	assert_int_equal(add_size(&l, "1 -2147483648", &f), 0);
	assert_int_equal(add_size(&l, "2 99999999999999999999999", &f), 0);
	assert_int_equal(add_size(&l, "3 0", &f), 0);
	check_entry(&l, 0, 1, "a", SIZE_UNKNOWN);
	check_entry(&l, 1, 2, "b", SIZE_UNKNOWN);
	check_entry(&l, 2, 3, "c", 0);
}

static void a_million_messages_fit(void **state)
{
	enum { MANY = 1000000 };
	struct listing l CLEANUP(listing_deinit);
	struct fault f;
	char line[64];

	(void)state;
	listing_init(&l);
	for (uint32_t i = 1; i <= MANY; i++) {
		int n = snprintf(line, sizeof line, "%u %08x%08x", i, i * 2654435761U, i);
		assert_int_equal(listing_add_uidl(&l, slice_of(line, (size_t)n), &f), 0);
	}
	listing_uidl_end(&l);
	for (uint32_t i = 1; i <= MANY; i++) {
		int n = snprintf(line, sizeof line, "%u %u", i, i);
		assert_int_equal(listing_add_size(&l, slice_of(line, (size_t)n), &f), 0);
	}
	listing_sort(&l);
	assert_int_equal(l.n, MANY);
	for (size_t i = 1; i < MANY; i++)
		assert_true(slice_compare(listing_uidl(&l, &l.entries[i - 1]),
				    listing_uidl(&l, &l.entries[i])) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(uidl_and_list_are_joined_by_number),
		TEST(numbers_may_come_in_any_order),
		TEST(the_same_uidl_is_ordered_by_size_then_number),
		TEST(a_uidl_is_any_bytes),
		TEST(a_uidl_has_a_longest),
		TEST(malformed_lines_are_named),
		TEST(a_number_twice_is_a_fault),
		TEST(sizes_that_are_none_are_unknown),
		TEST(a_million_messages_fit),
	};

	return cmocka_run_group_tests_name("listing", tests, NULL, NULL);
}
