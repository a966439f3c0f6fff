/* A Maildir is read while its server delivers and people read their mail. A file that is renamed
 * when its flags change, or that goes from new to cur, can be gone when it is opened, and missing
 * in the list that readdir() gives. So both folders are listed until nothing changed meanwhile, and
 * each time what was not read yet is read, by the part of its name that stays. */
#include "cli/import_tree.h"

#include "archive/file.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

struct maildir {
	struct tree *tree;
	const char *folder;
	struct maildir_keywords *keywords;
	struct name_set read;  /* by the part that stays */
	struct name_set fresh; /* likewise, of the folder that is being listed */
	struct names missing;  /* listed this time, and gone when they were opened */
};

static void maildir_deinit(struct maildir *m)
{
	free(m->keywords);
	name_set_deinit(&m->read);
	name_set_deinit(&m->fresh);
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

/* ---- Listing --------------------------------------------------------------------------------- */

static int read_listed(struct maildir *m, int fd, const char *name, struct fault *f)
{
	if (name[0] == '.')
		return 0; /* no message may be called so */
	int r = name_set_has(&m->read, stays(name), f);
	if (r != 0)
		return r < 0 ? -1 : 0;
	r = read_message(m, fd, name, f);
	if (r == TREE_GONE)
		return names_add(&m->missing, name, 0, DT_REG) < 0 ? fault_memory(f) : 0;
	return r < 0 ? -1 : name_set_add(&m->fresh, stays(name), f);
}

enum half { HALF_NEW, HALF_CUR };

static int lose(struct maildir *m, int error, struct fault *f)
{
	const char *where = tree_where(m->tree, f);

	return where ? m->tree->taker->lost(m->tree->taker->context, where, strerror(error), f)
		     : -1;
}

static int read_dir(struct maildir *m, int fd, struct fault *f)
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
			if (read_listed(m, fd, names_at(&names, i), f) < 0)
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
	int r = fd < 0 ? lose(m, error, f) : read_dir(m, fd, f);
	tree_leave(m->tree, before);
	return r < 0 ? -1 : name_set_take(&m->read, &m->fresh, f);
}

/* ---- Until nothing changes ------------------------------------------------------------------- */

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

/* When cur and new were changed last, in nanoseconds. */
struct changed {
	int64_t half[2];
};

static struct changed last_change(int maildir)
{
	enum { NS = 1000000000 };
	struct changed ret = {0};
	struct stat st;

	for (enum half half = HALF_NEW; half <= HALF_CUR; half++) {
		if (fstatat(maildir, half == HALF_NEW ? "new" : "cur", &st, AT_SYMLINK_NOFOLLOW) ==
			0)
			ret.half[half] = (int64_t)st.st_mtim.tv_sec * NS + st.st_mtim.tv_nsec;
	}
	return ret;
}

/* Waits for as long as a change could still carry the time that was seen. */
static void let_time_pass(void)
{
	const struct timespec tick = {.tv_nsec = 15000000};

	(void)nanosleep(&tick, NULL);
}

static int lose_unstable(struct maildir *m, struct fault *f)
{
	const char *where = tree_where(m->tree, f);

	return where ? m->tree->taker->lost(m->tree->taker->context, where,
			       "files were renamed all the time; import it again", f)
		     : -1;
}

int maildir_read(struct tree *t, int maildir, const char *folder, struct fault *f)
{
	enum { ROUNDS = 40 };
	struct maildir m CLEANUP(maildir_deinit) = {.tree = t, .folder = folder};

	if (read_keywords(&m, maildir, f) < 0)
		return -1;
	for (int round = 0; round < ROUNDS; round++) {
		const struct changed before = last_change(maildir);

		/* An earlier change in the same tick of the clock could hide a later one. */
		const int64_t now = moment_now() * 1000000, latest = before.half[0] > before.half[1]
									     ? before.half[0]
									     : before.half[1];
		if (latest <= now && now - latest < 15000000)
			let_time_pass();
		m.missing.n = m.missing.text_len = 0;
		if (read_half(&m, maildir, HALF_NEW, f) < 0 ||
			read_half(&m, maildir, HALF_CUR, f) < 0)
			return -1;
		const struct changed after = last_change(maildir);
		if (memcmp(&before, &after, sizeof before) == 0)
			return refuse_missing(&m, f);
	}
	return lose_unstable(&m, f);
}
