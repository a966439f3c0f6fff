/* An export that is a folder: eml, a Maildir, or a tar or zip that somebody unpacked. */
#include "cli/verify_export.h"

#include "archive/file.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* A FIFO must not make us wait. */
enum { FILE_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW };

/* What is no part of what was written, or is looked at by itself. */
static bool is_ours(const struct verify_export *x, const char *name)
{
	/* A server or mail program keeps its own files in a Maildir. */
	if (x->maildir && !strstr(name, "cur/") && !strstr(name, "new/"))
		return strcmp(name, "manifest.jsonl") == 0 || strcmp(name, "summary.txt") == 0;
	return strcmp(name, ".popkeep-export") != 0 && strcmp(name, "SHA256SUMS") != 0;
}

/* As verify_export_compare() looks it up. */
static size_t plain_length(const struct verify_export *x, char *name)
{
	char *slash = strrchr(name, '/'), *colon = strrchr(name, ':');

	if (!x->maildir || !slash)
		return strlen(name);
	if (slash - name >= 3 && memcmp(slash - 3, "new", 3) == 0)
		memcpy(slash - 3, "cur", 3);
	return colon && colon > slash ? (size_t)(colon - name) : strlen(name);
}

static int add_file(
	struct verify_export *x, int folder, const char *base, char *name, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(folder, base, FILE_FLAGS);
	struct found_file file;

	if (!is_ours(x, name))
		return 0;
	if (fd < 0) {
		verify_export_tell(x, name, NULL, "cannot be read: %s", strerror(errno));
		return 0;
	}
	int r = verify_export_digest(x, fd, name, &file, f);
	if (r != 0)
		return r < 0 ? -1 : 0;
	return found_files_add(x->found, slice_of(name, plain_length(x, name)), &file, f);
}

static int walk(
	struct verify_export *x, int folder, const char *prefix, int depth, struct fault *f);

static int walk_entry(struct verify_export *x, int folder, const char *prefix, const char *base,
	int depth, struct fault *f)
{
	char name[LIMIT_EXPORT_NAME];
	struct stat st;
	int len = snprintf(name, sizeof name - 1, "%s%s", prefix, base);

	if (len < 0 || (size_t)len >= sizeof name - 1 ||
		fstatat(folder, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		verify_export_tell(x, base, NULL, "cannot be looked at");
		return 0;
	}
	if (S_ISREG(st.st_mode))
		return add_file(x, folder, base, name, f);
	if (!S_ISDIR(st.st_mode) || depth == LIMIT_EXPORT_DEPTH) {
		verify_export_tell(x, name, NULL, "it is surplus: no file that an export writes");
		return 0;
	}
	int below CLEANUP(fd_closep) =
		openat(folder, base, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (below < 0) {
		verify_export_tell(x, name, NULL, "cannot be read: %s", strerror(errno));
		return 0;
	}
	name[len] = '/';
	name[len + 1] = '\0';
	return walk(x, below, name, depth + 1, f);
}

static int walk(struct verify_export *x, int folder, const char *prefix, int depth, struct fault *f)
{
	DIR *dir CLEANUP(dir_closep) = folder_read(folder);
	struct dirent *entry;

	if (!dir)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot list a folder");
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (walk_entry(x, folder, prefix, entry->d_name, depth, f) < 0)
			return -1;
	}
	return 0;
}

/* Does its manifest begin with a file in cur/? */
static int looks_like_maildir(void *context, const struct manifest_entry *e, struct fault *f)
{
	*(bool *)context = strstr(e->file, "cur/") && strstr(e->file, ":2,");
	return fault_set(f, FAULT_NONE, SCOPE_MESSAGE, 0, "enough");
}

int verify_export_folder(struct verify_export *x, struct fault *f)
{
	int folder CLEANUP(fd_closep) = open(x->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t end, bad;
	struct fault ignored;

	if (folder < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read the folder");
	int manifest CLEANUP(fd_closep) = openat(folder, "manifest.jsonl", FILE_FLAGS);
	int sums CLEANUP(fd_closep) = openat(folder, "SHA256SUMS", FILE_FLAGS);
	if (manifest >= 0)
		(void)!manifest_walk(manifest, "manifest.jsonl", looks_like_maildir, &x->maildir,
			&end, &bad, &ignored);
	if (found_files_open(x->scratch, 0, &x->found, f) < 0 || walk(x, folder, "", 0, f) < 0)
		return -1;
	return verify_export_compare(x, manifest, sums, f);
}
