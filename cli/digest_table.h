/* A set of digests with a number each, in a file without a name, so that it takes as little memory
 * for millions as for ten: open addressing, at most half full. What is found by it is compared by
 * the caller: only the beginnings of digests are in it. */
#pragma once

#include "archive/digest.h"

struct digest_table;

/* folder: a descriptor, borrowed, where the file is made. It grows by itself, which takes time:
 * `most` says how many digests will be added, more or less. FAULT_SYSTEM. */
int digest_table_open(
	int folder, uint64_t most, struct digest_table **ret, struct fault *f) MUST_CHECK;
struct digest_table *digest_table_close(struct digest_table *t);
void digest_table_closep(struct digest_table **t);

/* number: less than UINT64_MAX. FAULT_LIMIT: billions of them. */
int digest_table_add(struct digest_table *t, const struct digest *d, uint64_t number,
	struct fault *f) MUST_CHECK;
/* One after the other: the numbers of those that begin as d does, in 8 bytes. Zero-initialise *at,
 * and change nothing in between. DIGEST_LIKE, or 0: there are no more. */
enum { DIGEST_LIKE = 1 };
struct digest_search {
	uint64_t slot, passed;
};
int digest_table_next(struct digest_table *t, const struct digest *d, struct digest_search *at,
	uint64_t *ret_number, struct fault *f) MUST_CHECK;
/* DIGEST_LIKE: one is there that begins with the same 12 hex digits. */
int digest_table_has_id(struct digest_table *t, const struct digest *d, struct fault *f) MUST_CHECK;
