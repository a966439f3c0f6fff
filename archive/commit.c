/* Group commit: the order of durability.
 *
 *   1. the group's frames are written behind the segment's committed end     -> fdatasync
 *   2. the group's lines with their commit line are written behind the
 *      ledger's committed end                                                -> fdatasync
 *   3. the catalog's transaction commits (WAL, synchronous=NORMAL)
 *   4. store_commit() returns: the session may say QUIT
 *
 * A new file is synced with its folder. All of it happens under TURN_COMMIT, and the catalog is
 * where a process learns how far the others came, so that nothing is remembered between two commits
 * but open files.
 *
 * Legal states between the steps, as the next one to take the turn finds them:
 *
 *   A  files end where the catalog says                                      nothing to do
 *   B  segment longer, ledger not: died in 1 or before 2                     the frames never
 *                                                                            happened: cut
 *   C  ledger longer, its end without a valid commit line: died in 2         cut both
 *   D  ledger longer, with valid commit lines: died before 3 was durable     replay
 *   E  a segment or ledger file without a row in the catalog: died after
 *      making it                                                             as B, C or D
 *
 * B to E are replay.c's work. What is cut is kept aside. E can be several at once: a group begins
 * a segment for each class that has none, and the catalog can lack many groups.
 *
 * Before the first group the archive's own folder is synced: whoever made it may have died before
 * its names were durable. A write or sync that failed leaves its mark before the turn is given
 * back, so that the next writer begins new files. */
#include "archive/handle.h"
#include "archive/limits.h"
#include "archive/record.h"
#include "archive/stretch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- Segments that are written to ------------------------------------------------------------ */

void store_close_writers(struct store *s)
{
	for (size_t i = 0; i < s->slots; i++)
		segment_writer_close(s->slot[i].writer);
	s->slots = 0;
}

/* A slot for another class; where all are taken, that of one which this group does not write to. */
static struct writer_slot *free_slot(struct store *s)
{
	if (s->slots < CLASSES_MAX)
		return &s->slot[s->slots++];
	for (size_t i = 0; i < s->slots; i++) {
		if (!s->slot[i].used) {
			s->slot[i].writer = segment_writer_close(s->slot[i].writer);
			return &s->slot[i];
		}
	}
	return NULL;
}

/* What a seal reads at once has a cap. */
static bool is_full(const struct segment_row *row)
{
	return row->bytes >= LIMIT_SEGMENT_BYTES || row->messages >= LIMIT_SEGMENT_MESSAGES;
}

int store_new_segment(struct store *s, uint64_t *ret, struct fault *f)
{
	uint64_t file, row;

	if (segment_last_file(s->segments_fd, &file, f) < 0 ||
		catalog_last_segment(s->catalog, &row, f) < 0)
		return -1;
	*ret = (file > row ? file : row) + 1;
	return 0;
}

/* The row of the class's open segment; a new number where there is none, or where it is full. */
static int choose_segment(
	struct store *s, const char *class_, struct segment_row *ret, struct fault *f)
{
	uint64_t number;
	int r = catalog_open_segment(s->catalog, class_, ret, f);

	if (r < 0 || (r == 0 && !is_full(ret)))
		return r;
	if (r == 0) {
		ret->state = SEGMENT_CLOSED;
		if (catalog_put_segment(s->catalog, ret, f) < 0)
			return -1;
	}
	if (store_new_segment(s, &number, f) < 0)
		return -1;
	*ret = (struct segment_row){.number = number, .state = SEGMENT_OPEN};
	(void)snprintf(ret->class_, sizeof ret->class_, "%s", class_);
	return 0;
}

static struct writer_slot *find_slot(struct store *s, const char *class_)
{
	for (size_t i = 0; i < s->slots; i++) {
		if (strcmp(s->slot[i].class_, class_) == 0)
			return &s->slot[i];
	}
	return NULL;
}

/* The writer of a class's open segment at its committed end, made where there is none. */
static int segment_writer_of(struct store *s, const char *class_, struct segment_writer **ret,
	struct segment_row *ret_row, struct fault *f)
{
	struct segment_row row;
	struct writer_slot *slot = find_slot(s, class_);

	if (choose_segment(s, class_, &row, f) < 0)
		return -1;
	*ret_row = row;
	if (slot && segment_writer_number(slot->writer) == row.number &&
		segment_writer_end(slot->writer) == row.length) {
		*ret = slot->writer;
		slot->used = true;
		return 0;
	}
	if (!slot) {
		slot = free_slot(s);
		if (!slot)
			return fault_set(f, FAULT_LIMIT, SCOPE_ACCOUNT, 0,
				"more than %d retention classes in one group", CLASSES_MAX);
		*slot = (struct writer_slot){0};
		(void)snprintf(slot->class_, sizeof slot->class_, "%s", class_);
	}
	slot->writer = segment_writer_close(slot->writer);
	if (segment_writer_open(s->segments_fd, row.number, row.length, &slot->writer, f) < 0) {
		s->slot[slot - s->slot] = s->slot[--s->slots];
		return -1;
	}
	*ret = slot->writer;
	slot->used = true;
	return 0;
}

/* ---- One group ------------------------------------------------------------------------------- */

struct commit {
	struct store *s;
	struct ledger_group lines;
	moment_ms now;
	/* Writers that this group wrote to, each once. */
	struct used_segment {
		struct segment_writer *writer;
		const char *class_;
		struct segment_row row; /* with what this group adds; its length is as before */
	} used[CLASSES_MAX];
	size_t used_n;
};

static int add_event(
	struct commit *c, const struct event *e, const struct location *at, struct fault *f)
{
	uint64_t number;

	if (ledger_group_add(&c->lines, e, &number, f) < 0)
		return -1;
	return catalog_apply(c->s->catalog, e, number, at, f);
}

/* Step 1 for one segment: what this group wrote to it is durable, and the catalog says so. */
static int sync_segment(struct commit *c, struct used_segment *u, struct fault *f)
{
	if (segment_flush(u->writer, f) < 0 || segment_sync(u->writer, f) < 0)
		return -1;
	struct stretch t = {.segment = u->row.number};
	t.offset = segment_writer_written(u->writer, &t.digest);
	u->row.length = segment_writer_end(u->writer);
	t.length = u->row.length - t.offset;
	if (stretch_put(c->s->catalog, &t, f) < 0)
		return -1;
	return catalog_put_segment(c->s->catalog, &u->row, f);
}

/* The segment that takes the next message of this class. */
static int segment_for(
	struct commit *c, const char *class_, struct used_segment **ret, struct fault *f)
{
	struct used_segment *u = c->used, *end = c->used + c->used_n;

	while (u < end && strcmp(u->class_, class_) != 0)
		u++;
	if (u < end && is_full(&u->row) && sync_segment(c, u, f) < 0)
		return -1;
	if (u == end || is_full(&u->row)) {
		u->class_ = class_;
		if (segment_writer_of(c->s, class_, &u->writer, &u->row, f) < 0)
			return -1;
		c->used_n += u == end;
	}
	*ret = u;
	return 0;
}

static int keep(struct commit *c, struct item *i, struct event *e, struct fault *f)
{
	struct used_segment *to;
	struct location at;
	const char *class_ = i->class_ ? i->class_ : "default";

	e->kind = EVENT_KEEP;
	e->class_ = slice_text(class_);
	if (segment_for(c, class_, &to, f) < 0 ||
		segment_append(to->writer, i->spool, c->now, &at, f) < 0)
		return -1;
	i->outcome = OUTCOME_KEPT;
	if (to->row.messages++ == 0 || c->now < to->row.first)
		to->row.first = c->now;
	to->row.bytes += e->size;
	return add_event(c, e, &at, f);
}

/* Nothing is written of it, so only what the ledger does not tell may change: UIDLs do not stay
 * pending. A refusal stays: it is that of another message under the same UIDL. */
static int settle_known(struct commit *c, const struct event *e, struct fault *f)
{
	struct catalog *catalog = c->s->catalog;
	struct unkept row;

	if (catalog_get_unkept(catalog, e->maildrop, e->uidl, &row, f) < 0)
		return -1;
	if (row.state == UNKEPT_REFUSED)
		return 0;
	return catalog_settle(catalog, e->maildrop, e->uidl, f) < 0 ? -1 : 0;
}

static int commit_message(struct commit *c, struct item *i, struct fault *f)
{
	struct event e = {.kind = EVENT_SEE,
		.t = c->now,
		.maildrop = i->maildrop,
		.uidl = buffer_slice(&i->uidl),
		.digest = *spool_digest(i->spool),
		.size = spool_size(i->spool),
		.listed = i->listed_size,
		.copy = i->copy,
		.source = slice_text(i->imported ? "import" : "pop3"),
		.filed = i->imported,
		.folder = buffer_slice(&i->folder),
		.flags = buffer_slice(&i->flags),
		.received = i->received};

	i->size = e.size;
	/* What LIST did not say is taken to be the size, as one who reads the line will. */
	if (e.listed == SIZE_UNKNOWN)
		e.listed = e.size;
	int r = catalog_classify(c->s->catalog, &e, f);
	if (r < 0)
		return -1;
	if (r == CATALOG_NEW)
		return keep(c, i, &e, f);
	i->outcome = r == CATALOG_NEW_UIDL ? OUTCOME_SEEN : OUTCOME_KNOWN;
	if (r != 0)
		return add_event(c, &e, NULL, f);
	return settle_known(c, &e, f);
}

static int commit_refusal(struct commit *c, struct item *i, struct fault *f)
{
	struct event e = {.kind = EVENT_REFUSE,
		.t = c->now,
		.maildrop = i->maildrop,
		.uidl = buffer_slice(&i->uidl),
		.listed = i->listed_size,
		.reason = i->reason,
		.text = slice_text(i->text)};

	struct unkept row;

	if (catalog_get_unkept(c->s->catalog, i->maildrop, e.uidl, &row, f) < 0)
		return -1;
	e.tries = row.tries + 1;
	return add_event(c, &e, NULL, f);
}

static int commit_accept(struct commit *c, struct item *i, struct fault *f)
{
	struct event e = {.kind = EVENT_ACCEPT,
		.t = c->now,
		.maildrop = i->maildrop,
		.uidl = buffer_slice(&i->uidl),
		.reason = ACCEPT_VANISHED,
		.text = slice_text(i->text)};
	struct unkept row;

	if (catalog_get_unkept(c->s->catalog, i->maildrop, e.uidl, &row, f) < 0)
		return -1;
	bool either = row.state == UNKEPT_REFUSED || row.state == UNKEPT_VANISHED;
	if (!either || row.accepted) {
		i->outcome = either ? OUTCOME_ALREADY : OUTCOME_NOTHING;
		return 0;
	}
	if (row.state == UNKEPT_REFUSED)
		e.reason = row.reason;
	i->outcome = OUTCOME_ACCEPTED;
	return add_event(c, &e, NULL, f);
}

static bool sums_equal(const struct sums *a, const struct sums *b)
{
	return a->listed == b->listed && a->archived == b->archived && a->pending == b->pending &&
	       a->refused == b->refused && a->vanished == b->vanished;
}

/* The sums were counted when the listing was compared with what is known. What somebody accepted
 * meanwhile must not come back by them. */
static int without_accepted(struct commit *c, struct item *i, struct sums *ret, struct fault *f)
{
	uint64_t vanished = 0;

	*ret = i->sums;
	if (ret->vanished == 0)
		return 0;
	if (catalog_count_vanished(c->s->catalog, i->maildrop, &vanished, f) < 0)
		return -1;
	if (ret->vanished > vanished)
		ret->vanished = vanished;
	return 0;
}

static int commit_listing(struct commit *c, struct item *i, struct fault *f)
{
	struct event e = {.kind = EVENT_VANISH, .t = c->now, .maildrop = i->maildrop};
	struct catalog *catalog = c->s->catalog;
	struct sums now;
	moment_ms polled;

	for (size_t n = 0; n < i->vanished_n; n++) {
		e.uidl = buffer_slice(&i->vanished[n].uidl);
		if (add_event(c, &e, NULL, f) < 0)
			return -1;
	}
	for (size_t n = 0; n < i->pending_n; n++) {
		const struct listed_uidl *p = &i->pending[n];

		if (catalog_set_pending(
			    catalog, i->maildrop, buffer_slice(&p->uidl), p->listed_size, f) < 0)
			return -1;
	}
	if (catalog_get_sums(catalog, i->maildrop, &now, &polled, f) < 0 ||
		without_accepted(c, i, &e.sums, f) < 0)
		return -1;
	e.kind = EVENT_POLL;
	e.uidl = slice_of(NULL, 0);
	/* The first poll is told even of an empty maildrop: that it was polled is worth knowing. */
	if ((polled == 0 || !sums_equal(&now, &e.sums)) && add_event(c, &e, NULL, f) < 0)
		return -1;
	return i->complete ? catalog_set_polled(catalog, i->maildrop, c->now, f) : 0;
}

static int commit_record(struct commit *c, const struct record *r, struct fault *f)
{
	struct event e = {.kind = r->kind == RECORD_EXPORT ? EVENT_EXPORT : EVENT_RESTORE,
		.t = c->now,
		.query = r->query,
		.target = r->target,
		.format = r->format,
		.messages = r->messages,
		.bytes = r->bytes,
		.failed = r->failed};

	if (r->kind == RECORD_EXPORT)
		e.digest = *r->manifest;
	return add_event(c, &e, NULL, f);
}

static int commit_item(struct commit *c, struct item *i, struct fault *f)
{
	switch (i->kind) {
	case ITEM_MESSAGE:
		return commit_message(c, i, f);
	case ITEM_REFUSAL:
		return commit_refusal(c, i, f);
	case ITEM_LISTING:
		return commit_listing(c, i, f);
	case ITEM_ACCOUNT:
		return add_event(c,
			&(struct event){.kind = EVENT_ACCOUNT,
				.t = c->now,
				.maildrop = i->maildrop,
				.name = buffer_slice(&i->name),
				.server = buffer_slice(&i->server),
				.user = buffer_slice(&i->user)},
			NULL, f);
	case ITEM_ACCEPT:
		return commit_accept(c, i, f);
	case ITEM_HEALTH:
		return catalog_put_health(c->s->catalog, i->health, f);
	case ITEM_RECORD:
		return commit_record(c, i->record, f);
	}
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "item without a kind");
}

/* Whether the ledger has nothing to tell of it. */
static int is_quiet(struct commit *c, struct item *i, bool *ret, struct fault *f)
{
	struct sums now, then;
	moment_ms polled;

	*ret = i->kind == ITEM_HEALTH;
	if (i->kind != ITEM_LISTING || i->vanished_n > 0 || i->pending_n > 0)
		return 0;
	if (catalog_get_sums(c->s->catalog, i->maildrop, &now, &polled, f) < 0 ||
		without_accepted(c, i, &then, f) < 0)
		return -1;
	*ret = polled != 0 && sums_equal(&now, &then);
	return 0;
}

static int commit_quiet_item(struct commit *c, struct item *i, struct fault *f)
{
	if (i->kind == ITEM_HEALTH)
		return catalog_put_health(c->s->catalog, i->health, f);
	return i->complete ? catalog_set_polled(c->s->catalog, i->maildrop, c->now, f) : 0;
}

/* Polls that brought nothing, and how polls went: what most groups are made of where many accounts
 * are polled. They change the catalog alone, so that what lies in segments/ does not matter now,
 * and of the ledger only that the catalog knows all of it. COMMIT_ALOUD: it is not such a group. */
enum { COMMIT_ALOUD = 1 };
static int commit_quietly(
	struct commit *c, struct batch *g, const struct ledger_at *at, struct fault *f)
{
	bool quiet = g->first != NULL;

	for (struct item *i = g->first; i && quiet; i = i->next)
		quiet = i->kind == ITEM_HEALTH || i->kind == ITEM_LISTING;
	if (!quiet)
		return COMMIT_ALOUD;
	int r = store_ledger_grew(c->s, at, f);
	if (r != 0)
		return r < 0 ? -1 : COMMIT_ALOUD;
	for (struct item *i = g->first; i; i = i->next) {
		if (is_quiet(c, i, &quiet, f) < 0)
			return -1;
		if (!quiet)
			return COMMIT_ALOUD;
	}
	for (struct item *i = g->first; i; i = i->next) {
		if (commit_quiet_item(c, i, f) < 0)
			return -1;
	}
	return catalog_commit(c->s->catalog, f);
}

/* Step 1. */
static int sync_segments(struct commit *c, struct fault *f)
{
	for (size_t i = 0; i < c->used_n; i++) {
		if (sync_segment(c, &c->used[i], f) < 0)
			return -1;
	}
	return 0;
}

/* Steps 1 to 3, in the catalog's transaction. */
static int commit_group(struct commit *c, struct batch *g, const struct ledger_at *at,
	enum ledger_roll roll, struct fault *f)
{
	struct store *s = c->s;

	/* A clock that went back is told, and the ledger says what the clock said. */
	if (at->tree.size > 0 && c->now < at->last)
		store_notice(s,
			"the clock is behind the ledger's last line by %" PRId64
			" seconds; archiving "
			"dates will be out of order",
			(at->last - c->now) / 1000);
	if (ledger_group_begin(&c->lines, s->ledger_fd, at, roll, s->id, c->now, f) < 0)
		return -1;
	uint64_t before = c->lines.at.tree.size;
	for (size_t i = 0; i < s->slots; i++)
		s->slot[i].used = false;
	for (struct item *i = g->first; i; i = i->next) {
		if (commit_item(c, i, f) < 0)
			return -1;
	}
	if (c->lines.at.tree.size == before) /* nothing that the ledger tells */
		return catalog_commit(s->catalog, f);
	/* Whoever made the archive may have died before its names were durable. */
	if (at->file == 0 && fsync(s->folder_fd) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync the archive's folder");
	if (sync_segments(c, f) < 0 || ledger_group_write(&c->lines, s->ledger_fd, c->now, f) < 0 ||
		catalog_set_state(s->catalog, s->id, &c->lines.at, f) < 0)
		return -1;
	if (catalog_commit(s->catalog, f) < 0)
		return -1;
	if (roll == ROLL_NOW) /* new files have begun: the mark has done its work */
		(void)unlinkat(s->folder_fd, FILE_WRITE_FAILED, 0);
	return 0;
}

/* In the turn: brings the catalog up to date, then commits. */
static int commit_in_turn(struct store *s, struct batch *g, struct fault *f)
{
	struct commit c = {.s = s, .now = moment_now()};
	struct ledger_at at;
	bool roll = false;

	if (store_open_catalog(s, f) < 0 || catalog_begin(s->catalog, f) < 0)
		return -1;
	int r = catalog_get_state(s->catalog, s->id, &at, f);
	if (r == 0)
		r = commit_quietly(&c, g, &at, f);
	if (r == COMMIT_ALOUD)
		r = store_replay(s, &at, &roll, f) < 0 ? -1 : COMMIT_ALOUD;
	if (r != COMMIT_ALOUD) {
		if (r < 0)
			catalog_rollback(s->catalog);
		return r;
	}
	r = commit_group(&c, g, &at, roll ? ROLL_NOW : ROLL_WHEN_FULL, f);
	ledger_group_deinit(&c.lines);
	if (r < 0) {
		/* What was appended to a segment must not be taken for its end. */
		store_close_writers(s);
		catalog_rollback(s->catalog);
	}
	return r;
}

static void free_spools(struct batch *g)
{
	for (struct item *i = g->first; i; i = i->next)
		i->spool = spool_free(i->spool);
}

int store_commit(struct store *s, struct batch *g, struct fault *f)
{
	if (s->dead.code != FAULT_NONE) {
		*f = s->dead;
		return -1;
	}
	if (turns_take_commit(s->lock_fd, LIMIT_LOCK_MS, f) < 0)
		return -1;
	int r = commit_in_turn(s, g, f);
	if (r < 0) {
		fault_widen(f, SCOPE_ARCHIVE);
		/* Before the next one has its turn: it must see the mark. */
		if (f->code == FAULT_WRITE)
			(void)store_die(s, f);
	}
	turn_release(s->lock_fd, TURN_COMMIT);
	if (r < 0)
		return -1;
	free_spools(g);
	g->bytes = 0;
	return 0;
}
