#include "daemon/window.h"

#include "archive/limits.h"
#include "archive/refusal.h"
#include "tests/unit/check.h"

/* A server with a round trip and a rate: fetches all messages of one size; how long it took. */
static int64_t fetch(
	struct window *w, uint32_t messages, uint64_t size, int64_t rtt_us, int64_t us_per_message)
{
	static int64_t asked[1 << 16];
	uint32_t sent = 0, done = 0;
	int64_t now = 0, served = 0;

	assert_true(messages <= 1 << 16);
	while (done < messages) {
		while (sent < messages && window_may_send(w, size)) {
			asked[sent++] = now;
			window_sent(w, size, now);
		}
		assert_true(sent > done);
		int64_t ready = asked[done] + rtt_us;
		served = (ready > served ? ready : served) + us_per_message;
		now = served;
		window_done(w, size, now);
		done++;
	}
	assert_int_equal(w->in_flight, 0);
	assert_int_equal(w->bytes, 0);
	return now;
}

static void without_pipelining_one_is_in_flight(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, WINDOW_SERIAL);
	assert_true(window_may_send(&w, 10));
	window_sent(&w, 10, 0);
	assert_false(window_may_send(&w, 10));
	window_done(&w, 10, 1);
	assert_true(window_may_send(&w, 10));
	(void)fetch(&w, 5000, 100, 1000, 1);
	assert_int_equal(w.size, 1);
}

static void it_refills_below_three_quarters(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, WINDOW_PIPELINED);
	for (int i = 0; i < WINDOW_START; i++) {
		assert_true(window_may_send(&w, 1));
		window_sent(&w, 1, 0);
	}
	assert_false(window_may_send(&w, 1));
	for (int i = 0; i < WINDOW_START / 4; i++) {
		window_done(&w, 1, 1);
		assert_false(window_may_send(&w, 1));
	}
	window_done(&w, 1, 1);
	for (int i = 0; i <= WINDOW_START / 4; i++) {
		assert_true(window_may_send(&w, 1));
		window_sent(&w, 1, 1);
	}
	assert_false(window_may_send(&w, 1));
}

static void announced_octets_are_bounded_but_for_one_message(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, WINDOW_PIPELINED);
	assert_true(window_may_send(&w, LIMIT_WINDOW_BYTES * 100));
	window_sent(&w, LIMIT_WINDOW_BYTES * 100, 0);
	assert_false(window_may_send(&w, 1));
	window_done(&w, LIMIT_WINDOW_BYTES * 100, 1);
	window_sent(&w, LIMIT_WINDOW_BYTES - 10, 1);
	assert_true(window_may_send(&w, 10));
	assert_false(window_may_send(&w, 11));
	assert_false(window_may_send(&w, SIZE_UNKNOWN));
	window_sent(&w, SIZE_UNKNOWN, 1);
	window_done(&w, LIMIT_WINDOW_BYTES - 10, 2);
	window_done(&w, SIZE_UNKNOWN, 2);
	assert_int_equal(w.bytes, 0);
}

static void it_grows_while_the_round_trip_matters(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, WINDOW_PIPELINED);
	(void)fetch(&w, 40000, 1000, 400000, 20);
	assert_int_equal(w.size, LIMIT_WINDOW);
	window_init(&w, WINDOW_PIPELINED);
	w.size = 64;
	(void)fetch(&w, 40000, 1000, 40000, 20);
	assert_int_equal(w.size, LIMIT_WINDOW);
	/* 2,000 messages at 40 ms: one round trip, and what the server needs. */
	window_init(&w, WINDOW_PIPELINED);
	assert_true(fetch(&w, 2000, 1000, 40000, 20) <= 40000 + 2000 * 20);
}

static void a_round_of_larger_messages_is_no_reason_to_stop(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, WINDOW_PIPELINED);
	w.size = 512;
	for (int i = 0; i < 512 * 3; i++)
		window_sent(&w, i < 512 ? 10 : 1000, 0);
	for (int i = 0; i < 512; i++)
		window_done(&w, 10, 1000000);
	assert_int_equal(w.size, 1024);
	for (int i = 0; i < 512 * 2; i++)
		window_done(&w, 1000, 4000000);
	assert_int_equal(w.size, 2048);
}

static void it_stops_growing_where_that_does_not_help(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, WINDOW_PIPELINED);
	w.size = 64;
	(void)fetch(&w, 40000, 1000, 100, 50);
	assert_int_equal(w.size, 128);
	/* A clock that stands still makes no endless growth either. */
	window_init(&w, WINDOW_PIPELINED);
	(void)fetch(&w, 60000, 0, 0, 0);
	assert_true(w.size <= LIMIT_WINDOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_pipelining_one_is_in_flight),
		TEST(it_refills_below_three_quarters),
		TEST(announced_octets_are_bounded_but_for_one_message),
		TEST(it_grows_while_the_round_trip_matters),
		TEST(a_round_of_larger_messages_is_no_reason_to_stop),
		TEST(it_stops_growing_where_that_does_not_help),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
