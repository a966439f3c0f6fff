/* Copying an archive while others write to it.
 *
 * TURN_MAINTENANCE is held, so that no segment is replaced meanwhile; ingest goes on. The catalog
 * says in one moment which bytes are committed, and only these are read, without any turn: they
 * never change. Then, each durable before the next and each legal as an archive by FORMAT.md:
 *
 *   1. POPKEEP.new, where the copy is new               it is no archive yet
 *   2. segments: sealed ones whole under another        the copy of the last time, with entries
 *      name, read back and put in place; open ones      that no line keeps
 *      grow behind what the copy's ledger knows
 *   3. ledger files in order, each put in place whole   that of this time, or of a moment between
 *   4. POPKEEP gets its name, where the copy is new     that of this time
 *   5. segments that others replaced are removed        likewise
 *
 * Killed anywhere, the next run finds what is whole by name and length and goes on. What the copy
 * has and the archive's ledger does not lead to is never overwritten: copy_ledger.c looks first. */
#include "archive/copy_private.h"
#include "archive/limits.h"
#include "archive/moment.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

static void copy_deinit(struct copy *c)
{
	fd_closep(&c->segments_fd);
	fd_closep(&c->ledger_fd);
	fd_closep(&c->lock_fd);
	fd_closep(&c->fd);
	free(c->segment);
	free(c->chunk[0]);
	free(c->chunk[1]);
	hasher_free(c->hasher);
}

static int prepare(struct copy *c, struct fault *f)
{
	if (hasher_new(&c->hasher, f) < 0)
		return -1;
	c->chunk[0] = malloc(COPY_CHUNK);
	c->chunk[1] = malloc(COPY_CHUNK);
	return c->chunk[0] && c->chunk[1] ? 0 : fault_memory(f);
}

/* Whoever seals may take long, and somebody who waits may give up. */
static int take_maintenance(struct copy *c, struct fault *f)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	int64_t deadline = monotonic_ms() + LIMIT_MAINTENANCE_MS;

	for (;;) {
		int r = turn_try(c->s->lock_fd, TURN_MAINTENANCE, f);

		if (r != TURN_TAKEN)
			return r;
		if (monotonic_ms() >= deadline)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"the archive stayed busy: another popkeep process seals, repacks "
				"or copies it; try again");
		if (copy_progress(c, 0, f) < 0)
			return -1;
		(void)nanosleep(&pause, NULL);
	}
}

/* ---- What is committed ------------------------------------------------------------------------
 */

static int add_segment(struct copy *c, const struct segment_row *row, struct fault *f)
{
	if (c->segments % 64 == 0) {
		struct copy_segment *grown =
			realloc(c->segment, (c->segments + 64) * sizeof *grown);

		if (!grown)
			return fault_memory(f);
		c->segment = grown;
	}
	struct copy_segment *s = &c->segment[c->segments];
	*s = (struct copy_segment){.number = row->number,
		.length = row->length,
		.state = row->state,
		.digest = row->digest};
	/* A catalog that an earlier version made may lack it. */
	s->has_digest = digest_compare(&row->digest, &(struct digest){0}) != 0;
	c->segments++;
	return 0;
}

static int read_ends(struct copy *c, struct fault *f)
{
	struct segment_row row = {0};
	int r;

	if (catalog_get_state(c->s->catalog, c->s->id, &c->at, f) < 0)
		return -1;
	while ((r = catalog_next_segment(c->s->catalog, row.number, &row, f)) == 0) {
		bool lives = row.state == SEGMENT_OPEN || row.state == SEGMENT_CLOSED ||
			     row.state == SEGMENT_SEALED;

		if (lives && row.length > 0 && add_segment(c, &row, f) < 0)
			return -1;
	}
	return r < 0 ? -1 : 0;
}

/* After replay, in one transaction that only reads: what others commit then is not seen. */
static int survey(struct copy *c, struct fault *f)
{
	sqlite3 *db;

	if (store_catch_up(c->s, f) < 0)
		return -1;
	db = catalog_handle(c->s->catalog);
	if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		return fault_set(
			f, FAULT_SYSTEM, SCOPE_SESSION, 0, "catalog.db: %s", sqlite3_errmsg(db));
	int r = read_ends(c, f);
	catalog_rollback(c->s->catalog);
	return r;
}

/* ---- Progress -------------------------------------------------------------------------------- */

static uint64_t size_there(int folder_fd, const char *name)
{
	struct stat st;

	return fstatat(folder_fd, name, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

/* Each byte that is copied is written and read back. */
static int plan(struct copy *c, struct fault *f)
{
	char name[SEGMENT_NAME];
	uint64_t length;

	for (size_t i = 0; i < c->segments; i++) {
		const struct copy_segment *s = &c->segment[i];

		segment_name(s->number, s->state, name);
		uint64_t there = size_there(c->segments_fd, name);
		if (there > s->length || (s->state == SEGMENT_SEALED && there < s->length))
			there = 0;
		c->all += 2 * (s->length - there) + (c->depth == COPY_FULL ? there : 0);
	}
	if (copy_ledger_length(c, c->at.file, &length, f) < 0)
		return -1;
	c->all += 3 * length;
	return 0;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int copy(struct copy *c, struct fault *f)
{
	if (prepare(c, f) < 0 || take_maintenance(c, f) < 0)
		return -1;
	if (survey(c, f) < 0 || copy_open_target(c, f) < 0)
		return -1;
	if (c->at.file > 0 && (plan(c, f) < 0 || copy_check_ledger(c, f) < 0))
		return -1;
	if (copy_segments(c, f) < 0 || copy_ledger(c, f) < 0 || copy_finish_target(c, f) < 0)
		return -1;
	return copy_remove_replaced(c, f);
}

int store_copy(struct store *s, const char *target, enum copy_depth depth,
	const struct copy_watch *watch, struct copy_sums *ret, struct fault *f)
{
	struct copy c CLEANUP(copy_deinit) = {.s = s,
		.depth = depth,
		.watch = watch,
		.target = target,
		.fd = -1,
		.ledger_fd = -1,
		.segments_fd = -1,
		.lock_fd = -1};
	int r = copy(&c, f);

	turn_release(s->lock_fd, TURN_MAINTENANCE);
	if (r < 0)
		return -1;
	*ret = c.sums;
	return 0;
}
