#include "archive/spool.h"

#include "archive/file.h"
#include "archive/limits.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>

enum { FIRST_SIZE = 8192 };

struct spool_pool {
	int folder;
	atomic_size_t memory; /* allocated by all spools: made in one thread, freed in another */
};

struct spool {
	struct spool_pool *pool;
	struct hasher *hasher;
	struct digest digest;
	uint8_t *data; /* the bytes while fd < 0 */
	size_t allocated;
	int fd;
	uint64_t size;
	bool finished;
	atomic_uint owners;
};

int spool_pool_open(const char *folder, struct spool_pool **ret, struct fault *f)
{
	struct spool_pool *p = calloc(1, sizeof *p);

	if (!p)
		return fault_memory(f);
	p->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->folder < 0) {
		free(p);
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot open the archive's folder");
	}
	*ret = p;
	return 0;
}

struct spool_pool *spool_pool_close(struct spool_pool *p)
{
	if (!p)
		return NULL;
	assert(atomic_load(&p->memory) == 0);
	fd_closep(&p->folder);
	free(p);
	return NULL;
}

void spool_pool_closep(struct spool_pool **p)
{
	*p = spool_pool_close(*p);
}

int spool_new(struct spool_pool *p, struct spool **ret, struct fault *f)
{
	struct spool *s CLEANUP(spool_freep) = calloc(1, sizeof *s);

	if (!s)
		return fault_memory(f);
	s->pool = p;
	s->fd = -1;
	atomic_init(&s->owners, 1);
	if (hasher_new(&s->hasher, f) < 0)
		return -1;
	*ret = TAKE(s);
	return 0;
}

static void drop_memory(struct spool *s)
{
	free(s->data);
	s->data = NULL;
	atomic_fetch_sub(&s->pool->memory, s->allocated);
	s->allocated = 0;
}

struct spool *spool_free(struct spool *s)
{
	if (!s || atomic_fetch_sub(&s->owners, 1) > 1)
		return NULL;
	drop_memory(s);
	hasher_free(s->hasher);
	fd_closep(&s->fd);
	free(s);
	return NULL;
}

void spool_freep(struct spool **s)
{
	*s = spool_free(*s);
}

static int write_to_file(struct spool *s, struct slice bytes, uint64_t offset, struct fault *f)
{
	if (file_write_at(s->fd, bytes, offset) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write a message's temporary file in the archive");
	return 0;
}

static int move_to_file(struct spool *s, struct fault *f)
{
	s->fd = file_open_unlinked(s->pool->folder);
	if (s->fd < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot make a message's temporary file in the archive");
	if (write_to_file(s, slice_of(s->data, (size_t)s->size), 0, f) < 0)
		return -1;
	drop_memory(s);
	return 0;
}

/* Room for n more bytes in memory, if the caps allow; false: go to a file. */
static bool grow_memory(struct spool *s, size_t n)
{
	size_t need = (size_t)s->size + n;

	if (s->data && need <= s->allocated)
		return true;
	if (need > LIMIT_SPOOL_MEMORY)
		return false;
	size_t size = s->allocated ? s->allocated * 2 : FIRST_SIZE;
	while (size < need)
		size *= 2;
	size_t more = size - s->allocated;
	/* A small one never costs a descriptor: how many of them wait is bounded by their bytes. */
	if (atomic_fetch_add(&s->pool->memory, more) + more > LIMIT_SPOOL_MEMORY_ALL &&
		size > LIMIT_SPOOL_SMALL) {
		atomic_fetch_sub(&s->pool->memory, more);
		return false;
	}
	uint8_t *data = realloc(s->data, size);
	if (!data) {
		atomic_fetch_sub(&s->pool->memory, more);
		return false;
	}
	s->data = data;
	s->allocated = size;
	return true;
}

int spool_write(struct spool *s, struct slice bytes, struct fault *f)
{
	assert(!s->finished);
	if (bytes.len == 0)
		return 0;
	bool in_memory = s->fd < 0 && grow_memory(s, bytes.len);
	if (!in_memory && s->fd < 0 && move_to_file(s, f) < 0)
		return -1;
	if (in_memory)
		memcpy(s->data + s->size, bytes.data, bytes.len);
	else if (write_to_file(s, bytes, s->size, f) < 0)
		return -1;
	s->size += bytes.len;
	hasher_add(s->hasher, bytes.data, bytes.len);
	return 0;
}

/* What was allocated ahead goes back, so that it does not count against the others. */
static void trim(struct spool *s)
{
	size_t used = s->size ? (size_t)s->size : 1;
	uint8_t *data = s->fd < 0 && used < s->allocated ? realloc(s->data, used) : NULL;

	if (!data)
		return;
	s->data = data;
	atomic_fetch_sub(&s->pool->memory, s->allocated - used);
	s->allocated = used;
}

void spool_finish(struct spool *s)
{
	if (s->finished)
		return;
	hasher_end(s->hasher, &s->digest);
	trim(s);
	s->finished = true;
}

struct spool *spool_share(struct spool *s)
{
	assert(s->finished);
	atomic_fetch_add(&s->owners, 1);
	return s;
}

uint64_t spool_size(const struct spool *s)
{
	return s->size;
}

const struct digest *spool_digest(const struct spool *s)
{
	assert(s->finished);
	return &s->digest;
}

int spool_read(
	struct spool *s, uint64_t offset, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	uint64_t left = offset < s->size ? s->size - offset : 0;
	size_t n = left < size ? (size_t)left : size;

	if (s->fd < 0) {
		if (n > 0)
			memcpy(to, s->data + offset, n);
		*ret_n = n;
		return 0;
	}
	for (;;) {
		ssize_t got = pread(s->fd, to, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || (got == 0 && n > 0))
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, got < 0 ? errno : EIO,
				"cannot read back a message's temporary file");
		*ret_n = (size_t)got;
		return 0;
	}
}

struct slice spool_memory(const struct spool *s)
{
	if (s->fd >= 0)
		return slice_of(NULL, 0);
	/* An empty message lies in memory too, and {NULL, 0} would mean a file. */
	return slice_of(s->data ? (const void *)s->data : "", (size_t)s->size);
}
