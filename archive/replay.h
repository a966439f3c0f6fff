/* What replay and rebuild share: segments walked into places, the ledger's groups applied. Inside
 * archive/ only. */
#pragma once

#include "archive/handle.h"

/* Walks a segment from `from` to `end`, a torn end included, and notes where each whole message
 * lies; REPLAY_TRUSTED: the file has the digest that it must have, and no message needs to be
 * looked at; REPLAY_LAST: only those that have no place yet. */
enum replay_places { REPLAY_TRUSTED, REPLAY_FIRST, REPLAY_LAST };
int replay_walk(struct catalog *c, uint64_t number, int fd, uint64_t from, uint64_t end,
	enum replay_places places, struct fault *f) MUST_CHECK;

/* Writes the same bytes again in place and syncs them: after a failed sync the page cache proves
 * nothing. fd is open for reading and writing. <0 with errno. */
int replay_write_again(int fd, uint64_t from, uint64_t end) MUST_CHECK;

struct replay_sums {
	uint64_t from; /* the first line of this reading */
	uint64_t lines, messages;
	uint64_t missing;     /* messages without a place */
	uint64_t passed_over; /* lines that could not be read or applied */
	uint64_t grown;	      /* the lowest segment that got a message; 0: none */
};
/* The lines of a group that the reader gave: applied with the places noted, segment rows kept up.
 * Of a ledger that is known to be damaged, what can be applied is; otherwise one line that cannot
 * is a failure. */
enum replay_trust { REPLAY_WHOLE, REPLAY_DAMAGED };
int replay_group(struct catalog *c, struct ledger_reader *r, enum replay_trust trust,
	struct replay_sums *sums, struct fault *f) MUST_CHECK;
/* Then the rows of those that are appended to, from `grown` on, say what they hold. */
int replay_count(struct catalog *c, const struct replay_sums *sums, struct fault *f) MUST_CHECK;
