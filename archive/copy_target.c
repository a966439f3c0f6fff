/* The folder that is copied to. A new copy is known by POPKEEP.new, which is there before anything
 * else; POPKEEP is its last name, and from then on it is an archive. */
#include "archive/copy_private.h"
#include "archive/file.h"
#include "archive/layout.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILE_NEW "POPKEEP.new"

static int fault_target(struct copy *c, enum fault_code code, const char *what, struct fault *f)
{
	return fault_errno(f, code, SCOPE_SESSION, errno, "%s: %s", c->target, what);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* FOUND when `wanted` is the folder at fd or one above it. */
enum { FOUND = 1 };
static int find_above(int fd, const struct stat *wanted)
{
	struct stat st, last = {0};
	int at CLEANUP(fd_closep) = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (;;) {
		if (at < 0 || fstat(at, &st) < 0)
			return -1;
		if (is_same(&st, wanted))
			return FOUND;
		if (is_same(&st, &last)) /* the root is above itself */
			return 0;
		last = st;
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd_closep(&at);
		at = up;
	}
}

/* Neither in the archive nor around it: a copy of it would hold itself, or be searched as mail. */
static int refuse_nested(struct copy *c, int fd, struct fault *f)
{
	struct stat archive, there;

	if (fstat(c->s->folder_fd, &archive) < 0 || fstat(fd, &there) < 0)
		return fault_target(c, FAULT_SYSTEM, "cannot be looked at", f);
	int inside = find_above(fd, &archive);
	int around = inside == 0 ? find_above(c->s->folder_fd, &there) : inside;
	if (inside < 0 || around < 0)
		return fault_target(c, FAULT_SYSTEM, "cannot be looked at", f);
	if (inside == FOUND || around == FOUND)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"%s %s; give a folder elsewhere, best on another disk", c->target,
			is_same(&archive, &there) ? "is the archive itself"
			: inside == FOUND	  ? "lies in the archive"
						  : "holds the archive");
	return 0;
}

/* Only the last folder of the path is made. */
static int make_folder(struct copy *c, struct fault *f)
{
	char *up CLEANUP(freep) = strdup(c->target);

	if (!up)
		return fault_memory(f);
	size_t len = strlen(up);
	while (len > 1 && up[len - 1] == '/')
		up[--len] = '\0';
	char *slash = strrchr(up, '/');
	if (slash)
		slash[slash == up ? 1 : 0] = '\0';
	int above CLEANUP(fd_closep) = open(slash ? up : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return fault_errno(f, FAULT_USAGE, SCOPE_SESSION, errno,
			"the folder above %s cannot be opened (is the disk mounted?)", c->target);
	/* In the archive it would be inside; what is around the archive exists already. */
	struct stat archive;
	if (fstat(c->s->folder_fd, &archive) < 0)
		return fault_target(c, FAULT_SYSTEM, "cannot be looked at", f);
	if (find_above(above, &archive) == FOUND)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"%s lies in the archive; give a folder elsewhere, best on another disk",
			c->target);
	if (mkdir(c->target, 0700) < 0 || fsync(above) < 0)
		return fault_target(c, FAULT_WRITE, "cannot be made", f);
	return 0;
}

static int open_folder(struct copy *c, struct fault *f)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	struct stat st;

	c->fd = open(c->target, flags);
	if (c->fd < 0 && errno == ENOENT) {
		if (make_folder(c, f) < 0)
			return -1;
		c->fd = open(c->target, flags);
	}
	if (c->fd < 0 && (errno == EACCES || errno == EPERM))
		return fault_errno(f, FAULT_USAGE, SCOPE_SESSION, errno,
			"%s: cannot be opened by the archive's owner (uid %u), as whom popkeep "
			"copies",
			c->target, (unsigned)geteuid());
	if (c->fd < 0)
		return fault_target(c, FAULT_USAGE, "cannot be opened", f);
	if (refuse_nested(c, c->fd, f) < 0)
		return -1;
	if (fstat(c->fd, &st) < 0)
		return fault_target(c, FAULT_SYSTEM, "cannot be looked at", f);
	if (st.st_uid != geteuid())
		return fault_set(f, FAULT_ACCESS, SCOPE_SESSION, 0,
			"%s belongs to another user (uid %u) than the archive; a copy belongs to "
			"the archive's owner",
			c->target, (unsigned)st.st_uid);
	return 0;
}

static int read_text(int folder_fd, const char *name, struct buffer *ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);

	buffer_clear(ret);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (buffer_reserve(ret, LIMIT_POPKEEP_FILE, f) < 0)
		return -1;
	ssize_t n = fd >= 0 ? pread(fd, ret->data, LIMIT_POPKEEP_FILE, 0) : -1;
	if (n < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot read %s", name);
	ret->len = (size_t)n;
	return 0;
}

/* Whether POPKEEP.new says that this is the beginning of a copy of ours. */
static int is_begun(struct copy *c, bool *ret, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_POPKEEP_FILE);
	char line[ARCHIVE_ID + 8];

	if (read_text(c->fd, FILE_NEW, &text, f) < 0)
		return -1;
	int n = snprintf(line, sizeof line, "\nid=%s\n", c->s->id);
	*ret = text.len > 0 && memmem(text.data, text.len, line, (size_t)n) != NULL;
	return 0;
}

/* A torn POPKEEP.new stands alone: everything else is made behind it. */
static int refuse_foreign(struct copy *c, bool begun, struct fault *f)
{
	static const char *const ours[] = {".", "..", "lost+found", FILE_NEW, FILE_LOCK,
		FILE_COPYING, FOLDER_LEDGER, FOLDER_SEGMENTS};
	const size_t n = begun ? sizeof ours / sizeof *ours : 4;
	DIR *dir CLEANUP(dir_closep) = folder_read(c->fd);

	if (!dir)
		return fault_target(c, FAULT_SYSTEM, "cannot be listed", f);
	for (struct dirent *e; (e = readdir(dir));) {
		size_t i = 0;

		while (i < n && strcmp(e->d_name, ours[i]) != 0)
			i++;
		if (i == n)
			return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
				"%s is not empty and no copy of this archive; give a new or empty "
				"folder",
				c->target);
	}
	return 0;
}

static int identify(struct copy *c, struct fault *f)
{
	char id[ARCHIVE_ID];
	bool begun = false;
	int r = layout_read(c->fd, STORE_READ, id, f);

	if (r < 0)
		return fault_prefix(f, "%s", c->target);
	if (r == 0 && strcmp(id, c->s->id) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"%s holds another archive, or a copy of one; give a folder of its own",
			c->target);
	c->fresh = r == LAYOUT_NONE;
	if (c->fresh && (is_begun(c, &begun, f) < 0 || refuse_foreign(c, begun, f) < 0))
		return -1;
	return 0;
}

/* The archive's own POPKEEP, written as POPKEEP.new. */
static int write_layout(struct copy *c, const struct buffer *text, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(
		c->fd, FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || file_write_at(fd, buffer_slice(text), 0) < 0 || fsync(fd) < 0 ||
		fsync(c->fd) < 0)
		return copy_fault_write(c, ".", FILE_NEW, f);
	return 0;
}

static int open_part(struct copy *c, const char *name, int *ret_fd, struct fault *f)
{
	if (mkdirat(c->fd, name, 0700) < 0 && errno != EEXIST)
		return copy_fault_write(c, ".", name, f);
	*ret_fd = openat(c->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0)
		return fault_target(c, FAULT_DAMAGE, "cannot open its ledger/ and segments/", f);
	return 0;
}

/* Where a file system has no locks, two copies at once are for its owner to avoid. */
static int take_turn(struct copy *c, struct fault *f)
{
	struct fault ignored;

	c->lock_fd = openat(c->fd, FILE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock_fd < 0)
		return copy_fault_write(c, ".", FILE_LOCK, f);
	if (turn_test(c->lock_fd, TURN_SERVICE, &ignored) == TURN_TAKEN)
		return fault_set(f, FAULT_BUSY, SCOPE_SESSION, 0,
			"a popkeepd serves %s as an archive of its own; give another folder",
			c->target);
	if (turn_try(c->lock_fd, TURN_MAINTENANCE, &ignored) == TURN_TAKEN)
		return fault_set(f, FAULT_BUSY, SCOPE_SESSION, 0,
			"another process copies to %s, or rewrites it; try again", c->target);
	return 0;
}

/* Of a run that died. Where even this fails, so will the first write. */
static void drop_partial(struct copy *c)
{
	(void)unlinkat(c->segments_fd, FILE_COPY_TMP, 0);
	(void)unlinkat(c->ledger_fd, FILE_COPY_TMP, 0);
}

/* Files of which the archive's name and the copy's are two names (cp -l) are no copy, and must not
 * be written to: the copy's goes, and a file is made. */
static int drop_links(struct copy *c, const char *folder, int ours, int theirs, struct fault *f)
{
	struct stat a, b;

	if (fstat(ours, &a) < 0 || fstat(theirs, &b) < 0)
		return fault_target(c, FAULT_SYSTEM, "cannot be looked at", f);
	if (is_same(&a, &b))
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"%s/%s is the archive's own; give another folder", c->target, folder);
	DIR *dir CLEANUP(dir_closep) = folder_read(theirs);
	if (!dir)
		return fault_target(c, FAULT_SYSTEM, "cannot be listed", f);
	for (struct dirent *e; (e = readdir(dir));) {
		if (fstatat(ours, e->d_name, &a, AT_SYMLINK_NOFOLLOW) < 0 ||
			fstatat(theirs, e->d_name, &b, AT_SYMLINK_NOFOLLOW) < 0 ||
			!is_same(&a, &b) || !S_ISREG(b.st_mode))
			continue;
		if (unlinkat(theirs, e->d_name, 0) < 0)
			return copy_fault_write(c, folder, e->d_name, f);
	}
	return 0;
}

int copy_open_target(struct copy *c, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_POPKEEP_FILE);

	if (open_folder(c, f) < 0 || identify(c, f) < 0 ||
		read_text(c->s->folder_fd, FILE_POPKEEP, &text, f) < 0)
		return -1;
	if (c->fresh && write_layout(c, &text, f) < 0)
		return -1;
	(void)fchmod(c->fd, 0700); /* not every file system has modes */
	if (take_turn(c, f) < 0 || open_part(c, FOLDER_LEDGER, &c->ledger_fd, f) < 0 ||
		open_part(c, FOLDER_SEGMENTS, &c->segments_fd, f) < 0)
		return -1;
	if (drop_links(c, FOLDER_LEDGER, c->s->ledger_fd, c->ledger_fd, f) < 0 ||
		drop_links(c, FOLDER_SEGMENTS, c->s->segments_fd, c->segments_fd, f) < 0)
		return -1;
	if (fsync(c->fd) < 0)
		return copy_fault_write(c, ".", FOLDER_LEDGER, f);
	drop_partial(c);
	c->doubtful = c->marked = faccessat(c->fd, FILE_COPYING, F_OK, 0) == 0;
	return 0;
}

int copy_finish_target(struct copy *c, struct fault *f)
{
	struct buffer ours CLEANUP(buffer_deinit) = buffer_make(LIMIT_POPKEEP_FILE);
	struct buffer theirs CLEANUP(buffer_deinit) = buffer_make(LIMIT_POPKEEP_FILE);

	if (read_text(c->s->folder_fd, FILE_POPKEEP, &ours, f) < 0 ||
		read_text(c->fd, FILE_POPKEEP, &theirs, f) < 0)
		return -1;
	if (slice_compare(buffer_slice(&ours), buffer_slice(&theirs)) == 0)
		return 0;
	if (write_layout(c, &ours, f) < 0)
		return -1;
	if (renameat(c->fd, FILE_NEW, c->fd, FILE_POPKEEP) < 0 || fsync(c->fd) < 0)
		return copy_fault_write(c, ".", FILE_POPKEEP, f);
	return 0;
}

int copy_drop_databases(struct copy *c, struct fault *f)
{
	static const char *const names[] = {
		FILE_CATALOG, FILE_CATALOG "-wal", FILE_CATALOG "-shm", FILE_CATALOG "-journal"};
	bool any = false;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (unlinkat(c->fd, names[i], 0) == 0)
			any = true;
		else if (errno != ENOENT)
			return copy_fault_write(c, ".", names[i], f);
	}
	return any && fsync(c->fd) < 0 ? copy_fault_write(c, ".", FILE_CATALOG, f) : 0;
}
