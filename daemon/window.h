/* How many RETR commands may be in flight: enough that the round trip does not matter, no more than
 * help. Starts at WINDOW_START commands, doubles with each window's worth of replies as long as
 * messages or octets per second grow by a tenth (two rounds without end it), up to LIMIT_WINDOW;
 * announced octets in flight are bounded by LIMIT_WINDOW_BYTES, but one message may always be.
 * Pure: no clock, no allocation. Embedded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 28 KiB of commands. A mailbox of this size comes in one round trip; at 40 ms, 2,000 messages take
 * 0.19 s when it is 512, 0.145 s at 1024, 0.11 s at 2048, which is the line's best. */
enum { WINDOW_START = 2048 };

enum window_kind {
	WINDOW_SERIAL,	  /* no PIPELINING: one command at a time, always */
	WINDOW_PIPELINED, /* RFC 2449 section 6.6 */
	WINDOW_CAREFUL	  /* the same, but beginning with a few: what is in flight may be wasted */
};

struct window {
	enum window_kind kind;
	uint32_t size, in_flight;
	uint64_t bytes;	  /* announced, in flight */
	bool refilling;	  /* false from full until below three quarters */
	uint32_t strikes; /* rounds in a row that brought nothing */
	/* The round that is being measured, and the best so far (per second). */
	uint32_t round_messages;
	uint64_t round_bytes;
	int64_t round_began_us;
	uint64_t best_messages, best_bytes;
};

void window_init(struct window *w, enum window_kind kind);

/* May the next RETR go out, of announced size next_size (SIZE_UNKNOWN: a guess is taken)? Call it
 * until it says no: it says yes again only when a quarter of the window is free. */
bool window_may_send(const struct window *w, uint64_t next_size);
/* It was queued. */
void window_sent(struct window *w, uint64_t size, int64_t now_us);
/* The reply to one of them has come whole (a message or -ERR); size: as given to window_sent(). */
void window_done(struct window *w, uint64_t size, int64_t now_us);
