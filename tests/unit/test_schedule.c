#include "daemon/schedule.h"

#include "archive/limits.h"
#include "tests/unit/check.h"

#define MINUTES(n) ((int64_t)(n) * (int64_t)SCHEDULE_MINUTE)
#define HOURS(n)   ((int64_t)(n) * (int64_t)SCHEDULE_HOUR)

static const struct schedule_terms terms = {.interval_ms = 15 * 60 * 1000};

/* splitmix64: the same numbers in each run. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int64_t next(struct schedule *s, enum hindrance h)
{
	return schedule_next(s, &terms, h, 0, 0);
}

struct step {
	enum hindrance h;
	int64_t delay; /* with random 0, which adds nothing */
	enum schedule_state state;
};

static void walk(const struct step *steps, size_t n, struct schedule *s)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(next(s, steps[i].h), steps[i].delay);
		assert_int_equal(s->state, steps[i].state);
	}
}

#define WALK(s, ...)                                                                               \
	walk((const struct step[]){__VA_ARGS__},                                                   \
		sizeof(const struct step[]){__VA_ARGS__} / sizeof(struct step), (s))

static void the_first_polls_are_spread_over_a_minute(void **state)
{
	struct schedule_terms often = {.interval_ms = 10000};
	uint64_t random = 1;
	int64_t low = INT64_MAX, high = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t delay = schedule_first(&terms, next_random(&random));

		low = delay < low ? delay : low;
		high = delay > high ? delay : high;
		assert_in_range(schedule_first(&often, next_random(&random)), 0, 10000);
	}
	assert_in_range(low, 0, 1000);
	assert_in_range(high, 59000, 60000);
}

static void a_poll_that_went_well_is_followed_after_the_interval(void **state)
{
	struct schedule s = {0};
	uint64_t random = 2;
	int64_t low = INT64_MAX, high = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t delay = schedule_next(&s, &terms, HINDRANCE_NONE, 0, next_random(&random));

		low = delay < low ? delay : low;
		high = delay > high ? delay : high;
	}
	assert_in_range(low, MINUTES(15) * 90 / 100, MINUTES(15) * 91 / 100);
	assert_in_range(high, MINUTES(15) * 109 / 100, MINUTES(15) * 110 / 100);
	assert_int_equal(s.state, SCHEDULE_WELL);
}

static void passing_failures_are_tried_more_and_more_slowly(void **state)
{
	struct schedule s = {0};

	(void)state;
	WALK(&s, {HINDRANCE_PASSING, MINUTES(1), SCHEDULE_FAILING},
		{HINDRANCE_PASSING, MINUTES(2), SCHEDULE_FAILING},
		{HINDRANCE_PASSING, MINUTES(4), SCHEDULE_FAILING},
		{HINDRANCE_PASSING, MINUTES(8), SCHEDULE_FAILING},
		{HINDRANCE_PASSING, MINUTES(16), SCHEDULE_FAILING},
		{HINDRANCE_PASSING, MINUTES(32), SCHEDULE_FAILING},
		{HINDRANCE_PASSING, HOURS(1), SCHEDULE_FAILING},
		{HINDRANCE_PASSING, HOURS(1), SCHEDULE_FAILING},
		{HINDRANCE_NONE, MINUTES(15) * 9 / 10, SCHEDULE_WELL},
		{HINDRANCE_PASSING, MINUTES(1), SCHEDULE_FAILING});
}

static void a_short_interval_is_where_retries_begin(void **state)
{
	struct schedule s = {0};
	struct schedule_terms often = {.interval_ms = 10000};

	(void)state;
	assert_int_equal(schedule_next(&s, &often, HINDRANCE_PASSING, 0, 0), 10000);
	assert_int_equal(schedule_next(&s, &often, HINDRANCE_PASSING, 0, 0), 20000);
}

static void twenty_failures_in_a_row_need_attention(void **state)
{
	struct schedule s = {0};

	(void)state;
	for (int i = 1; i < SCHEDULE_FAILURES; i++) {
		(void)next(&s, HINDRANCE_PASSING);
		assert_int_equal(s.state, SCHEDULE_FAILING);
	}
	(void)next(&s, HINDRANCE_PASSING);
	assert_int_equal(s.state, SCHEDULE_ATTENTION);
	(void)next(&s, HINDRANCE_NONE);
	assert_int_equal(s.state, SCHEDULE_WELL);
}

static void failing_for_a_day_needs_attention(void **state)
{
	struct schedule s = {0};
	struct schedule_terms rare = {.interval_ms = 20 * 3600 * 1000};
	int64_t failing = 0;
	uint32_t n = 0;

	(void)state;
	for (; failing < (int64_t)SCHEDULE_DAY; n++) {
		assert_true(s.state <= SCHEDULE_FAILING);
		failing += schedule_next(&s, &rare, HINDRANCE_PASSING, 0, 0);
	}
	assert_true(n < SCHEDULE_FAILURES);
	(void)schedule_next(&s, &rare, HINDRANCE_PASSING, 0, 0);
	assert_int_equal(s.state, SCHEDULE_ATTENTION);
}

static void a_maildrop_in_use_is_no_failure_until_it_lasts(void **state)
{
	struct schedule s = {0};

	(void)state;
	WALK(&s, {HINDRANCE_IN_USE, MINUTES(2), SCHEDULE_WELL},
		{HINDRANCE_IN_USE, MINUTES(4), SCHEDULE_WELL},
		{HINDRANCE_IN_USE, MINUTES(8), SCHEDULE_WELL},
		{HINDRANCE_IN_USE, MINUTES(16), SCHEDULE_WELL},
		{HINDRANCE_IN_USE, MINUTES(30), SCHEDULE_FAILING},
		{HINDRANCE_IN_USE, MINUTES(30), SCHEDULE_FAILING});
	assert_int_equal(s.failures, 0);
	assert_int_equal(s.logins_refused, 0);
}

static void what_comes_between_ends_a_row_of_waits(void **state)
{
	struct schedule s = {0};

	(void)state;
	for (int i = 1; i < SCHEDULE_WAITS; i++)
		(void)next(&s, HINDRANCE_IN_USE);
	(void)next(&s, HINDRANCE_STOPPED);
	assert_int_equal(s.waits, SCHEDULE_WAITS - 1);
	(void)next(&s, HINDRANCE_PASSING);
	assert_int_equal(next(&s, HINDRANCE_IN_USE), MINUTES(2));
}

static void refused_logins_pause_the_account_to_one_try_a_day(void **state)
{
	struct schedule s = {0};

	(void)state;
	WALK(&s, {HINDRANCE_LOGIN, MINUTES(5), SCHEDULE_FAILING},
		{HINDRANCE_LOGIN, MINUTES(15), SCHEDULE_FAILING});
	assert_false(schedule_is_paused(&s));
	WALK(&s, {HINDRANCE_LOGIN, HOURS(24), SCHEDULE_ATTENTION});
	assert_true(schedule_is_paused(&s));
	WALK(&s, {HINDRANCE_LOGIN, HOURS(24), SCHEDULE_ATTENTION});
	(void)next(&s, HINDRANCE_NONE);
	assert_false(schedule_is_paused(&s));
	assert_int_equal(s.state, SCHEDULE_WELL);
}

static void an_outage_between_does_not_forget_refused_logins(void **state)
{
	struct schedule s = {0};

	(void)state;
	(void)next(&s, HINDRANCE_LOGIN);
	(void)next(&s, HINDRANCE_LOGIN);
	(void)next(&s, HINDRANCE_PASSING);
	(void)next(&s, HINDRANCE_STOPPED);
	assert_int_equal(next(&s, HINDRANCE_LOGIN), HOURS(24));
	assert_true(schedule_is_paused(&s));
}

static void too_many_logins_slow_the_account_down_for_a_while(void **state)
{
	struct schedule s = {0};

	(void)state;
	WALK(&s, {HINDRANCE_TOO_SOON, MINUTES(30), SCHEDULE_WELL},
		{HINDRANCE_TOO_SOON, MINUTES(60), SCHEDULE_WELL},
		{HINDRANCE_NONE, MINUTES(45), SCHEDULE_WELL},
		{HINDRANCE_NONE, MINUTES(45) * 3 / 4, SCHEDULE_WELL},
		{HINDRANCE_TOO_SOON, MINUTES(45) * 3 / 2, SCHEDULE_WELL});
	for (int i = 0; i < 10; i++)
		(void)next(&s, HINDRANCE_NONE);
	assert_int_equal(s.slow_ms, 0);
	for (int i = 0; i < 10; i++)
		(void)next(&s, HINDRANCE_TOO_SOON);
	assert_int_equal(s.slow_ms, SCHEDULE_DAY);
	assert_int_equal(s.state, SCHEDULE_ATTENTION);
}

static void the_servers_login_delay_is_kept_and_capped(void **state)
{
	struct schedule s = {0};

	(void)state;
	assert_in_range(
		schedule_next(&s, &terms, HINDRANCE_NONE, 1800, 0), MINUTES(30), MINUTES(33));
	/* It said so once, and holds for what comes after. */
	assert_int_equal(next(&s, HINDRANCE_LOGIN), MINUTES(30));
	assert_int_equal(next(&s, HINDRANCE_PASSING), MINUTES(30));
	/* Ten years. */
	assert_int_equal(schedule_next(&s, &terms, HINDRANCE_NONE, 315360000, 0), HOURS(24));
	assert_int_equal(schedule_next(&s, &terms, HINDRANCE_NONE, UINT64_MAX, 0), HOURS(24));
	assert_int_equal(schedule_next(&s, &terms, HINDRANCE_NONE, 10, 0), MINUTES(15) * 9 / 10);
}

static void what_a_person_has_to_mend_is_looked_at_less_and_less(void **state)
{
	struct schedule s = {0};

	(void)state;
	WALK(&s, {HINDRANCE_PERSON, HOURS(1), SCHEDULE_ATTENTION},
		{HINDRANCE_PERSON, HOURS(2), SCHEDULE_ATTENTION},
		{HINDRANCE_PERSON, HOURS(4), SCHEDULE_ATTENTION},
		{HINDRANCE_PERSON, HOURS(8), SCHEDULE_ATTENTION},
		{HINDRANCE_PERSON, HOURS(16), SCHEDULE_ATTENTION},
		{HINDRANCE_PERSON, HOURS(24), SCHEDULE_ATTENTION},
		{HINDRANCE_PERSON, HOURS(24), SCHEDULE_ATTENTION});
}

static void what_we_stopped_ourselves_changes_nothing(void **state)
{
	struct schedule s = {0};

	(void)state;
	(void)next(&s, HINDRANCE_LOGIN);
	(void)next(&s, HINDRANCE_TOO_SOON);
	struct schedule before = s;
	assert_int_equal(next(&s, HINDRANCE_STOPPED), MINUTES(1));
	assert_memory_equal(&s, &before, sizeof s);
}

static void a_changed_account_begins_again_but_for_the_servers_pace(void **state)
{
	struct schedule s = {0};

	(void)state;
	for (int i = 0; i < 3; i++)
		(void)schedule_next(&s, &terms, HINDRANCE_LOGIN, 60, 0);
	(void)next(&s, HINDRANCE_TOO_SOON);
	schedule_reset(&s);
	assert_int_equal(s.state, SCHEDULE_WELL);
	assert_int_equal(s.slow_ms, 2 * SCHEDULE_MINUTE * 15);
	assert_int_equal(s.login_delay_ms, 60000);
	(void)next(&s, HINDRANCE_LOGIN);
	assert_false(schedule_is_paused(&s));
}

enum { DAY_OF_LOGINS = 64 };

/* Walks a year of random outcomes; the times of refused logins since the last poll that went
 * well must never come to more than SCHEDULE_LOGINS in one day. */
static void walk_a_year(const struct schedule_terms *t, uint64_t *random)
{
	int64_t most = t->interval_ms > SCHEDULE_DAY ? t->interval_ms : (int64_t)SCHEDULE_DAY;
	int64_t least =
		t->interval_ms < SCHEDULE_MINUTE ? t->interval_ms : (int64_t)SCHEDULE_MINUTE;
	int64_t refused[DAY_OF_LOGINS];
	struct schedule s = {0};
	size_t n = 0;

	for (int64_t now = 0; now < 365 * (int64_t)SCHEDULE_DAY;) {
		enum hindrance h = (enum hindrance)(next_random(random) % (HINDRANCE_STOPPED + 1));
		uint64_t delay_s = next_random(random) % 3 ? 0 : next_random(random) >> 40;

		if (h == HINDRANCE_NONE && next_random(random) % 8)
			h = HINDRANCE_LOGIN;
		int64_t delay = schedule_next(&s, t, h, delay_s, next_random(random));
		assert_in_range(delay, least * 9 / 10, most + most / 10);
		if (delay_s)
			assert_true(delay >= 1000 * (int64_t)(delay_s < LIMIT_LOGIN_DELAY_S
								      ? delay_s
								      : LIMIT_LOGIN_DELAY_S));
		if (h == HINDRANCE_NONE)
			n = 0;
		if (h == HINDRANCE_LOGIN) {
			if (n >= SCHEDULE_LOGINS)
				assert_true(now - refused[(n - SCHEDULE_LOGINS) % DAY_OF_LOGINS] >=
					    (int64_t)SCHEDULE_DAY);
			refused[n++ % DAY_OF_LOGINS] = now;
		}
		now += delay;
	}
}

static void no_day_sees_more_refused_logins_than_three(void **state)
{
	static const uint32_t intervals[] = {10000, 60000, 15 * 60000, 86400000, 2592000000U};
	uint64_t random = 3;

	(void)state;
	for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
		struct schedule_terms t = {.interval_ms = intervals[i]};

		for (int run = 0; run < 50; run++)
			walk_a_year(&t, &random);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_polls_are_spread_over_a_minute),
		TEST(a_poll_that_went_well_is_followed_after_the_interval),
		TEST(passing_failures_are_tried_more_and_more_slowly),
		TEST(a_short_interval_is_where_retries_begin),
		TEST(twenty_failures_in_a_row_need_attention),
		TEST(failing_for_a_day_needs_attention),
		TEST(a_maildrop_in_use_is_no_failure_until_it_lasts),
		TEST(what_comes_between_ends_a_row_of_waits),
		TEST(refused_logins_pause_the_account_to_one_try_a_day),
		TEST(an_outage_between_does_not_forget_refused_logins),
		TEST(too_many_logins_slow_the_account_down_for_a_while),
		TEST(the_servers_login_delay_is_kept_and_capped),
		TEST(what_a_person_has_to_mend_is_looked_at_less_and_less),
		TEST(what_we_stopped_ourselves_changes_nothing),
		TEST(a_changed_account_begins_again_but_for_the_servers_pace),
		TEST(no_day_sees_more_refused_logins_than_three),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
