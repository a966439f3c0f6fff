#include "cli/export_origin.h"

#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { ORIGIN_MAX = 8192 };

static int origin_error(const char *what, const char *shown, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
		"cannot %s what %s is an export of", what, shown);
}

/* Open and locked. The export that held it before may have come to its end, and removed it: then
 * what was opened is nobody's. */
static int open_locked(int folder, const char *name, const char *shown, struct fault *f)
{
	struct stat st;

	for (;;) {
		int fd CLEANUP(fd_closep) =
			openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return origin_error("write", shown, f);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"%s is being written by another export", shown);
		if (fstat(fd, &st) < 0)
			return origin_error("read", shown, f);
		if (st.st_nlink > 0)
			return fd_take(&fd);
	}
}

int export_origin_claim(int folder, const char *name, const char *origin, const char *shown,
	int *ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) = open_locked(folder, name, shown, f);
	char there[ORIGIN_MAX];

	if (fd < 0)
		return -1;
	ssize_t n = pread(fd, there, sizeof there, 0);
	if (n < 0)
		return origin_error("read", shown, f);
	if ((size_t)n > strlen(origin) || memcmp(there, origin, (size_t)n) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s holds another export (of another archive, query or format); name a "
			"new one",
			shown);
	*ret = fd_take(&fd);
	/* The beginning of it: of a run that was killed while it wrote this. */
	return (size_t)n == strlen(origin) ? 0 : ORIGIN_NEW;
}

int export_origin_write(
	int folder, int origin_fd, const char *origin, const char *shown, struct fault *f)
{
	if (lseek(origin_fd, 0, SEEK_SET) < 0 ||
		new_file_append(origin_fd, slice_text(origin)) < 0 || fsync(origin_fd) < 0 ||
		fsync(folder) < 0)
		return origin_error("write", shown, f);
	return 0;
}

void export_origin_remove(int folder, const char *name)
{
	(void)unlinkat(folder, name, 0);
}
