#include "cli/manifest.h"

#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 1024 * 1024 };

struct entry {
	struct digest digest;
	char *file;
};

struct manifest {
	int fd;
	struct entry *entries; /* of earlier runs, ascending by digest once all are read */
	size_t n, size;
};

static int bad_line(size_t number, struct fault *f)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"manifest.jsonl, line %zu: not a line of an export; export into a new folder",
		number);
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

static int read_line(
	struct manifest *m, const char *line, size_t len, size_t number, struct fault *f)
{
	json_t *object CLEANUP(json_freep) = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *file = json_string_value(json_object_get(object, "file"));
	const char *hex = json_string_value(json_object_get(object, "digest"));
	struct digest d;

	/* A name with a folder in it was never written by us. */
	if (!file || !hex || strchr(file, '/') || digest_parse(slice_text(hex), &d) != 0)
		return bad_line(number, f);
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
			return bad_line(number + 1, f);
		if (read_line(m, line, (size_t)len, ++number, f) < 0)
			return -1;
		*ret_end += len;
	}
	if (ferror(in))
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read manifest.jsonl");
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
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot write manifest.jsonl");
	return 0;
}

int manifest_open(int folder, const char *name, struct manifest **ret, struct fault *f)
{
	struct manifest *m CLEANUP(manifest_closep) = calloc(1, sizeof *m);

	if (!m)
		return fault_memory(f);
	m->fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->fd < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot open manifest.jsonl");
	if (read_earlier(m, f) < 0)
		return -1;
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

void manifest_closep(struct manifest **m)
{
	manifest_close(*m);
	*m = NULL;
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

int manifest_add(struct manifest *m, const char *line, struct fault *f)
{
	size_t len = strlen(line);

	/* One write for a line: what a crash leaves of it is a beginning. */
	while (len > 0) {
		ssize_t n = write(m->fd, line, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
				"cannot write manifest.jsonl");
		line += n;
		len -= (size_t)n;
	}
	return 0;
}

int manifest_sync(struct manifest *m, struct fault *f)
{
	return fsync(m->fd) < 0 ? fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
					  "cannot sync manifest.jsonl")
				: 0;
}
