#include "cli/new_file.h"

#include "archive/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

int new_file_append(int fd, struct slice bytes)
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

/* renameat2(), or link() where the file system does not have that. */
int new_file_rename(int folder, const char *from, const char *to)
{
	if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(folder, from, folder, to, 0) < 0)
		return -1;
	return unlinkat(folder, from, 0);
}

int new_file_write(int folder, const char *name, struct slice bytes, const struct new_file_as *as)
{
	char part[NAME_MAX + 1];
	int length = snprintf(part, sizeof part, ".%s.new", name);

	if (length < 0 || (size_t)length >= sizeof part) {
		errno = ENAMETOOLONG;
		return -1;
	}
	/* What a crash left. */
	if (unlinkat(folder, part, 0) < 0 && errno != ENOENT)
		return -1;
	int fd CLEANUP(fd_closep) =
		openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (fchown(fd, as->owner, as->group) == 0 && fchmod(fd, as->mode) == 0 &&
		new_file_append(fd, bytes) == 0 && fsync(fd) == 0) {
		int r = as->replaces ? renameat(folder, part, folder, name)
				     : new_file_rename(folder, part, name);
		if (r == 0)
			return fsync(folder);
	}
	int error = errno;
	(void)unlinkat(folder, part, 0);
	errno = error;
	return -1;
}

int new_file_sync_above(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	const char *slash = memrchr(path, '/', len);
	size_t above_len = !slash || slash == path ? 1 : (size_t)(slash - path);
	char *above CLEANUP(freep) = strndup(slash ? path : ".", above_len);
	if (!above)
		return -1;
	int fd CLEANUP(fd_closep) = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

int new_folder(const char *path)
{
	return mkdir(path, 0700) < 0 ? -1 : new_file_sync_above(path);
}

int new_folders_above(const char *path_below, struct fault *f)
{
	char *path CLEANUP(freep) = strdup(path_below);
	char name[256];

	if (!path)
		return fault_memory(f);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (new_folder(path) < 0 && errno != EEXIST)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
				"cannot make folder %s",
				escape_text(slice_text(path), name, sizeof name));
		*slash = '/';
	}
	return 0;
}
