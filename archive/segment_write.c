#include "archive/file.h"
#include "archive/frame_header.h"
#include "archive/frame_write.h"
#include "archive/limits.h"
#include "archive/segment.h"
#include "archive/tar_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	LEVEL = 1, /* an open segment lives a month at most; sealing makes it small */
	READ_SIZE = 64 * 1024,
	FIRST_RESERVE = 1024 * 1024,
	LARGEST_RESERVE = 64 * 1024 * 1024,
};

struct segment_writer {
	int folder, fd; /* folder is borrowed */
	uint64_t number;
	bool is_new;  /* its name is not durable yet */
	uint64_t end; /* what is in the file */
	uint64_t reserved;
	struct tar_writer *tar;
	struct frame_writer *frames;
	struct hasher *hasher; /* of what was written since: */
	uint64_t since;
	uint8_t *chunk; /* READ_SIZE bytes, for messages that lie in files */
};

/* ---- Bytes to the file --------------------------------------------------------------------- */

/* Space ahead of the end, without changing the size, halves the time of a sync. In proportion to
 * the file, so that a small archive stays small. Not having it is no failure. */
static void reserve(struct segment_writer *w, size_t more)
{
	uint64_t step = w->end < FIRST_RESERVE	   ? FIRST_RESERVE
			: w->end > LARGEST_RESERVE ? LARGEST_RESERVE
						   : w->end;

	if (w->end + more <= w->reserved)
		return;
	if (fallocate(w->fd, FALLOC_FL_KEEP_SIZE, (off_t)w->end, (off_t)step) == 0)
		w->reserved = w->end + step;
	else
		w->reserved = w->end + LARGEST_RESERVE; /* full or not supported: ask again later */
}

static int on_compressed(void *context, struct slice bytes, struct fault *f)
{
	struct segment_writer *w = context;

	reserve(w, bytes.len);
	if (file_write_at(w->fd, bytes, w->end) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write segment %06" PRIu64, w->number);
	hasher_add(w->hasher, bytes.data, bytes.len);
	w->end += bytes.len;
	return 0;
}

static int on_tar_bytes(void *context, struct slice bytes, struct fault *f)
{
	struct segment_writer *w = context;

	return frame_writer_add(w->frames, bytes, f);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_file(struct segment_writer *w, struct fault *f)
{
	char name[SEGMENT_NAME];
	struct stat st;

	segment_name(w->number, SEGMENT_OPEN, name);
	int flags = O_RDWR | O_CLOEXEC | (w->end == 0 ? O_CREAT | O_EXCL : 0);
	w->fd = openat(w->folder, name, flags, 0600);
	if (w->fd < 0)
		return fault_errno(f, w->end == 0 ? FAULT_WRITE : FAULT_DAMAGE, SCOPE_ARCHIVE,
			errno, "cannot open segments/%s for appending", name);
	w->is_new = w->end == 0;
	if (fstat(w->fd, &st) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "segments/%s", name);
	if ((uint64_t)st.st_size != w->end)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"segments/%s has %lld bytes where the catalog says %" PRIu64, name,
			(long long)st.st_size, w->end);
	return 0;
}

int segment_writer_open(
	int folder_fd, uint64_t number, uint64_t end, struct segment_writer **ret, struct fault *f)
{
	struct segment_writer *w CLEANUP(segment_writer_closep) = calloc(1, sizeof *w);

	if (!w)
		return fault_memory(f);
	w->folder = folder_fd;
	w->fd = -1;
	w->number = number;
	w->end = w->since = end;
	w->chunk = malloc(READ_SIZE);
	if (!w->chunk)
		return fault_memory(f);
	struct frame_write_options options = {.level = LEVEL,
		.window_log = OPEN_FRAME_WINDOW_LOG,
		.most_bytes = LIMIT_FRAME_ENTRY,
		.offset = end};
	struct frame_sink sink = {.write = on_compressed, .context = w};
	if (hasher_new(&w->hasher, f) < 0 ||
		frame_writer_open(&options, &sink, &w->frames, f) < 0 ||
		tar_writer_open(on_tar_bytes, w, &w->tar, f) < 0 || open_file(w, f) < 0)
		return -1;
	*ret = TAKE(w);
	return 0;
}

struct segment_writer *segment_writer_close(struct segment_writer *w)
{
	if (!w)
		return NULL;
	tar_writer_close(w->tar);
	frame_writer_close(w->frames);
	hasher_free(w->hasher);
	fd_closep(&w->fd);
	free(w->chunk);
	free(w);
	return NULL;
}

void segment_writer_closep(struct segment_writer **w)
{
	*w = segment_writer_close(*w);
}

uint64_t segment_writer_number(const struct segment_writer *w)
{
	return w->number;
}

uint64_t segment_writer_end(const struct segment_writer *w)
{
	return w->end;
}

uint64_t segment_writer_written(struct segment_writer *w, struct digest *ret)
{
	uint64_t since = w->since;

	hasher_end(w->hasher, ret);
	w->since = w->end;
	return since;
}

/* ---- Appending ------------------------------------------------------------------------------- */

static int put_message(struct segment_writer *w, struct spool *message, struct fault *f)
{
	struct slice memory = spool_memory(message);
	uint64_t offset = 0;
	size_t n = 0;

	if (memory.data)
		return tar_put(w->tar, memory, f);
	do {
		if (spool_read(message, offset, w->chunk, READ_SIZE, &n, f) < 0 ||
			tar_put(w->tar, slice_of(w->chunk, n), f) < 0)
			return -1;
		offset += n;
	} while (n > 0);
	return 0;
}

int segment_append(struct segment_writer *w, struct spool *message, moment_ms archived,
	struct location *ret, struct fault *f)
{
	uint64_t size = spool_size(message), decoded = frame_writer_decoded(w->frames);
	char hex[DIGEST_HEX + 1], name[DIGEST_HEX + 16];

	bool ends = decoded >= LIMIT_FRAME || decoded + tar_entry_bytes(size) > LIMIT_FRAME_ENTRY;
	if (ends && frame_writer_end_frame(w->frames, f) < 0)
		return -1;
	struct location at = {
		.segment = w->number,
		.frame_offset = frame_writer_start(w->frames),
		.entry_offset = frame_writer_decoded(w->frames),
	};
	digest_hex(spool_digest(message), hex);
	(void)snprintf(name, sizeof name, "mail/%s.eml", hex);
	if (tar_begin(w->tar, name, size, archived, f) < 0 || put_message(w, message, f) < 0 ||
		tar_finish(w->tar, f) < 0)
		return -1;
	*ret = at;
	return 0;
}

int segment_flush(struct segment_writer *w, struct fault *f)
{
	if (frame_writer_end_frame(w->frames, f) < 0)
		return -1;
	return frame_writer_flush(w->frames, f);
}

int segment_sync(struct segment_writer *w, struct fault *f)
{
	if (fdatasync(w->fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot sync segment %06" PRIu64, w->number);
	if (w->is_new && fsync(w->folder) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync segments/");
	w->is_new = false;
	return 0;
}
