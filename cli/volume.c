#include "cli/volume.h"

#include "archive/file.h"
#include "archive/limits.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { BUFFERED = 256 * 1024 };

struct volume {
	int fd, folder;
	char *part;
	const char *shown;
	uint64_t written, hashed;
	struct buffer out; /* put and not written yet */
	struct hasher *hasher;
	bool broken;
};

static int volume_error(const struct volume *v, const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot %s %s", what, v->shown);
}

/* The digest goes along with what is synced: that is in the page cache still. */
static int hash_to(struct volume *v, uint64_t end, struct fault *f)
{
	if (file_add_to_hasher(v->fd, v->hashed, end, v->hasher) < 0)
		return volume_error(v, "read", f);
	v->hashed = end;
	return 0;
}

static int begin(struct volume *v, uint64_t keep, struct fault *f)
{
	struct stat st;

	v->fd = openat(v->folder, v->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (v->fd < 0 || fstat(v->fd, &st) < 0)
		return volume_error(v, "write", f);
	if ((uint64_t)st.st_size < keep)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"the unfinished export of %s is shorter than its manifest says; name a new "
			"file",
			v->shown);
	if (ftruncate(v->fd, (off_t)keep) < 0 || lseek(v->fd, (off_t)keep, SEEK_SET) < 0)
		return volume_error(v, "write", f);
	v->written = keep;
	return hash_to(v, keep, f);
}

int volume_open(int folder, const char *part, const char *shown, uint64_t keep, struct volume **ret,
	struct fault *f)
{
	struct volume *v CLEANUP(volume_closep) = calloc(1, sizeof *v);

	if (!v)
		return fault_memory(f);
	v->fd = -1;
	v->folder = folder;
	v->shown = shown;
	v->out = buffer_make(BUFFERED);
	v->part = strdup(part);
	if (!v->part)
		return fault_memory(f);
	if (hasher_new(&v->hasher, f) < 0 || begin(v, keep, f) < 0)
		return -1;
	*ret = TAKE(v);
	return 0;
}

struct volume *volume_close(struct volume *v)
{
	if (!v)
		return NULL;
	fd_closep(&v->fd);
	free(v->part);
	buffer_deinit(&v->out);
	hasher_free(v->hasher);
	free(v);
	return NULL;
}

void volume_closep(struct volume **v)
{
	*v = volume_close(*v);
}

uint64_t volume_end(const struct volume *v)
{
	return v->written + v->out.len;
}

uint64_t volume_written(const struct volume *v)
{
	return v->written;
}

/* What a failed write left of it is in the file. */
static int write_some(struct volume *v, struct slice bytes, struct fault *f)
{
	int r = new_file_append(v->fd, bytes), error = errno;
	off_t at = r < 0 ? lseek(v->fd, 0, SEEK_CUR) : 0;

	if (r == 0) {
		v->written += bytes.len;
		return 0;
	}
	if (at > 0 && (uint64_t)at > v->written)
		v->written = (uint64_t)at;
	errno = error;
	return volume_error(v, "write", f);
}

static int flush(struct volume *v, struct fault *f)
{
	struct slice bytes = buffer_slice(&v->out);

	buffer_clear(&v->out);
	return bytes.len ? write_some(v, bytes, f) : 0;
}

int volume_put(struct volume *v, struct slice bytes, struct fault *f)
{
	if (v->out.len + bytes.len > BUFFERED && flush(v, f) < 0)
		return -1;
	if (bytes.len > BUFFERED)
		return write_some(v, bytes, f);
	return buffer_append(&v->out, bytes.data, bytes.len, f);
}

int volume_patch(struct volume *v, uint64_t at, struct slice bytes, struct fault *f)
{
	if (at >= v->written && at + bytes.len <= volume_end(v)) {
		memcpy(v->out.data + (at - v->written), bytes.data, bytes.len);
		return 0;
	}
	if (flush(v, f) < 0)
		return -1;
	return file_write_at(v->fd, bytes, at) < 0 ? volume_error(v, "write", f) : 0;
}

int volume_cut(struct volume *v, uint64_t end, struct fault *f)
{
	if (end >= v->written) {
		v->out.len = (size_t)(end - v->written);
		return 0;
	}
	buffer_clear(&v->out);
	if (ftruncate(v->fd, (off_t)end) < 0 || lseek(v->fd, (off_t)end, SEEK_SET) < 0)
		return volume_error(v, "write", f);
	v->written = end;
	return 0;
}

int volume_sync(struct volume *v, struct fault *f)
{
	if (flush(v, f) < 0)
		return -1;
	if (v->broken || fdatasync(v->fd) < 0) {
		v->broken = true;
		return volume_error(v, "sync", f);
	}
	return hash_to(v, v->written, f);
}

int volume_read(const struct volume *v, uint64_t at, void *to, size_t len)
{
	uint8_t *bytes = (uint8_t *)to;

	while (len > 0) {
		ssize_t n = pread(v->fd, bytes, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int volume_digest(struct volume *v, struct digest *ret, struct fault *f)
{
	if (volume_sync(v, f) < 0)
		return -1;
	hasher_end(v->hasher, ret);
	return 0;
}

int volume_publish(struct volume *v, const char *name, struct fault *f)
{
	if (fsync(v->fd) < 0)
		return volume_error(v, "sync", f);
	if (new_file_rename(v->folder, v->part, name) < 0)
		return volume_error(v, "rename what was written to", f);
	return fsync(v->folder) < 0 ? volume_error(v, "sync the folder of", f) : 0;
}
