/* Room on disk: whether there is so much that mail may be fetched. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stdbool.h>
#include <stdint.h>

/* Embedded; all zero: there is room, as far as is known. */
struct room {
	bool full;
	uint64_t free_bytes; /* where there is least */
};

/* Looks where the archive and, where it lies elsewhere, the cache (or NULL) are. Full below
 * min_free; not full any more when a sixteenth more than that is free, so that it does not go to
 * and fro. What cannot be looked at counts as having room: the writes will tell. ROOM_CHANGED: it
 * became full, or no longer is. */
enum { ROOM_CHANGED = 1 };
int room_look(
	struct room *r, const char *archive, const char *cache_dir, uint64_t min_free) MUST_CHECK;
