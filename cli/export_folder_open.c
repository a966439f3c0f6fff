/* Opening a folder that is exported to: see export_folder.c. */
#include "cli/export_folder.h"

#include "archive/escape.h"
#include "archive/file.h"
#include "archive/limits.h"
#include "cli/export_origin.h"
#include "cli/export_summary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	SUMS_MAX = 512 * 1024,
	SUMS_FULL = 64 * 1024,
	LINES_MAX = 4 * 1024 * 1024,
	MOVED_DIGITS = 20
};

/* ---- Whose it is ------------------------------------------------------------------------------
 */

static int folder_is_empty(const struct folder *e, bool *ret, struct fault *f)
{
	DIR *dir CLEANUP(dir_closep) = folder_read(e->folder);
	struct dirent *entry;

	if (!dir)
		return folder_error(e, "list what is", f);
	*ret = true;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			strcmp(entry->d_name, FOLDER_ORIGIN) != 0)
			*ret = false;
	}
	return 0;
}

static int claim(struct folder *e, struct fault *f)
{
	bool empty = false;
	int r = export_origin_claim(
		e->folder, FOLDER_ORIGIN, e->job.origin, e->path, &e->origin_fd, f);

	if (r <= 0)
		return r;
	if (folder_is_empty(e, &empty, f) < 0)
		return -1;
	if (!empty) {
		export_origin_remove(e->folder, FOLDER_ORIGIN);
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is not empty and no earlier export; name a new or empty folder",
			e->path);
	}
	return export_origin_write(e->folder, e->origin_fd, e->job.origin, e->path, f);
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
	for (const char *const *name = e->kind->folders; *name; name++) {
		if (mkdirat(e->folder, *name, 0700) < 0 && errno != EEXIST)
			return folder_error(e, "make a folder", f);
	}
	return 0;
}

/* ---- What an earlier run wrote ----------------------------------------------------------------
 */

static int on_earlier(void *context, const struct manifest_entry *entry, struct fault *f)
{
	struct folder *e = (struct folder *)context;

	export_totals_add(&e->target.totals, entry->size, entry->archived);
	if (e->kind->names == FOLDER_EML && eml_folders_recall(&e->months, entry->file, f) < 0)
		return -1;
	if (export_sums_line(&e->sums, &entry->digest, entry->file, f) < 0)
		return -1;
	return e->sums.len >= SUMS_FULL ? folder_write_sums(e, f) : 0;
}

/* What was half written when a run was killed: worth nothing. */
static int open_sums(struct folder *e, struct fault *f)
{
	e->sums_fd = openat(e->folder, FOLDER_SUMS_PART,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return e->sums_fd < 0 ? folder_error(e, "write", f) : 0;
}

/* The digest's digits in a name as "1795293296.0123456789abcdef0123.popkeep,S=12:2,S". 0, or 1: it
 * is none of ours. */
static int moved_digest(const char *name, struct digest *ret)
{
	const char *digits = strchr(name, '.');
	char hex[DIGEST_HEX + 1];

	memset(hex, '0', DIGEST_HEX);
	hex[DIGEST_HEX] = '\0';
	size_t len = digits ? strspn(digits + 1, "0123456789abcdef") : 0;
	if (len < MOVED_DIGITS || len > DIGEST_HEX ||
		strncmp(digits + 1 + len, ".popkeep,", sizeof ".popkeep," - 1) != 0)
		return 1;
	memcpy(hex, digits + 1, len);
	return digest_parse(slice_text(hex), ret);
}

static int read_names(struct folder *e, const char *within, uint64_t *room, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(e->folder, within, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir CLEANUP(dir_closep) = fd < 0 ? NULL : folder_read(fd);
	struct dirent *entry;
	struct digest d;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : folder_error(e, "list what is", f);
	while (*room > 0 && (entry = readdir(dir))) {
		if (moved_digest(entry->d_name, &d) != 0)
			continue;
		if (digest_table_add(e->moved, &d, 0, f) < 0)
			return -1;
		--*room;
	}
	return 0;
}

/* "." is INBOX, others are folders of a Maildir++, or no folders at all. */
static int read_box(struct folder *e, const char *name, uint64_t *room, struct fault *f)
{
	static const char *const parts[] = {"cur", "new"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", name, parts[i]);
		if (read_names(e, path, room, f) < 0)
			return -1;
	}
	return 0;
}

static int find_moved(struct folder *e, struct fault *f)
{
	DIR *dir CLEANUP(dir_closep) = NULL;
	uint64_t room = 2 * e->target.earlier;
	struct dirent *entry;

	if (e->kind->names != FOLDER_MAILDIR || e->target.earlier == 0)
		return 0;
	if (digest_table_open(e->folder, room, &e->moved, f) < 0)
		return -1;
	dir = folder_read(e->folder);
	if (!dir)
		return folder_error(e, "list what is", f);
	while ((entry = readdir(dir))) {
		if ((entry->d_name[0] == '.' && strcmp(entry->d_name, "..") != 0) &&
			read_box(e, entry->d_name, &room, f) < 0)
			return -1;
	}
	return 0;
}

int folder_was_moved(struct folder *e, const struct digest *d, struct fault *f)
{
	struct digest_search at = {0};
	uint64_t number;

	return e->moved ? digest_table_next(e->moved, d, &at, &number, f) : 0;
}

/* ---- Opening and closing -----------------------------------------------------------------------
 */

int folder_open(const struct folder_kind *kind, const struct export_job *job,
	struct export_target **ret, struct fault *f)
{
	struct folder *e = calloc(1, sizeof *e);
	struct export_target *owned CLEANUP(export_target_closep) = e ? &e->target : NULL;

	if (!e)
		return fault_memory(f);
	e->target.format = kind->format;
	e->kind = kind;
	e->job = *job;
	e->folder = e->origin_fd = e->sums_fd = -1;
	e->lines = buffer_make(LINES_MAX);
	e->sums = buffer_make(SUMS_MAX);
	e->pending = calloc(BATCH, sizeof *e->pending);
	if (!e->pending)
		return fault_memory(f);
	if (open_top(e, job->path, f) < 0 || claim(e, f) < 0 || make_folders(e, f) < 0 ||
		open_sums(e, f) < 0)
		return -1;
	if (manifest_open(e->folder, FOLDER_MANIFEST, 0, on_earlier, e, &e->manifest, f) < 0)
		return fault_prefix(f, "%s", e->path);
	e->target.earlier = manifest_count(e->manifest);
	if (find_moved(e, f) < 0)
		return -1;
	*ret = TAKE(owned);
	return 0;
}

void folder_drop_pending(struct folder *e)
{
	for (size_t i = 0; i < e->pending_n; i++)
		json_line_deinit(&e->pending[i].line);
	e->pending_n = 0;
	e->pending_bytes = 0;
	buffer_clear(&e->lines);
}

void folder_close(struct export_target *to)
{
	struct folder *e = folder_of(to);

	folder_drop_pending(e);
	free(e->pending);
	digest_table_closep(&e->moved);
	manifest_close(e->manifest);
	export_source_deinit(&e->source);
	eml_folders_deinit(&e->months);
	buffer_deinit(&e->lines);
	buffer_deinit(&e->sums);
	fd_closep(&e->sums_fd);
	fd_closep(&e->origin_fd);
	fd_closep(&e->folder);
	free(e->path);
	free(e);
}
