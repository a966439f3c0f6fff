#include "cli/digest_table.h"

#include "archive/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

/* number: one more than it is; 0 is an empty slot. In a file without holes a slot is all zero. */
struct slot {
	uint64_t begins, number;
};

struct digest_table {
	int fd, folder;
	uint64_t slots, filled;
};

enum { LEAST = 1024, ID_BITS = 48 };
#define SLOTS_MOST UINT32_MAX /* a slot is found by 32 bits of a digest */

static int table_error(const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
		"cannot %s a table of digests in the target", what);
}

/* An empty file. */
static int begin(struct digest_table *t, uint64_t most, struct fault *f)
{
	if (most > SLOTS_MOST / 2 - LEAST)
		return fault_set(f, FAULT_LIMIT, SCOPE_ARCHIVE, 0, "too many messages at once");
	fd_closep(&t->fd);
	t->slots = 2 * most + LEAST;
	t->filled = 0;
	t->fd = file_open_unlinked(t->folder);
	if (t->fd < 0)
		return table_error("make", f);
	return ftruncate(t->fd, (off_t)(t->slots * sizeof(struct slot))) < 0
		       ? table_error("write", f)
		       : 0;
}

int digest_table_open(int folder, uint64_t most, struct digest_table **ret, struct fault *f)
{
	struct digest_table *t CLEANUP(digest_table_closep) = calloc(1, sizeof *t);

	if (!t)
		return fault_memory(f);
	t->fd = -1;
	t->folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	if (t->folder < 0)
		return table_error("make", f);
	if (begin(t, most, f) < 0)
		return -1;
	*ret = TAKE(t);
	return 0;
}

struct digest_table *digest_table_close(struct digest_table *t)
{
	if (!t)
		return NULL;
	fd_closep(&t->fd);
	fd_closep(&t->folder);
	free(t);
	return NULL;
}

void digest_table_closep(struct digest_table **t)
{
	*t = digest_table_close(*t);
}

static uint64_t beginning(const struct digest *d)
{
	uint64_t begins = 0;

	for (size_t i = 0; i < sizeof begins; i++)
		begins = begins << 8 | d->byte[i];
	return begins;
}

/* Digests are spread evenly, and those that begin alike lie together. */
static uint64_t first_slot(const struct digest_table *t, uint64_t begins)
{
	return (begins >> 32) * t->slots >> 32;
}

static int read_slot(const struct digest_table *t, uint64_t at, struct slot *ret, struct fault *f)
{
	ssize_t n;

	do
		n = pread(t->fd, ret, sizeof *ret, (off_t)(at % t->slots * sizeof *ret));
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (size_t)n < sizeof *ret)
		errno = ENODATA;
	return n < 0 || (size_t)n < sizeof *ret ? table_error("read", f) : 0;
}

static int add_slot(struct digest_table *t, const struct slot *mine, struct fault *f)
{
	uint64_t at = first_slot(t, mine->begins);
	struct slot slot = {0};

	for (;; at++) {
		if (read_slot(t, at, &slot, f) < 0)
			return -1;
		if (slot.number == 0)
			break;
	}
	t->filled++;
	return file_write_at(t->fd, slice_of(mine, sizeof *mine), at % t->slots * sizeof *mine) < 0
		       ? table_error("write", f)
		       : 0;
}

static int grow(struct digest_table *t, struct fault *f)
{
	struct digest_table before = *t;
	int old CLEANUP(fd_closep) = fd_take(&t->fd);
	struct slot slot;

	before.fd = old;
	if (begin(t, 2 * before.slots, f) < 0)
		return -1;
	for (uint64_t at = 0; at < before.slots; at++) {
		if (read_slot(&before, at, &slot, f) < 0 ||
			(slot.number > 0 && add_slot(t, &slot, f) < 0))
			return -1;
	}
	return 0;
}

int digest_table_add(
	struct digest_table *t, const struct digest *d, uint64_t number, struct fault *f)
{
	const struct slot mine = {beginning(d), number + 1};

	if (2 * t->filled >= t->slots && grow(t, f) < 0)
		return -1;
	return add_slot(t, &mine, f);
}

/* The next slot in use whose digest begins as `begins` does in so many bits. */
static int next_like(struct digest_table *t, uint64_t begins, unsigned bits,
	struct digest_search *at, struct slot *ret, struct fault *f)
{
	if (at->passed == 0)
		at->slot = first_slot(t, begins);
	while (at->passed++ < t->slots) {
		if (read_slot(t, at->slot++, ret, f) < 0)
			return -1;
		if (ret->number == 0)
			return 0;
		if ((ret->begins ^ begins) >> (64 - bits) == 0)
			return DIGEST_LIKE;
	}
	return 0;
}

int digest_table_next(struct digest_table *t, const struct digest *d, struct digest_search *at,
	uint64_t *ret_number, struct fault *f)
{
	struct slot slot;
	int r = next_like(t, beginning(d), 64, at, &slot, f);

	if (r == DIGEST_LIKE)
		*ret_number = slot.number - 1;
	return r;
}

int digest_table_has_id(struct digest_table *t, const struct digest *d, struct fault *f)
{
	struct digest_search at = {0};
	struct slot slot;

	return next_like(t, beginning(d), ID_BITS, &at, &slot, f);
}
