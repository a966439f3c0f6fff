#include "archive/stretch.h"

#include "archive/file.h"

#include <fcntl.h>

int stretch_put(struct catalog *c, const struct stretch *t, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_STRETCH, f);

	if (!s)
		return -1;
	bind_number(s, 1, t->segment);
	bind_number(s, 2, t->offset);
	bind_number(s, 3, t->length);
	bind_bytes(s, 4, slice_of(t->digest.byte, DIGEST_LEN));
	return catalog_run(c, s, f);
}

static int get_stretch(struct catalog *c, sqlite3_stmt *s, struct stretch *ret, struct fault *f)
{
	int r = catalog_step(c, s, f);

	if (r > 0) {
		struct slice digest = column_bytes(s, 3);

		*ret = (struct stretch){.segment = column_number(s, 0),
			.offset = column_number(s, 1),
			.length = column_number(s, 2)};
		if (digest.len == DIGEST_LEN)
			memcpy(ret->digest.byte, digest.data, DIGEST_LEN);
	}
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

int stretch_next(
	struct catalog *c, uint64_t segment, uint64_t from, struct stretch *ret, struct fault *f)
{
	if (catalog_schema(c) < SCHEMA_UPKEEP)
		return CATALOG_NONE;
	sqlite3_stmt *s = catalog_statement(c, SQL_NEXT_STRETCH, f);
	if (!s)
		return -1;
	bind_number(s, 1, segment);
	bind_number(s, 2, from);
	return get_stretch(c, s, ret, f);
}

int stretch_forget(struct catalog *c, uint64_t segment, uint64_t from, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_DELETE_STRETCHES, f);

	if (!s)
		return -1;
	bind_number(s, 1, segment);
	bind_number(s, 2, from);
	return catalog_run(c, s, f);
}

/* ---- Of what lies there ---------------------------------------------------------------------- */

int stretch_make(
	struct catalog *c, uint64_t segment, int fd, uint64_t from, uint64_t end, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct stretch t = {.segment = segment, .offset = from, .length = end - from};

	if (from >= end)
		return 0;
	if (hasher_new(&h, f) < 0)
		return -1;
	if (file_add_to_hasher(fd, from, end, h) < 0)
		return 0;
	hasher_end(h, &t.digest);
	return stretch_put(c, &t, f);
}

/* A row of no bytes holds the place; nobody else sees it. */
int stretch_begin(struct catalog *c, uint64_t segment, uint64_t from, struct fault *f)
{
	struct stretch t = {.segment = segment, .offset = from};

	return stretch_put(c, &t, f);
}

int stretch_end(struct catalog *c, uint64_t segment, int fd, uint64_t end, struct fault *f)
{
	struct stretch t;
	sqlite3_stmt *s = catalog_statement(c, SQL_LAST_STRETCH, f);

	if (!s)
		return -1;
	bind_number(s, 1, segment);
	int r = get_stretch(c, s, &t, f);
	if (r != 0 || t.length > 0)
		return r < 0 ? -1 : 0;
	if (stretch_forget(c, segment, t.offset, f) < 0)
		return -1;
	return stretch_make(c, segment, fd, t.offset, end, f);
}

/* ---- Compared -------------------------------------------------------------------------------- */

bool stretch_lies_in(const struct stretch *t, uint64_t end)
{
	return t->length > 0 && t->offset <= end && t->length <= end - t->offset;
}

static bool fits(int fd, const struct stretch *t, struct hasher *h)
{
	struct digest found;

	int r = file_add_to_hasher(fd, t->offset, t->offset + t->length, h);
	hasher_end(h, &found);
	return r == 0 && digest_compare(&found, &t->digest) == 0;
}

int stretches_fit(
	struct catalog *c, uint64_t segment, int fd, uint64_t length, bool *ret, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct stretch t = {0};
	bool fit = true;
	int r = 0;

	if (hasher_new(&h, f) < 0)
		return -1;
	while (fit && (r = stretch_next(c, segment, t.offset + t.length, &t, f)) == 0 &&
		stretch_lies_in(&t, length)) {
		fit = fits(fd, &t, h);
		if (fit)
			continue;
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		fit = fits(fd, &t, h);
	}
	if (r < 0)
		return -1;
	*ret = fit;
	return 0;
}
