#include "archive/index_private.h"

#include <errno.h>

void index_plan_init(struct index_plan *p)
{
	memset(p, 0, sizeof *p);
	for (size_t i = 0; i < LIMIT_REPACK_SOURCES; i++)
		p->fd[i] = -1;
}

void index_plan_deinit(struct index_plan *p)
{
	for (size_t i = 0; i < p->sources; i++)
		fd_closep(&p->fd[i]);
	free(p->mail);
	index_plan_init(p);
}

/* A row of NEXT_TO_READ and TO_READ. */
struct candidate {
	uint64_t id, size;
	struct digest digest;
	bool located;
	struct location at;
};

static int read_row(sqlite3_stmt *row, struct candidate *ret, struct fault *f)
{
	struct slice digest = column_bytes(row, 1);

	if (digest.len != DIGEST_LEN)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"catalog.db does not fit together; run `popkeep rebuild`");
	*ret = (struct candidate){.id = column_number(row, 0),
		.size = column_number(row, 2),
		.located = sqlite3_column_type(row, 3) != SQLITE_NULL,
		.at = {column_number(row, 3), column_number(row, 4), column_number(row, 5)}};
	memcpy(ret->digest.byte, digest.data, DIGEST_LEN);
	return 0;
}

/* ---- Sources --------------------------------------------------------------------------------- */

enum { PLAN_FULL = 1, PLAN_ABSENT = 2 };

/* Which of the sources the segment is: 0; PLAN_FULL; PLAN_ABSENT: there is no such file. */
static int find_source(
	struct index_plan *p, struct store *s, uint64_t segment, uint32_t *ret, struct fault *f)
{
	/* They come in order, mostly. */
	for (size_t i = p->sources; i-- > 0;) {
		if (p->segment[i] == segment) {
			*ret = (uint32_t)i;
			return p->fd[i] < 0 ? PLAN_ABSENT : 0;
		}
	}
	if (p->sources == LIMIT_REPACK_SOURCES)
		return PLAN_FULL;
	int fd = segment_open_file(s->segments_fd, segment, f);
	if (fd < 0 && f->code != FAULT_DAMAGE && f->code != FAULT_MISSING)
		return -1;
	p->fd[p->sources] = fd;
	p->segment[p->sources] = segment;
	*ret = (uint32_t)p->sources++;
	return fd < 0 ? PLAN_ABSENT : 0;
}

static int add(struct index_plan *p, const struct candidate *c, uint32_t source, struct fault *f)
{
	if (p->mails == p->mails_size) {
		size_t more = p->mails_size + p->mails_size / 2 + 256;
		struct planned *grown = reallocarray(p->mail, more, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		p->mail = grown;
		p->mails_size = more;
	}
	p->mail[p->mails++] = (struct planned){
		.mail = {.source = source,
			.frame_offset = c->at.frame_offset,
			.entry_offset = c->at.entry_offset,
			.size = c->size,
			.digest = c->digest},
		.id = c->id,
	};
	p->bytes += c->size;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct planned *x = a, *y = b;

	if (x->mail.source != y->mail.source)
		return x->mail.source < y->mail.source ? -1 : 1;
	if (x->mail.frame_offset != y->mail.frame_offset)
		return x->mail.frame_offset < y->mail.frame_offset ? -1 : 1;
	return (x->mail.entry_offset > y->mail.entry_offset) -
	       (x->mail.entry_offset < y->mail.entry_offset);
}

/* ---- Candidates ------------------------------------------------------------------------------ */

struct planning {
	struct index_plan *p;
	struct store *s;
	struct search_db *d;
	struct search_state *state;
	uint64_t last_row; /* rows up to this id may be there already, of a run that was stopped */
};

enum { HAS_ROW = 1 };

/* HAS_ROW: the message has its row. One of another message goes. */
static int look_for_row(struct planning *w, const struct candidate *c, struct fault *f)
{
	uint64_t gone;

	if (c->id > w->last_row)
		return 0;
	sqlite3_stmt *row = search_db_statement(w->d, SEARCH_GET_DIGEST, f);
	if (!row)
		return -1;
	bind_number(row, 1, c->id);
	int r = search_db_step(w->d, row, f);
	struct slice found = r > 0 ? column_bytes(row, 0) : slice_of(NULL, 0);
	bool same = slice_compare(found, slice_of(c->digest.byte, DIGEST_LEN)) == 0;
	(void)sqlite3_reset(row);
	if (r <= 0 || same)
		return r < 0 ? -1 : same ? HAS_ROW : 0;
	if (search_db_delete(w->d, c->id, &gone, f) < 0)
		return -1;
	w->state->indexed -= gone <= w->state->indexed ? gone : w->state->indexed;
	return 0;
}

/* 0, or PLAN_FULL: it is left to the next plan. */
static int consider(struct planning *w, const struct candidate *c, struct fault *f)
{
	uint32_t source = 0;
	int r = look_for_row(w, c, f);

	if (r != 0)
		return r < 0 ? -1 : index_delete_again(w->d, c->id, f);
	r = c->located ? find_source(w->p, w->s, c->at.segment, &source, f) : PLAN_ABSENT;
	if (r < 0 || r == PLAN_FULL)
		return r;
	return r == PLAN_ABSENT ? index_put_again(w->d, c->id, &c->digest, moment_now(), f)
				: add(w->p, c, source, f);
}

static int consider_next(struct planning *w, const struct candidate *c, struct fault *f)
{
	int r = w->p->mails == LIMIT_INDEX_RUN ? PLAN_FULL : consider(w, c, f);

	if (r == 0) {
		w->p->last = c->id;
		w->p->last_digest = c->digest;
	}
	return r;
}

/* Those that nobody looked at. */
static int plan_new(struct planning *w, uint64_t after, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(w->s->catalog, SQL_NEXT_TO_READ, f);
	struct candidate c;
	int r;

	if (!row)
		return -1;
	bind_number(row, 1, after);
	while ((r = catalog_step(w->s->catalog, row, f)) > 0) {
		r = read_row(row, &c, f);
		if (r == 0)
			r = consider_next(w, &c, f);
		if (r != 0)
			break;
	}
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

/* The message of this id, if it is there with this digest: 1. */
static int find_candidate(struct store *s, uint64_t id, const struct digest *digest,
	struct candidate *ret, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_TO_READ, f);

	if (!row)
		return -1;
	bind_number(row, 1, id);
	int r = catalog_step(s->catalog, row, f);
	if (r > 0 && read_row(row, ret, f) < 0)
		r = -1;
	(void)sqlite3_reset(row);
	if (r <= 0)
		return r;
	return digest_compare(&ret->digest, digest) == 0;
}

/* The next one that could not be read. 1, or 0 at the end. */
static int next_again(struct planning *w, uint64_t after, moment_ms before, uint64_t *ret_id,
	struct digest *ret, struct fault *f)
{
	sqlite3_stmt *row = search_db_statement(w->d, SEARCH_NEXT_AGAIN, f);

	if (!row)
		return -1;
	bind_number(row, 1, after);
	bind_number(row, 2, (uint64_t)before);
	int r = search_db_step(w->d, row, f);
	if (r > 0) {
		struct slice digest = column_bytes(row, 1);

		*ret_id = column_number(row, 0);
		*ret = (struct digest){{0}};
		if (digest.len == DIGEST_LEN)
			memcpy(ret->byte, digest.data, DIGEST_LEN);
	}
	(void)sqlite3_reset(row);
	return r;
}

static int plan_again(struct planning *w, uint64_t after, moment_ms before, struct fault *f)
{
	struct candidate c;
	struct digest digest;
	int r;

	while ((r = next_again(w, after, before, &after, &digest, f)) > 0) {
		r = find_candidate(w->s, after, &digest, &c, f);
		if (r < 0)
			return -1;
		if (r == 0) { /* it is gone */
			if (index_delete_again(w->d, after, f) < 0)
				return -1;
			w->p->last = after;
			continue;
		}
		r = consider_next(w, &c, f);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	return r;
}

static int find_last_row(struct planning *w, struct fault *f)
{
	sqlite3_stmt *row = search_db_statement(w->d, SEARCH_LAST_ID, f);

	if (!row)
		return -1;
	int r = search_db_step(w->d, row, f);
	if (r > 0)
		w->last_row = column_number(row, 0);
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

int index_plan_make(struct index_plan *p, struct store *s, struct search_db *d,
	enum index_which which, uint64_t after, moment_ms before, struct search_state *state,
	struct fault *f)
{
	struct planning w = {.p = p, .s = s, .d = d, .state = state};

	if (find_last_row(&w, f) < 0 || store_open_catalog(s, f) < 0 ||
		catalog_hold(s->catalog, f) < 0)
		return -1;
	int r = which == INDEX_NEW ? plan_new(&w, after, f) : plan_again(&w, after, before, f);
	catalog_let_go(s->catalog);
	if (r < 0)
		return -1;
	if (p->mails > 0)
		qsort(p->mail, p->mails, sizeof *p->mail, by_place);
	return 0;
}
