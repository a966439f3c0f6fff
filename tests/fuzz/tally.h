/* What an engine told, in a digest: the same bytes must give the same one however they are cut. */
#pragma once

#include "archive/bytes.h"

struct tally {
	uint64_t events; /* FNV-1a of all events but for the cuts of a message's bytes */
	uint64_t octets; /* of the message that is coming */
	int last;	 /* result of asking for an event */
};

#define TALLY_INIT                                                                                 \
	{                                                                                          \
		.events = UINT64_C(0xcbf29ce484222325)                                             \
	}

static inline void mix(struct tally *t, uint64_t value)
{
	t->events = (t->events ^ value) * UINT64_C(0x100000001b3);
}

static inline void mix_bytes(struct tally *t, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		mix(t, bytes.data[i]);
}
