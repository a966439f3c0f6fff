/* Bytes of groups that never happened are kept aside before they are cut, so that nothing is ever
 * thrown away unseen: aside/<time>-<file>-<offset>. Bounded: the oldest go first. */
#include "archive/file.h"
#include "archive/handle.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CHUNK = 64 * 1024 };

struct asides {
	uint64_t bytes, files;
	char oldest[NAME_MAX + 1];
};

/* Names begin with the time, so that their order is that of age. */
static int survey(int aside_fd, struct asides *ret)
{
	DIR *dir CLEANUP(dir_closep) = folder_read(aside_fd);
	struct stat st;

	*ret = (struct asides){0};
	if (!dir)
		return -1;
	for (struct dirent *e; (e = readdir(dir));) {
		if (e->d_name[0] == '.' ||
			fstatat(aside_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		ret->files++;
		ret->bytes += (uint64_t)st.st_size;
		if (!ret->oldest[0] || strcmp(e->d_name, ret->oldest) < 0)
			(void)snprintf(ret->oldest, sizeof ret->oldest, "%s", e->d_name);
	}
	return 0;
}

static void make_room(int aside_fd, uint64_t bytes)
{
	struct asides all;

	while (survey(aside_fd, &all) == 0 && all.files > 0 &&
		(all.files >= LIMIT_ASIDE_FILES || all.bytes + bytes > LIMIT_ASIDE_BYTES)) {
		if (unlinkat(aside_fd, all.oldest, 0) < 0)
			return;
	}
}

/* A copy up to the cap; less than all when the disk is full. */
static uint64_t copy(int from, uint64_t offset, int to)
{
	uint8_t chunk[CHUNK];
	uint64_t done = 0;

	while (done < LIMIT_ASIDE_BYTES) {
		ssize_t n = pread(from, chunk, sizeof chunk, (off_t)(offset + done));

		if (n <= 0 || file_write_at(to, slice_of(chunk, (size_t)n), done) < 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

static uint64_t keep_aside(struct store *s, int fd, const char *what, uint64_t offset,
	uint64_t bytes, char name[static NAME_MAX])
{
	char t[MOMENT_TEXT];

	if (mkdirat(s->folder_fd, FOLDER_ASIDE, 0700) < 0 && errno != EEXIST)
		return 0;
	int aside CLEANUP(fd_closep) =
		openat(s->folder_fd, FOLDER_ASIDE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (aside < 0)
		return 0;
	make_room(aside, bytes);
	moment_format(moment_now(), t);
	(void)snprintf(name, NAME_MAX, "%s-%s-%" PRIu64, t, what, offset);
	int to CLEANUP(fd_closep) =
		openat(aside, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return to >= 0 ? copy(fd, offset, to) : 0;
}

int aside_cut(struct store *s, int fd, const char *what, uint64_t offset, struct fault *f)
{
	char name[NAME_MAX] = "";
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", what);
	uint64_t bytes = (uint64_t)st.st_size > offset ? (uint64_t)st.st_size - offset : 0;
	if (bytes > 0) {
		uint64_t kept = keep_aside(s, fd, what, offset, bytes, name);

		store_notice(s,
			"%" PRIu64 " bytes of an unfinished group were cut from %s, %" PRIu64
			" of them kept in aside/%s",
			bytes, what, kept, name);
	}
	if (ftruncate(fd, (off_t)offset) < 0 || fdatasync(fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot cut %s at %" PRIu64, what, offset);
	return 0;
}
