/* Putting a sealed segment in place: FORMAT.md, "Sealing", 4 to 7. From here on nothing may be left
 * out and nothing may change its order:
 *
 *   4. in a turn to commit: the file gets its name                      -> fsync of segments/
 *   5. the ledger gets its `seal` line                                  -> fdatasync
 *   6. the catalog's transaction: the messages lie there now
 *   7. the replaced files are removed                                   -> fsync of segments/
 *      and then their rows, which until then keep replay from taking them for what a crash left
 *
 * Until 5 is durable none of it happened, and the replaced files are what counts; from then on they
 * mean nothing. Readers take no turn: they find the place in the catalog, and look again when the
 * file is gone. */
#include "archive/seal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- A turn ---------------------------------------------------------------------------------- */

static int work_in_turn(struct store *s, seal_turn_work *work, void *context, struct fault *f)
{
	struct seal_turn turn = {.roll = ROLL_WHEN_FULL};
	bool roll = false;

	if (store_open_catalog(s, f) < 0 || catalog_begin(s->catalog, f) < 0)
		return -1;
	if (catalog_get_state(s->catalog, s->id, &turn.at, f) < 0 ||
		store_replay(s, &turn.at, &roll, f) < 0)
		return -1;
	if (roll)
		turn.roll = ROLL_NOW;
	if (work(s, &turn, context, f) < 0 || catalog_commit(s->catalog, f) < 0)
		return -1;
	if (roll && turn.wrote) /* new files have begun: the mark has done its work */
		(void)unlinkat(s->folder_fd, FILE_WRITE_FAILED, 0);
	return 0;
}

int seal_in_turn(struct store *s, seal_turn_work *work, void *context, struct fault *f)
{
	if (s->dead.code != FAULT_NONE) {
		*f = s->dead;
		return -1;
	}
	if (turns_take_commit(s->lock_fd, LIMIT_LOCK_MS, f) < 0)
		return -1;
	int r = work_in_turn(s, work, context, f);
	if (r < 0) {
		store_close_writers(s);
		if (s->catalog)
			catalog_rollback(s->catalog);
		/* Before the next one has its turn: it must see the mark. */
		if (f->code == FAULT_WRITE)
			(void)store_die(s, f);
	}
	turn_release(s->lock_fd, TURN_COMMIT);
	return r;
}

int seal_group_begin(struct store *s, const struct seal_turn *turn, struct ledger_group *g,
	moment_ms now, struct fault *f)
{
	return ledger_group_begin(g, s->ledger_fd, &turn->at, turn->roll, s->id, now, f);
}

int seal_group_add(struct store *s, struct ledger_group *g, const struct event *e,
	uint64_t *ret_moved, struct fault *f)
{
	uint64_t number;

	if (ledger_group_add(g, e, &number, f) < 0)
		return -1;
	if (e->kind == EVENT_SEAL && ret_moved)
		return catalog_apply_seal(s->catalog, e, ret_moved, f);
	return catalog_apply(s->catalog, e, number, NULL, f);
}

int seal_group_write(struct store *s, struct seal_turn *turn, struct ledger_group *g, moment_ms now,
	struct fault *f)
{
	if (ledger_group_write(g, s->ledger_fd, now, f) < 0)
		return -1;
	turn->at = g->at;
	turn->wrote = true;
	return catalog_set_state(s->catalog, s->id, &g->at, f);
}

/* ---- Is everything as it was? ---------------------------------------------------------------- */

static int changed(const struct seal_source *from, struct fault *f)
{
	return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
		"segment %06" PRIu64 " has changed while it was sealed; seal again",
		from->row.number);
}

static int check_messages(
	struct store *s, struct seal_plan *p, const struct seal_source *from, struct fault *f)
{
	sqlite3_stmt *q = catalog_statement(s->catalog, SQL_BY_PLACE, f);
	size_t i = from->first, end = from->first + from->mails;
	bool same = true;
	int r;

	if (!q)
		return -1;
	bind_number(q, 1, from->row.number);
	while (same && (r = catalog_step(s->catalog, q, f)) > 0) {
		struct slice digest = column_bytes(q, 1);

		same = i < end && digest.len == DIGEST_LEN &&
		       memcmp(digest.data, p->mail[i].digest.byte, DIGEST_LEN) == 0 &&
		       column_number(q, 7) == p->mail[i].frame_offset &&
		       column_number(q, 8) == p->mail[i].entry_offset;
		if (same)
			p->place[i].id = column_number(q, 0);
		i++;
	}
	(void)sqlite3_reset(q);
	if (same && r < 0)
		return -1;
	return same && i == end ? 0 : changed(from, f);
}

/* Others may have committed, sealed or rebuilt the catalog since the plan was made. */
static int check_sources(struct store *s, struct seal_plan *p, struct fault *f)
{
	for (size_t i = 0; i < p->sources; i++) {
		const struct seal_source *from = &p->source[i];
		struct segment_row now;
		int r = catalog_get_segment(s->catalog, from->row.number, &now, f);

		if (r < 0)
			return -1;
		if (r == CATALOG_NONE || now.state != from->row.state ||
			now.length != from->row.length || now.messages != from->mails ||
			strcmp(now.class_, from->row.class_) != 0)
			return changed(from, f);
		if (check_messages(s, p, from, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Steps 4 to 6 ---------------------------------------------------------------------------- */

struct placement {
	struct seal_plan *p;
	const struct sealed_file *file;
	uint64_t number;
};

static int rename_file(struct store *s, uint64_t number, struct fault *f)
{
	char name[SEGMENT_NAME];

	segment_name(number, SEGMENT_SEALED, name);
	if (renameat2(s->segments_fd, FILE_SEAL_TMP, s->segments_fd, name, RENAME_NOREPLACE) < 0 &&
		((errno != EINVAL && errno != ENOSYS) ||
			renameat(s->segments_fd, FILE_SEAL_TMP, s->segments_fd, name) < 0))
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot put segments/%s in place", name);
	if (fsync(s->segments_fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync segments/");
	return 0;
}

/* The rows themselves, since their numbers are at hand: what the `seal` line is applied with finds
 * no place that is still to be taken. */
static int move_messages(struct store *s, const struct placement *x, struct fault *f)
{
	if (catalog_begin_places(s->catalog, f) < 0)
		return -1;
	for (size_t i = 0; i < x->p->mails; i++) {
		const struct seal_place *place = &x->p->place[i];
		struct location at = {x->number, place->frame_offset, place->entry_offset};

		if (catalog_move(s->catalog, place->id, &at, f) < 0)
			return -1;
	}
	return 0;
}

static int name_sources(const struct seal_plan *p, struct buffer *to, struct fault *f)
{
	for (size_t i = 0; i < p->sources; i++) {
		if (event_add_replaced(to, p->source[i].row.number, f) < 0)
			return -1;
	}
	return 0;
}

/* The catalog's part is tried before the file gets its name: what does not fit shows there. */
static int enter(struct store *s, struct seal_turn *turn, struct ledger_group *g,
	const struct event *e, struct fault *f)
{
	struct segment_row made;
	uint64_t rest;

	if (seal_group_add(s, g, e, &rest, f) < 0)
		return -1;
	int r = catalog_get_segment(s->catalog, e->segment, &made, f);
	if (r < 0)
		return -1;
	if (r == CATALOG_NONE || made.messages != e->messages)
		return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
			"messages were moved while they were sealed; seal again");
	if (rename_file(s, e->segment, f) < 0)
		return -1;
	return seal_group_write(s, turn, g, e->t, f);
}

/* Then the sources hold what the plan does. */
static int begin_group(struct store *s, struct seal_turn *turn, const struct seal_plan *p,
	struct ledger_group *g, moment_ms now, struct fault *f)
{
	if (seal_group_begin(s, turn, g, now, f) < 0)
		return -1;
	for (size_t i = 0; i < p->losts; i++) {
		struct event e = p->lost[i];

		e.t = now;
		if (seal_group_add(s, g, &e, NULL, f) < 0)
			return -1;
	}
	return 0;
}

static int place_in_turn(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct placement *x = context;
	struct buffer replaces CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_LINE);
	struct event e = {.kind = EVENT_SEAL,
		.t = moment_now(),
		.digest = x->file->digest,
		.size = x->file->size,
		.messages = x->p->mails,
		.bytes = x->p->bytes,
		.class_ = slice_text(x->p->class_)};

	struct ledger_group g CLEANUP(ledger_group_deinit) = {0};

	if (begin_group(s, turn, x->p, &g, e.t, f) < 0)
		return -1;
	if (check_sources(s, x->p, f) < 0 || store_new_segment(s, &x->number, f) < 0)
		return -1;
	e.segment = x->number;
	if (move_messages(s, x, f) < 0 || name_sources(x->p, &replaces, f) < 0)
		return -1;
	e.replaces = buffer_slice(&replaces);
	return enter(s, turn, &g, &e, f);
}

/* ---- Step 7 ---------------------------------------------------------------------------------- */

/* FILE_STAYS: it is immutable (chattr +i), which a person has to undo. It costs room and means
 * nothing any more: no reason to seal no more. */
enum { FILE_STAYS = 1 };
static int remove_file(struct store *s, uint64_t number, struct fault *f)
{
	static const enum segment_state names[] = {SEGMENT_OPEN, SEGMENT_SEALED};
	char name[SEGMENT_NAME];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		segment_name(number, names[i], name);
		if (unlinkat(s->segments_fd, name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EPERM)
			return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
				"cannot remove segments/%s", name);
		store_notice(s,
			"segments/%s is replaced by another and cannot be removed, because it is "
			"immutable: after chattr -i the next seal or repack removes it",
			name);
		return FILE_STAYS;
	}
	return 0;
}

/* It stays anyway, and is not to be read again by each job. */
static bool is_immutable(struct store *s, uint64_t number)
{
	struct fault ignored;
	struct statx st;
	int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, number, &ignored);

	return fd >= 0 && statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_IMMUTABLE);
}

/* No row of a message speaks of it any more. */
static int is_used(struct store *s, uint64_t number, bool *ret, struct fault *f)
{
	sqlite3_stmt *q = catalog_statement(s->catalog, SQL_IS_SEGMENT_USED, f);

	if (!q)
		return -1;
	bind_number(q, 1, number);
	int r = catalog_step(s->catalog, q, f);
	*ret = r > 0;
	(void)sqlite3_reset(q);
	return r < 0 ? -1 : 0;
}

/* Each later sealed segment of the class is there, with its size: one of them holds its messages.
 */
static int has_heirs(struct store *s, const struct segment_row *row, bool *ret, struct fault *f)
{
	struct segment_row next = *row;
	char name[SEGMENT_NAME];
	struct stat st;
	size_t heirs = 0;
	int r;

	*ret = false;
	while ((r = catalog_next_segment(s->catalog, next.number, &next, f)) == 0) {
		if (next.state != SEGMENT_SEALED || strcmp(next.class_, row->class_) != 0)
			continue;
		segment_name(next.number, SEGMENT_SEALED, name);
		if (fstatat(s->segments_fd, name, &st, 0) < 0 ||
			(uint64_t)st.st_size != next.length)
			return 0;
		heirs++;
	}
	*ret = heirs > 0;
	return r < 0 ? -1 : 0;
}

struct removal {
	const struct seal_plan *p; /* NULL: of all jobs */
	uint64_t *number;
	size_t n, size;
};

static int note(struct removal *all, uint64_t number, struct fault *f)
{
	if (all->n == all->size) {
		size_t size = all->size ? all->size * 2 : 16;
		uint64_t *grown = reallocarray(all->number, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		all->number = grown;
		all->size = size;
	}
	all->number[all->n++] = number;
	return 0;
}

static bool is_source(const struct seal_plan *p, uint64_t number)
{
	for (size_t i = 0; i < p->sources; i++) {
		if (p->source[i].row.number == number)
			return true;
	}
	return false;
}

/* After a while only what is read says whether the heirs are whole: seal_keep_needed(). */
static int is_removable(struct store *s, const struct seal_plan *p, const struct segment_row *row,
	bool *ret, struct fault *f)
{
	bool used;

	*ret = false;
	if (row->state != SEGMENT_REPLACED || (p && !is_source(p, row->number)))
		return 0;
	if (is_used(s, row->number, &used, f) < 0 || (p && has_heirs(s, row, ret, f) < 0))
		return -1;
	*ret = !used && (!p || *ret);
	return 0;
}

static int find_removable(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	struct removal *all = context;
	struct segment_row row = {0};
	bool removable = false;
	int r;

	(void)turn;
	while ((r = catalog_next_segment(s->catalog, row.number, &row, f)) == 0) {
		if (is_removable(s, all->p, &row, &removable, f) < 0 ||
			(removable && note(all, row.number, f) < 0))
			return -1;
	}
	return r < 0 ? -1 : 0;
}

static int delete_rows(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	const struct removal *all = context;

	(void)turn;
	for (size_t i = 0; i < all->n; i++) {
		if (catalog_delete_segment(s->catalog, all->number[i], f) < 0)
			return -1;
	}
	return 0;
}

/* FILE_STAYS. */
static int remove_unless_needed(
	struct store *s, const struct removal *all, size_t i, struct fault *f)
{
	int r = all->p || is_immutable(s, all->number[i]) ? 0
							  : seal_keep_needed(s, all->number[i], f);

	if (r != 0)
		return r < 0 ? -1 : FILE_STAYS;
	return remove_file(s, all->number[i], f);
}

int seal_remove_replaced(struct store *s, const struct seal_plan *p, struct fault *f)
{
	struct removal all = {.p = p};
	int r = seal_in_turn(s, find_removable, &all, f);
	size_t removed = 0;

	for (size_t i = 0; r >= 0 && i < all.n; i++) {
		r = remove_unless_needed(s, &all, i, f);
		if (r == 0)
			all.number[removed++] = all.number[i];
	}
	all.n = removed;
	r = r < 0 ? -1 : 0;
	if (r == 0 && all.n > 0 && fsync(s->segments_fd) < 0)
		r = fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync segments/");
	if (r == 0 && all.n > 0)
		r = seal_in_turn(s, delete_rows, &all, f);
	free(all.number);
	return r;
}

int seal_place(struct store *s, struct seal_plan *p, const struct sealed_file *file,
	uint64_t *ret_number, struct fault *f)
{
	struct placement x = {.p = p, .file = file};

	if (seal_in_turn(s, place_in_turn, &x, f) < 0)
		return -1;
	*ret_number = x.number;
	/* What is left of it is of no consequence to what was sealed: the next job does it. */
	struct fault later;
	if (seal_remove_replaced(s, p, &later) < 0)
		store_notice(s, "what segment %06" PRIu64 " replaces is still there: %s", x.number,
			later.text);
	return 0;
}
