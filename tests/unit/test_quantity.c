#include "daemon/quantity.h"
#include "tests/unit/check.h"

static void durations_are_read_in_milliseconds(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} some[] = {{"0", 0}, {"500ms", 500}, {"30s", 30000}, {"15m", 900000}, {"2 h", 7200000},
		{"1d", 86400000}, {"2W", 1209600000}, {"0s", 0}};
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		assert_int_equal(quantity_duration(some[i].text, &ms), 0);
		assert_int_equal(ms, some[i].ms);
	}
}

static void sizes_are_read_in_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} some[] = {{"0", 0}, {"4096", 4096}, {"12 B", 12}, {"64K", 65536}, {"500 MiB", 524288000},
		{"1 GiB", 1073741824}, {"1gib", 1073741824}, {"2T", UINT64_C(2199023255552)},
		{"18446744073709551615", UINT64_MAX}};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		assert_int_equal(quantity_size(some[i].text, &bytes), 0);
		assert_int_equal(bytes, some[i].bytes);
	}
}

static void whatever_else_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = {"", " ", "-1s", "+1s", " 1s", "1s ", "1  s", "1.5h", "s",
		"15", "1x", "1 ", "0x10s", "1s1", "99999999999999999999s", "18446744073709551615s"};
	static const char *const bad_sizes[] = {"", "-1", "1MB", "1 KB", "1.5G", "K", "1 ", "1 Gi",
		"18446744073709551616", "18446744073709551615K", "1K1"};
	uint64_t value = 7;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(quantity_duration(bad[i], &value), 1);
	for (size_t i = 0; i < sizeof bad_sizes / sizeof *bad_sizes; i++)
		assert_int_equal(quantity_size(bad_sizes[i], &value), 1);
	assert_int_equal(value, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(durations_are_read_in_milliseconds),
		TEST(sizes_are_read_in_powers_of_1024),
		TEST(whatever_else_is_refused_and_changes_nothing),
	};

	return cmocka_run_group_tests_name("quantity", tests, NULL, NULL);
}
