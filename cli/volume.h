/* A file that an export writes from its beginning to its end, under a temporary name until it is
 * whole: what was written last can be cut off again as long as it is not synced, and the file's
 * digest is known when it is. One of them lives at a time.
 *
 * Folders are descriptors, borrowed. */
#pragma once

#include "archive/digest.h"

struct volume;

/* part: its temporary name; keep: how many of its bytes an earlier run is known to have synced;
 * what lies behind them is cut. With 0 it is made, or begun anew. FAULT_USAGE: it has fewer. shown:
 * its name for messages, escaped, borrowed. */
int volume_open(int folder, const char *part, const char *shown, uint64_t keep, struct volume **ret,
	struct fault *f) MUST_CHECK;
struct volume *volume_close(struct volume *v);
void volume_closep(struct volume **v);

/* Behind the last byte that was put. */
uint64_t volume_end(const struct volume *v);
/* So many of them are in the file: after a failed write, too. */
uint64_t volume_written(const struct volume *v);

int volume_put(struct volume *v, struct slice bytes, struct fault *f) MUST_CHECK;
/* Over bytes that were put since the last sync. */
int volume_patch(struct volume *v, uint64_t at, struct slice bytes, struct fault *f) MUST_CHECK;
/* Nothing stays of what was put behind `end`, which is not before the last sync. */
int volume_cut(struct volume *v, uint64_t end, struct fault *f) MUST_CHECK;
/* All that was put is durable when it returns. After it failed once it always fails: what a later
 * one says proves nothing. */
int volume_sync(struct volume *v, struct fault *f) MUST_CHECK;
/* Reads back what is in it. -1 with errno; ENODATA: there is less. */
int volume_read(const struct volume *v, uint64_t at, void *to, size_t len) MUST_CHECK;
/* Of all bytes; they are synced. No more may be put. */
int volume_digest(struct volume *v, struct digest *ret, struct fault *f) MUST_CHECK;
/* Gives it its name, never over another file; durable when it returns. FAULT_SYSTEM with EEXIST. */
int volume_publish(struct volume *v, const char *name, struct fault *f) MUST_CHECK;
