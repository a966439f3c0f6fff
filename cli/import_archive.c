/* Archives by libarchive, as streams: an entry is looked at once, when it comes by. What needs to
 * be known before that is fetched in passes of their own, where the archive can be read again: the
 * names of keywords, the first time a message has one; the bytes behind hard links, at the end.
 *
 * Entries' names are names only: nothing is ever written by them. */
#include "cli/import_packed.h"

#include "archive/limits.h"

#include <errno.h>
#include <stdio.h>

/* ---- Names ----------------------------------------------------------------------------------- */

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
	struct packed_path at;
	size_t n = 0, have = 0;

	packed_split_path(path, &at);
	if (strcmp(at.file, "dovecot-keywords") != 0 ||
		p->keywords_n == LIMIT_IMPORT_KEYWORD_LISTS ||
		p->keywords_bytes + at.above.len > LIMIT_IMPORT_KEYWORD_PATHS)
		return 0;
	/* Not p->whole: it may hold the beginning of the message that wants them. */
	uint8_t *text CLEANUP(freep) = malloc(LIMIT_IMPORT_KEYWORDS);
	int r;
	if (!text)
		return fault_memory(f);
	while ((r = packed_read(p, text + have, LIMIT_IMPORT_KEYWORDS - have, &n, f)) == 0 && n > 0)
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
	uint8_t *block CLEANUP(freep) = malloc(PACKED_BLOCK);
	if (!block)
		return fault_memory(f);
	memcpy(block, p->block, PACKED_BLOCK);
	p->keywords_read = true;
	p->archive = NULL;
	int r = packed_reopen(p, f);
	while (r == 0 && (r = packed_next(p, f)) == PACKED_ENTRY)
		r = add_keywords(p, packed_name(p), f);
	packed_close_archive(p->archive);
	p->archive = first;
	p->entry = entry;
	p->input->done = done;
	p->entries = entries;
	memcpy(p->block, block, PACKED_BLOCK);
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
	struct packed *p, const struct packed_path *at, struct buffer *flags, struct fault *f)
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
	struct packed_path at;

	packed_split_path(path, &at);
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

int packed_refuse(struct packed *p, const char *path, const char *why, struct fault *f)
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

int packed_pass(struct packed *p, const char *path, struct fault *f)
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
		return packed_read(s->packed, to, size, ret_n, f);
	*ret_n = s->peek.len < size ? s->peek.len : size;
	memcpy(to, s->peek.data, *ret_n);
	s->peek = slice_of(s->peek.data + *ret_n, s->peek.len - *ret_n);
	return 0;
}

int packed_take_message(struct packed *p, const char *path, struct slice peek, struct fault *f)
{
	struct entry_found e CLEANUP(entry_found_deinit);
	struct entry_stream s = {p, peek};
	const struct import_stream stream = {.context = &s, .read = read_stream};

	entry_found_init(&e);
	if (describe(p, path, &e, f) < 0)
		return -1;
	if (!packed_is_raw(p) && archive_entry_size_is_set(p->entry))
		e.found.size = (uint64_t)archive_entry_size(p->entry);
	return import_message_read(&stream, &e.found, p->taker, f);
}

static int take_mbox(struct packed *p, const char *path, struct slice peek, struct fault *f)
{
	struct entry_found e CLEANUP(entry_found_deinit);
	struct entry_stream s = {p, peek};
	struct packed_path at;

	entry_found_init(&e);
	packed_split_path(path, &at);
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

/* ---- Entries --------------------------------------------------------------------------------- */

static int take_by_content(struct packed *p, const char *path, struct fault *f)
{
	struct packed_path at;
	size_t n = 0, have = 0;
	int r = 0;

	packed_split_path(path, &at);
	bool message = at.in_maildir || import_is_eml(at.file) || p->options->format == IMPORT_EML;
	if (message && p->options->format != IMPORT_MBOX)
		return packed_take_message(p, path, slice_of(NULL, 0), f);
	while (have < LIMIT_IMPORT_PEEK &&
		(r = packed_read(p, p->whole + have, LIMIT_IMPORT_PEEK - have, &n, f)) == 0 &&
		n > 0)
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
		return packed_take_message(p, path, peek, f);
	if (what == WHAT_PACKED)
		return lose(p, path,
			"an archive within an archive; unpack it and import it by itself", f);
	return packed_pass(p, path, f);
}

static int take_entry(struct packed *p, struct fault *f)
{
	char *path CLEANUP(freep) = strdup(packed_name(p));
	const char *target = packed_target(p);
	struct packed_path at;

	if (!path)
		return fault_memory(f);
	packed_split_path(path, &at);
	bool mail = at.in_maildir || import_is_eml(at.file);
	if (archive_entry_filetype(p->entry) == AE_IFDIR || at.file[0] == '\0')
		return 0;
	if (at.file[0] == '.' || at.in_maildir_tmp)
		return packed_pass(p, path, f);
	if (target)
		return packed_remember_link(p, path, target, f);
	if (archive_entry_filetype(p->entry) != AE_IFREG)
		return mail ? packed_refuse(p, path, "a symbolic link or a device, no file", f)
			    : packed_pass(p, path, f);
	if (archive_entry_is_data_encrypted(p->entry))
		return mail ? packed_refuse(p, path, "encrypted", f)
			    : lose(p, path, "encrypted", f);
	if (archive_entry_sparse_count(p->entry) > 0)
		return mail ? packed_refuse(p, path, "a file with holes", f)
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
	packed_close_archive(p->archive);
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
	int r = packed_open(p, f);
	if (r < 0)
		return -1;
	if (r == IMPORT_BROKEN)
		return taker->lost(taker->context, name, packed_trouble(p, text, sizeof text), f);
	while ((r = packed_next(p, f)) == PACKED_ENTRY) {
		if (!*ret_format) {
			*ret_format = strdup(
				packed_is_raw(p) ? "compressed" : archive_format_name(p->archive));
			if (!*ret_format)
				return fault_memory(f);
		}
		if ((packed_is_raw(p) ? take_raw(p, f) : take_entry(p, f)) < 0)
			return -1;
	}
	if (r < 0)
		return -1;
	if (r == PACKED_BROKEN &&
		taker->lost(taker->context, name,
			p->entries > LIMIT_IMPORT_ENTRIES ? "too many entries"
							  : packed_trouble(p, text, sizeof text),
			f) < 0)
		return -1;
	return packed_take_links(p, f);
}

int import_compressed_message(struct import_input *input, const struct found *m,
	const struct import_taker *taker, struct fault *f)
{
	static const struct import_options none = {0};
	struct packed *p CLEANUP(packed_freep) = NULL;
	char text[256];

	if (packed_new(input, m->where, "", &none, taker, &p, f) < 0)
		return -1;
	int r = packed_open(p, f);
	if (r == 0)
		r = packed_next(p, f);
	if (r < 0)
		return -1;
	if (r != PACKED_ENTRY)
		return taker->refuse(taker->context, m, packed_trouble(p, text, sizeof text), f);
	if (!packed_is_raw(p))
		return taker->refuse(taker->context, m, "an archive, and no message", f);
	const struct import_stream stream = {.context = p, .read = packed_read};
	return import_message_read(&stream, m, taker, f);
}
