#include "cli/export_folder.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/json.h"
#include "cli/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const char ORIGIN_FILE[] = ".popkeep-export", MANIFEST[] = "manifest.jsonl";

enum { DIGITS_LEAST = 12, DIGITS_STEP = 4, ORIGIN_MAX = 4096 };

struct export_folder {
	int folder;
	char *path; /* escaped, for messages */
	struct manifest *manifest;
	size_t earlier;
};

static int folder_error(const struct export_folder *e, int error, const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, error, "cannot %s in %s", what, e->path);
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* 1 when there is nothing in it. */
static int folder_is_empty(const struct export_folder *e, bool *ret, struct fault *f)
{
	int fd = openat(e->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		int error = errno;

		if (fd >= 0)
			(void)close(fd);
		return folder_error(e, error, "list what is", f);
	}
	*ret = true;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			*ret = false;
	}
	(void)closedir(dir);
	return 0;
}

static int write_all(int fd, struct slice bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
	}
	return 0;
}

static int write_origin(const struct export_folder *e, const char *origin, struct fault *f)
{
	int fd CLEANUP(fd_closep) =
		openat(e->folder, ORIGIN_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write_all(fd, slice_text(origin)) < 0 || fsync(fd) < 0 ||
		fsync(e->folder) < 0)
		return folder_error(e, errno, "write .popkeep-export", f);
	return 0;
}

/* The folder says itself of which export it is; 1 when it says nothing. */
static int check_origin(const struct export_folder *e, const char *origin, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(e->folder, ORIGIN_FILE, O_RDONLY | O_CLOEXEC);
	char there[ORIGIN_MAX + 1];

	if (fd < 0 && errno == ENOENT)
		return 1;
	ssize_t n = fd < 0 ? -1 : read(fd, there, ORIGIN_MAX);
	if (n < 0)
		return folder_error(e, errno, "read .popkeep-export", f);
	if ((size_t)n == strlen(origin) && memcmp(there, origin, (size_t)n) == 0)
		return 0;
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"%s holds another export (of another archive or query); name a new or empty folder",
		e->path);
}

static int claim(const struct export_folder *e, const char *origin, struct fault *f)
{
	bool empty = false;
	int r = check_origin(e, origin, f);

	if (r <= 0)
		return r;
	if (folder_is_empty(e, &empty, f) < 0)
		return -1;
	if (!empty)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is not empty and no earlier export; name a new or empty folder",
			e->path);
	return write_origin(e, origin, f);
}

static int open_folder(struct export_folder *e, const char *path, struct fault *f)
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

int export_folder_open(
	const char *path, const char *origin, struct export_folder **ret, struct fault *f)
{
	struct export_folder *e CLEANUP(export_folder_closep) = calloc(1, sizeof *e);

	if (!e)
		return fault_memory(f);
	e->folder = -1;
	if (open_folder(e, path, f) < 0 || claim(e, origin, f) < 0)
		return -1;
	if (manifest_open(e->folder, MANIFEST, &e->manifest, f) < 0)
		return fault_prefix(f, "%s", e->path);
	e->earlier = manifest_count(e->manifest);
	*ret = TAKE(e);
	return 0;
}

struct export_folder *export_folder_close(struct export_folder *e)
{
	if (!e)
		return NULL;
	manifest_close(e->manifest);
	fd_closep(&e->folder);
	free(e->path);
	free(e);
	return NULL;
}

void export_folder_closep(struct export_folder **e)
{
	*e = export_folder_close(*e);
}

size_t export_folder_earlier(const struct export_folder *e)
{
	return e->earlier;
}

/* ---- One message ----------------------------------------------------------------------------- */

void export_file_name(const struct message *m, size_t digits, char ret[static EXPORT_NAME])
{
	char hex[DIGEST_HEX + 1], day[MOMENT_TEXT];

	digest_hex(&m->digest, hex);
	moment_format(m->archived, day);
	(void)snprintf(ret, EXPORT_NAME, "%.10s_%.*s.eml", day, (int)digits, hex);
}

struct file_sink {
	const struct export_folder *folder;
	int fd;
};

static int to_file(void *context, struct slice bytes, struct fault *f)
{
	const struct file_sink *to = (const struct file_sink *)context;

	return write_all(to->fd, bytes) < 0 ? folder_error(to->folder, errno, "write", f) : 0;
}

/* Whole, checked and synced, under its temporary name. */
static int write_part(const struct export_folder *e, struct store *s, const struct message *m,
	const char *part, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(
		e->folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct file_sink sink = {e, fd};

	if (fd < 0)
		return folder_error(e, errno, "write", f);
	if (message_read(s, m, to_file, &sink, f) < 0) {
		(void)unlinkat(e->folder, part, 0);
		return -1;
	}
	return fsync(fd) < 0 ? folder_error(e, errno, "sync", f) : 0;
}

/* Is that file this message, written by a run that ended before its line? */
static bool file_is_message(
	const struct export_folder *e, const char *name, const struct message *m)
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

/* Never over another file: renameat2(), or link() where the file system does not have that. */
static int rename_new(int folder, const char *from, const char *to)
{
	if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(folder, from, folder, to, 0) < 0)
		return -1;
	return unlinkat(folder, from, 0);
}

/* Gives the part its name, with more digits where a shorter one is taken by another message. */
static int name_part(const struct export_folder *e, const struct message *m, const char *part,
	char name[static EXPORT_NAME], struct fault *f)
{
	for (size_t digits = DIGITS_LEAST; digits <= DIGEST_HEX; digits += DIGITS_STEP) {
		export_file_name(m, digits, name);
		if (rename_new(e->folder, part, name) == 0)
			return 0;
		if (errno != EEXIST)
			return folder_error(e, errno, "rename", f);
		if (file_is_message(e, name, m)) {
			(void)unlinkat(e->folder, part, 0);
			return 0;
		}
	}
	return fault_set(f, FAULT_SYSTEM, SCOPE_MESSAGE, 0,
		"%s/%s is in the way: it is not the message that belongs there", e->path, name);
}

static int add_line(struct export_folder *e, const struct message *m, const char *name,
	char *const *accounts, struct fault *f)
{
	char hex[DIGEST_HEX + 1];
	struct json_line line;

	digest_hex(&m->digest, hex);
	json_line_begin(&line, "file");
	json_add_text(&line, "file", name);
	json_add_text(&line, "digest", hex);
	json_add_count(&line, "size", m->size_bytes);
	json_add_texts(&line, "accounts", accounts);
	json_add_moment(&line, "archived", m->archived);
	char *text CLEANUP(freep) = json_line_text(&line);
	if (!text)
		return fault_memory(f);
	return manifest_add(e->manifest, text, f);
}

/* In the manifest, and still there with its size. */
static bool is_present(const struct export_folder *e, const struct message *m)
{
	const char *name = manifest_find(e->manifest, &m->digest);
	struct stat st;

	return name && fstatat(e->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->size_bytes;
}

int export_folder_add(struct export_folder *e, struct store *s, const struct message *m,
	char *const *accounts, struct fault *f)
{
	char part[DIGEST_HEX + 8], hex[DIGEST_HEX + 1], name[EXPORT_NAME];

	if (is_present(e, m))
		return EXPORT_PRESENT;
	digest_hex(&m->digest, hex);
	(void)snprintf(part, sizeof part, ".%s.part", hex);
	if (write_part(e, s, m, part, f) < 0 || name_part(e, m, part, name, f) < 0)
		return -1;
	return add_line(e, m, name, accounts, f);
}

int export_folder_finish(struct export_folder *e, struct fault *f)
{
	if (manifest_sync(e->manifest, f) < 0)
		return fault_prefix(f, "%s", e->path);
	return fsync(e->folder) < 0 ? folder_error(e, errno, "sync", f) : 0;
}
