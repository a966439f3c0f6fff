/* Archives by libarchive, as streams: an entry is looked at once, when it comes by. What needs to
 * be known before that is fetched in passes of their own, where the archive can be read again: the
 * names of keywords, the first time a message has one; the bytes behind hard links, at the end.
 *
 * Entries' names are names only: nothing is ever written by them. */
#include "cli/import_source.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/import_place.h"
#include "cli/zip_check.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>

enum { BLOCK = 256 * 1024, KEYWORD_FOLDERS = 4096, RETRIES = 16 };

struct keyword_folder {
	char *path; /* of the Maildir, as the archive has it */
	struct maildir_keywords keywords;
};

struct link {
	char *target, *path; /* as the archive has them */
	bool done;
};

struct packed {
	struct import_input *input;
	uint8_t block[BLOCK];
	int error; /* errno of a read */
	struct fault stopped;
	bool is_stopped;

	struct archive *archive;
	struct archive_entry *entry;
	const char *name, *folder;
	const struct import_options *options;
	const struct import_taker *taker;
	uint64_t start; /* where it begins in the file; UINT64_MAX: it is a pipe */
	uint8_t *whole; /* LIMIT_IMPORT_WHOLE bytes; also the first of a stream */

	bool keywords_read;
	struct keyword_folder *keywords;
	size_t keywords_n, keywords_bytes; /* bytes: of their paths */
	struct link *links;
	size_t links_n, links_size, links_bytes;
	uint64_t entries;
};

/* ---- libarchive ------------------------------------------------------------------------------ */

static la_ssize_t on_read(struct archive *a, void *context, const void **ret)
{
	struct packed *p = context;
	size_t n = 0;
	int r = import_input_read(p->input, p->block, BLOCK, &n, &p->stopped);

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
	if (at < 0 || fstat(p->input->fd, &st) < 0 || n <= BLOCK || n > st.st_size - at)
		return 0; /* read, then */
	if (lseek(p->input->fd, n, SEEK_CUR) < 0)
		return 0;
	p->input->done += (uint64_t)n;
	return n;
}

static struct archive *close_archive(struct archive *a)
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

/* From the beginning. 0, or IMPORT_BROKEN with its text in *f. */
static int open_archive(struct packed *p, struct fault *f)
{
	p->archive = close_archive(p->archive);
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

static int reopen(struct packed *p, struct fault *f)
{
	if (lseek(p->input->fd, (off_t)p->start, SEEK_SET) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot read it again");
	p->input->peek = slice_of(NULL, 0);
	p->input->done = 0;
	p->entries = 0;
	return open_archive(p, f);
}

/* What libarchive says, safe to print. */
static const char *trouble(struct packed *p, char *text, size_t size)
{
	const char *said = archive_error_string(p->archive);

	return escape_text(slice_text(said ? said : "damaged"), text, size);
}

static bool is_raw(const struct packed *p)
{
	return archive_format(p->archive) == ARCHIVE_FORMAT_RAW;
}

enum { ENTRY = 1 };

/* ENTRY, 0 at the end, or ENTRY_BROKEN: what comes behind it cannot be read. */
enum { ENTRY_BROKEN = 2 };
static int next_entry(struct packed *p, struct fault *f)
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
			return ++p->entries > LIMIT_IMPORT_ENTRIES ? ENTRY_BROKEN : ENTRY;
		if (r != ARCHIVE_RETRY)
			break;
	}
	return ENTRY_BROKEN;
}

/* For struct import_stream. */
static int read_entry(void *context, void *to, size_t size, size_t *ret_n, struct fault *f)
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
		fault_record(
			f, FAULT_SYSTEM, SCOPE_SESSION, 0, "%s", trouble(p, text, sizeof text));
		return IMPORT_BROKEN;
	}
	*ret_n = (size_t)n;
	/* Compressed zeros cost no reading: somebody may want to stop all the same. */
	return p->taker->position(p->taker->context, p->input->base + p->input->done, f) < 0 ? -1
											     : 0;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* Borrowed until the next entry. */
static const char *entry_name(const struct packed *p)
{
	const char *name = archive_entry_pathname_utf8(p->entry);

	if (!name)
		name = archive_entry_pathname(p->entry);
	return name ? name : "?";
}

static const char *entry_target(const struct packed *p)
{
	const char *name = archive_entry_hardlink_utf8(p->entry);

	return name ? name : archive_entry_hardlink(p->entry);
}

struct entry_path {
	struct slice above;  /* the folder that it lies in, or its Maildir */
	const char *file;    /* its own name */
	bool in_maildir;     /* in cur or new of one */
	bool in_maildir_tmp; /* looks so */
};

static bool is_named(struct slice name, const char *text)
{
	return slice_compare(name, slice_text(text)) == 0;
}

static void split_path(const char *path, struct entry_path *ret)
{
	const char *slash = strrchr(path, '/'), *before;

	*ret = (struct entry_path){.above = slice_of(path, 0), .file = slash ? slash + 1 : path};
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

static int add_maildir_path(
	const struct packed *p, struct buffer *folder, struct slice path, struct fault *f)
{
	while (path.len > 0) {
		const uint8_t *slash = memchr(path.data, '/', path.len);
		size_t n = slash ? (size_t)(slash - path.data) : path.len;
		struct slice level = slice_of(path.data, n);

		if (!place_is_maildir(level) && place_add_maildir(folder, level, f) < 0)
			return -1;
		n += slash != NULL;
		path = slice_of(path.data + n, path.len - n);
	}
	return p->options->folder_is_named ? 0 : place_finish_maildir(folder, f);
}

/* "mail.zip: inbox/1.eml" */
static const char *tell_where(
	const struct packed *p, const char *path, struct buffer *to, struct fault *f)
{
	size_t n = strlen(path);

	buffer_clear(to);
	if (buffer_append_format(to, f, "%s: ", p->name) < 0 ||
		buffer_append(to, path, n < LIMIT_IMPORT_NAME ? n : LIMIT_IMPORT_NAME, f) < 0)
		return NULL;
	const char *text = buffer_text(to);
	if (!text)
		(void)fault_memory(f);
	return text;
}

/* ---- Keywords -------------------------------------------------------------------------------- */

static int add_keywords(struct packed *p, const char *path, struct fault *f)
{
	struct entry_path at;
	size_t n = 0, have = 0;

	split_path(path, &at);
	if (strcmp(at.file, "dovecot-keywords") != 0 || p->keywords_n == KEYWORD_FOLDERS ||
		p->keywords_bytes + at.above.len > LIMIT_IMPORT_KEYWORD_PATHS)
		return 0;
	/* Not p->whole: it may hold the beginning of the message that wants them. */
	uint8_t *text CLEANUP(freep) = malloc(LIMIT_IMPORT_KEYWORDS);
	int r;
	if (!text)
		return fault_memory(f);
	while ((r = read_entry(p, text + have, LIMIT_IMPORT_KEYWORDS - have, &n, f)) == 0 && n > 0)
		have += n;
	if (r < 0)
		return -1;
	struct keyword_folder *grown = reallocarray(p->keywords, p->keywords_n + 1, sizeof *grown);
	if (!grown)
		return fault_memory(f);
	p->keywords = grown;
	struct keyword_folder *to = &p->keywords[p->keywords_n];
	to->path = strndup((const char *)at.above.data, at.above.len);
	if (!to->path)
		return fault_memory(f);
	maildir_keywords_read(&to->keywords, slice_of(text, have));
	p->keywords_n++;
	p->keywords_bytes += at.above.len;
	return 0;
}

/* All of the archive's, by a look of its own. The archive that is being read is put aside. */
static int read_keywords(struct packed *p, struct fault *f)
{
	struct archive *first = p->archive;
	struct archive_entry *entry = p->entry;
	uint64_t done = p->input->done, entries = p->entries;
	off_t at = lseek(p->input->fd, 0, SEEK_CUR);

	/* The block that libarchive works on is ours, and is still needed. */
	uint8_t *block CLEANUP(freep) = malloc(BLOCK);
	if (!block)
		return fault_memory(f);
	memcpy(block, p->block, BLOCK);
	p->keywords_read = true;
	p->archive = NULL;
	int r = reopen(p, f);
	while (r == 0 && (r = next_entry(p, f)) == ENTRY)
		r = add_keywords(p, entry_name(p), f);
	close_archive(p->archive);
	p->archive = first;
	p->entry = entry;
	p->input->done = done;
	p->entries = entries;
	memcpy(p->block, block, BLOCK);
	if (r >= 0 && lseek(p->input->fd, at, SEEK_SET) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot read on");
	return r < 0 ? -1 : 0;
}

static const struct maildir_keywords *find_keywords(const struct packed *p, struct slice maildir)
{
	for (size_t i = 0; i < p->keywords_n; i++) {
		if (slice_compare(slice_text(p->keywords[i].path), maildir) == 0)
			return &p->keywords[i].keywords;
	}
	return NULL;
}

static bool has_keyword(struct slice letters)
{
	for (size_t i = 0; i < letters.len; i++) {
		if (letters.data[i] >= 'a' && letters.data[i] <= 'z')
			return true;
	}
	return false;
}

static int entry_flags(
	struct packed *p, const struct entry_path *at, struct buffer *flags, struct fault *f)
{
	struct maildir_name name;

	maildir_name_split(slice_text(at->file), &name);
	if (has_keyword(name.letters) && !p->keywords_read && p->start != UINT64_MAX &&
		read_keywords(p, f) < 0)
		return -1;
	return maildir_flags(name.letters, find_keywords(p, at->above), flags, f) < 0 ? -1 : 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static moment_ms entry_time(const struct packed *p)
{
	enum { MS = 1000, NS_IN_MS = 1000000 };

	if (!archive_entry_mtime_is_set(p->entry))
		return 0;
	return (moment_ms)archive_entry_mtime(p->entry) * MS +
	       archive_entry_mtime_nsec(p->entry) / NS_IN_MS;
}

struct entry_found {
	struct buffer where, folder, flags;
	struct found found;
};

static void entry_found_init(struct entry_found *e)
{
	*e = (struct entry_found){.where = buffer_make(3 * LIMIT_IMPORT_NAME),
		.folder = buffer_make(LIMIT_FOLDER + 1),
		.flags = buffer_make(LIMIT_FLAGS + 1)};
}

static void entry_found_deinit(struct entry_found *e)
{
	buffer_deinit(&e->where);
	buffer_deinit(&e->folder);
	buffer_deinit(&e->flags);
}

/* What is known of the message that the archive has under this path. */
static int describe(struct packed *p, const char *path, struct entry_found *e, struct fault *f)
{
	struct entry_path at;

	split_path(path, &at);
	buffer_clear(&e->folder);
	buffer_clear(&e->flags);
	e->found = (struct found){.where = tell_where(p, path, &e->where, f)};
	if (!e->found.where || place_add_path(&e->folder, slice_text(p->folder), f) < 0)
		return -1;
	if (at.in_maildir) {
		if (add_maildir_path(p, &e->folder, at.above, f) < 0 ||
			entry_flags(p, &at, &e->flags, f) < 0)
			return -1;
		e->found.received = maildir_received(slice_text(at.file), entry_time(p));
	} else if (place_add_path(&e->folder, at.above, f) < 0) {
		return -1;
	}
	e->found.folder = buffer_text(&e->folder);
	e->found.flags = buffer_text(&e->flags);
	return e->found.folder && e->found.flags ? 0 : fault_memory(f);
}

static int refuse(struct packed *p, const char *path, const char *why, struct fault *f)
{
	struct entry_found e CLEANUP(entry_found_deinit);

	entry_found_init(&e);
	if (describe(p, path, &e, f) < 0)
		return -1;
	return p->taker->refuse(p->taker->context, &e.found, why, f);
}

static int lose(struct packed *p, const char *path, const char *why, struct fault *f)
{
	struct buffer where CLEANUP(buffer_deinit) = buffer_make(3 * LIMIT_IMPORT_NAME);
	const char *text = tell_where(p, path, &where, f);

	return text ? p->taker->lost(p->taker->context, text, why, f) : -1;
}

static int pass(struct packed *p, const char *path, struct fault *f)
{
	struct buffer where CLEANUP(buffer_deinit) = buffer_make(3 * LIMIT_IMPORT_NAME);
	const char *text = tell_where(p, path, &where, f);

	return text ? p->taker->pass(p->taker->context, text, f) : -1;
}

/* The first bytes of an entry that were read to see what it is, and the rest of it. */
struct entry_stream {
	struct packed *packed;
	struct slice peek;
};

static int read_stream(void *context, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	struct entry_stream *s = context;

	if (s->peek.len == 0)
		return read_entry(s->packed, to, size, ret_n, f);
	*ret_n = s->peek.len < size ? s->peek.len : size;
	memcpy(to, s->peek.data, *ret_n);
	s->peek = slice_of(s->peek.data + *ret_n, s->peek.len - *ret_n);
	return 0;
}

static int take_message(struct packed *p, const char *path, struct slice peek, struct fault *f)
{
	struct entry_found e CLEANUP(entry_found_deinit);
	struct entry_stream s = {p, peek};
	const struct import_stream stream = {.context = &s, .read = read_stream};

	entry_found_init(&e);
	if (describe(p, path, &e, f) < 0)
		return -1;
	if (!is_raw(p) && archive_entry_size_is_set(p->entry))
		e.found.size = (uint64_t)archive_entry_size(p->entry);
	return import_message_read(&stream, &e.found, p->taker, f);
}

static int take_mbox(struct packed *p, const char *path, struct slice peek, struct fault *f)
{
	struct entry_found e CLEANUP(entry_found_deinit);
	struct entry_stream s = {p, peek};
	struct entry_path at;

	entry_found_init(&e);
	split_path(path, &at);
	if (describe(p, path, &e, f) < 0)
		return -1;
	if (!import_is_eml(at.file) && place_add_file(&e.folder, slice_text(at.file), f) < 0)
		return -1;
	const struct import_stream stream = {.context = &s,
		.name = e.found.where,
		.folder = buffer_text(&e.folder),
		.read = read_stream};
	if (!stream.folder)
		return fault_memory(f);
	return mbox_read_stream(&stream, p->options->dialect, p->taker, f);
}

/* ---- Hard links ------------------------------------------------------------------------------ */

static bool is_wanted_link(const char *path)
{
	struct entry_path at;

	split_path(path, &at);
	return at.file[0] != '.' && (at.in_maildir || import_is_eml(at.file));
}

static int remember_link(struct packed *p, const char *path, const char *target, struct fault *f)
{
	size_t bytes = strlen(path) + strlen(target) + 2 + sizeof(struct link);

	if (!is_wanted_link(path))
		return pass(p, path, f);
	if (p->start == UINT64_MAX)
		return refuse(p, path, "a hard link, which cannot be followed in a pipe", f);
	if (p->links_bytes + bytes > LIMIT_IMPORT_LINKS)
		return refuse(p, path, "too many hard links", f);
	if (p->links_n == p->links_size) {
		size_t size = p->links_size ? p->links_size * 2 : 64;
		struct link *grown = reallocarray(p->links, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		p->links = grown;
		p->links_size = size;
	}
	struct link *l = &p->links[p->links_n];
	*l = (struct link){.target = strdup(target), .path = strdup(path)};
	p->links_n++;
	p->links_bytes += bytes;
	return l->target && l->path ? 0 : fault_memory(f);
}

static int by_target(const void *a, const void *b)
{
	return strcmp(((const struct link *)a)->target, ((const struct link *)b)->target);
}

static size_t first_link(const struct packed *p, const char *target)
{
	size_t from = 0, to = p->links_n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(p->links[middle].target, target) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* All links to the entry that is being read. One that is larger than the buffer is given to the
 * first of them only: a stream comes by once. */
static int take_linked(struct packed *p, struct fault *f)
{
	const char *target = entry_name(p);
	size_t i = first_link(p, target), have = 0, n = 0;

	if (i == p->links_n || strcmp(p->links[i].target, target) != 0)
		return 0;
	int r = 0;
	while (have < LIMIT_IMPORT_WHOLE &&
		(r = read_entry(p, p->whole + have, LIMIT_IMPORT_WHOLE - have, &n, f)) == 0 &&
		n > 0)
		have += n;
	if (r < 0)
		return -1;
	for (bool first = true; i < p->links_n && strcmp(p->links[i].target, target) == 0;
		i++, first = false) {
		p->links[i].done = true;
		if (r > 0)
			r = refuse(p, p->links[i].path, f->text, f) < 0 ? -1 : r;
		else if (have == LIMIT_IMPORT_WHOLE && !first)
			r = refuse(p, p->links[i].path, "one of several hard links to a large file",
				f);
		else
			r = take_message(p, p->links[i].path, slice_of(p->whole, have), f);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int take_links(struct packed *p, struct fault *f)
{
	if (p->links_n == 0)
		return 0;
	qsort(p->links, p->links_n, sizeof *p->links, by_target);
	int r = reopen(p, f);
	while (r == 0 && (r = next_entry(p, f)) == ENTRY) {
		r = archive_entry_filetype(p->entry) == AE_IFREG && !entry_target(p)
			    ? take_linked(p, f)
			    : 0;
	}
	if (r < 0)
		return -1;
	for (size_t i = 0; i < p->links_n; i++) {
		if (!p->links[i].done &&
			refuse(p, p->links[i].path,
				"a hard link to something that is not in the archive", f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Entries --------------------------------------------------------------------------------- */

static int take_by_content(struct packed *p, const char *path, struct fault *f)
{
	struct entry_path at;
	size_t n = 0, have = 0;
	int r = 0;

	split_path(path, &at);
	bool message = at.in_maildir || import_is_eml(at.file) || p->options->format == IMPORT_EML;
	if (message && p->options->format != IMPORT_MBOX)
		return take_message(p, path, slice_of(NULL, 0), f);
	while (have < LIMIT_IMPORT_PEEK &&
		(r = read_entry(p, p->whole + have, LIMIT_IMPORT_PEEK - have, &n, f)) == 0 && n > 0)
		have += n;
	if (r < 0)
		return -1;
	if (r > 0)
		return lose(p, path, f->text, f);
	struct slice peek = slice_of(p->whole, have);
	enum import_what what = import_what(peek);
	if (what == WHAT_MBOX || p->options->format == IMPORT_MBOX)
		return take_mbox(p, path, peek, f);
	if (what == WHAT_MESSAGE)
		return take_message(p, path, peek, f);
	if (what == WHAT_PACKED)
		return lose(p, path,
			"an archive within an archive; unpack it and import it by itself", f);
	return pass(p, path, f);
}

static int take_entry(struct packed *p, struct fault *f)
{
	char *path CLEANUP(freep) = strdup(entry_name(p));
	const char *target = entry_target(p);
	struct entry_path at;

	if (!path)
		return fault_memory(f);
	split_path(path, &at);
	bool mail = at.in_maildir || import_is_eml(at.file);
	if (archive_entry_filetype(p->entry) == AE_IFDIR || at.file[0] == '\0')
		return 0;
	if (at.file[0] == '.' || at.in_maildir_tmp)
		return pass(p, path, f);
	if (target)
		return remember_link(p, path, target, f);
	if (archive_entry_filetype(p->entry) != AE_IFREG)
		return mail ? refuse(p, path, "a symbolic link or a device, no file", f)
			    : pass(p, path, f);
	if (archive_entry_is_data_encrypted(p->entry))
		return mail ? refuse(p, path, "encrypted", f) : lose(p, path, "encrypted", f);
	if (archive_entry_sparse_count(p->entry) > 0)
		return mail ? refuse(p, path, "a file with holes", f)
			    : lose(p, path, "a file with holes", f);
	return take_by_content(p, path, f);
}

/* What is compressed and no archive: one stream, named as the file is. */
static int take_raw(struct packed *p, struct fault *f)
{
	const char *slash = strrchr(p->name, '/');

	return take_by_content(p, slash ? slash + 1 : p->name, f);
}

static void free_parts(struct packed *p)
{
	close_archive(p->archive);
	for (size_t i = 0; i < p->keywords_n; i++)
		free(p->keywords[i].path);
	for (size_t i = 0; i < p->links_n; i++) {
		free(p->links[i].target);
		free(p->links[i].path);
	}
	free(p->keywords);
	free(p->links);
	free(p->whole);
}

static void packed_freep(struct packed **p)
{
	if (*p)
		free_parts(*p);
	free(*p);
	*p = NULL;
}

static int packed_new(struct import_input *input, const char *name, const char *folder,
	const struct import_options *options, const struct import_taker *taker, struct packed **ret,
	struct fault *f)
{
	struct packed *p CLEANUP(packed_freep) = calloc(1, sizeof *p);
	struct stat st;

	if (!p)
		return fault_memory(f);
	p->input = input;
	p->name = name;
	p->folder = folder;
	p->options = options;
	p->taker = taker;
	p->start = UINT64_MAX;
	p->whole = malloc(LIMIT_IMPORT_WHOLE);
	if (!p->whole)
		return fault_memory(f);
	if (fstat(input->fd, &st) == 0 && S_ISREG(st.st_mode) && input->peek.len == 0) {
		off_t at = lseek(input->fd, 0, SEEK_CUR);

		if (at >= 0)
			p->start = (uint64_t)at;
	}
	*ret = TAKE(p);
	return 0;
}

int import_archive_read(struct import_input *input, const char *name, const char *folder,
	const struct import_options *options, const struct import_taker *taker, char **ret_format,
	struct fault *f)
{
	struct packed *p CLEANUP(packed_freep) = NULL;
	char text[256];

	if (packed_new(input, name, folder, options, taker, &p, f) < 0)
		return -1;
	int r = open_archive(p, f);
	if (r < 0)
		return -1;
	if (r == IMPORT_BROKEN)
		return taker->lost(taker->context, name, trouble(p, text, sizeof text), f);
	while ((r = next_entry(p, f)) == ENTRY) {
		if (!*ret_format) {
			*ret_format =
				strdup(is_raw(p) ? "compressed" : archive_format_name(p->archive));
			if (!*ret_format)
				return fault_memory(f);
		}
		if ((is_raw(p) ? take_raw(p, f) : take_entry(p, f)) < 0)
			return -1;
	}
	if (r < 0)
		return -1;
	if (r == ENTRY_BROKEN &&
		taker->lost(taker->context, name,
			p->entries > LIMIT_IMPORT_ENTRIES ? "too many entries"
							  : trouble(p, text, sizeof text),
			f) < 0)
		return -1;
	return take_links(p, f);
}

int import_compressed_message(struct import_input *input, const struct found *m,
	const struct import_taker *taker, struct fault *f)
{
	static const struct import_options none = {0};
	struct packed *p CLEANUP(packed_freep) = NULL;
	char text[256];

	if (packed_new(input, m->where, "", &none, taker, &p, f) < 0)
		return -1;
	int r = open_archive(p, f);
	if (r == 0)
		r = next_entry(p, f);
	if (r < 0)
		return -1;
	if (r != ENTRY)
		return taker->refuse(taker->context, m, trouble(p, text, sizeof text), f);
	if (!is_raw(p))
		return taker->refuse(taker->context, m, "an archive, and no message", f);
	const struct import_stream stream = {.context = p, .read = read_entry};
	return import_message_read(&stream, m, taker, f);
}
