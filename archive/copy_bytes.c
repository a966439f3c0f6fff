/* Moving and comparing bytes for a copy. Plain reads and writes: what a file system shares between
 * two files would be read back from the one and only place, and so prove nothing. */
#include "archive/copy_private.h"
#include "archive/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

int copy_fault_write(struct copy *c, const char *folder, const char *name, struct fault *f)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	(void)fault_errno(f, FAULT_WRITE, SCOPE_SESSION, errno, "cannot write %s/%s/%s", c->target,
		folder, name);
	return full ? fault_prefix(f, "no room left for the copy (make some, and copy again: it "
				      "goes on where it stopped)")
		    : -1;
}

int copy_progress(struct copy *c, uint64_t bytes, struct fault *f)
{
	c->done += bytes;
	if (c->done > c->all)
		c->all = c->done;
	if (!c->watch || !c->watch->progress ||
		c->watch->progress(c->watch->context, c->done, c->all) == 0)
		return 0;
	return fault_set(f, FAULT_INTERRUPT, SCOPE_SESSION, 0,
		"stopped before all was copied; copy again: it goes on where it stopped");
}

void copy_tell(
	struct copy *c, enum copy_deed deed, const char *folder, const char *name, uint64_t bytes)
{
	char path[64];

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	if (deed == COPY_MADE || deed == COPY_GREW || deed == COPY_MENDED) {
		c->sums.copied++;
		c->sums.copied_bytes += bytes;
	}
	c->sums.mended += deed == COPY_MENDED;
	c->sums.removed += deed == COPY_REMOVED;
	if (c->watch && c->watch->file)
		c->watch->file(c->watch->context, deed, path, bytes);
}

/* Exactly n bytes, or <0 with errno; 0 in errno: the file ends before. */
static int read_all(int fd, uint8_t *to, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t got = pread(fd, to, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = 0;
		if (got <= 0)
			return -1;
		to += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

enum side { SIDE_ARCHIVE, SIDE_COPY };

static int read_side(struct copy *c, const struct copy_pair *p, enum side side, size_t n,
	uint64_t offset, struct fault *f)
{
	const char *root = side == SIDE_COPY ? c->target : c->s->folder;
	enum fault_code code = side == SIDE_COPY ? FAULT_WRITE : FAULT_DAMAGE;

	if (read_all(side == SIDE_COPY ? p->to : p->from, c->chunk[side], n, offset) == 0)
		return 0;
	if (errno == 0)
		return fault_set(f, code, SCOPE_SESSION, 0, "%s/%s/%s ends before byte %" PRIu64,
			root, p->folder, p->name, offset + n);
	return fault_errno(f, code, SCOPE_SESSION, errno,
		"%s/%s/%s cannot be read at byte %" PRIu64, root, p->folder, p->name, offset);
}

static size_t chunk_of(uint64_t from, uint64_t end)
{
	return end - from < COPY_CHUNK ? (size_t)(end - from) : COPY_CHUNK;
}

int copy_bytes(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	struct digest *ret, struct fault *f)
{
	struct digest begun;

	hasher_end(c->hasher, &begun); /* of one that failed */
	while (from < end) {
		size_t n = chunk_of(from, end);

		if (read_side(c, p, SIDE_ARCHIVE, n, from, f) < 0)
			return -1;
		hasher_add(c->hasher, c->chunk[SIDE_ARCHIVE], n);
		if (file_write_at(p->to, slice_of(c->chunk[SIDE_ARCHIVE], n), from) < 0)
			return copy_fault_write(c, p->folder, p->name, f);
		if (copy_progress(c, n, f) < 0)
			return -1;
		from += n;
	}
	hasher_end(c->hasher, ret);
	return 0;
}

int copy_sync(struct copy *c, const struct copy_pair *p, struct fault *f)
{
	if (fdatasync(p->to) < 0)
		return copy_fault_write(c, p->folder, p->name, f);
	(void)posix_fadvise(p->to, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

int copy_digest(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	struct digest *ret, struct fault *f)
{
	struct digest begun;

	hasher_end(c->hasher, &begun);
	while (from < end) {
		size_t n = chunk_of(from, end);

		if (read_side(c, p, SIDE_COPY, n, from, f) < 0)
			return -1;
		hasher_add(c->hasher, c->chunk[SIDE_COPY], n);
		if (copy_progress(c, n, f) < 0)
			return -1;
		from += n;
	}
	hasher_end(c->hasher, ret);
	return 0;
}

int copy_verified(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	struct digest *ret, struct fault *f)
{
	struct digest written, back;

	if (copy_bytes(c, p, from, end, &written, f) < 0 || copy_sync(c, p, f) < 0 ||
		copy_digest(c, p, from, end, &back, f) < 0)
		return -1;
	if (digest_compare(&written, &back) != 0)
		return fault_set(f, FAULT_WRITE, SCOPE_SESSION, 0,
			"%s/%s/%s: other bytes came back than were written; that disk, or its "
			"cable, is broken",
			c->target, p->folder, p->name);
	c->sums.verified_bytes += end - from;
	*ret = written;
	return 0;
}

int copy_compare(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	uint64_t *ret_same, struct fault *f)
{
	while (from < end) {
		size_t n = chunk_of(from, end), same = 0;

		if (read_side(c, p, SIDE_ARCHIVE, n, from, f) < 0 ||
			read_side(c, p, SIDE_COPY, n, from, f) < 0)
			return -1;
		if (memcmp(c->chunk[0], c->chunk[1], n) != 0) {
			while (c->chunk[0][same] == c->chunk[1][same])
				same++;
			*ret_same = from + same;
			return 0;
		}
		if (copy_progress(c, n, f) < 0)
			return -1;
		from += n;
		c->sums.verified_bytes += n;
	}
	*ret_same = end;
	return 0;
}
