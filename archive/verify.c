/* verify: the ledger against its own tree, the segments against the digests, the catalog against
 * both. */
#include "archive/check.h"
#include "archive/handle.h"
#include "archive/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum stage { STAGE_LEDGER, STAGE_MISSING, STAGE_SEGMENTS, STAGE_DONE };

enum { LINES_A_STEP = 4096 };

struct verify {
	struct store *s;
	enum verify_depth depth;
	enum stage stage;
	struct verify_sums sums;
	struct ledger_at known; /* what the catalog knows of the ledger */
	struct buffer scratch;

	/* STAGE_LEDGER */
	struct ledger_reader *ledger;
	bool in_group;

	/* STAGE_MISSING */
	sqlite3_stmt *missing;

	/* STAGE_SEGMENTS: the segment's messages as the catalog has them, in order of place,
	 * against its entries in order. */
	struct segment_row row;
	sqlite3_stmt *placed;
	struct message expected; /* the next of them */
	bool has_expected;
	int fd;
	struct segment_walk *walk;
	struct segment_entry entry; /* read, and waiting while those missed before it are told */
	bool waiting;
	uint64_t done, all; /* bytes of segment files */
};

int verify_open(struct store *s, enum verify_depth depth, struct verify **ret, struct fault *f)
{
	struct verify *v CLEANUP(verify_closep) = calloc(1, sizeof *v);
	struct store_totals totals;
	struct ledger_at start = {0};

	if (!v)
		return fault_memory(f);
	v->s = s;
	v->depth = depth;
	v->fd = -1;
	v->scratch = buffer_make(LIMIT_LEDGER_LINE * 2);
	if (store_open_catalog(s, f) < 0 ||
		catalog_get_state(s->catalog, s->id, &v->known, f) < 0 ||
		store_totals(s, &totals, f) < 0 ||
		ledger_reader_open(s->ledger_fd, &start, &v->ledger, f) < 0)
		return -1;
	v->all = totals.segment_bytes;
	*ret = TAKE(v);
	return 0;
}

static void end_segment(struct verify *v)
{
	v->walk = segment_walk_close(v->walk);
	(void)sqlite3_finalize(v->placed);
	v->placed = NULL;
	message_deinit(&v->expected);
	v->has_expected = false;
	fd_closep(&v->fd);
}

struct verify *verify_close(struct verify *v)
{
	if (!v)
		return NULL;
	end_segment(v);
	(void)sqlite3_finalize(v->missing);
	ledger_reader_close(v->ledger);
	buffer_deinit(&v->scratch);
	free(v);
	return NULL;
}

void verify_closep(struct verify **v)
{
	*v = verify_close(*v);
}

const struct verify_sums *verify_sums(const struct verify *v)
{
	return &v->sums;
}

void verify_progress(const struct verify *v, uint64_t *ret_done, uint64_t *ret_all)
{
	*ret_done = v->done + (v->walk ? segment_walk_offset(v->walk) : 0);
	*ret_all = v->all;
}

/* ---- Findings -------------------------------------------------------------------------------- */

static int find(struct verify *v, struct damage *ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int find(struct verify *v, struct damage *ret, const char *format, ...)
{
	va_list args;

	*ret = (struct damage){0};
	va_start(args, format);
	(void)vsnprintf(ret->text, sizeof ret->text, format, args);
	va_end(args);
	v->sums.damaged++;
	return VERIFY_DAMAGE;
}

static int find_message(
	struct verify *v, struct damage *ret, const struct message *m, const char *text)
{
	int r = find(v, ret, "segment %06" PRIu64 ", frame at byte %" PRIu64 ": %s", m->at.segment,
		m->at.frame_offset, text);

	if (!m->located)
		(void)snprintf(ret->text, sizeof ret->text, "%s", text);
	ret->has_message = true;
	ret->message = m->digest;
	ret->id = m->id;
	return r;
}

/* ---- The ledger ------------------------------------------------------------------------------ */

/* A keep line must have its message in the catalog, under its number. */
static int check_keep(struct verify *v, const struct event *e, uint64_t number, struct damage *ret,
	struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(v->s->catalog, SQL_FIND_DIGEST, f);

	if (!row)
		return -1;
	bind_bytes(row, 1, slice_of(e->digest.byte, DIGEST_LEN));
	int r = catalog_step(v->s->catalog, row, f);
	uint64_t id = r > 0 ? column_number(row, 0) : 0;
	(void)sqlite3_reset(row);
	if (r < 0)
		return -1;
	if (r > 0 && id == number)
		return 0;
	r = find(v, ret, "the catalog %s message of ledger line %" PRIu64 "; run `popkeep rebuild`",
		r > 0 ? "has another number for the" : "lacks the", number);
	ret->has_message = true;
	ret->message = e->digest;
	ret->id = number;
	return r;
}

/* What is committed since the catalog was read is another process's business. */
static bool is_beyond(const struct verify *v, uint64_t number)
{
	return number >= v->known.tree.size;
}

static int check_lines(struct verify *v, struct damage *ret, struct fault *f)
{
	struct slice line;
	struct event e;
	uint64_t number;

	for (int n = 0; n < LINES_A_STEP; n++) {
		if (!ledger_reader_line(v->ledger, &line, &number)) {
			v->in_group = false;
			return VERIFY_MORE;
		}
		if (is_beyond(v, number))
			continue;
		int p = line.len < LIMIT_LEDGER_LINE ? event_parse(line, &v->scratch, &e, f)
						     : EVENT_BAD;
		if (p < 0)
			return -1;
		if (p == EVENT_BAD)
			return find(v, ret, "ledger line %" PRIu64 " cannot be read", number);
		if (e.kind != EVENT_KEEP)
			continue;
		p = check_keep(v, &e, number, ret, f);
		if (p != 0)
			return p;
	}
	return VERIFY_MORE;
}

static int end_ledger(struct verify *v, struct damage *ret)
{
	uint64_t lines = ledger_reader_at(v->ledger)->tree.size;

	v->stage = STAGE_MISSING;
	if (lines < v->known.tree.size)
		return find(v, ret,
			"the ledger has %" PRIu64 " lines, but the catalog knows %" PRIu64
			": its end is lost",
			lines, v->known.tree.size);
	return VERIFY_MORE;
}

static int step_ledger(struct verify *v, struct damage *ret, struct fault *f)
{
	if (v->in_group)
		return check_lines(v, ret, f);
	int r = ledger_reader_next(v->ledger, f);
	if (r < 0) {
		if (f->code != FAULT_DAMAGE)
			return -1;
		v->stage = STAGE_MISSING;
		return find(v, ret, "%s", f->text);
	}
	if (r == 0 || r == LEDGER_TAIL)
		return end_ledger(v, ret);
	v->in_group = true;
	/* At the place where both meet the tree must be the same. */
	const struct ledger_at *at = ledger_reader_at(v->ledger);
	if (r == LEDGER_GROUP && at->tree.size == v->known.tree.size &&
		(at->file != v->known.file || at->length != v->known.length ||
			memcmp(at->tree.node, v->known.tree.node,
				(size_t)__builtin_popcountll(at->tree.size) * DIGEST_LEN) != 0))
		return find(v, ret, "the catalog does not fit the ledger; run `popkeep rebuild`");
	return r == LEDGER_BAD ? find(v, ret, "%s", f->text) : VERIFY_MORE;
}

/* ---- Messages without a place ---------------------------------------------------------------- */

static int step_missing(struct verify *v, struct damage *ret, struct fault *f)
{
	struct message m CLEANUP(message_deinit) = {0};

	if (!v->missing)
		v->missing = catalog_cursor(v->s->catalog, SQL_NOT_LOCATED, f);
	if (!v->missing)
		return -1;
	int r = catalog_step(v->s->catalog, v->missing, f);
	if (r < 0 || (r > 0 && message_from_row(v->s, v->missing, &m, f) < 0))
		return -1;
	if (r == 0) {
		v->stage = STAGE_SEGMENTS;
		return VERIFY_MORE;
	}
	v->sums.messages++;
	return find_message(v, ret, &m, "the message is in no segment");
}

/* ---- Segments -------------------------------------------------------------------------------- */

static int next_expected(struct verify *v, struct fault *f)
{
	message_deinit(&v->expected);
	int r = catalog_step(v->s->catalog, v->placed, f);
	v->has_expected = r > 0;
	if (r > 0)
		return message_from_row(v->s, v->placed, &v->expected, f);
	return r;
}

static int begin_segment(struct verify *v, struct damage *ret, struct fault *f)
{
	struct stat st;
	int r = catalog_next_segment(v->s->catalog, v->row.number, &v->row, f);

	if (r == CATALOG_NONE)
		v->stage = STAGE_DONE;
	if (r != 0)
		return r < 0 ? -1 : VERIFY_MORE;
	v->sums.segments++;
	v->placed = catalog_cursor(v->s->catalog, SQL_BY_PLACE, f);
	if (!v->placed)
		return -1;
	bind_number(v->placed, 1, v->row.number);
	if (next_expected(v, f) < 0)
		return -1;
	v->fd = segment_open_file(v->s->segments_fd, v->row.number, f);
	if (v->fd < 0 || fstat(v->fd, &st) < 0)
		return find(v, ret, "%s", f->text);
	if ((uint64_t)st.st_size < v->row.length)
		(void)find(v, ret,
			"segment %06" PRIu64 " has %lld bytes, but %" PRIu64 " were kept",
			v->row.number, (long long)st.st_size, v->row.length);
	if (v->depth == VERIFY_FULL && segment_walk_open(v->fd, v->row.number, 0, v->row.length,
					       WALK_DIGEST, &v->walk, f) < 0)
		return -1;
	return (uint64_t)st.st_size < v->row.length ? VERIFY_DAMAGE : VERIFY_MORE;
}

static int order(const struct location *a, const struct location *b)
{
	if (a->frame_offset != b->frame_offset)
		return a->frame_offset < b->frame_offset ? -1 : 1;
	return (a->entry_offset > b->entry_offset) - (a->entry_offset < b->entry_offset);
}

/* The entry at the place of the message expected next: is it that message? */
static int check_entry(
	struct verify *v, const struct segment_entry *e, struct damage *ret, struct fault *f)
{
	const char *wrong = NULL;
	const struct message *m = &v->expected;

	if (digest_compare(&e->named, &m->digest) != 0)
		wrong = "another entry lies there";
	else if (digest_compare(&e->found, &m->digest) != 0 || e->size != m->size_bytes)
		wrong = "its bytes have another digest";
	v->sums.messages++;
	v->sums.bytes += e->size;
	int r = wrong ? find_message(v, ret, m, wrong) : VERIFY_MORE;
	return next_expected(v, f) < 0 ? -1 : r;
}

/* The walk went past the place of the message expected next. */
static int miss_one(struct verify *v, struct damage *ret, struct fault *f)
{
	v->sums.messages++;
	int r = find_message(v, ret, &v->expected, "it cannot be decoded");
	return next_expected(v, f) < 0 ? -1 : r;
}

static int end_walk(struct verify *v)
{
	v->done += v->row.length;
	end_segment(v);
	return VERIFY_MORE;
}

/* Without decoding: every message's place lies within its segment. */
static int step_places(struct verify *v, struct damage *ret, struct fault *f)
{
	if (!v->has_expected)
		return end_walk(v);
	const struct message *m = &v->expected;
	v->sums.messages++;
	v->sums.bytes += m->size_bytes;
	int r = VERIFY_MORE;
	if (v->fd < 0 || m->at.frame_offset >= v->row.length)
		r = find_message(v, ret, m, "it lies beyond the segment's end");
	return next_expected(v, f) < 0 ? -1 : r;
}

static int step_walk(struct verify *v, struct damage *ret, struct fault *f)
{
	struct segment_entry e;
	uint64_t from, to;

	if (!v->walk)
		return v->has_expected ? miss_one(v, ret, f) : end_walk(v);
	/* An entry that waits was read already: see below. */
	int r = v->waiting ? WALK_ENTRY : segment_walk_next(v->walk, &e, &from, &to, f);
	if (v->waiting)
		e = v->entry;
	v->waiting = false;
	if (r < 0)
		return -1;
	if (r == 0) {
		v->walk = segment_walk_close(v->walk);
		return VERIFY_MORE;
	}
	if (r == WALK_DAMAGE)
		return find(v, ret, "segment %06" PRIu64 ", bytes %" PRIu64 " to %" PRIu64 ": %s",
			v->row.number, from, to, f->text);
	int o = v->has_expected ? order(&v->expected.at, &e.at) : 1;
	if (o == 0)
		return check_entry(v, &e, ret, f);
	if (o < 0) {
		v->entry = e;
		v->waiting = true;
		return miss_one(v, ret, f);
	}
	return VERIFY_MORE; /* not the place that counts for any message */
}

int verify_step(struct verify *v, struct damage *ret, struct fault *f)
{
	switch (v->stage) {
	case STAGE_LEDGER:
		return step_ledger(v, ret, f);
	case STAGE_MISSING:
		return step_missing(v, ret, f);
	case STAGE_SEGMENTS:
		if (!v->placed)
			return begin_segment(v, ret, f);
		return v->depth == VERIFY_QUICK ? step_places(v, ret, f) : step_walk(v, ret, f);
	case STAGE_DONE:
		break;
	}
	return 0;
}
