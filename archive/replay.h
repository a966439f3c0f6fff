/* What replay and rebuild share: segments walked into places, the ledger's groups applied. Inside
 * archive/ only. */
#pragma once

#include "archive/handle.h"

/* Walks a segment from `from` to `end`, a torn end included, and notes where each whole message
 * lies. */
int replay_walk(struct store *s, struct catalog *c, uint64_t number, int fd, uint64_t from,
	uint64_t end, struct fault *f) MUST_CHECK;

/* Writes the same bytes again in place and syncs them: after a failed sync the page cache proves
 * nothing. fd is open for reading and writing. <0 with errno. */
int replay_write_again(int fd, uint64_t from, uint64_t end) MUST_CHECK;

struct replay_sums {
	uint64_t lines, messages;
	uint64_t missing;     /* messages without a place */
	uint64_t passed_over; /* lines that could not be read or applied */
};
/* The lines of a group that the reader gave: applied with the places noted, segment rows kept up.
 * Of a ledger that is known to be damaged, what can be applied is; otherwise one line that cannot
 * is a failure. */
enum replay_trust { REPLAY_WHOLE, REPLAY_DAMAGED };
int replay_group(struct catalog *c, struct ledger_reader *r, enum replay_trust trust,
	struct replay_sums *sums, struct fault *f) MUST_CHECK;
