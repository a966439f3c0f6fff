/* Commits batches in a thread of its own, so that the next messages are read while the disk
 * confirms the last ones. The handle is the thread's between import_writer_put() and the
 * import_writer_wait() that follows; otherwise it is the caller's. */
#pragma once

#include "archive/batch.h"

struct import_writer;
/* s is borrowed: open for writing, and open until import_writer_close(). */
int import_writer_open(struct store *s, struct import_writer **ret, struct fault *f) MUST_CHECK;
/* Waits for what is being committed. */
struct import_writer *import_writer_close(struct import_writer *w);

/* Takes what is in g, which is empty then, and begins to commit it; nothing else may be under way.
 */
void import_writer_put(struct import_writer *w, struct batch *g);
/* Until nothing is under way. What was committed is in *ret_done, with its outcomes; it is empty
 * where nothing was. Fails as store_commit(): ret_done is then empty, and nothing of it happened.
 * ret_done is one that batch_init() made. */
int import_writer_wait(struct import_writer *w, struct batch *ret_done, struct fault *f) MUST_CHECK;
