#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

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
