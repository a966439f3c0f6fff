/* Opening and making archives. */
#include "archive/file.h"
#include "archive/handle.h"
#include "archive/layout.h"
#include "archive/limits.h"
#include "archive/search_db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { NOTICES_MAX = 64 };

/* ---- Notices and failure -------------------------------------------------------------------- */

void store_notice(struct store *s, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	char **grown = s->notices < NOTICES_MAX
			       ? realloc(s->notice, (s->notices + 1) * sizeof *grown)
			       : NULL;
	if (!grown || !text) {
		free(text);
		return;
	}
	s->notice = grown;
	s->notice[s->notices++] = text;
}

char *store_take_notice(struct store *s)
{
	if (s->notices == 0)
		return NULL;
	char *oldest = s->notice[0];
	s->notices--;
	memmove(s->notice, s->notice + 1, s->notices * sizeof *s->notice);
	return oldest;
}

int store_die(struct store *s, const struct fault *f)
{
	if (s->dead.code != FAULT_NONE)
		return -1;
	s->dead = *f;
	store_close_writers(s);
	/* Best effort: where even this fails, replay still checks every byte that it believes. */
	int fd = openat(s->folder_fd, FILE_WRITE_FAILED, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)dprintf(fd, "%s\n", f->text);
	fd_closep(&fd);
	return -1;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int refuse_stranger(const char *folder, int folder_fd, struct fault *f)
{
	struct stat st;

	if (fstat(folder_fd, &st) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", folder);
	if (st.st_uid != geteuid())
		return fault_set(f, FAULT_ACCESS, SCOPE_ARCHIVE, 0,
			"%s belongs to another user (uid %u); run popkeep as that user", folder,
			(unsigned)st.st_uid);
	return 0;
}

static int open_parts(struct store *s, struct fault *f)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	s->ledger_fd = openat(s->folder_fd, FOLDER_LEDGER, flags);
	if (s->ledger_fd >= 0)
		s->segments_fd = openat(s->folder_fd, FOLDER_SEGMENTS, flags);
	if (s->segments_fd < 0)
		return fault_errno(f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno,
			"%s: cannot open ledger/ and segments/", s->folder);
	/* Without turns; the folder may be one that cannot be written. */
	if (s->mode != STORE_WRITE)
		return 0;
	s->lock_fd = openat(s->folder_fd, FILE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"%s cannot be written: lock", s->folder);
	return 0;
}

/* SQLite's WAL keeps an index in shared memory, which no network file system gives. */
static int refuse_network(const char *folder, struct fault *f)
{
	struct statfs fs;

	if (statfs(folder, &fs) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", folder);
	const unsigned long kind = (unsigned long)fs.f_type & 0xffffffffUL;
	if (kind == NFS_SUPER_MAGIC || kind == SMB_SUPER_MAGIC || kind == SMB2_SUPER_MAGIC ||
		kind == CIFS_SUPER_MAGIC)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is on a network file system, where the databases cannot be; give them "
			"a "
			"local folder with cache-dir",
			folder);
	return 0;
}

static int join(char **ret, const char *folder, const char *name)
{
	if (asprintf(ret, "%s/%s", folder, name) >= 0)
		return 0;
	*ret = NULL;
	return -1;
}

static int allocate(const char *folder, const char *cache_dir, enum store_mode mode,
	struct store **ret, struct fault *f)
{
	struct store *s = calloc(1, sizeof *s);

	if (!s)
		return fault_memory(f);
	s->mode = mode;
	s->folder_fd = s->ledger_fd = s->segments_fd = s->lock_fd = s->reading_fd = -1;
	s->folder = strdup(folder);
	if (!s->folder ||
		join(&s->catalog_path, cache_dir ? cache_dir : folder, FILE_CATALOG) < 0 ||
		join(&s->search_path, cache_dir ? cache_dir : folder,
			cache_dir ? FILE_SEARCH : FOLDER_SEARCH "/" FILE_SEARCH) < 0) {
		store_close(s);
		return fault_memory(f);
	}
	*ret = s;
	return 0;
}

static int open_folder(const char *folder, int *ret_fd, struct fault *f)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return fault_set(f, FAULT_MISSING, SCOPE_ARCHIVE, 0,
			"there is no archive at %s; `popkeep init` makes one", folder);
	if (fd < 0)
		return fault_errno(f, errno == EACCES ? FAULT_ACCESS : FAULT_SYSTEM, SCOPE_ARCHIVE,
			errno, "%s: cannot open; popkeep runs as the owner of the archive", folder);
	*ret_fd = fd;
	return 0;
}

static int read_layout(const char *folder, int folder_fd, enum store_mode mode,
	char ret_id[static ARCHIVE_ID], struct fault *f)
{
	int r = layout_read(folder_fd, mode, ret_id, f);

	if (r < 0)
		return fault_prefix(f, "%s", folder);
	if (r == LAYOUT_NONE)
		return fault_set(f, FAULT_MISSING, SCOPE_ARCHIVE, 0,
			"%s is not a popkeep archive; `popkeep init` makes one", folder);
	return 0;
}

int store_open_folders(const char *folder, const char *cache_dir, enum store_mode mode,
	struct store **ret, struct fault *f)
{
	struct store *s CLEANUP(store_closep) = NULL;

	if (allocate(folder, cache_dir, mode, &s, f) < 0 ||
		open_folder(folder, &s->folder_fd, f) < 0 ||
		(mode != STORE_INSPECT && refuse_stranger(folder, s->folder_fd, f) < 0) ||
		read_layout(folder, s->folder_fd, mode, s->id, f) < 0)
		return -1;
	if (open_parts(s, f) < 0 || refuse_network(cache_dir ? cache_dir : folder, f) < 0)
		return -1;
	*ret = TAKE(s);
	return 0;
}

int store_identify(const char *folder, char ret_id[static STORE_ID], struct fault *f)
{
	int fd CLEANUP(fd_closep) = -1;
	char id[ARCHIVE_ID];

	if (open_folder(folder, &fd, f) < 0 || read_layout(folder, fd, STORE_READ, id, f) < 0)
		return -1;
	if (strspn(id, "0123456789abcdef") != ARCHIVE_ID - 1)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"%s: the id in the archive's POPKEEP file is not hex digits", folder);
	memcpy(ret_id, id, sizeof id);
	return 0;
}

int store_open_catalog(struct store *s, struct fault *f)
{
	struct stat st;
	uint64_t inode = stat(s->catalog_path, &st) == 0 ? (uint64_t)st.st_ino : 0;

	if (s->catalog && inode == s->catalog_inode)
		return 0;
	s->catalog = catalog_close(s->catalog);
	s->catalog_inode = inode;
	int r = catalog_open(s->catalog_path, s->mode == STORE_WRITE ? CATALOG_WRITE : CATALOG_READ,
		&s->catalog, f);
	return r < 0 ? fault_prefix(f, "%s", s->folder) : r;
}

int store_catch_up(struct store *s, struct fault *f)
{
	struct batch nothing CLEANUP(batch_deinit);

	batch_init(&nothing);
	return store_commit(s, &nothing, f);
}

int store_open(const char *folder, const char *cache_dir, enum store_mode mode, struct store **ret,
	struct fault *f)
{
	struct store *s CLEANUP(store_closep) = NULL;
	struct ledger_at at;

	if (store_open_folders(folder, cache_dir, mode, &s, f) < 0 || store_open_catalog(s, f) < 0)
		return -1;
	if (mode == STORE_WRITE ? store_catch_up(s, f) < 0
				: catalog_get_state(s->catalog, s->id, &at, f) < 0)
		return -1;
	*ret = TAKE(s);
	return 0;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	store_close_writers(s);
	frame_cache_deinit(&s->cache);
	hasher_free(s->hasher);
	fd_closep(&s->reading_fd);
	catalog_close(s->catalog);
	catalog_close(s->catalog_now);
	search_db_close(s->search);
	fd_closep(&s->ledger_fd);
	fd_closep(&s->segments_fd);
	fd_closep(&s->lock_fd);
	fd_closep(&s->folder_fd);
	for (size_t i = 0; i < s->notices; i++)
		free(s->notice[i]);
	free(s->notice);
	free(s->folder);
	free(s->catalog_path);
	free(s->search_path);
	free(s);
	return NULL;
}

void store_closep(struct store **s)
{
	*s = store_close(*s);
}

const char *store_folder(const struct store *s)
{
	return s->folder;
}

const char *store_id(const struct store *s)
{
	return s->id;
}

/* ---- The service ----------------------------------------------------------------------------- */

int store_lock_service(struct store *s, struct fault *f)
{
	int r = turn_try(s->lock_fd, TURN_SERVICE, f);

	if (r == TURN_TAKEN)
		return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
			"%s: another popkeepd serves this archive", s->folder);
	return r;
}

int store_is_served(struct store *s, struct fault *f)
{
	/* An open file of its own: one does not see its own locks. */
	int fd CLEANUP(fd_closep) = openat(s->folder_fd, FILE_LOCK, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s/lock", s->folder);
	int r = turn_test(fd, TURN_SERVICE, f);
	return r == TURN_TAKEN ? STORE_SERVED : r;
}

int store_write_failed(struct store *s)
{
	return faccessat(s->folder_fd, FILE_WRITE_FAILED, F_OK, 0) == 0 ? STORE_WRITE_FAILED : 0;
}

/* ---- Making --------------------------------------------------------------------------------- */

/* What a half-made archive may hold; anything else is somebody's data. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = {".", "..", FILE_POPKEEP ".new", FILE_LOCK, FILE_CATALOG,
		FILE_CATALOG "-journal", FILE_CATALOG "-wal", FILE_CATALOG "-shm", FOLDER_LEDGER,
		FOLDER_SEGMENTS, FOLDER_SEARCH, FOLDER_ASIDE, "lost+found"};

	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		if (strcmp(name, ours[i]) == 0)
			return true;
	}
	return false;
}

/* A half-made archive has nothing in its folders yet. With something there, it is an archive that
 * lost its POPKEEP, and a new one over its mail would hide that mail under another id. */
static int refuse_orphans(const char *folder, int folder_fd, const char *part, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(folder_fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir CLEANUP(dir_closep) = fd >= 0 ? folder_read(fd) : NULL;

	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s/%s", folder, part);
	for (struct dirent *e; (e = readdir(dir));) {
		if (e->d_name[0] != '.')
			return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
				"%s has mail in it, but its POPKEEP file is missing: put that back "
				"from a copy (its id stands in the first line of "
				"ledger/000001.log), or give another folder",
				folder);
	}
	return 0;
}

static int refuse_foreign(const char *folder, struct fault *f)
{
	DIR *dir CLEANUP(dir_closep) = opendir(folder);

	if (!dir)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", folder);
	for (struct dirent *e; (e = readdir(dir));) {
		if (!is_ours(e->d_name))
			return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
				"%s is not empty and not a popkeep archive; give a new or empty "
				"folder",
				folder);
	}
	return 0;
}

static int sync_folder(const char *path, struct fault *f)
{
	int fd CLEANUP(fd_closep) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* One that may not be read is not ours to sync. */
	if (fd >= 0 && fsync(fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync %s", path);
	return 0;
}

/* Makes the name of a folder durable. */
static int sync_parent(const char *folder, struct fault *f)
{
	char *up CLEANUP(freep) = NULL;

	if (asprintf(&up, "%s/..", folder) < 0) {
		up = NULL;
		return fault_memory(f);
	}
	return sync_folder(up, f);
}

/* mkdir -p, each name durable; of those that were there already the last, which may have been made
 * a moment ago. */
static int make_folders(const char *path, struct fault *f)
{
	char *copy CLEANUP(freep) = strdup(path);

	if (!copy)
		return fault_memory(f);
	for (char *slash = copy + 1;; slash++) {
		slash = strchrnul(slash, '/');
		char rest = *slash;

		*slash = '\0';
		int made = mkdir(copy, 0700);
		if (made < 0 && errno != EEXIST)
			return fault_errno(
				f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot make %s", copy);
		if ((made == 0 || !rest) && sync_parent(copy, f) < 0)
			return -1;
		if (!rest)
			return 0;
		*slash = rest;
	}
}

static int make_parts(int folder_fd, struct fault *f)
{
	static const char *const parts[] = {FOLDER_LEDGER, FOLDER_SEGMENTS, FOLDER_SEARCH};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (mkdirat(folder_fd, parts[i], 0700) < 0 && errno != EEXIST)
			return fault_errno(
				f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot make %s/", parts[i]);
	}
	return 0;
}

static int make_id(char ret[static ARCHIVE_ID], struct fault *f)
{
	uint8_t random[(ARCHIVE_ID - 1) / 2];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "no random numbers");
	for (size_t i = 0; i < sizeof random; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", random[i]);
	return 0;
}

static int make_catalog(const char *path, const char *id, struct fault *f)
{
	struct catalog *c CLEANUP(catalog_closep) = NULL;
	struct ledger_at nothing = {0};

	if (catalog_open(path, CATALOG_CREATE, &c, f) < 0 || catalog_begin(c, f) < 0)
		return -1;
	if (catalog_set_state(c, id, &nothing, f) < 0) {
		catalog_rollback(c);
		return -1;
	}
	return catalog_commit(c, f);
}

/* One that stands where no archive is yet was half made, with another id. In a cache-dir it may be
 * another archive's. */
static int drop_old_catalog(const char *path, const char *cache_dir, struct fault *f)
{
	static const char *const beside[] = {"", "-journal", "-wal", "-shm"};
	char name[PATH_MAX];

	if (cache_dir && access(path, F_OK) == 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s already holds a catalog.db; each archive needs a cache-dir of its own",
			cache_dir);
	for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
		(void)snprintf(name, sizeof name, "%s%s", path, beside[i]);
		(void)unlink(name);
	}
	return 0;
}

int store_create(const char *folder, const char *cache_dir, struct fault *f)
{
	char id[ARCHIVE_ID];
	char *catalog CLEANUP(freep) = NULL;

	if (make_folders(folder, f) < 0 || (cache_dir && make_folders(cache_dir, f) < 0))
		return -1;
	int folder_fd CLEANUP(fd_closep) = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd < 0)
		return fault_errno(f, errno == EACCES ? FAULT_ACCESS : FAULT_SYSTEM, SCOPE_ARCHIVE,
			errno, "%s: cannot open; popkeep runs as the owner of the archive", folder);
	if (refuse_stranger(folder, folder_fd, f) < 0)
		return -1;
	/* One maker at a time, where the file system can: two would take turns in writing halves.
	 */
	while (flock(folder_fd, LOCK_EX) < 0 && errno == EINTR)
		;
	int r = layout_read(folder_fd, STORE_READ, id, f);
	if (r != LAYOUT_NONE)
		return r < 0 ? -1 : STORE_EXISTS;
	if (refuse_orphans(folder, folder_fd, FOLDER_LEDGER, f) < 0 ||
		refuse_orphans(folder, folder_fd, FOLDER_SEGMENTS, f) < 0)
		return -1;
	if (refuse_foreign(folder, f) < 0 || refuse_network(cache_dir ? cache_dir : folder, f) < 0)
		return -1;
	if (fchmod(folder_fd, 0700) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", folder);
	if (asprintf(&catalog, "%s/%s", cache_dir ? cache_dir : folder, FILE_CATALOG) < 0)
		return fault_memory(f);
	if (make_parts(folder_fd, f) < 0 || make_id(id, f) < 0)
		return -1;
	if (drop_old_catalog(catalog, cache_dir, f) < 0)
		return -1;
	/* POPKEEP last: without it there is no archive, and making it begins again. */
	if (make_catalog(catalog, id, f) < 0 || (cache_dir && sync_folder(cache_dir, f) < 0))
		return -1;
	return layout_write(folder_fd, id, f);
}

/* ---- Becoming the owner ---------------------------------------------------------------------- */

/* The owner of path or of the nearest folder above it. */
static int find_owner(const char *path, struct stat *ret, struct fault *f)
{
	char *copy CLEANUP(freep) = strdup(path);

	if (!copy)
		return fault_memory(f);
	for (;;) {
		if (stat(copy, ret) == 0)
			return 0;
		if (errno != ENOENT)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", copy);
		char *slash = strrchr(copy, '/');
		if (!slash)
			(void)snprintf(copy, strlen(path) + 1, ".");
		else
			slash[slash == copy ? 1 : 0] = '\0';
	}
}

int store_become_owner(const char *folder, struct fault *f)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (find_owner(folder, &st, f) < 0)
		return -1;
	if (st.st_uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
		setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
			"cannot become the owner of %s (uid %u)", folder, (unsigned)st.st_uid);
	return 0;
}
