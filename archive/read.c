/* Reading one message: where the catalog says, checked against its digest. */
#include "archive/handle.h"
#include "archive/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { SHOWN_DIGITS = 12 };

/* One message. The hasher is the handle's, which has it back when all went well. */
struct reading {
	struct hasher *hasher;
	uint64_t given;
	message_sink *sink;
	void *context;
};

static int digest_and_pass(void *context, struct slice bytes, struct fault *f)
{
	struct reading *r = context;

	hasher_add(r->hasher, bytes.data, bytes.len);
	r->given += bytes.len;
	return r->sink ? r->sink(r->context, bytes, f) : 0;
}

/* Neighbours lie in the same file: it stays open until another one is read. Borrowed. */
static int open_segment(struct store *s, uint64_t segment, struct fault *f)
{
	if (s->reading_fd >= 0 && s->reading_segment == segment)
		return s->reading_fd;
	fd_closep(&s->reading_fd);
	s->reading_fd = segment_open_file(s->segments_fd, segment, f);
	s->reading_segment = segment;
	return s->reading_fd;
}

static int damaged(struct store *s, const struct message *m, struct fault *f)
{
	char hex[DIGEST_HEX + 1];

	/* Who reads it once more reads it from the disk. */
	frame_cache_deinit(&s->cache);
	fd_closep(&s->reading_fd);
	digest_hex(&m->digest, hex);
	hex[SHOWN_DIGITS] = '\0';
	f->code = FAULT_DAMAGE;
	if (!m->located)
		return fault_prefix(f, "message %s is lost", hex);
	return fault_prefix(f,
		"message %s is damaged: segment %06" PRIu64 ", frame at byte %" PRIu64, hex,
		m->at.segment, m->at.frame_offset);
}

/* The catalog as it is now: while a cursor of the caller's is open, its own connection shows it as
 * it was when that began. */
static int open_now(struct store *s, struct fault *f)
{
	struct stat st;
	uint64_t inode = stat(s->catalog_path, &st) == 0 ? (uint64_t)st.st_ino : 0;

	if (s->catalog_now && inode == s->catalog_now_inode)
		return 0;
	s->catalog_now = catalog_close(s->catalog_now);
	s->catalog_now_inode = inode;
	return catalog_open(s->catalog_path, CATALOG_READ, &s->catalog_now, f);
}

/* The place may have changed since the row was read. */
static int look_again(struct store *s, struct message *m, bool *ret_moved, struct fault *f)
{
	fd_closep(&s->reading_fd); /* the file, too, may be another one */
	if (open_now(s, f) < 0)
		return -1;
	sqlite3_stmt *row = catalog_statement(s->catalog_now, SQL_MESSAGE_BY_ID, f);
	if (!row)
		return -1;
	bind_number(row, 1, m->id);
	int r = catalog_step(s->catalog_now, row, f);
	struct location now = {0};
	if (r > 0 && sqlite3_column_type(row, 6) != SQLITE_NULL)
		now = (struct location){
			column_number(row, 6), column_number(row, 7), column_number(row, 8)};
	(void)sqlite3_reset(row);
	*ret_moved = now.segment > 0 && (!m->located || memcmp(&now, &m->at, sizeof now) != 0);
	if (*ret_moved) {
		m->at = now;
		m->located = true;
	}
	return r < 0 ? -1 : 0;
}

/* 0, or ENTRY_OTHER with *f saying why. */
static int read_once(struct store *s, const struct message *m, uint64_t limit, message_sink *sink,
	void *context, struct fault *f)
{
	if (!m->located) {
		fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "it is in no segment");
		return ENTRY_OTHER;
	}
	int fd = open_segment(s, m->at.segment, f);
	if (fd < 0)
		return ENTRY_OTHER;
	return segment_read_entry(
		fd, &s->cache, &m->at, &m->digest, m->size_bytes, limit, sink, context, f);
}

int message_read(struct store *s, const struct message *m, message_sink *sink, void *context,
	struct fault *f)
{
	struct hasher *hasher CLEANUP(hasher_freep) = TAKE(s->hasher);
	struct message at = *m; /* borrows the names */
	struct digest found;
	bool moved = false;

	if (!hasher && hasher_new(&hasher, f) < 0)
		return -1;
	struct reading reading = {.hasher = hasher, .sink = sink, .context = context};
	int r = read_once(s, &at, UINT64_MAX, digest_and_pass, &reading, f);
	if (r == ENTRY_OTHER && reading.given == 0) {
		struct fault why = *f;

		if (look_again(s, &at, &moved, f) < 0)
			return -1;
		*f = why;
		if (moved)
			r = read_once(s, &at, UINT64_MAX, digest_and_pass, &reading, f);
	}
	if (r < 0)
		return -1;
	hasher_end(hasher, &found);
	s->hasher = TAKE(hasher);
	if (r == 0 && digest_compare(&found, &m->digest) == 0)
		return 0;
	if (r == 0)
		fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "its bytes have another digest");
	return damaged(s, &at, f);
}

int message_check(struct store *s, const struct message *m, struct fault *f)
{
	return message_read(s, m, NULL, NULL, f);
}

static int append(void *context, struct slice bytes, struct fault *f)
{
	return buffer_append(context, bytes.data, bytes.len, f);
}

int message_peek(
	struct store *s, const struct message *m, size_t limit, struct buffer *to, struct fault *f)
{
	struct message at = *m;
	bool moved;

	buffer_clear(to);
	int r = read_once(s, &at, limit, append, to, f);
	if (r == ENTRY_OTHER && to->len == 0) {
		struct fault why = *f;

		if (look_again(s, &at, &moved, f) < 0)
			return -1;
		*f = why;
		if (moved)
			r = read_once(s, &at, limit, append, to, f);
	}
	return r > 0 ? damaged(s, &at, f) : r;
}
