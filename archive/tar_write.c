#include "archive/tar_write.h"

#include <archive.h>
#include <archive_entry.h>

struct tar_writer {
	struct archive *tar;
	struct archive_entry *entry;
	tar_sink *sink;
	void *context;
	bool quiet;	     /* libarchive's end blocks when it is freed are not wanted */
	struct fault *fault; /* of the call under way, for the callback */
};

static la_ssize_t on_bytes(struct archive *a, void *context, const void *data, size_t len)
{
	struct tar_writer *w = context;

	(void)a;
	if (!w->quiet && w->sink(w->context, slice_of(data, len), w->fault) < 0)
		return -1;
	return (la_ssize_t)len;
}

int tar_writer_open(tar_sink *sink, void *context, struct tar_writer **ret, struct fault *f)
{
	struct tar_writer *w CLEANUP(tar_writer_closep) = calloc(1, sizeof *w);

	if (!w)
		return fault_memory(f);
	w->sink = sink;
	w->context = context;
	w->tar = archive_write_new();
	w->entry = archive_entry_new();
	if (!w->tar || !w->entry)
		return fault_memory(f);
	if (archive_write_set_format_ustar(w->tar) != ARCHIVE_OK ||
		archive_write_add_filter_none(w->tar) != ARCHIVE_OK ||
		archive_write_set_bytes_per_block(w->tar, 0) != ARCHIVE_OK ||
		archive_write_set_bytes_in_last_block(w->tar, 1) != ARCHIVE_OK ||
		archive_write_open(w->tar, w, NULL, on_bytes, NULL) != ARCHIVE_OK)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s",
			archive_error_string(w->tar));
	*ret = TAKE(w);
	return 0;
}

struct tar_writer *tar_writer_close(struct tar_writer *w)
{
	if (!w)
		return NULL;
	w->quiet = true;
	archive_write_free(w->tar);
	archive_entry_free(w->entry);
	free(w);
	return NULL;
}

void tar_writer_closep(struct tar_writer **w)
{
	*w = tar_writer_close(*w);
}

/* The sink's own fault is told from libarchive's by its code. */
static void begin_call(struct tar_writer *w, struct fault *f)
{
	f->code = FAULT_NONE;
	w->fault = f;
}

static int end_call(struct tar_writer *w, bool good, struct fault *f)
{
	if (f->code != FAULT_NONE)
		return -1;
	if (good)
		return 0;
	return fault_set(
		f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive: %s", archive_error_string(w->tar));
}

int tar_begin(
	struct tar_writer *w, const char *name, uint64_t size, moment_ms mtime, struct fault *f)
{
	archive_entry_clear(w->entry);
	archive_entry_set_pathname(w->entry, name);
	archive_entry_set_filetype(w->entry, AE_IFREG);
	archive_entry_set_perm(w->entry, 0400);
	archive_entry_set_size(w->entry, (la_int64_t)size);
	archive_entry_set_mtime(w->entry, mtime > 0 ? mtime / 1000 : 0, 0);
	begin_call(w, f);
	return end_call(w, archive_write_header(w->tar, w->entry) == ARCHIVE_OK, f);
}

int tar_put(struct tar_writer *w, struct slice bytes, struct fault *f)
{
	if (bytes.len == 0)
		return 0;
	begin_call(w, f);
	la_ssize_t n = archive_write_data(w->tar, bytes.data, bytes.len);
	return end_call(w, n == (la_ssize_t)bytes.len, f);
}

int tar_finish(struct tar_writer *w, struct fault *f)
{
	begin_call(w, f);
	return end_call(w, archive_write_finish_entry(w->tar) == ARCHIVE_OK, f);
}
