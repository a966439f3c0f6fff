/* What jobs that died left behind: FORMAT.md, "Sealing". */
#include "archive/file.h"
#include "archive/seal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- A sealed file that no line of the ledger names ------------------------------------------ */

/* The message of this digest lies in another segment, and is whole there. */
static int is_elsewhere(
	struct store *s, uint64_t segment, const struct digest *d, bool *ret, struct fault *f)
{
	struct message m CLEANUP(message_deinit) = {0};
	char hex[DIGEST_HEX + 1];

	*ret = false;
	digest_hex(d, hex);
	int r = find_one(s, hex, &m, f);
	if (r != 0)
		return r < 0 && f->code != FAULT_MISSING ? -1 : 0;
	if (!m.located || m.at.segment == segment)
		return 0;
	r = message_check(s, &m, f);
	*ret = r == 0;
	return r < 0 && f->code != FAULT_DAMAGE ? -1 : 0;
}

static int is_superfluous(
	struct store *s, const struct segment_file *file, bool *ret, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t from, to;
	int r = 0;

	*ret = true;
	int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, file->number, f);
	if (fd < 0 || segment_walk_open(fd, file->number, 0, file->size, WALK_NAMES, &walk, f) < 0)
		return -1;
	while (*ret && (r = segment_walk_next(walk, &e, &from, &to, f)) > 0) {
		if (r == WALK_DAMAGE)
			*ret = false;
		else if (entry_is_message(e.kind) &&
			 is_elsewhere(s, file->number, &e.named, ret, f) < 0)
			return -1;
	}
	return *ret && r < 0 ? -1 : 0;
}

static int tidy_unnamed(struct store *s, const struct segment_file *file, struct fault *f)
{
	char name[SEGMENT_NAME];
	bool superfluous = false;

	segment_name(file->number, SEGMENT_SEALED, name);
	if (is_superfluous(s, file, &superfluous, f) < 0)
		return -1;
	if (!superfluous) {
		store_notice(s,
			"segments/%s is named by no line of the ledger and holds messages that "
			"are whole nowhere else; it was left as it is",
			name);
		return 0;
	}
	if (unlinkat(s->segments_fd, name, 0) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot remove segments/%s", name);
	store_notice(s, "segments/%s, of a job that did not come to its end, was removed", name);
	return 0;
}

/* ---- A replaced file ------------------------------------------------------------------------- */

/* What a replaced file has and nobody else has whole. */
struct only_here {
	struct one {
		uint64_t id, from; /* from: the segment that does not have it; 0 */
		struct location at;
	} * one;
	size_t n, size;
	uint64_t number; /* of the file */
	uint64_t heir;	 /* that was looked at last, */
	bool heir_whole; /* as a file */
};

static void only_here_deinit(struct only_here *o)
{
	free(o->one);
}

/* Its messages were read back when it was made: what is to be seen is that it is that file still.
 */
static int look_at_heir(struct store *s, struct only_here *o, uint64_t number, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct segment_row row;
	struct digest found;
	struct fault gone;

	if (number == o->heir)
		return 0;
	o->heir = number;
	o->heir_whole = false;
	int r = catalog_get_segment(s->catalog, number, &row, f);
	if (r != 0 || row.state != SEGMENT_SEALED)
		return r < 0 ? -1 : 0;
	int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, number, &gone);
	if (fd < 0)
		return 0;
	if (hasher_new(&h, f) < 0)
		return -1;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	o->heir_whole = file_digest(fd, row.length, h, &found) == 0 &&
			digest_compare(&found, &row.digest) == 0;
	return 0;
}

static int add_only(
	struct only_here *o, const struct message *m, const struct location *at, struct fault *f)
{
	if (o->n == o->size) {
		size_t size = o->size ? o->size * 2 : 64;
		struct one *grown = reallocarray(o->one, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		o->one = grown;
		o->size = size;
	}
	o->one[o->n++] = (struct one){m->id, m->located ? m->at.segment : 0, *at};
	return 0;
}

static int look_at_entry(
	struct store *s, struct only_here *o, const struct segment_entry *e, struct fault *f)
{
	struct message m CLEANUP(message_deinit) = {0};
	char hex[DIGEST_HEX + 1];

	if (!entry_is_message(e->kind) || e->unread || digest_compare(&e->named, &e->found) != 0)
		return 0;
	digest_hex(&e->named, hex);
	int r = find_one(s, hex, &m, f);
	if (r != 0) /* nobody keeps it */
		return r < 0 && f->code != FAULT_MISSING ? -1 : 0;
	if (m.located && look_at_heir(s, o, m.at.segment, f) < 0)
		return -1;
	if (m.located && (m.at.segment == o->number || o->heir_whole))
		return 0;
	r = message_check(s, &m, f);
	if (r == 0)
		return 0;
	return f->code == FAULT_DAMAGE ? add_only(o, &m, &e->at, f) : -1;
}

static int look_at_file(struct store *s, struct only_here *o, int fd, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t from, to;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "fstat");
	if (segment_walk_open(fd, o->number, 0, (uint64_t)st.st_size, WALK_DIGEST, &walk, f) < 0)
		return -1;
	while ((r = segment_walk_next(walk, &e, &from, &to, f)) > 0) {
		if (r == WALK_ENTRY && look_at_entry(s, o, &e, f) < 0)
			return -1;
	}
	return r;
}

static int count_again(struct store *s, uint64_t number, struct fault *f)
{
	struct segment_row row;
	int r = number ? catalog_get_segment(s->catalog, number, &row, f) : CATALOG_NONE;

	if (r != 0)
		return r < 0 ? -1 : 0;
	return catalog_count_segment(s->catalog, &row, f) < 0
		       ? -1
		       : catalog_put_segment(s->catalog, &row, f);
}

static int move_all(struct store *s, const struct only_here *o, struct fault *f)
{
	uint64_t from = 0;

	for (size_t i = 0; i < o->n; i++) {
		const struct one *one = &o->one[i];
		sqlite3_stmt *q = catalog_statement(s->catalog, SQL_MOVE_MESSAGE, f);

		if (!q)
			return -1;
		bind_number(q, 1, one->id);
		bind_number(q, 2, one->at.segment);
		bind_number(q, 3, one->at.frame_offset);
		bind_number(q, 4, one->at.entry_offset);
		if (catalog_run(s->catalog, q, f) < 0)
			return -1;
		/* They lay in one segment, as a rule. */
		if (one->from != from && count_again(s, from, f) < 0)
			return -1;
		from = one->from;
	}
	return count_again(s, from, f) < 0 ? -1 : count_again(s, o->number, f);
}

/* Work of a turn: they count here again, and the segment is one like others. */
static int give_back(struct store *s, struct seal_turn *turn, void *context, struct fault *f)
{
	const struct only_here *o = context;
	struct segment_row row;
	char name[SEGMENT_NAME];

	(void)turn;
	int r = catalog_get_segment(s->catalog, o->number, &row, f);
	if (r != 0 || row.state != SEGMENT_REPLACED)
		return r < 0 ? -1 : 0;
	segment_name(o->number, SEGMENT_SEALED, name);
	row.state = faccessat(s->segments_fd, name, F_OK, 0) == 0 ? SEGMENT_SEALED : SEGMENT_CLOSED;
	if (catalog_put_segment(s->catalog, &row, f) < 0)
		return -1;
	return move_all(s, o, f);
}

int seal_keep_needed(struct store *s, uint64_t number, struct fault *f)
{
	struct only_here o CLEANUP(only_here_deinit) = {.number = number};
	int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, number, f);

	if (fd < 0)
		return f->error == ENOENT ? 0 : -1;
	if (look_at_file(s, &o, fd, f) < 0 || (o.n > 0 && seal_in_turn(s, give_back, &o, f) < 0))
		return -1;
	if (o.n == 0)
		return 0;
	store_notice(s,
		"segment %06" PRIu64 " was replaced by one that is damaged now: %zu messages that "
		"are whole nowhere else are read from it again; run `popkeep verify`",
		number, o.n);
	return SEAL_NEEDED;
}

/* ---- All of it ------------------------------------------------------------------------------- */

/* The catalog knows all of the ledger: what is sealed and has no row was never entered there. */
static int tidy_files(struct store *s, struct fault *f)
{
	struct segment_file *files CLEANUP(freep) = NULL;
	struct segment_row row;
	size_t n;

	if (segment_files(s->segments_fd, &files, &n, f) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (files[i].state != SEGMENT_SEALED)
			continue;
		int r = catalog_get_segment(s->catalog, files[i].number, &row, f);
		if (r < 0 || (r == CATALOG_NONE && tidy_unnamed(s, &files[i], f) < 0))
			return -1;
	}
	return 0;
}

int seal_tidy(struct store *s, struct fault *f)
{
	if (unlinkat(s->segments_fd, FILE_SEAL_TMP, 0) < 0 && errno != ENOENT)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot remove segments/" FILE_SEAL_TMP);
	if (seal_remove_replaced(s, NULL, f) < 0 || tidy_files(s, f) < 0)
		return -1;
	if (fsync(s->segments_fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync segments/");
	return 0;
}

int store_tidy(struct store *s, struct fault *f)
{
	if (turn_wait(s->lock_fd, TURN_MAINTENANCE, LIMIT_MAINTENANCE_MS, f) < 0)
		return -1;
	int r = seal_tidy(s, f);
	turn_release(s->lock_fd, TURN_MAINTENANCE);
	return r;
}
