/* Writing a sealed segment: entries into large frames, then the tables. Bytes go to a descriptor in
 * order, a pipe as well as a file. Used by popkeep-worker. */
#pragma once

#include "archive/digest.h"
#include "archive/moment.h"

struct dense_options {
	int level;	      /* of zstd, 1 to 19 */
	uint64_t frame_bytes; /* decoded; 64 KiB to LIMIT_SEALED_FRAME */
};

struct dense;
/* fd is borrowed. */
int dense_open(int fd, const struct dense_options *options, struct dense **ret,
	struct fault *f) MUST_CHECK;
struct dense *dense_close(struct dense *d);
void dense_closep(struct dense **d);

/* Begins an entry; exactly size bytes follow by dense_put(), which ends it with the last of them.
 * Where it lies: *ret_frame, *ret_entry (NULL: not of interest), as of recipes. FAULT_WRITE: the
 * descriptor takes no more. */
int dense_begin(struct dense *d, const char *name, uint64_t size, moment_ms mtime,
	uint64_t *ret_frame, uint64_t *ret_entry, struct fault *f) MUST_CHECK;
int dense_put(struct dense *d, struct slice bytes, struct fault *f) MUST_CHECK;

/* For putting together what is read together: entries that take `bytes` in all (tar_entry_bytes()
 * of each) go into the frame that is open, or, where they would fit a whole frame but not what is
 * left of this one, a new frame begins. Larger ones lie as they come. */
int dense_keep_together(struct dense *d, uint64_t bytes, struct fault *f) MUST_CHECK;

/* tar's end blocks, the last frame, both tables. */
int dense_end(struct dense *d, struct fault *f) MUST_CHECK;
