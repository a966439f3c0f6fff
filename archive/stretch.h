/* Stretches: the bytes that one group appended to an open segment, with the digest of these bytes
 * as they lie in the file, in the catalog. What a message decodes to says nothing about bits that
 * a decoder does not look at; this does. Inside archive/ only.
 *
 * They are written with their group. Replay and rebuild make one of what lies in a segment, once it
 * is believed; a catalog that an earlier version began has none of what it had then. So a stretch
 * that is not there says nothing. Those of a segment go when it is sealed, replaced or removed. */
#pragma once

#include "archive/catalog.h"

struct stretch {
	uint64_t segment, offset, length;
	struct digest digest;
};

int stretch_put(struct catalog *c, const struct stretch *t, struct fault *f) MUST_CHECK;
/* The first of a segment that begins at `from` or behind it. CATALOG_NONE: no such. */
int stretch_next(struct catalog *c, uint64_t segment, uint64_t from, struct stretch *ret,
	struct fault *f) MUST_CHECK;
/* Those that begin at `from` or behind it. */
int stretch_forget(struct catalog *c, uint64_t segment, uint64_t from, struct fault *f) MUST_CHECK;

/* One of what lies in the file; none where that cannot be read. */
int stretch_make(struct catalog *c, uint64_t segment, int fd, uint64_t from, uint64_t end,
	struct fault *f) MUST_CHECK;
/* The same where the end is known only later, in the same transaction. */
int stretch_begin(struct catalog *c, uint64_t segment, uint64_t from, struct fault *f) MUST_CHECK;
int stretch_end(
	struct catalog *c, uint64_t segment, int fd, uint64_t end, struct fault *f) MUST_CHECK;

/* Whether all of it lies within the first `end` bytes of the file: what does not was written later,
 * or is damage of the catalog. */
bool stretch_lies_in(const struct stretch *t, uint64_t end);
/* Whether all stretches within the first `length` bytes are as they were written; read twice before
 * one is called not so. */
int stretches_fit(struct catalog *c, uint64_t segment, int fd, uint64_t length, bool *ret,
	struct fault *f) MUST_CHECK;
