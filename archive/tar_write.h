/* Writing tar entries (POSIX.1-1988 ustar, by libarchive): regular files of mode 0400, one after
 * the other. End blocks are the caller's. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

enum { TAR_BLOCK = 512, TAR_END = 2 * TAR_BLOCK };

typedef int tar_sink(void *context, struct slice bytes, struct fault *f);

struct tar_writer;
int tar_writer_open(
	tar_sink *sink, void *context, struct tar_writer **ret, struct fault *f) MUST_CHECK;
struct tar_writer *tar_writer_close(struct tar_writer *w);
void tar_writer_closep(struct tar_writer **w);

/* name: at most 100 bytes. Exactly size bytes follow by tar_put(), then tar_finish(). Where the
 * sink fails, its fault is the caller's. */
int tar_begin(struct tar_writer *w, const char *name, uint64_t size, moment_ms mtime,
	struct fault *f) MUST_CHECK;
int tar_put(struct tar_writer *w, struct slice bytes, struct fault *f) MUST_CHECK;
int tar_finish(struct tar_writer *w, struct fault *f) MUST_CHECK;

/* What an entry of size bytes takes: header, data and padding. */
static inline uint64_t tar_entry_bytes(uint64_t size)
{
	return TAR_BLOCK + (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}
