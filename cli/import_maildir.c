/* A Maildir is read while its server delivers and people read their mail. A file that is renamed
 * when its flags change, or that goes from new to cur, is looked for again by the part of its name
 * that stays; one that was read in new is not read again in cur. What came after the folder was
 * listed is left for the next time. */
#include "cli/import_tree.h"

#include "archive/file.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>

struct maildir {
	struct tree *tree;
	const char *folder;
	struct maildir_keywords *keywords;
	struct name_set read;	/* from new, by the part that stays */
	struct names missing;	/* names as they were listed */
	struct name_set wanted; /* the parts of them that stay */
	struct name_set moved;	/* of them, those that were read in cur */
};

static void maildir_deinit(struct maildir *m)
{
	free(m->keywords);
	name_set_deinit(&m->read);
	name_set_deinit(&m->wanted);
	name_set_deinit(&m->moved);
	names_deinit(&m->missing);
}

static int read_keywords(struct maildir *m, int maildir, struct fault *f)
{
	int fd CLEANUP(fd_closep) =
		openat(maildir, "dovecot-keywords", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	m->keywords = calloc(1, sizeof *m->keywords);
	if (!m->keywords)
		return fault_memory(f);
	ssize_t n = fd < 0 ? -1 : import_read_full(fd, m->tree->whole, LIMIT_IMPORT_KEYWORDS);
	if (n > 0)
		maildir_keywords_read(m->keywords, slice_of(m->tree->whole, (size_t)n));
	return 0;
}

static struct slice stays(const char *name)
{
	struct maildir_name parts;

	maildir_name_split(slice_text(name), &parts);
	return parts.unique;
}

static int read_message(struct maildir *m, int folder, const char *name, struct fault *f)
{
	struct buffer flags CLEANUP(buffer_deinit) = buffer_make(LIMIT_FLAGS + 1);
	struct maildir_name parts;

	maildir_name_split(slice_text(name), &parts);
	if (maildir_flags(parts.letters, m->keywords, &flags, f) < 0)
		return -1;
	const struct tree_file file = {.folder = folder,
		.name = name,
		.in = m->folder,
		.flags = buffer_text(&flags),
		.is_in_maildir = true};
	return file.flags ? tree_read_file(m->tree, &file, f) : fault_memory(f);
}

/* ---- The first time -------------------------------------------------------------------------- */

enum half { HALF_NEW, HALF_CUR };

static int read_listed(struct maildir *m, int fd, const char *name, enum half half, struct fault *f)
{
	if (name[0] == '.')
		return 0; /* no message may be called so */
	int r = half == HALF_CUR ? name_set_has(&m->read, stays(name), f) : 0;
	if (r != 0)
		return r < 0 ? -1 : 0;
	r = read_message(m, fd, name, f);
	if (r == TREE_GONE)
		return names_add(&m->missing, name, 0, DT_REG) < 0 ? fault_memory(f) : 0;
	if (r < 0)
		return -1;
	if (half == HALF_NEW)
		return name_set_add(&m->read, stays(name), f);
	/* It was listed in new, and had gone here when it was opened. */
	r = name_set_has(&m->wanted, stays(name), f);
	return r > 0 ? name_set_add(&m->moved, stays(name), f) : r;
}

static int lose(struct maildir *m, int error, struct fault *f)
{
	const char *where = tree_where(m->tree, f);

	return where ? m->tree->taker->lost(m->tree->taker->context, where, strerror(error), f)
		     : -1;
}

static int read_dir(struct maildir *m, int fd, enum half half, struct fault *f)
{
	struct names names CLEANUP(names_deinit) = {0};
	DIR *dir CLEANUP(dir_closep) = folder_read(fd);

	if (!dir)
		return lose(m, errno, f);
	for (;;) {
		if (names_read(&names, dir) < 0)
			return lose(m, errno, f);
		if (names.n == 0)
			return 0;
		for (size_t i = 0; i < names.n; i++) {
			if (read_listed(m, fd, names_at(&names, i), half, f) < 0)
				return -1;
		}
	}
}

static int open_half(int maildir, enum half half)
{
	return openat(maildir, half == HALF_NEW ? "new" : "cur",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int read_half(struct maildir *m, int maildir, enum half half, struct fault *f)
{
	int fd CLEANUP(fd_closep) = open_half(maildir, half);
	int error = errno;
	size_t before;

	if (fd < 0 && error == ENOENT)
		return 0;
	if (tree_enter(m->tree, half == HALF_NEW ? "new" : "cur", &before, f) < 0)
		return -1;
	int r = fd < 0 ? lose(m, error, f) : read_dir(m, fd, half, f);
	tree_leave(m->tree, before);
	return r;
}

/* ---- What was not there any more ------------------------------------------------------------- */

/* Reads what is wanted and is there under another name now. */
static int look_in(struct maildir *m, int fd, struct name_set *found, struct fault *f)
{
	DIR *dir CLEANUP(dir_closep) = folder_read(fd);

	for (const struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		int r = name_set_has(&m->wanted, stays(e->d_name), f);
		if (r > 0)
			r = read_message(m, fd, e->d_name, f);
		else if (r == 0)
			continue;
		if (r < 0 || (r == 0 && name_set_add(found, stays(e->d_name), f) < 0))
			return -1;
	}
	return 0;
}

/* Those of missing that are not in found. */
static int keep_missing(struct maildir *m, struct name_set *found, struct fault *f)
{
	struct names left = {0};
	int r = 0;

	for (size_t i = 0; i < m->missing.n && r >= 0; i++) {
		const char *name = names_at(&m->missing, i);

		r = name_set_has(found, stays(name), f);
		if (r == 0 && names_add(&left, name, 0, DT_REG) < 0)
			r = fault_memory(f);
	}
	names_deinit(&m->missing);
	m->missing = left;
	return r < 0 ? -1 : 0;
}

static int want_missing(struct maildir *m, struct fault *f)
{
	name_set_deinit(&m->wanted);
	for (size_t i = 0; i < m->missing.n; i++) {
		if (name_set_add(&m->wanted, stays(names_at(&m->missing, i)), f) < 0)
			return -1;
	}
	return 0;
}

static int look_again(struct maildir *m, int maildir, struct fault *f)
{
	struct name_set found CLEANUP(name_set_deinit) = {0};

	if (want_missing(m, f) < 0)
		return -1;
	for (enum half half = HALF_NEW; half <= HALF_CUR; half++) {
		int fd CLEANUP(fd_closep) = open_half(maildir, half);
		size_t before;

		if (fd < 0)
			continue;
		if (tree_enter(m->tree, half == HALF_NEW ? "new" : "cur", &before, f) < 0)
			return -1;
		int r = look_in(m, fd, &found, f);
		tree_leave(m->tree, before);
		if (r < 0)
			return -1;
	}
	return keep_missing(m, &found, f);
}

static int refuse_missing(struct maildir *m, struct fault *f)
{
	const struct import_taker *taker = m->tree->taker;
	size_t before;

	for (size_t i = 0; i < m->missing.n; i++) {
		if (tree_enter(m->tree, names_at(&m->missing, i), &before, f) < 0)
			return -1;
		const struct found lost = {.where = tree_where(m->tree, f)};
		int r = lost.where ? taker->refuse(taker->context, &lost,
					     "is gone: deleted, or moved to another folder, while "
					     "the folder was read",
					     f)
				   : -1;
		tree_leave(m->tree, before);
		if (r < 0)
			return -1;
	}
	return 0;
}

int maildir_read(struct tree *t, int maildir, const char *folder, struct fault *f)
{
	enum { ROUNDS = 4 };
	struct maildir m CLEANUP(maildir_deinit) = {.tree = t, .folder = folder};

	if (read_keywords(&m, maildir, f) < 0 || read_half(&m, maildir, HALF_NEW, f) < 0 ||
		want_missing(&m, f) < 0 || read_half(&m, maildir, HALF_CUR, f) < 0 ||
		keep_missing(&m, &m.moved, f) < 0)
		return -1;
	for (int round = 0; round < ROUNDS && m.missing.n > 0; round++) {
		if (look_again(&m, maildir, f) < 0)
			return -1;
	}
	return refuse_missing(&m, f);
}
