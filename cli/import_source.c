#include "cli/import_source.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/import_own.h"
#include "cli/import_place.h"
#include "cli/mbox_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int import_format_parse(const char *name, enum import_format *ret)
{
	static const struct {
		const char *name;
		enum import_format format;
	} known[] = {
		{"eml", IMPORT_EML},
		{"mbox", IMPORT_MBOX},
		{"maildir", IMPORT_MAILDIR},
		{"archive", IMPORT_ARCHIVE},
		{"tar", IMPORT_ARCHIVE},
		{"zip", IMPORT_ARCHIVE},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcmp(known[i].name, name) == 0) {
			*ret = known[i].format;
			return 0;
		}
	}
	return 1;
}

/* ---- Streams --------------------------------------------------------------------------------- */

int import_message_read(const struct import_stream *stream, const struct found *m,
	const struct import_taker *taker, struct fault *f)
{
	enum { PIECE = 64 * 1024 };
	uint8_t *piece CLEANUP(freep) = malloc(PIECE);
	size_t n = 0;
	int r;

	if (!piece)
		return fault_memory(f);
	r = taker->begin(taker->context, m, f);
	if (r != 0)
		return r < 0 ? -1 : 0;
	while ((r = stream->read(stream->context, piece, PIECE, &n, f)) == 0 && n > 0) {
		int skip = taker->bytes(taker->context, slice_of(piece, n), f);

		if (skip < 0)
			return -1;
		if (skip == IMPORT_SKIP)
			break;
	}
	if (r < 0)
		return -1;
	if (r == IMPORT_BROKEN) {
		char why[FAULT_TEXT_MAX];

		(void)snprintf(why, sizeof why, "%s", f->text);
		return taker->refuse(taker->context, NULL, why, f);
	}
	return taker->end(taker->context, f);
}

/* ---- One file -------------------------------------------------------------------------------- */

struct source {
	int fd;
	struct stat st;
	const char *path, *name; /* name: its last part */
	const struct import_options *options;
	const struct import_taker *taker;
	struct import_input input;
	uint8_t peek[LIMIT_IMPORT_PEEK];
};

static bool can_wind_back(const struct source *s)
{
	return S_ISREG(s->st.st_mode);
}

/* The first bytes, without taking them where that can be. */
static int peek(struct source *s, struct slice *ret, struct fault *f)
{
	ssize_t n = import_read_full(s->fd, s->peek, sizeof s->peek);

	if (n < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "read");
	*ret = slice_of(s->peek, (size_t)n);
	s->input = (struct import_input){.fd = s->fd, .taker = s->taker};
	if (!can_wind_back(s))
		s->input.peek = *ret;
	else if (lseek(s->fd, 0, SEEK_SET) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "seek");
	return 0;
}

static int read_message(struct source *s, struct fault *f)
{
	const struct found m = {
		.where = s->path, .size = can_wind_back(s) ? (uint64_t)s->st.st_size : 0};
	const struct import_stream stream = {
		.context = &s->input, .name = s->path, .read = import_input_read};

	return import_message_read(&stream, &m, s->taker, f);
}

static int read_mbox(struct source *s, struct fault *f)
{
	struct buffer folder CLEANUP(buffer_deinit) = buffer_make(LIMIT_FOLDER + 1);
	const struct import_taker *taker = s->taker;
	const enum mbox_dialect dialect = s->options->dialect;

	if (!s->options->folder_is_named && can_wind_back(s) && !import_is_eml(s->name) &&
		place_add_file(&folder, slice_text(s->name), f) < 0)
		return -1;
	const char *in = buffer_text(&folder);
	if (!in)
		return fault_memory(f);
	if (can_wind_back(s)) {
		const struct mbox_file file = {.fd = s->fd, .name = s->path, .folder = in};
		int r = dialect == MBOX_ANY ? mbox_own_read(&file, AT_FDCWD, s->path, taker, f)
					    : MBOX_OWN_NOT;

		return r != MBOX_OWN_NOT ? r : mbox_read_file(&file, dialect, taker, f);
	}
	const struct import_stream stream = {
		.context = &s->input, .name = s->path, .folder = in, .read = import_input_read};
	return mbox_read_stream(&stream, dialect, taker, f);
}

static enum import_what what_to_read(const struct source *s, struct slice begin)
{
	switch (s->options->format) {
	case IMPORT_EML: /* of an archive each entry */
		return import_what(begin) == WHAT_PACKED && !import_is_eml(s->name) ? WHAT_PACKED
										    : WHAT_MESSAGE;
	case IMPORT_MBOX:
		return WHAT_MBOX;
	case IMPORT_ARCHIVE:
		return WHAT_PACKED;
	case IMPORT_ANY:
	case IMPORT_MAILDIR:
		break;
	}
	enum import_what what = import_what(begin);
	size_t n = strlen(s->name);
	if (import_is_eml(s->name) && (what == WHAT_MBOX || what == WHAT_OTHER))
		return WHAT_MESSAGE;
	if (what != WHAT_OTHER)
		return what;
	return n > 4 && strcmp(s->name + n - 4, ".tar") == 0 ? WHAT_PACKED : WHAT_OTHER;
}

static int say_format(char **ret, const char *format, struct fault *f)
{
	*ret = strdup(format);
	return *ret ? 0 : fault_memory(f);
}

static int read_archive(struct source *s, char **ret_format, struct fault *f)
{
	int manifest CLEANUP(fd_closep) =
		can_wind_back(s) ? import_own_beside(AT_FDCWD, s->path) : -1;

	if (manifest >= 0 && s->taker->own_begin(s->taker->context, manifest, s->path, f) < 0)
		return -1;
	int r = import_archive_read(&s->input, s->path, "", s->options, s->taker, ret_format, f);
	if (manifest >= 0)
		s->taker->own_end(s->taker->context);
	return r;
}

static int read_what(struct source *s, enum import_what what, char **ret_format, struct fault *f)
{
	switch (what) {
	case WHAT_EMPTY:
		return say_format(ret_format, "empty", f);
	case WHAT_MESSAGE:
		return say_format(ret_format, "eml", f) < 0 ? -1 : read_message(s, f);
	case WHAT_MBOX:
		return say_format(ret_format, "mbox", f) < 0 ? -1 : read_mbox(s, f);
	case WHAT_PACKED:
		return read_archive(s, ret_format, f);
	case WHAT_OTHER:
		break;
	}
	return s->taker->lost(s->taker->context, s->path,
		"neither a message, an mbox, a tar nor a zip; --format forces one", f);
}

static int read_file(struct source *s, char **ret_format, struct fault *f)
{
	struct slice begin;
	struct stat now;
	const char *change = "";

	if (s->options->format == IMPORT_MAILDIR)
		return s->taker->lost(
			s->taker->context, s->path, "no folder, and so no Maildir", f);
	if (peek(s, &begin, f) < 0)
		return s->taker->lost(s->taker->context, s->path, strerror(f->error), f);
	enum import_what what = what_to_read(s, begin);
	if (read_what(s, what, ret_format, f) < 0)
		return -1;
	/* Who reads an mbox looks after that itself: mail may come while it is read. */
	if (can_wind_back(s) && what != WHAT_MBOX && fstat(s->fd, &now) == 0)
		change = import_change(&s->st, &now, (uint64_t)now.st_size);
	return change[0] ? s->taker->lost(s->taker->context, s->path, change, f) : 0;
}

int import_source_read(int fd, const char *path, const struct import_options *options,
	const struct import_taker *taker, char **ret_format, struct fault *f)
{
	struct source *s CLEANUP(freep) = calloc(1, sizeof *s);
	const char *slash = strrchr(path, '/');

	if (!s)
		return fault_memory(f);
	s->fd = fd;
	s->path = path;
	s->name = slash && slash[1] ? slash + 1 : path;
	s->options = options;
	s->taker = taker;
	if (fstat(fd, &s->st) < 0)
		return taker->lost(taker->context, path, strerror(errno), f);
	if (S_ISDIR(s->st.st_mode))
		return import_tree_read(fd, path, options, taker, ret_format, f);
	if (!S_ISREG(s->st.st_mode) && !S_ISFIFO(s->st.st_mode) && !S_ISSOCK(s->st.st_mode))
		return taker->lost(taker->context, path, "neither a file nor a folder", f);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return read_file(s, ret_format, f);
}
