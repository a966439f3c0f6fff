/* tar by libarchive: ustar, and pax headers (POSIX.1-2001) where a name is long or not ASCII. A
 * .tar.zst is the same in zstd frames with content checksum, each of whole entries: one ends with
 * every flush, so that what is behind it can be cut, and the file goes on in a new one.
 *
 * libarchive remembers nothing from one entry to the next, so that a new writer goes on in a file
 * of an earlier one. Its end blocks are written here. */
#include "cli/pack.h"

#include "archive/frame_write.h"
#include "archive/limits.h"
#include "archive/tar_write.h"

#include <archive.h>
#include <archive_entry.h>

enum { ZSTD_LEVEL = 3, PAX_HEADERS = 3 * TAR_BLOCK, FILE_MODE = 0600 };

struct tar {
	struct pack pack;
	struct archive *writer;
	struct archive_entry *entry;
	struct frame_writer *frames; /* NULL: a plain tar */
	bool quiet;		     /* libarchive's end blocks when it is freed are not wanted */
	struct fault *fault;	     /* of the call under way, for the callback */
};

static struct tar *tar_of(struct pack *p)
{
	return (struct tar *)p;
}

static int write_out(struct tar *t, struct slice bytes, struct fault *f)
{
	return t->frames ? frame_writer_add(t->frames, bytes, f)
			 : volume_put(t->pack.out, bytes, f);
}

static la_ssize_t on_bytes(struct archive *a, void *context, const void *data, size_t len)
{
	struct tar *t = (struct tar *)context;

	(void)a;
	if (!t->quiet && write_out(t, slice_of(data, len), t->fault) < 0)
		return -1;
	return (la_ssize_t)len;
}

static int frame_bytes(void *context, struct slice bytes, struct fault *f)
{
	return volume_put(((struct tar *)context)->pack.out, bytes, f);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void end_writers(struct tar *t)
{
	t->quiet = true;
	archive_write_free(t->writer);
	t->writer = NULL;
	t->frames = frame_writer_close(t->frames);
}

static int begin_writers(struct tar *t, struct fault *f)
{
	const struct frame_write_options options = {
		.level = ZSTD_LEVEL, .most_bytes = UINT64_MAX, .offset = volume_end(t->pack.out)};
	const struct frame_sink sink = {.write = frame_bytes, .context = t};

	t->quiet = false;
	t->writer = archive_write_new();
	if (!t->writer)
		return fault_memory(f);
	if (archive_write_set_format_pax_restricted(t->writer) != ARCHIVE_OK ||
		archive_write_add_filter_none(t->writer) != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(t->writer, 0) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(t->writer, 1) != ARCHIVE_OK ||
		archive_write_open(t->writer, t, NULL, on_bytes, NULL) != ARCHIVE_OK)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s",
			archive_error_string(t->writer));
	return t->pack.kind == &pack_tar_zst ? frame_writer_open(&options, &sink, &t->frames, f)
					     : 0;
}

static int open_kind(
	const struct pack_kind *kind, struct volume *out, struct pack **ret, struct fault *f)
{
	struct tar *t = calloc(1, sizeof *t);
	struct pack *owned CLEANUP(pack_closep) = t ? &t->pack : NULL;

	if (!t)
		return fault_memory(f);
	t->pack = (struct pack){kind, out};
	t->entry = archive_entry_new();
	if (!t->entry)
		return fault_memory(f);
	if (begin_writers(t, f) < 0)
		return -1;
	*ret = TAKE(owned);
	return 0;
}

static int tar_open(struct volume *out, int folder, struct pack **ret, struct fault *f)
{
	(void)folder;
	return open_kind(&pack_tar, out, ret, f);
}

static int tar_zst_open(struct volume *out, int folder, struct pack **ret, struct fault *f)
{
	(void)folder;
	return open_kind(&pack_tar_zst, out, ret, f);
}

static void tar_close(struct pack *p)
{
	struct tar *t = tar_of(p);

	end_writers(t);
	archive_entry_free(t->entry);
	free(t);
}

/* ---- Entries --------------------------------------------------------------------------------- */

/* The sink's own fault is told from libarchive's by its code. */
static void begin_call(struct tar *t, struct fault *f)
{
	f->code = FAULT_NONE;
	t->fault = f;
}

static int end_call(struct tar *t, bool good, struct fault *f)
{
	if (f->code != FAULT_NONE)
		return -1;
	if (good)
		return 0;
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s",
		archive_error_string(t->writer));
}

static int tar_begin_entry(struct pack *p, const struct pack_entry *e, struct fault *f)
{
	struct tar *t = tar_of(p);

	archive_entry_clear(t->entry);
	archive_entry_set_pathname_utf8(t->entry, e->name);
	archive_entry_set_filetype(t->entry, AE_IFREG);
	archive_entry_set_perm(t->entry, FILE_MODE);
	archive_entry_set_size(t->entry, (la_int64_t)e->size);
	archive_entry_set_mtime(t->entry, e->time > 0 ? e->time / 1000 : 0, 0);
	begin_call(t, f);
	return end_call(t, archive_write_header(t->writer, t->entry) == ARCHIVE_OK, f);
}

static int tar_put_bytes(struct pack *p, struct slice bytes, struct fault *f)
{
	struct tar *t = tar_of(p);

	if (bytes.len == 0)
		return 0;
	begin_call(t, f);
	la_ssize_t n = archive_write_data(t->writer, bytes.data, bytes.len);
	return end_call(t, n == (la_ssize_t)bytes.len, f);
}

static int tar_end_entry(struct pack *p, struct fault *f)
{
	struct tar *t = tar_of(p);

	begin_call(t, f);
	return end_call(t, archive_write_finish_entry(t->writer) == ARCHIVE_OK, f);
}

static int tar_flush(struct pack *p, struct fault *f)
{
	struct tar *t = tar_of(p);

	if (!t->frames)
		return 0;
	return frame_writer_end_frame(t->frames, f) < 0 ? -1 : frame_writer_flush(t->frames, f);
}

static int tar_reset(struct pack *p, struct fault *f)
{
	end_writers(tar_of(p));
	return begin_writers(tar_of(p), f);
}

static int tar_finish_file(struct pack *p, struct fault *f)
{
	static const uint8_t blocks[TAR_END];

	return write_out(tar_of(p), slice_of(blocks, sizeof blocks), f) < 0 ? -1 : tar_flush(p, f);
}

static uint64_t tar_offset(const struct pack *p)
{
	const struct tar *t = (const struct tar *)p;

	return t->frames ? frame_writer_start(t->frames) : volume_end(p->out);
}

/* What zstd holds back is not in the volume yet: whatever it was, it becomes no larger than a frame
 * with what was put into it. */
static uint64_t tar_most(const struct pack *p, size_t name_len, uint64_t size)
{
	const struct tar *t = (const struct tar *)p;
	uint64_t entry = PAX_HEADERS + name_len + tar_entry_bytes(size) + TAR_END;

	if (!t->frames)
		return volume_end(p->out) + entry;
	uint64_t open = frame_writer_decoded(t->frames) + entry;
	uint64_t end = volume_end(p->out), start = frame_writer_start(t->frames);
	return (start > end ? start : end) + open + open / 64 + 64 * KIB;
}

const struct pack_kind pack_tar = {
	.open = tar_open,
	.begin = tar_begin_entry,
	.put = tar_put_bytes,
	.end = tar_end_entry,
	.flush = tar_flush,
	.reset = tar_reset,
	.finish = tar_finish_file,
	.offset = tar_offset,
	.most = tar_most,
	.close = tar_close,
};

const struct pack_kind pack_tar_zst = {
	.open = tar_zst_open,
	.begin = tar_begin_entry,
	.put = tar_put_bytes,
	.end = tar_end_entry,
	.flush = tar_flush,
	.reset = tar_reset,
	.finish = tar_finish_file,
	.offset = tar_offset,
	.most = tar_most,
	.close = tar_close,
};
