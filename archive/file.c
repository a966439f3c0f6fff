#include "archive/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { CHUNK = 64 * 1024 };

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

int file_add_to_hasher(int fd, uint64_t from, uint64_t to, struct hasher *h)
{
	uint8_t chunk[CHUNK];

	while (from < to) {
		size_t want = to - from < sizeof chunk ? (size_t)(to - from) : sizeof chunk;
		ssize_t n = pread(fd, chunk, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return -1;
		hasher_add(h, chunk, (size_t)n);
		from += (uint64_t)n;
	}
	return 0;
}

int file_digest(int fd, uint64_t size, struct hasher *h, struct digest *ret)
{
	int r = file_add_to_hasher(fd, 0, size, h);
	int error = errno;

	hasher_end(h, ret);
	errno = error;
	return r;
}

int file_open_unlinked(int folder_fd)
{
	int fd = openat(folder_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	char name[64];
	(void)snprintf(name, sizeof name, ".spool.%ld.%lld", (long)getpid(), (long long)random());
	fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)unlinkat(folder_fd, name, 0);
	return fd;
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
