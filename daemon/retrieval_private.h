/* For retrieval.c and retrieval_break.c. */
#pragma once

#include "daemon/session_private.h"

#include <assert.h>

static inline const struct listed *entry_of(const struct session *s, uint32_t entry)
{
	return &s->listing.entries[entry];
}

/* The message that is next to end. */
static inline uint32_t current(const struct session *s)
{
	assert(s->retrieval.done < s->retrieval.n);
	return s->retrieval.order[s->retrieval.done];
}

static inline bool is_alone(const struct retrieval *r)
{
	return r->done >= r->alone_from;
}

/* Hands in that this message could not be had. text: escaped. FAULT_MEMORY: of no matter where the
 * session breaks anyway, the next one finds it again. */
int retrieval_refuse(
	struct session *s, uint32_t entry, enum refusal reason, const char *text, struct fault *f);
