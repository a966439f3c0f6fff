#include "cli/manifest.h"

#include "archive/escape.h"
#include "archive/file.h"
#include "archive/limits.h"
#include "cli/digest_table.h"
#include "cli/new_file.h"
#include "cli/text_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LINE_LEAST = 100 }; /* no line of ours is shorter */

struct manifest {
	int fd;
	char name[128]; /* escaped, for messages */
	struct digest_table *table;
	uint64_t end;
	size_t n;
	struct buffer line; /* that was read last */
	json_t *object;	    /* of it */
	manifest_reader *read;
	void *context;
};

static void json_freep(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

/* ---- What a line says -------------------------------------------------------------------------
 */

/* Relative, and nowhere but below the folder of the export. */
static bool path_is_safe(const char *path)
{
	for (const char *at = path;;) {
		size_t len = strcspn(at, "/");

		if (len == 0 || (len == 1 && at[0] == '.') ||
			(len == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		if (!at[len])
			return true;
		at += len + 1;
	}
}

static uint64_t number_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	json_int_t n = json_integer_value(value);

	return json_is_integer(value) && n >= 0 ? (uint64_t)n : MANIFEST_NONE;
}

static bool parse(const json_t *object, struct manifest_entry *ret)
{
	const char *hex = json_string_value(json_object_get(object, "digest"));
	const char *archived = json_string_value(json_object_get(object, "archived"));
	const char *received = json_string_value(json_object_get(object, "received"));

	ret->file = json_string_value(json_object_get(object, "file"));
	ret->volume = json_string_value(json_object_get(object, "volume"));
	ret->line_ends = json_string_value(json_object_get(object, "line_ends"));
	ret->size = number_of(object, "size");
	ret->offset = number_of(object, "offset");
	ret->length = number_of(object, "length");
	ret->archived = ret->received = 0;
	if (archived)
		(void)moment_parse(slice_text(archived), &ret->archived);
	ret->folder = json_string_value(json_object_get(object, "folder"));
	ret->flags = json_string_value(json_object_get(object, "flags"));
	ret->flags = ret->flags ? ret->flags : "";
	if (received)
		(void)moment_parse(slice_text(received), &ret->received);
	return ret->file && path_is_safe(ret->file) && hex &&
	       digest_parse(slice_text(hex), &ret->digest) == 0 && ret->size != MANIFEST_NONE &&
	       (!ret->volume || (!strchr(ret->volume, '/') && path_is_safe(ret->volume)));
}

struct walking {
	manifest_reader *read;
	void *context;
	struct manifest_entry entry;
	uint64_t number;
};

/* 1: it is no line of a manifest. */
static int tell_line(void *context, struct slice line, uint64_t from, struct fault *f)
{
	struct walking *w = (struct walking *)context;
	json_t *object CLEANUP(json_freep) =
		json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, NULL);

	w->number++;
	if (!object || !parse(object, &w->entry))
		return 1;
	w->entry.from = from;
	w->entry.to = from + line.len + 1;
	return w->read(w->context, &w->entry, f);
}

int manifest_walk(int fd, const char *shown, manifest_reader *read, void *context,
	uint64_t *ret_end, uint64_t *ret_bad, struct fault *f)
{
	struct walking w = {.read = read, .context = context};
	int r = text_lines(fd, shown, LIMIT_MANIFEST_LINE, tell_line, &w, ret_end, f);

	if (r < 0)
		return -1;
	*ret_bad = r == TEXT_LINES_LONG ? w.number + 1 : r > 0 ? w.number : 0;
	return 0;
}

/* ---- One that is being written -----------------------------------------------------------------
 */

static int file_error(const struct manifest *m, const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot %s %s", what, m->name);
}

static int remember(void *context, const struct manifest_entry *e, struct fault *f)
{
	struct manifest *m = (struct manifest *)context;

	m->n++;
	return digest_table_add(m->table, &e->digest, e->from, f) < 0 ? -1
								      : m->read(m->context, e, f);
}

/* A torn last line is of a message that gets its line again. */
static int read_earlier(struct manifest *m, struct fault *f)
{
	uint64_t bad;

	if (manifest_walk(m->fd, m->name, remember, m, &m->end, &bad, f) < 0)
		return -1;
	if (bad)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s, line %" PRIu64
			": not a line of this export; name a new place to export to",
			m->name, bad);
	if (ftruncate(m->fd, (off_t)m->end) < 0 || lseek(m->fd, (off_t)m->end, SEEK_SET) < 0)
		return file_error(m, "write", f);
	return 0;
}

static void manifest_closep(struct manifest **m)
{
	manifest_close(*m);
	*m = NULL;
}

int manifest_open(int folder, const char *name, uint64_t expected, manifest_reader *read,
	void *context, struct manifest **ret, struct fault *f)
{
	struct manifest *m CLEANUP(manifest_closep) = calloc(1, sizeof *m);
	struct stat st;

	if (!m)
		return fault_memory(f);
	(void)escape_text(slice_text(name), m->name, sizeof m->name);
	m->line = buffer_make(LIMIT_MANIFEST_LINE);
	m->read = read;
	m->context = context;
	m->fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->fd < 0 || fstat(m->fd, &st) < 0)
		return file_error(m, "open", f);
	if (digest_table_open(folder, expected + (uint64_t)st.st_size / LINE_LEAST, &m->table, f) <
			0 ||
		read_earlier(m, f) < 0)
		return -1;
	*ret = TAKE(m);
	return 0;
}

void manifest_close(struct manifest *m)
{
	if (!m)
		return;
	digest_table_closep(&m->table);
	json_freep(&m->object);
	buffer_deinit(&m->line);
	fd_closep(&m->fd);
	free(m);
}

size_t manifest_count(const struct manifest *m)
{
	return m->n;
}

/* The line that begins at `from`, without its LF. */
static int read_line(struct manifest *m, uint64_t from, struct fault *f)
{
	buffer_clear(&m->line);
	for (;;) {
		size_t room = 1024;

		if (buffer_reserve(&m->line, room, f) < 0)
			return -1;
		ssize_t n =
			pread(m->fd, m->line.data + m->line.len, room, (off_t)(from + m->line.len));
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return file_error(m, "read", f);
		const uint8_t *lf = memchr(m->line.data + m->line.len, '\n', (size_t)n);
		m->line.len = lf ? (size_t)(lf - m->line.data) : m->line.len + (size_t)n;
		if (lf)
			return 0;
	}
}

static int read_nothing(void *context, const struct manifest_entry *e, struct fault *f)
{
	(void)context;
	(void)e;
	(void)f;
	return 0;
}

int manifest_open_read(int fd, int scratch, struct manifest **ret, struct fault *f)
{
	struct manifest *m CLEANUP(manifest_closep) = calloc(1, sizeof *m);
	struct stat st;
	uint64_t bad;

	if (!m)
		return fault_memory(f);
	(void)snprintf(m->name, sizeof m->name, "a manifest");
	m->line = buffer_make(LIMIT_MANIFEST_LINE);
	m->read = read_nothing;
	m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (m->fd < 0 || fstat(m->fd, &st) < 0)
		return file_error(m, "open", f);
	if (digest_table_open(scratch, (uint64_t)st.st_size / LINE_LEAST, &m->table, f) < 0 ||
		manifest_walk(m->fd, m->name, remember, m, &m->end, &bad, f) < 0)
		return -1;
	if (bad)
		return MANIFEST_OTHER;
	*ret = TAKE(m);
	return 0;
}

int manifest_look(
	struct manifest *m, const struct digest *d, struct manifest_entry *ret, struct fault *f)
{
	struct digest_search at = {0};
	struct manifest_entry e;
	uint64_t from;
	int r;

	if (m->n == 0)
		return 0;
	while ((r = digest_table_next(m->table, d, &at, &from, f)) == DIGEST_LIKE) {
		if (from >= m->end)
			continue; /* of this run */
		if (read_line(m, from, f) < 0)
			return -1;
		json_freep(&m->object);
		m->object = json_loadb(
			(const char *)m->line.data, m->line.len, JSON_REJECT_DUPLICATES, NULL);
		if (!m->object || !parse(m->object, &e) || digest_compare(&e.digest, d) != 0)
			continue;
		*ret = e;
		return MANIFEST_FOUND;
	}
	return r;
}

int manifest_find(
	struct manifest *m, const struct digest *d, const char **ret_file, struct fault *f)
{
	struct manifest_entry e;
	int r = manifest_look(m, d, &e, f);

	if (r == MANIFEST_FOUND)
		*ret_file = e.file;
	return r;
}

int manifest_note(struct manifest *m, const struct digest *d, struct fault *f)
{
	int r = digest_table_has_id(m->table, d, f);

	if (r < 0 || digest_table_add(m->table, d, UINT64_MAX - 1, f) < 0)
		return -1;
	return r == DIGEST_LIKE ? MANIFEST_FOUND : 0;
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
	if (new_file_append(m->fd, lines) < 0)
		return file_error(m, "write", f);
	m->end += lines.len;
	return 0;
}

int manifest_sync(struct manifest *m, struct fault *f)
{
	return fsync(m->fd) < 0 ? file_error(m, "sync", f) : 0;
}

uint64_t manifest_end(const struct manifest *m)
{
	return m->end;
}

int manifest_digest(struct manifest *m, struct digest *ret, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;

	if (hasher_new(&h, f) < 0)
		return -1;
	return file_digest(m->fd, m->end, h, ret) < 0 ? file_error(m, "read", f) : 0;
}

int manifest_copy(struct manifest *m, uint64_t from, uint64_t to, message_sink *sink, void *context,
	struct fault *f)
{
	uint8_t piece[16 * 1024];

	while (from < to) {
		size_t want = to - from < sizeof piece ? (size_t)(to - from) : sizeof piece;
		ssize_t n = pread(m->fd, piece, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return file_error(m, "read", f);
		if (sink(context, slice_of(piece, (size_t)n), f) < 0)
			return -1;
		from += (uint64_t)n;
	}
	return 0;
}

int manifest_reread(struct manifest *m, manifest_reader *read, void *context, struct fault *f)
{
	uint64_t end, bad;

	if (manifest_walk(m->fd, m->name, read, context, &end, &bad, f) < 0)
		return -1;
	errno = EBADMSG;
	return end != m->end ? file_error(m, "read", f) : 0;
}
