#include "daemon/window.h"

#include "archive/limits.h"
#include "archive/refusal.h"

/* What a message is taken to have when nobody announced a size. */
static const uint64_t SIZE_GUESS = 1 * MIB;

void window_init(struct window *w, enum window_kind kind)
{
	static const uint32_t start[] = {
		[WINDOW_SERIAL] = 1, [WINDOW_PIPELINED] = WINDOW_START, [WINDOW_CAREFUL] = 32};

	*w = (struct window){.kind = kind, .size = start[kind], .refilling = true};
}

/* Clamped, so that sums of them cannot overflow. */
static uint64_t weight(uint64_t size)
{
	if (size == SIZE_UNKNOWN)
		return SIZE_GUESS;
	return size < LIMIT_WINDOW_BYTES ? size : LIMIT_WINDOW_BYTES;
}

bool window_may_send(const struct window *w, uint64_t next_size)
{
	if (w->in_flight == 0)
		return true;
	return w->refilling && w->in_flight < w->size &&
	       w->bytes + weight(next_size) <= LIMIT_WINDOW_BYTES;
}

void window_sent(struct window *w, uint64_t size, int64_t now_us)
{
	/* The clock stood still for the measurement while nothing was asked for. */
	if (w->in_flight == 0 && w->round_messages == 0)
		w->round_began_us = now_us;
	w->in_flight++;
	w->bytes += weight(size);
	if (w->in_flight >= w->size)
		w->refilling = false;
}

static uint64_t per_second(uint64_t amount, int64_t us)
{
	return (uint64_t)((double)amount * 1e6 / (double)(us > 0 ? us : 1));
}

/* Grown by a tenth? Then it becomes the best. */
static bool improves(uint64_t *best, uint64_t rate)
{
	if ((double)rate <= (double)*best * 1.1)
		return false;
	*best = rate;
	return true;
}

/* A window's worth has come. Sizes differ from round to round: a round of large messages has less
 * of them per second, one of small ones fewer octets, and neither says that the window is too
 * large; so one of the two is enough. */
static void end_round(struct window *w, int64_t now_us)
{
	int64_t us = now_us - w->round_began_us;
	bool more = improves(&w->best_messages, per_second(w->round_messages, us));

	more = improves(&w->best_bytes, per_second(w->round_bytes, us)) || more;
	w->strikes = more ? 0 : w->strikes + 1;
	if (more && w->size < LIMIT_WINDOW) {
		w->size *= 2;
		w->refilling = true;
	}
	w->round_messages = 0;
	w->round_bytes = 0;
	w->round_began_us = now_us;
}

void window_done(struct window *w, uint64_t size, int64_t now_us)
{
	if (w->in_flight == 0)
		return;
	w->in_flight--;
	w->bytes -= weight(size) < w->bytes ? weight(size) : w->bytes;
	w->round_messages++;
	w->round_bytes += weight(size);
	if (w->in_flight < w->size - w->size / 4)
		w->refilling = true;
	if (w->kind != WINDOW_SERIAL && w->round_messages >= w->size && w->strikes < 2)
		end_round(w, now_us);
}
