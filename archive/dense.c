#include "archive/dense.h"

#include "archive/frame_table.h"
#include "archive/frame_write.h"
#include "archive/limits.h"
#include "archive/tar_write.h"

#include <assert.h>
#include <errno.h>

enum { TABLES_PER_FRAME = 48 + 8, TABLES_REST = 256 };

struct dense {
	int fd;
	struct dense_options options;
	struct tar_writer *tar;
	struct frame_writer *frames;
	struct hasher *hasher; /* of the frame's compressed bytes */
	struct frame_table table;
	uint64_t left; /* of the entry that is open */
	bool alone;    /* it is larger than a frame: none of another entry in its last one */
};

/* ---- Bytes to the descriptor ----------------------------------------------------------------- */

/* write() and not pwrite(): it may be a pipe. */
static int write_all(int fd, struct slice bytes, struct fault *f)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
				"cannot write the sealed segment");
		bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
	}
	return 0;
}

static int on_compressed(void *context, struct slice bytes, struct fault *f)
{
	struct dense *d = context;

	hasher_add(d->hasher, bytes.data, bytes.len);
	return write_all(d->fd, bytes, f);
}

static int on_frame(void *context, uint64_t size, uint64_t decoded, struct fault *f)
{
	struct dense *d = context;
	struct digest digest;

	assert(size <= UINT32_MAX && decoded <= UINT32_MAX);
	hasher_end(d->hasher, &digest);
	return frame_table_add(&d->table, (uint32_t)size, (uint32_t)decoded, &digest, f);
}

static int on_tar_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct dense *d = context;

	return frame_writer_add(d->frames, bytes, f);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* A window that holds the frame, and no more than readers allow. */
static int window_log(uint64_t frame_bytes)
{
	int log = 16;

	while (log < LIMIT_FRAME_WINDOW_LOG && UINT64_C(1) << log < frame_bytes)
		log++;
	return log;
}

/* What level 9 is here. zstd means it for a stream without end: its hash table of 2^22 entries fits
 * no cache, and a frame of 4 MiB never fills it. Mixed mail, list mail, attachments to several,
 * against zstd 1.5.4's level 9, each frame 4 MiB:
 *
 *   hash 2^20, search 2^4     26, 30, 30 % faster      0.07, 0.12, 0.02 % larger    (level 8)
 *   hash 2^20, search 2^5     10, 19,  9 % faster      0.10, 0.20, 0.09 % smaller
 *   hash 2^19, search 2^4     32, 39, 54 % faster      0.31, 0.44, 0.17 % larger
 *   level 7                   40, 43, 60 % faster      0.38, 0.71, 0.22 % larger
 */
enum { TUNED_LEVEL = 9, TUNED_HASH_LOG = 20, TUNED_SEARCH_LOG = 4 };

int dense_open(int fd, const struct dense_options *options, struct dense **ret, struct fault *f)
{
	struct dense *d CLEANUP(dense_closep) = calloc(1, sizeof *d);
	struct frame_sink sink = {.write = on_compressed, .ended = on_frame, .context = d};
	struct frame_write_options frames = {
		.level = options->level,
		.window_log = window_log(options->frame_bytes),
		.most_bytes = options->frame_bytes,
	};
	if (options->level == TUNED_LEVEL) {
		frames.hash_log = TUNED_HASH_LOG;
		frames.search_log = TUNED_SEARCH_LOG;
	}

	assert(options->frame_bytes <= LIMIT_SEALED_FRAME);
	if (!d)
		return fault_memory(f);
	d->fd = fd;
	d->options = *options;
	if (hasher_new(&d->hasher, f) < 0 || frame_writer_open(&frames, &sink, &d->frames, f) < 0 ||
		tar_writer_open(on_tar_bytes, d, &d->tar, f) < 0)
		return -1;
	*ret = TAKE(d);
	return 0;
}

struct dense *dense_close(struct dense *d)
{
	if (!d)
		return NULL;
	tar_writer_close(d->tar);
	frame_writer_close(d->frames);
	hasher_free(d->hasher);
	frame_table_deinit(&d->table);
	free(d);
	return NULL;
}

void dense_closep(struct dense **d)
{
	*d = dense_close(*d);
}

/* ---- Entries --------------------------------------------------------------------------------- */

static bool fits_open_frame(const struct dense *d, uint64_t bytes)
{
	return bytes <= d->options.frame_bytes - frame_writer_decoded(d->frames);
}

int dense_keep_together(struct dense *d, uint64_t bytes, struct fault *f)
{
	if (bytes > d->options.frame_bytes || fits_open_frame(d, bytes))
		return 0;
	return frame_writer_end_frame(d->frames, f);
}

/* The padding, and the frame where it is the entry's own. */
static int finish_entry(struct dense *d, struct fault *f)
{
	if (tar_finish(d->tar, f) < 0)
		return -1;
	return d->alone ? frame_writer_end_frame(d->frames, f) : 0;
}

int dense_begin(struct dense *d, const char *name, uint64_t size, moment_ms mtime,
	uint64_t *ret_frame, uint64_t *ret_entry, struct fault *f)
{
	uint64_t bytes = tar_entry_bytes(size);

	assert(d->left == 0);
	if (!fits_open_frame(d, bytes) && frame_writer_end_frame(d->frames, f) < 0)
		return -1;
	uint64_t frame = frame_writer_start(d->frames);
	uint64_t entry = frame_writer_decoded(d->frames);
	d->left = size;
	d->alone = bytes > d->options.frame_bytes;
	if (tar_begin(d->tar, name, size, mtime, f) < 0 || (size == 0 && finish_entry(d, f) < 0))
		return -1;
	if (ret_frame)
		*ret_frame = frame;
	if (ret_entry)
		*ret_entry = entry;
	return 0;
}

int dense_put(struct dense *d, struct slice bytes, struct fault *f)
{
	assert(bytes.len <= d->left);
	if (bytes.len == 0)
		return 0;
	if (tar_put(d->tar, bytes, f) < 0)
		return -1;
	d->left -= bytes.len;
	return d->left == 0 ? finish_entry(d, f) : 0;
}

/* ---- The end --------------------------------------------------------------------------------- */

int dense_end(struct dense *d, struct fault *f)
{
	static const uint8_t zeros[TAR_END];
	struct buffer tables CLEANUP(buffer_deinit) =
		buffer_make(TABLES_PER_FRAME * LIMIT_SEALED_FRAMES + TABLES_REST);

	assert(d->left == 0);
	if (dense_keep_together(d, TAR_END, f) < 0 ||
		frame_writer_add(d->frames, slice_of(zeros, TAR_END), f) < 0 ||
		frame_writer_end_frame(d->frames, f) < 0 ||
		frame_table_format(&d->table, &tables, f) < 0)
		return -1;
	return write_all(d->fd, buffer_slice(&tables), f);
}
