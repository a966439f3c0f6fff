/* Folders are read with descriptors, and no symbolic link in them is followed: it would lead out of
 * what was named, or in circles. So a folder is read once, unless somebody mounts it into itself;
 * how deep it goes has a cap.
 *
 * In each folder the files come first, then the folders below. A folder with cur and new in it is a
 * Maildir; what is below that are folders of the same Maildir. In a folder of MH (it has
 * .mh_sequences) a file whose name is a number is a message. */
#include "cli/import_tree.h"

#include "archive/file.h"
#include "archive/limits.h"
#include "cli/import_own.h"
#include "cli/mbox_own.h"

#include <errno.h>
#include <fcntl.h>

/* ---- Paths for people ------------------------------------------------------------------------ */

int tree_enter(struct tree *t, const char *name, size_t *ret_before, struct fault *f)
{
	*ret_before = t->where.len;
	if (t->where.len > 0 && t->where.data[t->where.len - 1] != '/' &&
		buffer_append(&t->where, "/", 1, f) < 0)
		return -1;
	return buffer_append_text(&t->where, name, f);
}

void tree_leave(struct tree *t, size_t before)
{
	t->where.len = before;
}

const char *tree_where(struct tree *t, struct fault *f)
{
	const char *text = buffer_text(&t->where);

	if (!text)
		(void)fault_memory(f);
	return text;
}

static int lose(struct tree *t, const char *why, struct fault *f)
{
	const char *where = tree_where(t, f);

	return where ? t->taker->lost(t->taker->context, where, why, f) : -1;
}

static int refuse(struct tree *t, const char *why, struct fault *f)
{
	const struct found m = {.where = tree_where(t, f)};

	return m.where ? t->taker->refuse(t->taker->context, &m, why, f) : -1;
}

static int pass(struct tree *t, struct fault *f)
{
	const char *where = tree_where(t, f);

	return where ? t->taker->pass(t->taker->context, where, f) : -1;
}

/* ---- One file -------------------------------------------------------------------------------- */

struct reading {
	struct tree *tree;
	const struct tree_file *file;
	int fd;
	struct stat st;
	size_t have; /* of it in tree->whole: all, where it is not larger */
};

/* Whether it has to be a message, to judge by where it lies and how it is called. */
static bool is_message(const struct reading *r)
{
	return r->file->is_in_maildir || r->file->is_in_mh || import_is_eml(r->file->name) ||
	       r->tree->options->format == IMPORT_EML;
}

/* What cannot be read: a message, or nobody knows what. */
static int complain(struct reading *r, const char *why, struct fault *f)
{
	return is_message(r) ? refuse(r->tree, why, f) : lose(r->tree, why, f);
}

static int say_found(struct reading *r, struct found *ret, struct fault *f)
{
	*ret = (struct found){
		.where = tree_where(r->tree, f), .folder = r->file->in, .flags = r->file->flags};
	if (r->file->is_in_maildir)
		ret->received = maildir_received(slice_text(r->file->name), import_mtime(&r->st));
	return ret->where ? 0 : -1;
}

static struct import_input input_of(struct reading *r, bool from_start)
{
	struct import_input i = {.fd = r->fd, .base = r->tree->done, .taker = r->tree->taker};

	if (from_start)
		i.peek = slice_of(r->tree->whole, r->have);
	return i;
}

/* More than fits into memory: it goes as it is read, and what changes meanwhile is refused. */
static int read_large(struct reading *r, struct fault *f)
{
	const struct import_taker *taker = r->tree->taker;
	struct import_input input = input_of(r, true);
	struct found m;
	struct stat now;
	size_t n = 0;
	int got, skip = 0;
	uint8_t *piece CLEANUP(freep) = malloc(LIMIT_IMPORT_CHUNK);

	if (!piece)
		return fault_memory(f);
	if (say_found(r, &m, f) < 0)
		return -1;
	int begun = taker->begin(taker->context, &m, f);
	if (begun != 0)
		return begun < 0 ? -1 : 0;
	while ((got = import_input_read(&input, piece, LIMIT_IMPORT_CHUNK, &n, f)) == 0 && n > 0) {
		skip = taker->bytes(taker->context, slice_of(piece, n), f);
		if (skip != 0)
			break;
	}
	if (got < 0 || skip < 0)
		return -1;
	r->tree->done += input.done;
	if (got == IMPORT_BROKEN)
		return taker->refuse(taker->context, NULL, strerror(f->error), f);
	if (skip == 0 && fstat(r->fd, &now) == 0) {
		const char *change = import_change(&r->st, &now, input.done);

		if (change[0])
			return taker->refuse(taker->context, NULL, change, f);
	}
	return taker->end(taker->context, f);
}

static int give_whole(struct reading *r, struct fault *f)
{
	const struct import_taker *taker = r->tree->taker;
	struct found m;

	r->tree->done += r->have;
	if (say_found(r, &m, f) < 0)
		return -1;
	int skip = taker->begin(taker->context, &m, f);
	if (skip == 0)
		skip = taker->bytes(taker->context, slice_of(r->tree->whole, r->have), f);
	if (skip < 0)
		return -1;
	return skip == IMPORT_SKIP ? 0 : taker->end(taker->context, f);
}

static int read_compressed(struct reading *r, struct fault *f)
{
	struct import_input input = input_of(r, false);
	struct found m;

	if (lseek(r->fd, 0, SEEK_SET) < 0)
		return complain(r, strerror(errno), f);
	if (say_found(r, &m, f) < 0)
		return -1;
	m.size = 0; /* nobody knows how much comes out of it */
	int ret = import_compressed_message(&input, &m, r->tree->taker, f);
	r->tree->done += (uint64_t)r->st.st_size;
	return ret;
}

static int read_mbox(struct reading *r, struct fault *f)
{
	struct buffer folder CLEANUP(buffer_deinit) = buffer_make(LIMIT_FOLDER + 1);
	struct tree *t = r->tree;

	if (lseek(r->fd, 0, SEEK_SET) < 0)
		return complain(r, strerror(errno), f);
	if (buffer_append_text(&folder, r->file->in, f) < 0 ||
		(!import_is_eml(r->file->name) &&
			place_add_file(&folder, slice_text(r->file->name), f) < 0))
		return -1;
	const struct mbox_file file = {.fd = r->fd,
		.name = tree_where(t, f),
		.folder = buffer_text(&folder),
		.base = t->done};
	if (!file.name || !file.folder)
		return fault_memory(f);
	int own = t->options->dialect != MBOX_ANY
			  ? MBOX_OWN_NOT
			  : mbox_own_read(&file, r->file->folder, r->file->name, t->taker, f);
	t->done += (uint64_t)r->st.st_size;
	if (own != MBOX_OWN_NOT)
		return own;
	return mbox_read_file(&file, t->options->dialect, t->taker, f);
}

static int read_by_content(struct reading *r, struct fault *f)
{
	size_t n = r->have < LIMIT_IMPORT_PEEK ? r->have : (size_t)LIMIT_IMPORT_PEEK;
	struct slice peek = slice_of(r->tree->whole, n);
	bool large = (uint64_t)r->st.st_size > r->have;
	enum import_what what = import_what(peek);

	if (is_message(r) && import_is_compressed(peek))
		return read_compressed(r, f);
	if (is_message(r))
		return large ? read_large(r, f) : give_whole(r, f);
	if (what == WHAT_MBOX || r->tree->options->format == IMPORT_MBOX)
		return read_mbox(r, f);
	if (what == WHAT_MESSAGE)
		return large ? read_large(r, f) : give_whole(r, f);
	if (what == WHAT_PACKED)
		return lose(r->tree, "an archive in a folder; import it by itself", f);
	return pass(r->tree, f);
}

/* TREE_CHANGED: it was changed while it was read; nothing was given on. */
enum { TREE_CHANGED = 2 };
static int read_open(struct reading *r, struct fault *f)
{
	struct stat now;

	if (fstat(r->fd, &r->st) < 0)
		return complain(r, strerror(errno), f);
	if (!S_ISREG(r->st.st_mode))
		return is_message(r) ? refuse(r->tree, "no file", f) : pass(r->tree, f);
	ssize_t n = import_read_full(r->fd, r->tree->whole, LIMIT_IMPORT_WHOLE);
	if (n < 0)
		return complain(r, strerror(errno), f);
	r->have = (size_t)n;
	if (r->have < LIMIT_IMPORT_WHOLE &&
		(fstat(r->fd, &now) < 0 || import_change(&r->st, &now, r->have)[0]))
		return TREE_CHANGED;
	return read_by_content(r, f);
}

static int open_file(const struct tree_file *file)
{
	/* A FIFO must not make us wait. */
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(file->folder, file->name, flags | O_NOATIME);

	return fd < 0 && errno == EPERM ? openat(file->folder, file->name, flags) : fd;
}

static int read_file(struct tree *t, const struct tree_file *file, struct fault *f)
{
	enum { TRIES = 4 };
	struct reading r = {.tree = t, .file = file};

	for (int tries = 0; tries < TRIES; tries++) {
		int fd CLEANUP(fd_closep) = open_file(file);

		r.fd = fd;
		if (fd < 0 && errno == ENOENT)
			return TREE_GONE;
		if (fd < 0 && errno == ELOOP)
			return complain(&r, "a symbolic link, which is not followed", f);
		if (fd < 0 && errno == ENXIO) /* a socket */
			return is_message(&r) ? refuse(t, "no file", f) : pass(t, f);
		if (fd < 0)
			return complain(&r, strerror(errno), f);
		int ret = read_open(&r, f);
		if (ret != TREE_CHANGED)
			return ret;
	}
	return complain(&r, "changes while it is read", f);
}

int tree_read_file(struct tree *t, const struct tree_file *file, struct fault *f)
{
	size_t before;

	if (tree_enter(t, file->name, &before, f) < 0)
		return -1;
	int r = read_file(t, file, f);
	tree_leave(t, before);
	return r;
}

/* ---- One folder ------------------------------------------------------------------------------ */

struct level {
	struct tree *tree;
	int fd;
	DIR *dir;
	const struct buffer *folder; /* its mail folder */
	bool is_maildir, in_maildir; /* in: it or one above is */
	bool is_mh;
	unsigned depth;
};

static bool has_folder(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool is_of_mh(int fd)
{
	struct stat st;

	return fstatat(fd, ".mh_sequences", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_number(const char *name)
{
	return name[0] && !name[strspn(name, "0123456789")];
}

static uint8_t type_of(int fd, const char *name, uint8_t said)
{
	struct stat st;

	if (said != DT_UNKNOWN)
		return said;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_REG; /* opening it says what is wrong */
	return S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_LNK;
}

/* What mail servers keep beside the mail. */
static bool is_index(const char *name)
{
	static const char *const begins[] = {
		".", "dovecot", "courier", "maildir", "subscriptions", "quota", NULL};

	for (const char *const *b = begins; *b; b++) {
		if (strncmp(name, *b, strlen(*b)) == 0)
			return true;
	}
	return false;
}

static int pass_name(struct tree *t, const char *name, struct fault *f)
{
	size_t before;

	if (tree_enter(t, name, &before, f) < 0)
		return -1;
	int r = pass(t, f);
	tree_leave(t, before);
	return r;
}

static int read_one(struct level *l, const char *folder, const char *name, struct fault *f)
{
	const struct tree_file file = {.folder = l->fd,
		.name = name,
		.in = folder,
		.flags = "",
		.is_in_mh = l->is_mh && is_number(name)};

	if (name[0] == '.' || (l->is_maildir && is_index(name)))
		return pass_name(l->tree, name, f);
	int r = tree_read_file(l->tree, &file, f);
	if (r != TREE_GONE)
		return r;
	size_t before;
	if (tree_enter(l->tree, name, &before, f) < 0)
		return -1;
	r = lose(l->tree, "is gone: deleted or renamed while the folder was read", f);
	tree_leave(l->tree, before);
	return r;
}

static int read_files(struct level *l, const char *folder, struct fault *f)
{
	struct names names CLEANUP(names_deinit) = {0};

	rewinddir(l->dir);
	for (;;) {
		if (names_read(&names, l->dir) < 0)
			return lose(l->tree, strerror(errno), f);
		if (names.n == 0)
			return 0;
		for (size_t i = 0; i < names.n; i++) {
			const char *name = names_at(&names, i);

			if (type_of(l->fd, name, names.all[i].type) != DT_DIR &&
				read_one(l, folder, name, f) < 0)
				return -1;
		}
	}
}

static int read_level(struct level *l, struct fault *f);

/* The folder that is open as fd, below l. */
static int read_below(struct level *l, int fd, const char *name, struct fault *f)
{
	struct buffer folder CLEANUP(buffer_deinit) = buffer_make(LIMIT_FOLDER + 1);
	struct slice level = slice_text(name);
	struct level below = {.tree = l->tree,
		.fd = fd,
		.folder = &folder,
		.in_maildir = l->in_maildir,
		.depth = l->depth + 1};

	below.is_maildir = has_folder(fd, "cur") || has_folder(fd, "new");
	below.in_maildir |= below.is_maildir;
	if (buffer_append(&folder, l->folder->data, l->folder->len, f) < 0)
		return -1;
	int r = 0;
	if (l->in_maildir || (below.is_maildir && name[0] == '.' && !place_is_maildir(level)))
		r = place_add_maildir(&folder, level, f);
	else if (!below.is_maildir || !place_is_maildir(level))
		r = place_add_path(&folder, level, f);
	return r < 0 ? -1 : read_level(&below, f);
}

static int enter_folder(struct level *l, const char *name, struct fault *f)
{
	size_t before;

	if (l->is_maildir &&
		(strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0))
		return 0;
	if (tree_enter(l->tree, name, &before, f) < 0)
		return -1;
	int fd CLEANUP(fd_closep) =
		openat(l->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = 0;
	if (fd < 0)
		r = lose(l->tree, strerror(errno), f);
	else if (l->depth == LIMIT_IMPORT_DEPTH)
		r = lose(l->tree, "too many folders within each other", f);
	else
		r = read_below(l, fd, name, f);
	tree_leave(l->tree, before);
	return r;
}

static int read_folders(struct level *l, struct fault *f)
{
	rewinddir(l->dir);
	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(l->dir);

		if (!e)
			return errno ? lose(l->tree, strerror(errno), f) : 0;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			type_of(l->fd, e->d_name, e->d_type) != DT_DIR)
			continue;
		char *name CLEANUP(freep) = strdup(e->d_name);
		if (!name)
			return fault_memory(f);
		if (enter_folder(l, name, f) < 0)
			return -1;
	}
}

static int read_content(struct level *l, const char *folder, struct fault *f)
{
	if (l->is_maildir && maildir_read(l->tree, l->fd, folder, f) < 0)
		return -1;
	if (read_files(l, folder, f) < 0)
		return -1;
	return read_folders(l, f);
}

/* With its manifest, where it is an export. */
static int read_own(struct level *l, const char *folder, struct fault *f)
{
	const struct import_taker *taker = l->tree->taker;
	int manifest CLEANUP(fd_closep) = import_own_within(l->fd);
	const char *where = tree_where(l->tree, f);

	if (!where || (manifest >= 0 && taker->own_begin(taker->context, manifest, where, f) < 0))
		return -1;
	int r = read_content(l, folder, f);
	if (manifest >= 0)
		taker->own_end(taker->context);
	return r;
}

static int read_level(struct level *l, struct fault *f)
{
	struct buffer folder CLEANUP(buffer_deinit) = buffer_make(LIMIT_FOLDER + 1);
	DIR *dir CLEANUP(dir_closep) = folder_read(l->fd);

	if (!dir)
		return lose(l->tree, strerror(errno), f);
	l->dir = dir;
	l->is_mh = is_of_mh(l->fd);
	if (buffer_append(&folder, l->folder->data, l->folder->len, f) < 0 ||
		(l->is_maildir && !l->tree->options->folder_is_named &&
			place_finish_maildir(&folder, f) < 0))
		return -1;
	const char *text = buffer_text(&folder);
	if (!text)
		return fault_memory(f);
	l->tree->saw_maildir |= l->is_maildir;
	return read_own(l, text, f);
}

int import_tree_read(int fd, const char *path, const struct import_options *options,
	const struct import_taker *taker, char **ret_format, struct fault *f)
{
	struct buffer folder CLEANUP(buffer_deinit) = buffer_make(LIMIT_FOLDER + 1);
	uint8_t *whole CLEANUP(freep) = malloc(LIMIT_IMPORT_WHOLE);
	struct tree t = {.root = path, .options = options, .taker = taker, .whole = whole};
	struct level top = {.tree = &t, .fd = fd, .folder = &folder, .depth = 1};

	if (!whole)
		return fault_memory(f);
	top.is_maildir = has_folder(fd, "cur") || has_folder(fd, "new");
	top.in_maildir = top.is_maildir;
	if (options->format == IMPORT_MAILDIR && !top.is_maildir)
		return taker->lost(taker->context, path, "no Maildir: it has no folder cur", f);
	t.where = buffer_make(64 * LIMIT_IMPORT_NAME);
	int r = buffer_append_text(&t.where, path, f) < 0 ? -1 : read_level(&top, f);
	buffer_deinit(&t.where);
	*ret_format = r < 0 ? NULL : strdup(t.saw_maildir ? "maildir" : "folder");
	return r < 0 ? -1 : *ret_format ? 0 : fault_memory(f);
}
