/* What libarchive reads, and how it names it. */
#include "cli/import_packed.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/zip_check.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { RETRIES = 16 };

/* ---- Reading --------------------------------------------------------------------------------- */

static la_ssize_t on_read(struct archive *a, void *context, const void **ret)
{
	struct packed *p = context;
	size_t n = 0;
	int r = import_input_read(p->input, p->block, PACKED_BLOCK, &n, &p->stopped);

	if (r < 0)
		p->is_stopped = true;
	if (r != 0) {
		archive_set_error(a, EIO, "%s", p->stopped.text);
		return ARCHIVE_FATAL;
	}
	*ret = p->block;
	return (la_ssize_t)n;
}

static la_int64_t on_seek(struct archive *a, void *context, la_int64_t offset, int whence)
{
	struct packed *p = context;
	off_t base = whence == SEEK_SET ? (off_t)p->start : 0;
	off_t at = lseek(p->input->fd, base + offset, whence);

	if (at < 0) {
		archive_set_error(a, errno, "%s", strerror(errno));
		return ARCHIVE_FATAL;
	}
	p->input->done = (uint64_t)at - p->start;
	return (la_int64_t)p->input->done;
}

static la_int64_t on_skip(struct archive *a, void *context, la_int64_t n)
{
	struct packed *p = context;
	struct stat st;
	off_t at = lseek(p->input->fd, 0, SEEK_CUR);

	(void)a;
	if (at < 0 || fstat(p->input->fd, &st) < 0 || n <= PACKED_BLOCK || n > st.st_size - at)
		return 0; /* read, then */
	if (lseek(p->input->fd, n, SEEK_CUR) < 0)
		return 0;
	p->input->done += (uint64_t)n;
	return n;
}

struct archive *packed_close_archive(struct archive *a)
{
	if (a)
		(void)archive_read_free(a);
	return NULL;
}

/* zip: with its directory, which tells more, where that fits into memory; else as a stream. */
static void allow(struct archive *a, bool large_directory)
{
	(void)archive_read_support_filter_gzip(a);
	(void)archive_read_support_filter_bzip2(a);
	(void)archive_read_support_filter_xz(a);
	(void)archive_read_support_filter_lzma(a);
	(void)archive_read_support_filter_lz4(a);
	(void)archive_read_support_filter_zstd(a);
	(void)archive_read_support_filter_compress(a);
	(void)archive_read_support_format_tar(a);
	(void)archive_read_support_format_zip_streamable(a);
	if (!large_directory)
		(void)archive_read_support_format_zip_seekable(a);
	(void)archive_read_support_format_raw(a);
	(void)archive_read_support_format_empty(a);
}

int packed_open(struct packed *p, struct fault *f)
{
	p->archive = packed_close_archive(p->archive);
	p->archive = archive_read_new();
	if (!p->archive)
		return fault_memory(f);
	allow(p->archive, p->start == UINT64_MAX ||
				  zip_directory_size(p->input->fd) > LIMIT_IMPORT_DIRECTORY);
	if (p->start != UINT64_MAX) {
		(void)archive_read_set_seek_callback(p->archive, on_seek);
		(void)archive_read_set_skip_callback(p->archive, on_skip);
	}
	(void)archive_read_set_read_callback(p->archive, on_read);
	(void)archive_read_set_callback_data(p->archive, p);
	if (archive_read_open1(p->archive) == ARCHIVE_OK)
		return 0;
	if (p->is_stopped) {
		*f = p->stopped;
		return -1;
	}
	return IMPORT_BROKEN;
}

int packed_reopen(struct packed *p, struct fault *f)
{
	if (lseek(p->input->fd, (off_t)p->start, SEEK_SET) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot read it again");
	p->input->peek = slice_of(NULL, 0);
	p->input->done = 0;
	p->entries = 0;
	return packed_open(p, f);
}

const char *packed_trouble(struct packed *p, char *text, size_t size)
{
	const char *said = archive_error_string(p->archive);

	return escape_text(slice_text(said ? said : "damaged"), text, size);
}

bool packed_is_raw(const struct packed *p)
{
	return archive_format(p->archive) == ARCHIVE_FORMAT_RAW;
}

int packed_next(struct packed *p, struct fault *f)
{
	for (int tries = 0; tries < RETRIES; tries++) {
		int r = archive_read_next_header(p->archive, &p->entry);

		if (p->is_stopped) {
			*f = p->stopped;
			return -1;
		}
		if (r == ARCHIVE_EOF)
			return 0;
		if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
			return ++p->entries > LIMIT_IMPORT_ENTRIES ? PACKED_BROKEN : PACKED_ENTRY;
		if (r != ARCHIVE_RETRY)
			break;
	}
	return PACKED_BROKEN;
}

int packed_read(void *context, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	struct packed *p = context;
	char text[256];
	la_ssize_t n;

	do {
		n = archive_read_data(p->archive, to, size);
	} while (n == ARCHIVE_RETRY);
	if (p->is_stopped) {
		*f = p->stopped;
		return -1;
	}
	if (n < 0) {
		fault_record(f, FAULT_SYSTEM, SCOPE_SESSION, 0, "%s",
			packed_trouble(p, text, sizeof text));
		return IMPORT_BROKEN;
	}
	*ret_n = (size_t)n;
	/* Compressed zeros cost no reading: somebody may want to stop all the same. */
	return p->taker->position(p->taker->context, p->input->base + p->input->done, f) < 0 ? -1
											     : 0;
}

/* ---- Names ----------------------------------------------------------------------------------- */

const char *packed_name(const struct packed *p)
{
	const char *name = archive_entry_pathname_utf8(p->entry);

	if (!name)
		name = archive_entry_pathname(p->entry);
	return name ? name : "?";
}

const char *packed_target(const struct packed *p)
{
	const char *name = archive_entry_hardlink_utf8(p->entry);

	return name ? name : archive_entry_hardlink(p->entry);
}

static bool is_named(struct slice name, const char *text)
{
	return slice_compare(name, slice_text(text)) == 0;
}

void packed_split_path(const char *path, struct packed_path *ret)
{
	const char *slash = strrchr(path, '/'), *before;

	*ret = (struct packed_path){.above = slice_of(path, 0), .file = slash ? slash + 1 : path};
	if (!slash)
		return;
	for (before = slash; before > path && before[-1] != '/';)
		before--;
	struct slice parent = slice_of(before, (size_t)(slash - before));
	ret->in_maildir = is_named(parent, "cur") || is_named(parent, "new");
	ret->in_maildir_tmp = is_named(parent, "tmp") && strspn(ret->file, "0123456789") >= 6 &&
			      ret->file[strspn(ret->file, "0123456789")] == '.';
	if (!ret->in_maildir)
		ret->above = slice_of(path, (size_t)(slash - path));
	else if (before > path)
		ret->above = slice_of(path, (size_t)(before - 1 - path));
}
