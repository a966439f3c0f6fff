/* After a crash: the states B to E of commit.c are brought to A. Whoever takes the turn does it, in
 * its catalog transaction, before its own group.
 *
 * The page cache proves nothing: what lies beyond the catalog's ends may not be on disk even though
 * it can be read, because a sync that failed drops pages. So it is first written again in place,
 * the same bytes, and synced; then every entry is digested; only then is it believed. */
#include "archive/replay.h"

#include "archive/replay_seals.h"
#include "archive/stretch.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CHUNK = 64 * 1024 };

/* ---- Writing again in place ------------------------------------------------------------------ */

int replay_write_again(int fd, uint64_t from, uint64_t end)
{
	uint8_t chunk[CHUNK];

	while (from < end) {
		size_t want = end - from < CHUNK ? (size_t)(end - from) : CHUNK;
		ssize_t n = pread(fd, chunk, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		ssize_t put = pwrite(fd, chunk, (size_t)n, (off_t)from);
		if (put < 0 && errno != EINTR)
			return -1;
		from += put > 0 ? (uint64_t)put : 0;
	}
	return fdatasync(fd);
}

static int make_durable(int fd, const char *name, uint64_t from, uint64_t end, struct fault *f)
{
	if (replay_write_again(fd, from, end) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write the end of %s again", name);
	return 0;
}

/* ---- Walking and applying ------------------------------------------------------------------- */

/* >0: it has one already. */
static int has_place(struct catalog *c, const struct digest *d, struct fault *f)
{
	struct location at;
	uint64_t frames_end;
	int r = catalog_get_place(c, d, &at, &frames_end, f);

	return r < 0 ? -1 : r != CATALOG_NONE;
}

int replay_walk(struct catalog *c, uint64_t number, int fd, uint64_t from, uint64_t end,
	enum replay_places places, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t bad_from, bad_to;
	int r;

	if (segment_walk_open(fd, number, from, end,
		    places == REPLAY_TRUSTED ? WALK_NAMES : WALK_DIGEST, &walk, f) < 0)
		return -1;
	while ((r = segment_walk_next(walk, &e, &bad_from, &bad_to, f)) > 0) {
		if (r != WALK_ENTRY || !entry_is_message(e.kind) ||
			(places != REPLAY_TRUSTED && digest_compare(&e.named, &e.found) != 0))
			continue;
		int known = places == REPLAY_LAST ? has_place(c, &e.named, f) : 0;
		if (known < 0)
			return -1;
		if (known == 0 && catalog_put_place(c, &e.named, &e.at, e.frames_end, f) < 0)
			return -1;
	}
	return r;
}

/* The segment's row reaches as far as the last message kept in it. */
static int extend_segment(struct catalog *c, const struct location *at, uint64_t frames_end,
	struct slice class_, struct fault *f)
{
	struct segment_row row;
	int r = catalog_get_segment(c, at->segment, &row, f);

	if (r < 0)
		return -1;
	if (r == 0 && row.length >= frames_end)
		return 0;
	if (r == CATALOG_NONE) {
		row = (struct segment_row){.number = at->segment, .state = SEGMENT_OPEN};
		(void)snprintf(row.class_, sizeof row.class_, "%.*s", (int)class_.len,
			(const char *)class_.data);
	}
	row.length = frames_end;
	return catalog_put_segment(c, &row, f);
}

/* A message that was found nowhere when its keep line was read is not missing: the ledger says that
 * it is lost. */
static int apply_lost(
	struct catalog *c, const struct event *e, struct replay_sums *sums, struct fault *f)
{
	struct lost_message m;
	int r = catalog_find_lost(c, &e->digest, &m, f);

	if (r == 0 && m.id >= sums->from) {
		sums->messages--;
		sums->missing -= m.segment == 0;
	}
	return r < 0 ? -1 : catalog_apply_lost(c, e, f);
}

static int apply_placed(struct catalog *c, const struct event *e, uint64_t number,
	struct replay_sums *sums, struct fault *f)
{
	struct location at;
	uint64_t frames_end;

	if (e->kind == EVENT_LOST)
		return apply_lost(c, e, sums, f);
	if (e->kind != EVENT_KEEP)
		return catalog_apply(c, e, number, NULL, f);
	sums->messages++;
	int r = catalog_get_place(c, &e->digest, &at, &frames_end, f);
	if (r < 0)
		return -1;
	if (r == CATALOG_NONE) {
		sums->missing++;
		return catalog_apply(c, e, number, NULL, f);
	}
	if (extend_segment(c, &at, frames_end, e->class_, f) < 0)
		return -1;
	if (sums->grown == 0 || at.segment < sums->grown)
		sums->grown = at.segment;
	return catalog_apply(c, e, number, &at, f);
}

/* Of a damaged ledger: a maildrop whose account line is lost gets a name, so that its messages are
 * found; a second keep of the same bytes is a see. */
static int mend(struct catalog *c, struct event *e, struct fault *f)
{
	struct sums sums;
	moment_ms polled;
	char name[40];

	if (!event_has_maildrop(e->kind) || e->kind == EVENT_ACCOUNT)
		return 0;
	if (catalog_get_sums(c, e->maildrop, &sums, &polled, f) < 0) {
		(void)snprintf(name, sizeof name, "maildrop-%" PRIu64, e->maildrop);
		struct event account = {.kind = EVENT_ACCOUNT,
			.maildrop = e->maildrop,
			.name = slice_text(name),
			.server = slice_text("?"),
			.user = slice_text(name)};

		if (f->code != FAULT_DAMAGE || catalog_apply(c, &account, 0, NULL, f) < 0)
			return -1;
	}
	if (e->kind == EVENT_KEEP) {
		int r = catalog_classify(c, e, f);

		if (r < 0)
			return -1;
		if (r != CATALOG_NEW)
			e->kind = EVENT_SEE;
	}
	return 0;
}

static int replay_line(struct catalog *c, struct event *e, uint64_t number, enum replay_trust trust,
	struct replay_sums *sums, struct fault *f)
{
	if (trust == REPLAY_DAMAGED && mend(c, e, f) < 0)
		return -1;
	int r = apply_placed(c, e, number, sums, f);
	if (r < 0 && trust == REPLAY_DAMAGED && f->code == FAULT_DAMAGE) {
		sums->passed_over++;
		return 0;
	}
	return r;
}

int replay_group(struct catalog *c, struct ledger_reader *r, enum replay_trust trust,
	struct replay_sums *sums, struct fault *f)
{
	struct buffer scratch CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_LINE * 2);
	struct slice line;
	struct event e;
	uint64_t number;

	while (ledger_reader_line(r, &line, &number)) {
		int p = line.len < LIMIT_LEDGER_LINE ? event_parse(line, &scratch, &e, f)
						     : EVENT_BAD;

		if (p < 0)
			return -1;
		sums->lines++;
		if (p == EVENT_BAD)
			sums->passed_over++;
		else if (replay_line(c, &e, number, trust, sums, f) < 0)
			return fault_prefix(f, "ledger line %" PRIu64, number);
	}
	return 0;
}

int replay_count(struct catalog *c, const struct replay_sums *sums, struct fault *f)
{
	struct segment_row row = {.number = sums->grown ? sums->grown - 1 : UINT64_MAX >> 1};
	int r;

	while ((r = catalog_next_segment(c, row.number, &row, f)) == 0) {
		if (row.state != SEGMENT_OPEN && row.state != SEGMENT_CLOSED)
			continue;
		if (catalog_count_segment(c, &row, f) < 0 || catalog_put_segment(c, &row, f) < 0)
			return -1;
	}
	return r < 0 ? -1 : 0;
}

/* ---- Segments beyond their ends -------------------------------------------------------------- */

/* fd of an open segment and its length; -1 and no failure where there is none. */
static int open_segment(
	struct store *s, uint64_t number, int *ret_fd, uint64_t *ret_size, struct fault *f)
{
	char name[SEGMENT_NAME];
	struct stat st;

	segment_name(number, SEGMENT_OPEN, name);
	*ret_fd = openat(s->segments_fd, name, O_RDWR | O_CLOEXEC);
	if (*ret_fd < 0 && errno == ENOENT)
		return 0;
	if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "segments/%s", name);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

typedef int segment_visit(
	struct store *s, const struct segment_row *row, int fd, uint64_t size, struct fault *f);

/* Those that are not appended to any more have no end to look at: `seals` says which become so with
 * the lines that the catalog lacks. */
static int visit_row(struct store *s, const struct seals *seals, const struct segment_row *row,
	segment_visit *visit, struct fault *f)
{
	int fd CLEANUP(fd_closep) = -1;
	uint64_t size;

	if (row->state == SEGMENT_SEALED || row->state == SEGMENT_REPLACED ||
		seals_replace(seals, row->number))
		return 0;
	if (open_segment(s, row->number, &fd, &size, f) < 0)
		return -1;
	if (fd < 0 && row->length > 0)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"segment %06" PRIu64 " is missing; run `popkeep verify`", row->number);
	return fd >= 0 ? visit(s, row, fd, size, f) : 0;
}

/* Files above `after` and below `before` that the catalog has no row for. */
static int visit_unknown(struct store *s, const struct seals *seals, uint64_t after,
	uint64_t before, segment_visit *visit, struct fault *f)
{
	for (;;) {
		if (after + 1 == before)
			return 0;
		if (segment_next_open(s->segments_fd, after, &after, f) < 0)
			return -1;
		if (after == 0 || after >= before)
			return 0;
		struct segment_row row = {.number = after, .state = SEGMENT_OPEN};
		if (visit_row(s, seals, &row, visit, f) < 0)
			return -1;
	}
}

/* Every segment that can have bytes beyond its end: the open ones, and those that the catalog does
 * not know. One group can begin several, one for each class, and a catalog that lost its last
 * transactions lacks many. */
static int visit_open(
	struct store *s, const struct seals *seals, segment_visit *visit, struct fault *f)
{
	struct segment_row row = {0};
	uint64_t last = 0;
	int r;

	while ((r = catalog_next_segment(s->catalog, last, &row, f)) == 0) {
		if (visit_unknown(s, seals, last, row.number, visit, f) < 0 ||
			visit_row(s, seals, &row, visit, f) < 0)
			return -1;
		last = row.number;
	}
	return r < 0 ? -1 : visit_unknown(s, seals, last, UINT64_MAX, visit, f);
}

static int walk_tail(
	struct store *s, const struct segment_row *row, int fd, uint64_t size, struct fault *f)
{
	char name[SEGMENT_NAME];

	segment_name(row->number, SEGMENT_OPEN, name);
	if (size < row->length)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"segments/%s has %" PRIu64 " bytes, but %" PRIu64
			" were kept; run `popkeep verify`",
			name, size, row->length);
	if (size == row->length)
		return 0;
	if (make_durable(fd, name, row->length, size, f) < 0 ||
		stretch_begin(s->catalog, row->number, row->length, f) < 0)
		return -1;
	return replay_walk(s->catalog, row->number, fd, row->length, size, REPLAY_FIRST, f);
}

/* The row has grown by what was replayed: that is believed now. */
static int note_tail(
	struct store *s, const struct segment_row *row, int fd, uint64_t size, struct fault *f)
{
	(void)size;
	return stretch_end(s->catalog, row->number, fd, row->length, f);
}

/* What is still beyond its end never happened. */
static int cut_tail(
	struct store *s, const struct segment_row *row, int fd, uint64_t size, struct fault *f)
{
	char name[SEGMENT_NAME], what[SEGMENT_NAME + 16];

	segment_name(row->number, SEGMENT_OPEN, name);
	if (size > row->length) {
		(void)snprintf(what, sizeof what, "segment-%s", name);
		if (aside_cut(s, fd, what, row->length, f) < 0)
			return -1;
	}
	if (row->length > 0)
		return 0;
	if (unlinkat(s->segments_fd, name, 0) < 0 || fsync(s->segments_fd) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot remove segments/%s", name);
	return 0;
}

/* Where the ledger keeps messages that were not found, nothing is cut: their bytes may lie there,
 * damaged. What comes next goes to another segment. */
static int close_tail(
	struct store *s, const struct segment_row *row, int fd, uint64_t size, struct fault *f)
{
	struct segment_row closed = *row;

	(void)fd;
	if (size == row->length)
		return 0;
	closed.length = size;
	closed.state = SEGMENT_CLOSED;
	return catalog_put_segment(s->catalog, &closed, f);
}

/* ---- The ledger beyond its end --------------------------------------------------------------- */

static int ledger_size(
	struct store *s, uint64_t number, uint64_t *ret, bool *ret_exists, struct fault *f)
{
	char name[LEDGER_NAME];
	struct stat st;

	ledger_name(number, name);
	*ret_exists = number > 0 && fstatat(s->ledger_fd, name, &st, 0) == 0;
	if (!*ret_exists && number > 0 && errno != ENOENT)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "ledger/%s", name);
	*ret = *ret_exists ? (uint64_t)st.st_size : 0;
	return 0;
}

static int make_ledger_durable(struct store *s, const struct ledger_at *at, struct fault *f)
{
	char name[LEDGER_NAME];

	for (uint64_t number = at->file ? at->file : 1;; number++) {
		ledger_name(number, name);
		int fd CLEANUP(fd_closep) = openat(s->ledger_fd, name, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			break;
		if (make_durable(fd, name, number == at->file ? at->length : 0, UINT64_MAX, f) < 0)
			return -1;
	}
	if (fsync(s->ledger_fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync ledger/");
	return 0;
}

static int cut_ledger(struct store *s, const struct ledger_tail *tail, struct fault *f)
{
	char name[LEDGER_NAME], what[LEDGER_NAME + 16];

	ledger_name(tail->file, name);
	(void)snprintf(what, sizeof what, "ledger-%s", name);
	int fd CLEANUP(fd_closep) = openat(s->ledger_fd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "ledger/%s", name);
	if (aside_cut(s, fd, what, tail->offset, f) < 0)
		return -1;
	if (tail->offset > 0)
		return 0;
	if (unlinkat(s->ledger_fd, name, 0) < 0 || fsync(s->ledger_fd) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot remove ledger/%s", name);
	return 0;
}

/* A file that was made and never written to. */
static int drop_empty_ledger(struct store *s, uint64_t number, struct fault *f)
{
	uint64_t size;
	bool exists;

	if (ledger_size(s, number, &size, &exists, f) < 0)
		return -1;
	if (!exists || size > 0)
		return 0;
	return cut_ledger(s, &(struct ledger_tail){.file = number}, f);
}

static int replay_ledger(
	struct store *s, struct ledger_at *at, struct replay_sums *sums, struct fault *f)
{
	struct ledger_reader *reader CLEANUP(ledger_reader_closep) = NULL;
	int r;

	if (ledger_reader_open(s->ledger_fd, at, &reader, f) < 0)
		return -1;
	while ((r = ledger_reader_next(reader, f)) == LEDGER_GROUP) {
		if (replay_group(s->catalog, reader, REPLAY_WHOLE, sums, f) < 0)
			return -1;
		*at = *ledger_reader_at(reader);
	}
	if (r == LEDGER_BAD)
		return fault_prefix(f, "the ledger is damaged; run `popkeep verify`");
	if (r < 0)
		return -1;
	struct ledger_tail tail = ledger_reader_tail(reader);
	if (r == LEDGER_TAIL && cut_ledger(s, &tail, f) < 0)
		return -1;
	return drop_empty_ledger(s, at->file + 1, f);
}

/* ---- Segments that were sealed beyond the catalog's end -------------------------------------- */

/* Whether each of the segments that it replaces is still there. */
static bool has_sources(struct store *s, const struct seals *all, const struct seal_line *l)
{
	for (size_t i = l->first; i < l->first + l->replaces; i++) {
		struct fault ignored;
		int fd CLEANUP(fd_closep) =
			segment_open_file(s->segments_fd, all->number[i], &ignored);

		if (fd < 0)
			return false;
	}
	return true;
}

/* The file was durable, and read back, before its line was written: what lies in it lies there.
 * Where it is damaged since, the replaced segments do while they are there. */
static int walk_sealed(struct store *s, const struct seals *all, struct fault *f)
{
	for (size_t i = 0; i < all->lines; i++) {
		const struct seal_line *l = &all->line[i];

		if (l->file == SEAL_BAD && !has_sources(s, all, l))
			return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
				"segment %06" PRIu64
				" is missing or damaged; run `popkeep rebuild`",
				l->segment);
		if (l->file != SEAL_GOOD)
			continue;
		int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, l->segment, f);
		if (fd < 0 ||
			replay_walk(s->catalog, l->segment, fd, 0, l->size, REPLAY_TRUSTED, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Looking whether there is anything to do ------------------------------------------------- */

static int find_difference(
	struct store *s, const struct segment_row *row, int fd, uint64_t size, struct fault *f)
{
	(void)s, (void)fd;
	if (size == row->length && size > 0)
		return 0;
	f->code = FAULT_NONE; /* not a failure, but the end of the visit */
	return -1;
}

int store_ledger_grew(struct store *s, const struct ledger_at *at, struct fault *f)
{
	uint64_t size, next_size;
	bool exists, next_exists;

	if (ledger_size(s, at->file, &size, &exists, f) < 0 ||
		ledger_size(s, at->file + 1, &next_size, &next_exists, f) < 0)
		return -1;
	if (size < at->length)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"the ledger is shorter than the catalog knows it: run `popkeep verify`, "
			"and "
			"`popkeep rebuild` to go on with the ledger as it is");
	return size > at->length || next_exists ? LEDGER_GREW : 0;
}

/* 0: files end where the catalog says; 1: they do not. */
static int needs_replay(struct store *s, const struct ledger_at *at, struct fault *f)
{
	int r = store_ledger_grew(s, at, f);

	if (r != 0)
		return r < 0 ? -1 : 1;
	struct seals none = {0};
	if (visit_open(s, &none, find_difference, f) < 0)
		return f->code == FAULT_NONE ? 1 : -1;
	return 0;
}

static int close_segments(struct store *s, struct fault *f)
{
	struct segment_row row = {0};
	int r;

	while ((r = catalog_next_segment(s->catalog, row.number, &row, f)) == 0) {
		if (row.state != SEGMENT_OPEN)
			continue;
		row.state = SEGMENT_CLOSED;
		if (catalog_put_segment(s->catalog, &row, f) < 0)
			return -1;
	}
	return r < 0 ? -1 : 0;
}

static int replay(struct store *s, struct ledger_at *at, struct fault *f)
{
	struct seals seals CLEANUP(seals_deinit) = {0};
	struct replay_sums sums = {.from = at->tree.size};
	struct ledger_at before = *at;

	store_close_writers(s);
	if (catalog_begin_places(s->catalog, f) < 0 || make_ledger_durable(s, at, f) < 0)
		return -1;
	if (fsync(s->segments_fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync segments/");
	if (seals_read(s, at, &seals, f) < 0 || walk_sealed(s, &seals, f) < 0 ||
		visit_open(s, &seals, walk_tail, f) < 0 || replay_ledger(s, at, &sums, f) < 0 ||
		replay_count(s->catalog, &sums, f) < 0 || visit_open(s, &seals, note_tail, f) < 0 ||
		visit_open(s, &seals, sums.missing > 0 ? close_tail : cut_tail, f) < 0 ||
		seals_settle(s, s->catalog, &seals, f) < 0)
		return -1;
	if (sums.missing > 0)
		store_notice(s,
			"%" PRIu64 " messages that the ledger keeps are in no segment; run "
			"`popkeep verify`",
			sums.missing);
	if (at->tree.size > before.tree.size)
		store_notice(s,
			"the last run was cut off: %" PRIu64 " lines of the ledger (%" PRIu64
			" messages) were taken up again",
			at->tree.size - before.tree.size, sums.messages);
	return catalog_set_state(s->catalog, s->id, at, f);
}

int store_replay(struct store *s, struct ledger_at *at, bool *ret_roll, struct fault *f)
{
	int r = needs_replay(s, at, f);

	if (r < 0 || (r > 0 && replay(s, at, f) < 0))
		return -1;
	*ret_roll = faccessat(s->folder_fd, FILE_WRITE_FAILED, F_OK, 0) == 0;
	return *ret_roll ? close_segments(s, f) : 0;
}
