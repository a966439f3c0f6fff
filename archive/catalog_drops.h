/* The sums of the maildrops that a transaction touches, in memory until it commits: a group changes
 * the same few sums thousands of times. Inside archive/catalog*.c only. */
#pragma once

#include "archive/catalog.h"

struct drop {
	uint64_t number;
	struct sums sums;
	moment_ms polled; /* as read; written by catalog_set_polled() */
	bool sizes_unreliable, dirty;
};

struct drops;
int drops_new(struct drops **ret, struct fault *f) MUST_CHECK;
void drops_free(struct drops *d);
/* Forgets all: a transaction begins or was rolled back. */
void drops_clear(struct drops *d);
/* The maildrop's, read when it is not there; borrowed until the next call. */
int drops_get(struct catalog *c, uint64_t number, struct drop **ret, struct fault *f) MUST_CHECK;
/* Writes what changed. */
int drops_write(struct catalog *c, struct fault *f) MUST_CHECK;

struct drops *catalog_drops(struct catalog *c);
