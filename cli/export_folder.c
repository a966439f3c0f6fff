/* The formats that write a file for each message into a folder: eml, and maildir. A file appears
 * under its name when it is whole, checked and synced, never over another one; its line in the
 * manifest follows. So after a crash, or Ctrl-C, the same export goes on:
 *
 *                     eml                 maildir
 *   of which it is    .popkeep-export     .popkeep-export      written first
 *   being written     .<64 hex>.part      tmp/<64 hex>.part    worth nothing after a crash
 *   a whole message   <name>.eml          cur/<name>:2,S       without a line in the manifest
 *                                                              its digest is compared
 *   its lines         manifest.jsonl      manifest.jsonl       a torn last one is cut
 *
 * Messages are synced and named some at a time: so many parts can a crash leave.
 *
 * POP3 knows no flags. A message goes into cur/ and is marked as seen, so that a client does not
 * announce the whole archive as new mail, and a server that serves the folder renames nothing.
 * Where one did, because somebody answered or flagged a message, the export finds it all the same.
 */
#include "cli/export_format.h"

#include "archive/escape.h"
#include "archive/file.h"
#include "archive/limits.h"
#include "cli/manifest.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

static const char ORIGIN_FILE[] = ".popkeep-export", MANIFEST[] = "manifest.jsonl";

/* A file system syncs many files in hardly more time than one. */
enum { DIGITS_STEP = 4, NAME_SIZE = 192, PART_SIZE = DIGEST_HEX + 16, BATCH = 64 };
#define BATCH_BYTES (16 * MIB)

struct layout {
	const struct export_format *format;
	const char *const *folders; /* below the top */
	const char *part, *whole;   /* what stands before their names */
	size_t digits;		    /* of the digest at first, more where two begin alike */
	void (*name)(const struct message *m, size_t digits, char ret[static NAME_SIZE]);
};

/* Written and checked, not synced yet, not under its name. */
struct pending {
	int fd;
	struct message message; /* without its texts */
	struct json_line line;	/* of the manifest, but for the file's name */
};

struct folder {
	struct export_target target;
	struct pending pending[BATCH];
	size_t pending_n;
	uint64_t pending_bytes;
	const struct layout *layout;
	int folder;
	char *path; /* escaped, for messages */
	struct manifest *manifest;
	char **moved; /* maildir: names in new/ and cur/ without flags, ascending */
	size_t moved_n;
};

static struct folder *folder_of(struct export_target *to)
{
	return (struct folder *)to;
}

static int folder_error(const struct folder *e, int error, const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, error, "cannot %s in %s", what, e->path);
}

/* "2026-11-21_0123456789ab.eml": the day of archiving in UTC; safe on every file system. */
static void eml_name(const struct message *m, size_t digits, char ret[static NAME_SIZE])
{
	char hex[DIGEST_HEX + 1], day[MOMENT_TEXT];

	digest_hex(&m->digest, hex);
	moment_format(m->archived, day);
	(void)snprintf(ret, NAME_SIZE, "%.10s_%.*s.eml", day, (int)digits, hex);
}

/* "1795293296.0123456789abcdef0123.popkeep,S=1234:2,S": time, what makes it unique, in place of the
 * host the program, so that the same export finds it on another one. */
static void maildir_name(const struct message *m, size_t digits, char ret[static NAME_SIZE])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&m->digest, hex);
	(void)snprintf(ret, NAME_SIZE, "cur/%" PRId64 ".%.*s.popkeep,S=%" PRIu64 ":2,S",
		m->archived > 0 ? m->archived / 1000 : 0, (int)digits, hex, m->size_bytes);
}

static const char *const NO_FOLDERS[] = {NULL}, *const MAILDIR_FOLDERS[] = {
							"cur", "new", "tmp", NULL};
static const struct layout EML = {&export_eml, NO_FOLDERS, ".", "", 12, eml_name},
			   MAILDIR = {&export_maildir, MAILDIR_FOLDERS, "tmp/", "cur/", 20,
				   maildir_name};

/* ---- Opening -------------------------------------------------------------------------------- */

static int folder_is_empty(const struct folder *e, bool *ret, struct fault *f)
{
	DIR *dir CLEANUP(dir_closep) = folder_read(e->folder);
	struct dirent *entry;

	if (!dir)
		return folder_error(e, errno, "list what is", f);
	*ret = true;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			*ret = false;
	}
	return 0;
}

static int claim(const struct folder *e, const char *origin, struct fault *f)
{
	bool empty = false;
	int r = export_origin_check(e->folder, ORIGIN_FILE, origin, e->path, f);

	if (r <= 0)
		return r;
	if (folder_is_empty(e, &empty, f) < 0)
		return -1;
	if (!empty)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is not empty and no earlier export; name a new or empty folder",
			e->path);
	return export_origin_write(e->folder, ORIGIN_FILE, origin, e->path, f);
}

static int open_top(struct folder *e, const char *path, struct fault *f)
{
	char text[512];

	e->path = strdup(escape_text(slice_text(path), text, sizeof text));
	if (!e->path)
		return fault_memory(f);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot make folder %s", e->path);
	e->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->folder < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot open folder %s", e->path);
	return 0;
}

static int make_folders(const struct folder *e, struct fault *f)
{
	for (const char *const *name = e->layout->folders; *name; name++) {
		if (mkdirat(e->folder, *name, 0700) < 0 && errno != EEXIST)
			return folder_error(e, errno, "make a folder", f);
	}
	return 0;
}

/* ---- Files that a mail program gave other flags ------------------------------------------------
 */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int remember_name(struct folder *e, const char *name, size_t *room, struct fault *f)
{
	if (e->moved_n == *room) {
		size_t more = *room ? *room * 2 : 256;
		char **moved = reallocarray(e->moved, more, sizeof *moved);

		if (!moved)
			return fault_memory(f);
		e->moved = moved;
		*room = more;
	}
	e->moved[e->moved_n] = strndup(name, strcspn(name, ":"));
	return e->moved[e->moved_n++] ? 0 : fault_memory(f);
}

static int read_names(struct folder *e, const char *within, size_t *room, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(e->folder, within, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir CLEANUP(dir_closep) = fd < 0 ? NULL : folder_read(fd);
	struct dirent *entry;

	if (!dir)
		return folder_error(e, errno, "list what is", f);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.' && remember_name(e, entry->d_name, room, f) < 0)
			return -1;
	}
	return 0;
}

static int find_moved(struct folder *e, struct fault *f)
{
	size_t room = 0;

	if (e->layout != &MAILDIR || e->target.earlier == 0)
		return 0;
	if (read_names(e, "cur", &room, f) < 0 || read_names(e, "new", &room, f) < 0)
		return -1;
	if (e->moved_n)
		qsort(e->moved, e->moved_n, sizeof *e->moved, by_name);
	return 0;
}

/* name: as the manifest has it. */
static bool was_moved(const struct folder *e, const char *name)
{
	char key[NAME_SIZE], *at = key;
	const char *slash = strrchr(name, '/');

	if (e->moved_n == 0)
		return false;
	name = slash ? slash + 1 : name;
	(void)snprintf(key, sizeof key, "%.*s", (int)strcspn(name, ":"), name);
	return bsearch(&at, e->moved, e->moved_n, sizeof *e->moved, by_name);
}

static void drop_pending(struct folder *e)
{
	for (size_t i = 0; i < e->pending_n; i++) {
		fd_closep(&e->pending[i].fd);
		json_line_deinit(&e->pending[i].line);
	}
	e->pending_n = 0;
	e->pending_bytes = 0;
}

static void folder_close(struct export_target *to)
{
	struct folder *e = folder_of(to);

	drop_pending(e);
	for (size_t i = 0; i < e->moved_n; i++)
		free(e->moved[i]);
	free(e->moved);
	manifest_close(e->manifest);
	fd_closep(&e->folder);
	free(e->path);
	free(e);
}

static int folder_open(const struct layout *layout, const char *path, const char *origin,
	struct export_target **ret, struct fault *f)
{
	struct folder *e = calloc(1, sizeof *e);
	struct export_target *owned CLEANUP(export_target_closep) = e ? &e->target : NULL;

	if (!e)
		return fault_memory(f);
	e->target.format = layout->format;
	e->layout = layout;
	e->folder = -1;
	if (open_top(e, path, f) < 0 || claim(e, origin, f) < 0 || make_folders(e, f) < 0)
		return -1;
	if (manifest_open(e->folder, MANIFEST, layout->whole, &e->manifest, f) < 0)
		return fault_prefix(f, "%s", e->path);
	e->target.earlier = manifest_count(e->manifest);
	if (find_moved(e, f) < 0)
		return -1;
	*ret = TAKE(owned);
	return 0;
}

static int eml_open(
	const char *path, const char *origin, struct export_target **ret, struct fault *f)
{
	return folder_open(&EML, path, origin, ret, f);
}

static int maildir_open(
	const char *path, const char *origin, struct export_target **ret, struct fault *f)
{
	return folder_open(&MAILDIR, path, origin, ret, f);
}

/* ---- One message ----------------------------------------------------------------------------- */

struct file_sink {
	const struct folder *folder;
	int fd;
};

static int to_file(void *context, struct slice bytes, struct fault *f)
{
	const struct file_sink *to = (const struct file_sink *)context;

	return new_file_append(to->fd, bytes) < 0 ? folder_error(to->folder, errno, "write", f) : 0;
}

/* Mail programs show a file's time as when the message came. */
static int set_time(int fd, const struct message *m)
{
	const struct timespec t = {
		.tv_sec = m->archived / 1000, .tv_nsec = m->archived % 1000 * 1000000};

	return m->archived > 0 ? futimens(fd, (const struct timespec[]){t, t}) : 0;
}

static void part_name(const struct folder *e, const struct message *m, char ret[static PART_SIZE])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&m->digest, hex);
	(void)snprintf(ret, PART_SIZE, "%s%s.part", e->layout->part, hex);
}

/* Whole and checked, under its temporary name. Returns its descriptor. */
static int write_part(
	const struct folder *e, struct store *s, const struct message *m, struct fault *f)
{
	char part[PART_SIZE];

	part_name(e, m, part);
	int fd CLEANUP(fd_closep) = openat(
		e->folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct file_sink sink = {e, fd};

	if (fd < 0)
		return folder_error(e, errno, "write", f);
	if (message_read(s, m, to_file, &sink, f) < 0) {
		(void)unlinkat(e->folder, part, 0);
		return -1;
	}
	return set_time(fd, m) < 0 ? folder_error(e, errno, "write", f) : fd_take(&fd);
}

/* Is that file this message, written by a run that ended before its line? */
static bool file_is_message(const struct folder *e, const char *name, const struct message *m)
{
	int fd CLEANUP(fd_closep) = openat(e->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct digest digest;
	uint8_t piece[16 * 1024];
	struct fault ignored;
	ssize_t n;

	if (fd < 0 || hasher_new(&h, &ignored) < 0)
		return false;
	while ((n = read(fd, piece, sizeof piece)) > 0)
		hasher_add(h, piece, (size_t)n);
	hasher_end(h, &digest);
	return n == 0 && digest_compare(&digest, &m->digest) == 0;
}

/* Gives the part its name, with more digits where a shorter one is taken by another message. */
static int name_part(const struct folder *e, const struct message *m, char name[static NAME_SIZE],
	struct fault *f)
{
	char part[PART_SIZE];

	part_name(e, m, part);
	for (size_t digits = e->layout->digits; digits <= DIGEST_HEX; digits += DIGITS_STEP) {
		e->layout->name(m, digits, name);
		if (new_file_rename(e->folder, part, name) == 0)
			return 0;
		if (errno != EEXIST)
			return folder_error(e, errno, "rename", f);
		if (file_is_message(e, name, m)) {
			(void)unlinkat(e->folder, part, 0);
			return 0;
		}
	}
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
		"%s/%s is in the way: it is not the message that belongs there", e->path, name);
}

static int add_line(struct folder *e, struct pending *p, const char *name, struct fault *f)
{
	json_add_bytes(&p->line, "file", slice_text(name));
	char *text CLEANUP(freep) = json_line_text(&p->line);
	if (!text)
		return fault_memory(f);
	return manifest_add(e->manifest, slice_text(text), f);
}

static int sync_and_name(struct folder *e, struct fault *f)
{
	char name[NAME_SIZE];

	/* All are on their way before the first is waited for, and one commit of the file system's
	 * journal has them all. It is a hint: what it says proves nothing. */
	for (size_t i = 0; i < e->pending_n; i++)
		(void)sync_file_range(e->pending[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < e->pending_n; i++) {
		if (fsync(e->pending[i].fd) < 0)
			return folder_error(e, errno, "sync", f);
	}
	for (size_t i = 0; i < e->pending_n; i++) {
		struct pending *p = &e->pending[i];

		if (name_part(e, &p->message, name, f) < 0 || add_line(e, p, name, f) < 0)
			return -1;
	}
	return 0;
}

/* Gives all that is pending its name. What fails here is not tried again: a sync that succeeds
 * after one that failed proves nothing. */
static int settle(struct folder *e, struct fault *f)
{
	int r = sync_and_name(e, f);

	drop_pending(e);
	return r;
}

/* In the manifest, and still there with its size. */
static bool is_present(const struct folder *e, const struct message *m)
{
	const char *name = manifest_find(e->manifest, &m->digest);
	struct stat st;

	if (!name)
		return false;
	if (fstatat(e->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return was_moved(e, name);
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->size_bytes;
}

static int folder_add(struct export_target *to, struct store *s, const struct message *m,
	char *const *accounts, struct fault *f)
{
	struct folder *e = folder_of(to);

	if (is_present(e, m))
		return EXPORT_PRESENT;
	int fd = write_part(e, s, m, f);
	if (fd < 0)
		return -1;
	struct pending *p = &e->pending[e->pending_n++];
	*p = (struct pending){.fd = fd, .message = *m};
	p->message.account = p->message.class_ = NULL;
	manifest_line(&p->line, "", m, accounts);
	e->pending_bytes += m->size_bytes;
	return e->pending_n == BATCH || e->pending_bytes >= BATCH_BYTES ? settle(e, f) : 0;
}

static int sync_folder(const struct folder *e, const char *name, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(e->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? folder_error(e, errno, "sync", f) : 0;
}

/* Every message gets its name as it comes: there is nothing more to do for EXPORT_WHOLE. */
static int folder_finish(struct export_target *to, enum export_end end, struct fault *f)
{
	struct folder *e = folder_of(to);

	(void)end;
	if (settle(e, f) < 0)
		return -1;
	if (manifest_sync(e->manifest, f) < 0)
		return fault_prefix(f, "%s", e->path);
	for (const char *const *name = e->layout->folders; *name; name++) {
		if (sync_folder(e, *name, f) < 0)
			return -1;
	}
	return sync_folder(e, ".", f);
}

const struct export_format export_eml = {
	.name = "eml",
	.origin = "",
	.open = eml_open,
	.add = folder_add,
	.finish = folder_finish,
	.close = folder_close,
};

const struct export_format export_maildir = {
	.name = "maildir",
	.origin = "format maildir\n",
	.open = maildir_open,
	.add = folder_add,
	.finish = folder_finish,
	.close = folder_close,
};
