#include "daemon/fare.h"

#include "tests/unit/check.h"

static const struct schedule_terms hourly = {.interval_ms = 3600000};

/* As a service that is started again between two polls. */
static void start_again(struct schedule *s, enum fault_code code)
{
	struct health h = {.code = code};

	fare_note(&h, s);
	*s = (struct schedule){0};
	fare_restore(s, &h);
}

static void refused_logins_are_counted_over_restarts(void **state)
{
	struct schedule s = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		(void)schedule_next(&s, &hourly, HINDRANCE_LOGIN, 0, 0);
		start_again(&s, FAULT_LOGIN);
		assert_int_equal(s.state, SCHEDULE_FAILING);
	}
	(void)schedule_next(&s, &hourly, HINDRANCE_LOGIN, 0, 0);
	start_again(&s, FAULT_LOGIN);
	assert_int_equal(s.state, SCHEDULE_ATTENTION);
	assert_true(schedule_is_paused(&s));
}

static void a_server_that_was_out_of_reach_is_no_refused_login(void **state)
{
	struct schedule s = {0};

	(void)state;
	for (int i = 0; i < 5; i++) {
		(void)schedule_next(&s, &hourly, HINDRANCE_PASSING, 0, 0);
		start_again(&s, FAULT_REACH);
	}
	assert_int_equal(s.failures, 5);
	assert_int_equal(s.logins_refused, 0);
	assert_false(schedule_is_paused(&s));
}

static void all_is_forgotten_when_it_goes_well(void **state)
{
	struct schedule s = {0};
	struct health h = {0};

	(void)state;
	(void)schedule_next(&s, &hourly, HINDRANCE_LOGIN, 0, 0);
	(void)schedule_next(&s, &hourly, HINDRANCE_NONE, 0, 0);
	fare_note(&h, &s);
	assert_int_equal(h.state, HEALTH_WELL);
	assert_int_equal(h.failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refused_logins_are_counted_over_restarts),
		TEST(a_server_that_was_out_of_reach_is_no_refused_login),
		TEST(all_is_forgotten_when_it_goes_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
