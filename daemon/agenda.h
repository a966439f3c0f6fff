/* What is due when: a binary heap of entries that lie in their owners. Due times are monotonic
 * milliseconds. Putting, moving and removing cost log n, looking at the first nothing. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is due. All zero: in no agenda. Only the agenda writes to it while it is in. */
struct agenda_entry {
	int64_t due;
	size_t at; /* place in the heap, from 1 */
};

/* Embedded; all zero is an empty one. */
struct agenda {
	struct agenda_entry **heap;
	size_t n, size;
};

/* Entries that are still in it are left as they are and are not to be used with it any more. */
void agenda_deinit(struct agenda *a);

/* Puts the entry in with this due time, or moves it there when it is in already. The entry is
 * borrowed until it is removed, and stays where it is in memory. FAULT_MEMORY; never when the entry
 * is in already, and never when as many entries were in before. */
int agenda_put(struct agenda *a, struct agenda_entry *e, int64_t due, struct fault *f) MUST_CHECK;
/* Nothing happens when it is not in. */
void agenda_remove(struct agenda *a, struct agenda_entry *e);

static inline bool agenda_has(const struct agenda_entry *e)
{
	return e->at > 0;
}

/* The one that is due first, still in; NULL when there is none. */
static inline struct agenda_entry *agenda_first(const struct agenda *a)
{
	return a->n ? a->heap[0] : NULL;
}

/* Takes out the first one that is due at now, NULL when none is. */
struct agenda_entry *agenda_take(struct agenda *a, int64_t now);
