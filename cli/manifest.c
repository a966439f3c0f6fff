#include "cli/manifest.h"

#include "archive/escape.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 1024 * 1024 };

struct entry {
	struct digest digest;
	char *file;
};

struct manifest {
	int fd;
	char name[128];	    /* escaped, for messages */
	const char *within; /* only while the lines of earlier runs are read */
	uint64_t end;
	struct entry *entries; /* of earlier runs, ascending by digest once all are read */
	size_t n, size;
};

static int bad_line(const struct manifest *m, size_t number, struct fault *f)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"%s, line %zu: not a line of this export; name a new place to export to", m->name,
		number);
}

static int file_error(const struct manifest *m, const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot %s %s", what, m->name);
}

static int remember(struct manifest *m, const struct digest *d, const char *file, struct fault *f)
{
	if (m->n == m->size) {
		size_t size = m->size ? 2 * m->size : 256;
		struct entry *more = reallocarray(m->entries, size, sizeof *more);

		if (!more)
			return fault_memory(f);
		m->entries = more;
		m->size = size;
	}
	char *copy = strdup(file);
	if (!copy)
		return fault_memory(f);
	m->entries[m->n++] = (struct entry){*d, copy};
	return 0;
}

static void json_freep(json_t **j)
{
	json_decref(*j);
}

/* A name with another folder in it was never written by us. */
static bool name_is_ours(const struct manifest *m, const char *file)
{
	size_t len = strlen(m->within);

	return strncmp(file, m->within, len) == 0 && file[len] && !strchr(file + len, '/');
}

/* Where offset and length say that it ends; 0 when they stand in no line of ours. */
static uint64_t end_of(const json_t *object)
{
	json_int_t offset = json_integer_value(json_object_get(object, "offset"));
	json_int_t length = json_integer_value(json_object_get(object, "length"));
	uint64_t end;

	if (offset < 0 || length < 0 ||
		__builtin_add_overflow((uint64_t)offset, (uint64_t)length, &end))
		return 0;
	return end;
}

static int read_line(
	struct manifest *m, const char *line, size_t len, size_t number, struct fault *f)
{
	json_t *object CLEANUP(json_freep) = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *file = json_string_value(json_object_get(object, "file"));
	const char *hex = json_string_value(json_object_get(object, "digest"));
	struct digest d;

	if (!file || !hex || !name_is_ours(m, file) || digest_parse(slice_text(hex), &d) != 0)
		return bad_line(m, number, f);
	if (end_of(object) > m->end)
		m->end = end_of(object);
	return remember(m, &d, file, f);
}

/* Reads whole lines; *ret_end is where the last of them ends. */
static int read_lines(struct manifest *m, FILE *in, off_t *ret_end, struct fault *f)
{
	char *line CLEANUP(freep) = NULL;
	size_t size = 0, number = 0;
	ssize_t len;

	*ret_end = 0;
	while ((len = getline(&line, &size, in)) > 0) {
		if (line[len - 1] != '\n')
			break;
		if (len > LINE_MAX_BYTES)
			return bad_line(m, number + 1, f);
		if (read_line(m, line, (size_t)len, ++number, f) < 0)
			return -1;
		*ret_end += len;
	}
	if (ferror(in))
		return file_error(m, "read", f);
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	const struct entry *x = (const struct entry *)a, *y = (const struct entry *)b;

	return digest_compare(&x->digest, &y->digest);
}

static void file_closep(FILE **file)
{
	if (*file)
		(void)fclose(*file);
}

/* A torn last line is of a message whose file is there under its name: it gets its line again. */
static int read_earlier(struct manifest *m, struct fault *f)
{
	int copy = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
	FILE *in CLEANUP(file_closep) = copy < 0 ? NULL : fdopen(copy, "r");
	off_t end = 0;

	if (!in) {
		if (copy >= 0)
			(void)close(copy);
		return fault_memory(f);
	}
	if (read_lines(m, in, &end, f) < 0)
		return -1;
	if (m->n)
		qsort(m->entries, m->n, sizeof *m->entries, by_digest);
	if (ftruncate(m->fd, end) < 0 || lseek(m->fd, end, SEEK_SET) < 0)
		return file_error(m, "write", f);
	return 0;
}

static void manifest_closep(struct manifest **m)
{
	manifest_close(*m);
	*m = NULL;
}

int manifest_open(
	int folder, const char *name, const char *within, struct manifest **ret, struct fault *f)
{
	struct manifest *m CLEANUP(manifest_closep) = calloc(1, sizeof *m);

	if (!m)
		return fault_memory(f);
	(void)escape_text(slice_text(name), m->name, sizeof m->name);
	m->within = within;
	m->fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->fd < 0)
		return file_error(m, "open", f);
	if (read_earlier(m, f) < 0)
		return -1;
	m->within = NULL;
	*ret = TAKE(m);
	return 0;
}

void manifest_close(struct manifest *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->entries[i].file);
	free(m->entries);
	fd_closep(&m->fd);
	free(m);
}

size_t manifest_count(const struct manifest *m)
{
	return m->n;
}

const char *manifest_find(const struct manifest *m, const struct digest *d)
{
	const struct entry key = {*d, NULL};
	const struct entry *found =
		m->n ? bsearch(&key, m->entries, m->n, sizeof key, by_digest) : NULL;

	return found ? found->file : NULL;
}

uint64_t manifest_end(const struct manifest *m)
{
	return m->end;
}

void manifest_line(
	struct json_line *line, const char *file, const struct message *m, char *const *accounts)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&m->digest, hex);
	json_line_begin(line, "file");
	json_add_bytes(line, "file", slice_text(file));
	json_add_text(line, "digest", hex);
	json_add_count(line, "size", m->size_bytes);
	json_add_texts(line, "accounts", accounts);
	json_add_moment(line, "archived", m->archived);
}

/* In one write: what a crash leaves of it is a beginning. */
int manifest_add(struct manifest *m, struct slice lines, struct fault *f)
{
	return new_file_append(m->fd, lines) < 0 ? file_error(m, "write", f) : 0;
}

int manifest_sync(struct manifest *m, struct fault *f)
{
	return fsync(m->fd) < 0 ? file_error(m, "sync", f) : 0;
}
