/* What is in search.db and should not be there, and what is missing in it. */
#include "archive/index_private.h"

enum { AT_ONCE = 4096 }; /* findings of a comparison that are remembered */

static void shrink(struct search_state *state, struct index_result *sum, uint64_t gone)
{
	state->indexed -= gone <= state->indexed ? gone : state->indexed;
	sum->removed += gone;
}

static int read_id(sqlite3_stmt *row, uint64_t *ret_id, struct digest *ret)
{
	struct slice digest = column_bytes(row, 1);

	*ret_id = column_number(row, 0);
	*ret = (struct digest){{0}};
	if (digest.len == DIGEST_LEN)
		memcpy(ret->byte, digest.data, DIGEST_LEN);
	return 1;
}

/* ---- Lost messages --------------------------------------------------------------------------- */

static int count_lost(struct store *s, uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_COUNT_LOST, f);

	if (!row)
		return -1;
	int r = catalog_step(s->catalog, row, f);
	if (r > 0)
		*ret = column_number(row, 0);
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

static int next_lost(struct store *s, uint64_t *id, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_NEXT_LOST, f);

	if (!row)
		return -1;
	bind_number(row, 1, *id);
	int r = catalog_step(s->catalog, row, f);
	if (r > 0)
		*id = column_number(row, 0);
	(void)sqlite3_reset(row);
	return r;
}

/* Their numbers are never given to another message. */
static int forget_all(struct store *s, struct search_db *d, struct search_state *state,
	struct index_result *sum, struct fault *f)
{
	uint64_t id = 0, gone;
	int r;

	while ((r = next_lost(s, &id, f)) > 0) {
		if (search_db_delete(d, id, &gone, f) < 0 || index_delete_again(d, id, f) < 0)
			return -1;
		shrink(state, sum, gone);
	}
	return r < 0 ? -1 : search_db_set_state(d, s->id, state, f);
}

int index_forget_lost(struct store *s, struct search_db *d, struct search_state *state,
	struct index_result *sum, struct fault *f)
{
	uint64_t lost = 0;

	if (count_lost(s, &lost, f) < 0)
		return -1;
	if (lost == state->lost)
		return 0;
	if (search_db_begin(d, f) < 0)
		return -1;
	state->lost = lost;
	if (forget_all(s, d, state, sum, f) < 0 || search_db_commit(d, f) < 0) {
		search_db_rollback(d);
		return -1;
	}
	return 0;
}

/* ---- Each row against the catalog ------------------------------------------------------------ */

struct finding {
	uint64_t id;
	struct digest digest;
	bool missing; /* otherwise it is there and should not */
};

struct comparison {
	struct store *s;
	struct search_db *d;
	sqlite3_stmt *kept, *row, *again; /* each rising by id */
	uint64_t kept_id, row_id, again_id;
	struct digest kept_digest, row_digest, again_digest;
	int has_kept, has_row, has_again;
	struct finding found[AT_ONCE];
	size_t n;
};

static int step_kept(struct comparison *c, struct fault *f)
{
	c->has_kept = catalog_step(c->s->catalog, c->kept, f);
	return c->has_kept <= 0 ? c->has_kept : read_id(c->kept, &c->kept_id, &c->kept_digest);
}

static int step_row(struct comparison *c, struct fault *f)
{
	c->has_row = search_db_step(c->d, c->row, f);
	return c->has_row <= 0 ? c->has_row : read_id(c->row, &c->row_id, &c->row_digest);
}

static int step_again(struct comparison *c, struct fault *f)
{
	c->has_again = search_db_step(c->d, c->again, f);
	return c->has_again <= 0 ? c->has_again : read_id(c->again, &c->again_id, &c->again_digest);
}

static void note(struct comparison *c, uint64_t id, const struct digest *digest, bool missing)
{
	c->found[c->n++] = (struct finding){id, *digest, missing};
}

/* One message of the catalog, or a row that comes before it. */
static int compare_next(struct comparison *c, struct fault *f)
{
	if (c->has_row && (!c->has_kept || c->row_id < c->kept_id)) {
		note(c, c->row_id, &c->row_digest, false);
		return step_row(c, f);
	}
	bool same = c->has_row && c->row_id == c->kept_id &&
		    digest_compare(&c->row_digest, &c->kept_digest) == 0;
	if (c->has_row && c->row_id == c->kept_id) {
		if (!same)
			note(c, c->row_id, &c->row_digest, false);
		if (step_row(c, f) < 0)
			return -1;
	}
	while (c->has_again && c->again_id < c->kept_id) {
		if (step_again(c, f) < 0)
			return -1;
	}
	bool waits = c->has_again && c->again_id == c->kept_id &&
		     digest_compare(&c->again_digest, &c->kept_digest) == 0;
	if (!same && !waits)
		note(c, c->kept_id, &c->kept_digest, true);
	return step_kept(c, f);
}

/* Until there is no more room for findings. */
static int compare_some(struct comparison *c, uint64_t done, struct fault *f)
{
	c->kept = catalog_statement(c->s->catalog, SQL_ALL_DIGESTS, f);
	c->row = c->kept ? search_db_statement(c->d, SEARCH_ALL_DIGESTS, f) : NULL;
	c->again = c->row ? search_db_statement(c->d, SEARCH_ALL_AGAIN, f) : NULL;
	if (!c->again)
		return -1;
	bind_number(c->kept, 1, done);
	bind_number(c->row, 1, done);
	int r = step_kept(c, f) < 0 || step_row(c, f) < 0 || step_again(c, f) < 0 ? -1 : 0;
	while (r == 0 && (c->has_kept || c->has_row) && c->n < AT_ONCE - 2)
		r = compare_next(c, f) < 0 ? -1 : 0;
	(void)sqlite3_reset(c->kept);
	(void)sqlite3_reset(c->row);
	(void)sqlite3_reset(c->again);
	return r;
}

static int mend(
	struct comparison *c, struct search_state *state, struct index_result *sum, struct fault *f)
{
	uint64_t gone;

	for (size_t i = 0; i < c->n; i++) {
		const struct finding *x = &c->found[i];

		if (x->missing) {
			if (index_put_again(c->d, x->id, &x->digest, 0, f) < 0)
				return -1;
			continue;
		}
		if (search_db_delete(c->d, x->id, &gone, f) < 0)
			return -1;
		shrink(state, sum, gone);
	}
	return 0;
}

static int count_rows(struct search_db *d, uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *row = search_db_statement(d, SEARCH_COUNT, f);

	if (!row)
		return -1;
	int r = search_db_step(d, row, f);
	if (r > 0)
		*ret = column_number(row, 0);
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

static int compare_all(
	struct comparison *c, struct search_state *state, struct index_result *sum, struct fault *f)
{
	do {
		c->n = 0;
		if (compare_some(c, state->done, f) < 0 || mend(c, state, sum, f) < 0)
			return -1;
	} while (c->n > 0);
	return count_rows(c->d, &state->indexed, f) < 0
		       ? -1
		       : search_db_set_state(c->d, c->s->id, state, f);
}

int index_compare(struct store *s, struct search_db *d, struct search_state *state,
	struct index_result *sum, struct fault *f)
{
	struct comparison *c CLEANUP(freep) = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	c->s = s;
	c->d = d;
	if (store_open_catalog(s, f) < 0 || search_db_begin(d, f) < 0)
		return -1;
	if (compare_all(c, state, sum, f) < 0 || search_db_commit(d, f) < 0) {
		search_db_rollback(d);
		return -1;
	}
	return 0;
}
