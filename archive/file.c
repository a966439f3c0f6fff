#include "archive/file.h"

#include <errno.h>
#include <fcntl.h>

int file_write_at(int fd, struct slice bytes, uint64_t offset)
{
	while (bytes.len > 0) {
		ssize_t n = pwrite(fd, bytes.data, bytes.len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
		offset += (uint64_t)n;
	}
	return 0;
}

void dir_closep(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
	*dir = NULL;
}

DIR *folder_read(int folder_fd)
{
	/* A descriptor of its own: fdopendir() takes it over, and a dup() would share the place. */
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir) {
		int error = errno;

		fd_closep(&fd);
		errno = error;
	}
	return dir;
}

uint64_t file_number(const char *name)
{
	uint64_t number = 0;

	for (const char *p = name; *p >= '0' && *p <= '9'; p++) {
		if (number >= UINT64_MAX / 100)
			return 0;
		number = number * 10 + (uint64_t)(*p - '0');
	}
	return number;
}
