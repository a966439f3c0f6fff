#include "cli/chosen.h"
#include "tests/unit/check.h"

static int status_of(const enum fault_code *codes, size_t n)
{
	struct verdict v = {0};

	for (size_t i = 0; i < n; i++) {
		struct fault f = {.code = codes[i]};

		verdict_add(&v, &f);
	}
	return verdict_status(&v);
}
#define STATUS_OF(...)                                                                             \
	status_of((const enum fault_code[]){__VA_ARGS__},                                          \
		sizeof((const enum fault_code[]){__VA_ARGS__}) / sizeof(enum fault_code))

static void when_all_went_well_the_status_is_0(void **state)
{
	(void)state;
	assert_int_equal(status_of(NULL, 0), 0);
	assert_int_equal(STATUS_OF(FAULT_NONE, FAULT_NONE), 0);
}

static void when_all_failed_alike_the_status_is_theirs(void **state)
{
	(void)state;
	assert_int_equal(STATUS_OF(FAULT_LOGIN), 7);
	assert_int_equal(STATUS_OF(FAULT_REACH, FAULT_REACH), 8);
	assert_int_equal(STATUS_OF(FAULT_BUSY), 6);
}

static void when_some_failed_or_unlike_the_status_is_3(void **state)
{
	(void)state;
	assert_int_equal(STATUS_OF(FAULT_NONE, FAULT_LOGIN), 3);
	assert_int_equal(STATUS_OF(FAULT_LOGIN, FAULT_NONE), 3);
	assert_int_equal(STATUS_OF(FAULT_LOGIN, FAULT_REACH), 3);
	assert_int_equal(STATUS_OF(FAULT_LOGIN, FAULT_REACH, FAULT_REACH), 3);
}

static void a_failed_write_is_the_status_whatever_else_happened(void **state)
{
	(void)state;
	assert_int_equal(STATUS_OF(FAULT_NONE, FAULT_WRITE, FAULT_LOGIN), 74);
}

static void advice_is_given_once(void **state)
{
	struct fault f;

	(void)state;
	(void)fault_set(&f, FAULT_LOGIN, SCOPE_ACCOUNT, 0, "refused");
	assert_string_equal(fault_advice(&f), "; check its user and password");
	(void)fault_set(&f, FAULT_LOGIN, SCOPE_ACCOUNT, 0, "refused; ask somebody");
	assert_string_equal(fault_advice(&f), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(when_all_went_well_the_status_is_0),
		TEST(when_all_failed_alike_the_status_is_theirs),
		TEST(when_some_failed_or_unlike_the_status_is_3),
		TEST(a_failed_write_is_the_status_whatever_else_happened),
		TEST(advice_is_given_once),
	};

	return cmocka_run_group_tests_name("chosen", tests, NULL, NULL);
}
