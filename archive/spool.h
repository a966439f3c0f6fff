/* One message on its way from the socket to the segment: in memory up to LIMIT_SPOOL_MEMORY (and
 * LIMIT_SPOOL_MEMORY_ALL for all together), beyond that in an unlinked file, digested while it is
 * written. A spool is made and written by one thread and may then be handed to another. */
#pragma once

#include "archive/bytes.h"
#include "archive/digest.h"

#include <stdint.h>

/* Where unlinked files are made, and the memory that all spools share. Outlives its spools. */
struct spool_pool;
int spool_pool_open(const char *folder, struct spool_pool **ret, struct fault *f) MUST_CHECK;
struct spool_pool *spool_pool_close(struct spool_pool *p);
void spool_pool_closep(struct spool_pool **p);

struct spool;
int spool_new(struct spool_pool *p, struct spool **ret, struct fault *f) MUST_CHECK;
struct spool *spool_free(struct spool *s);
void spool_freep(struct spool **s);

/* Appends. FAULT_WRITE (scope archive) when the file cannot grow: a full disk. */
int spool_write(struct spool *s, struct slice bytes, struct fault *f) MUST_CHECK;
/* No more writes; the digest is fixed. */
void spool_finish(struct spool *s);
/* Another owner of the same finished bytes: gives s, to be freed once more. */
struct spool *spool_share(struct spool *s);

uint64_t spool_size(const struct spool *s);
/* After spool_finish(). */
const struct digest *spool_digest(const struct spool *s);
/* Up to size bytes from offset; *ret_n is 0 only at the end. */
int spool_read(struct spool *s, uint64_t offset, void *to, size_t size, size_t *ret_n,
	struct fault *f) MUST_CHECK;
/* All bytes when they lie in memory; {NULL, 0} when they are in a file. */
struct slice spool_memory(const struct spool *s);
