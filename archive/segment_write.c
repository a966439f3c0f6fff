#include "archive/file.h"
#include "archive/limits.h"
#include "archive/segment.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <zstd.h>

enum {
	LEVEL = 1, /* an open segment lives a month at most; sealing makes it small */
	OUT_SIZE = 256 * 1024,
	READ_SIZE = 64 * 1024,
	TAR_BLOCK = 512,
	FIRST_RESERVE = 1024 * 1024,
	LARGEST_RESERVE = 64 * 1024 * 1024,
};

struct segment_writer {
	int folder, fd; /* folder is borrowed */
	uint64_t number;
	bool is_new;  /* its name is not durable yet */
	uint64_t end; /* what is in the file */
	uint64_t reserved;
	struct archive *tar;
	struct archive_entry *entry;
	ZSTD_CCtx *zstd;
	uint64_t frame_bytes; /* decoded bytes in the frame that is open; 0: none is */
	uint64_t frame_start; /* its place in the file */
	bool quiet;	      /* libarchive's end blocks when it is freed are not wanted */
	struct fault *fault;  /* of the call under way, for the callback */
	uint8_t *chunk;	      /* READ_SIZE bytes, for messages that lie in files */
	size_t out_len;
	uint8_t out[OUT_SIZE];
};

/* ---- Bytes to the file --------------------------------------------------------------------- */

/* Space ahead of the end, without changing the size, halves the time of a sync. In proportion to
 * the file, so that a small archive stays small. Not having it is no failure. */
static void reserve(struct segment_writer *w)
{
	uint64_t step = w->end < FIRST_RESERVE	   ? FIRST_RESERVE
			: w->end > LARGEST_RESERVE ? LARGEST_RESERVE
						   : w->end;

	if (w->end + w->out_len <= w->reserved)
		return;
	if (fallocate(w->fd, FALLOC_FL_KEEP_SIZE, (off_t)w->end, (off_t)step) == 0)
		w->reserved = w->end + step;
	else
		w->reserved = w->end + LARGEST_RESERVE; /* full or not supported: ask again later */
}

static int write_out(struct segment_writer *w, struct fault *f)
{
	reserve(w);
	if (file_write_at(w->fd, slice_of(w->out, w->out_len), w->end) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write segment %06" PRIu64, w->number);
	w->end += w->out_len;
	w->out_len = 0;
	return 0;
}

/* Compresses len bytes; with ZSTD_e_end ends the frame. */
static int compress(struct segment_writer *w, const void *data, size_t len,
	ZSTD_EndDirective directive, struct fault *f)
{
	ZSTD_inBuffer in = {data, len, 0};

	for (;;) {
		ZSTD_outBuffer out = {w->out, OUT_SIZE, w->out_len};
		size_t left = ZSTD_compressStream2(w->zstd, &out, &in, directive);

		if (ZSTD_isError(left))
			return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "zstd: %s",
				ZSTD_getErrorName(left));
		w->out_len = out.pos;
		if (w->out_len == OUT_SIZE && write_out(w, f) < 0)
			return -1;
		if (in.pos == in.size && (directive != ZSTD_e_end || left == 0))
			return 0;
	}
}

static int end_frame(struct segment_writer *w, struct fault *f)
{
	if (w->frame_bytes == 0)
		return 0;
	w->frame_bytes = 0;
	return compress(w, NULL, 0, ZSTD_e_end, f);
}

static int add_to_frame(struct segment_writer *w, const uint8_t *data, size_t len, struct fault *f)
{
	while (len > 0) {
		if (w->frame_bytes == 0)
			w->frame_start = w->end + w->out_len;
		uint64_t room = LIMIT_FRAME_ENTRY - w->frame_bytes;
		size_t n = len < room ? len : (size_t)room;
		if (compress(w, data, n, ZSTD_e_continue, f) < 0)
			return -1;
		w->frame_bytes += n;
		data += n;
		len -= n;
		if (w->frame_bytes == LIMIT_FRAME_ENTRY && end_frame(w, f) < 0)
			return -1;
	}
	return 0;
}

static la_ssize_t on_tar_bytes(struct archive *a, void *context, const void *data, size_t len)
{
	struct segment_writer *w = context;

	(void)a;
	if (!w->quiet && add_to_frame(w, data, len, w->fault) < 0)
		return -1;
	return (la_ssize_t)len;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_tar(struct segment_writer *w, struct fault *f)
{
	w->tar = archive_write_new();
	w->entry = archive_entry_new();
	if (!w->tar || !w->entry)
		return fault_memory(f);
	if (archive_write_set_format_ustar(w->tar) != ARCHIVE_OK ||
		archive_write_add_filter_none(w->tar) != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(w->tar, 0) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(w->tar, 1) != ARCHIVE_OK ||
		archive_write_open(w->tar, w, NULL, on_tar_bytes, NULL) != ARCHIVE_OK)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s",
			archive_error_string(w->tar));
	return 0;
}

static int open_zstd(struct segment_writer *w, struct fault *f)
{
	w->zstd = ZSTD_createCCtx();
	if (!w->zstd)
		return fault_memory(f);
	if (ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, LEVEL)) ||
		ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1)))
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "zstd refuses its parameters");
	return 0;
}

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
	w->end = end;
	w->chunk = malloc(READ_SIZE);
	if (!w->chunk)
		return fault_memory(f);
	if (open_zstd(w, f) < 0 || open_tar(w, f) < 0 || open_file(w, f) < 0)
		return -1;
	*ret = TAKE(w);
	return 0;
}

struct segment_writer *segment_writer_close(struct segment_writer *w)
{
	if (!w)
		return NULL;
	w->quiet = true;
	archive_write_free(w->tar);
	archive_entry_free(w->entry);
	ZSTD_freeCCtx(w->zstd);
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

/* ---- Appending ------------------------------------------------------------------------------- */

static void describe(struct archive_entry *e, struct spool *message, moment_ms archived)
{
	char hex[DIGEST_HEX + 1], name[DIGEST_HEX + 16];

	digest_hex(spool_digest(message), hex);
	(void)snprintf(name, sizeof name, "mail/%s.eml", hex);
	archive_entry_clear(e);
	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0400);
	archive_entry_set_size(e, (la_int64_t)spool_size(message));
	archive_entry_set_mtime(e, archived > 0 ? archived / 1000 : 0, 0);
}

static int put_tar(struct segment_writer *w, const void *data, size_t len, struct fault *f)
{
	la_ssize_t n = archive_write_data(w->tar, data, len);

	if (n == (la_ssize_t)len)
		return 0;
	if (f->code == FAULT_NONE)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s",
			archive_error_string(w->tar));
	return -1;
}

static int put_message(struct segment_writer *w, struct spool *message, struct fault *f)
{
	struct slice memory = spool_memory(message);
	uint64_t offset = 0;
	size_t n = 0;

	if (memory.data)
		return memory.len ? put_tar(w, memory.data, memory.len, f) : 0;
	do {
		if (spool_read(message, offset, w->chunk, READ_SIZE, &n, f) < 0 ||
			(n > 0 && put_tar(w, w->chunk, n, f) < 0))
			return -1;
		offset += n;
	} while (n > 0);
	return 0;
}

int segment_append(struct segment_writer *w, struct spool *message, moment_ms archived,
	struct location *ret, struct fault *f)
{
	f->code = FAULT_NONE; /* the callback's fault is told from libarchive's own by it */
	w->fault = f;
	uint64_t entry = TAR_BLOCK + (spool_size(message) + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	bool ends = w->frame_bytes >= LIMIT_FRAME || w->frame_bytes + entry > LIMIT_FRAME_ENTRY;
	if (ends && end_frame(w, f) < 0)
		return -1;
	struct location at = {
		.segment = w->number,
		.frame_offset = w->frame_bytes ? w->frame_start : w->end + w->out_len,
		.entry_offset = w->frame_bytes,
	};
	describe(w->entry, message, archived);
	if (archive_write_header(w->tar, w->entry) != ARCHIVE_OK && f->code == FAULT_NONE)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s",
			archive_error_string(w->tar));
	if (f->code != FAULT_NONE || put_message(w, message, f) < 0)
		return -1;
	if (archive_write_finish_entry(w->tar) != ARCHIVE_OK && f->code == FAULT_NONE)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s",
			archive_error_string(w->tar));
	if (f->code != FAULT_NONE)
		return -1;
	*ret = at;
	return 0;
}

int segment_flush(struct segment_writer *w, struct fault *f)
{
	if (end_frame(w, f) < 0)
		return -1;
	return write_out(w, f);
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
