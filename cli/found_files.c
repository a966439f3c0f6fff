#include "cli/found_files.h"

#include "archive/file.h"
#include "archive/limits.h"
#include "cli/digest_table.h"

#include <errno.h>
#include <stdbool.h>

/* In the file, with the name behind it. */
struct record {
	struct digest key; /* of the name */
	struct found_file file;
	uint32_t name_len, wanted;
};

struct found_files {
	int fd;
	struct digest_table *table; /* where records begin, by their keys */
	struct hasher *hasher;
	uint64_t end, n, at; /* at: of found_files_unwanted() */
	uint8_t name[LIMIT_EXPORT_NAME];
};

static int io_error(const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
		"cannot %s what was found so far (TMPDIR names where)", what);
}

int found_files_open(int folder, uint64_t most, struct found_files **ret, struct fault *f)
{
	struct found_files *x CLEANUP(found_files_closep) = calloc(1, sizeof *x);

	if (!x)
		return fault_memory(f);
	x->fd = file_open_unlinked(folder);
	if (x->fd < 0)
		return io_error("make a file for", f);
	if (hasher_new(&x->hasher, f) < 0 || digest_table_open(folder, most, &x->table, f) < 0)
		return -1;
	*ret = TAKE(x);
	return 0;
}

struct found_files *found_files_close(struct found_files *x)
{
	if (!x)
		return NULL;
	fd_closep(&x->fd);
	hasher_free(x->hasher);
	digest_table_close(x->table);
	free(x);
	return NULL;
}

void found_files_closep(struct found_files **x)
{
	*x = found_files_close(*x);
}

static void key_of(struct found_files *x, struct slice name, struct digest *ret)
{
	hasher_add(x->hasher, name.data, name.len);
	hasher_end(x->hasher, ret);
}

static int read_at(struct found_files *x, uint64_t at, void *to, size_t len, struct fault *f)
{
	ssize_t n;

	do
		n = pread(x->fd, to, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (size_t)n < len)
		errno = ENODATA;
	return n < 0 || (size_t)n < len ? io_error("read", f) : 0;
}

/* The table has each key once: many that are the same would lie in one long row. */
static int find(struct found_files *x, const struct digest *key, struct record *ret,
	uint64_t *ret_at, struct fault *f)
{
	struct digest_search search = {0};
	int r;

	while ((r = digest_table_next(x->table, key, &search, ret_at, f)) == DIGEST_LIKE) {
		if (read_at(x, *ret_at, ret, sizeof *ret, f) < 0)
			return -1;
		if (digest_compare(&ret->key, key) == 0)
			return ret->wanted ? FOUND_AGAIN : FOUND_FILE;
	}
	return r;
}

static int find_name(struct found_files *x, struct slice name, struct record *ret, uint64_t *ret_at,
	struct fault *f)
{
	struct digest key;

	key_of(x, name, &key);
	return find(x, &key, ret, ret_at, f);
}

int found_files_add(
	struct found_files *x, struct slice name, const struct found_file *file, struct fault *f)
{
	struct record r = {.file = *file}, first;
	uint64_t at;
	size_t len = name.len < LIMIT_EXPORT_NAME ? name.len : LIMIT_EXPORT_NAME;

	key_of(x, name, &r.key);
	r.name_len = (uint32_t)len;
	if (file_write_at(x->fd, slice_of(&r, sizeof r), x->end) < 0 ||
		file_write_at(x->fd, slice_of(name.data, len), x->end + sizeof r) < 0)
		return io_error("write", f);
	int same = find(x, &r.key, &first, &at, f);
	if (same < 0 || (same == 0 && digest_table_add(x->table, &r.key, x->end, f) < 0))
		return -1;
	x->end += sizeof r + len;
	x->n++;
	return 0;
}

int found_files_look(
	struct found_files *x, struct slice name, struct found_file *ret, struct fault *f)
{
	struct record record;
	uint64_t at;
	int r = find_name(x, name, &record, &at, f);

	if (r > 0)
		*ret = record.file;
	return r > 0 ? FOUND_FILE : r;
}

int found_files_want(
	struct found_files *x, struct slice name, struct found_file *ret, struct fault *f)
{
	struct record record;
	uint64_t at;
	int r = find_name(x, name, &record, &at, f);

	if (r <= 0)
		return r;
	*ret = record.file;
	record.wanted = 1;
	if (r == FOUND_FILE && file_write_at(x->fd, slice_of(&record, sizeof record), at) < 0)
		return io_error("write", f);
	return r;
}

uint64_t found_files_count(const struct found_files *x)
{
	return x->n;
}

int found_files_unwanted(struct found_files *x, struct slice *ret, struct fault *f)
{
	struct record record;

	while (x->at < x->end) {
		uint64_t at = x->at;

		if (read_at(x, at, &record, sizeof record, f) < 0)
			return -1;
		x->at += sizeof record + record.name_len;
		if (record.wanted)
			continue;
		if (read_at(x, at + sizeof record, x->name, record.name_len, f) < 0)
			return -1;
		*ret = slice_of(x->name, record.name_len);
		return FOUND_FILE;
	}
	return 0;
}
