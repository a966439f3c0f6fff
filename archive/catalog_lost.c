/* Messages whose bytes are lost: FORMAT.md, event `lost`. */
#include "archive/catalog.h"
#include "archive/catalog_drops.h"
#include "archive/limits.h"

int catalog_find_lost(
	struct catalog *c, const struct digest *d, struct lost_message *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_LOST_MESSAGE, f);

	if (!s)
		return -1;
	bind_bytes(s, 1, slice_of(d->byte, DIGEST_LEN));
	int r = catalog_step(c, s, f);
	if (r > 0)
		*ret = (struct lost_message){
			column_number(s, 0), column_number(s, 1), column_number(s, 2)};
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

/* UIDLs are found by their maildrop, and by their message only here: the index is made when first a
 * message is lost, which in most archives is never. */
static int make_index(struct catalog *c, struct fault *f)
{
	if (sqlite3_exec(catalog_handle(c),
		    "CREATE INDEX IF NOT EXISTS uidl_message ON uidl (message)", NULL, NULL,
		    NULL) != SQLITE_OK)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "catalog.db: %s",
			sqlite3_errmsg(catalog_handle(c)));
	return 0;
}

struct uidl_lost {
	uint64_t maildrop, listed, copies;
	struct buffer uidl;
};

/* CATALOG_NONE when there are no more. */
static int next_uidl(struct catalog *c, uint64_t id, struct uidl_lost *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_UIDL_OF_MESSAGE, f);

	if (!s)
		return -1;
	bind_number(s, 1, id);
	int r = catalog_step(c, s, f);
	if (r > 0) {
		struct slice uidl = column_bytes(s, 1);

		ret->maildrop = column_number(s, 0);
		ret->listed = column_number(s, 2);
		ret->copies = column_number(s, 3);
		buffer_clear(&ret->uidl);
		if (uidl.len > 0 && buffer_append(&ret->uidl, uidl.data, uidl.len, f) < 0)
			r = -1;
	}
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

/* It was counted as often as it was kept; where it is not listed any more, the next poll says how
 * it is. */
static int count_lost(struct catalog *c, const struct uidl_lost *u, struct fault *f)
{
	struct drop *drop;

	if (drops_get(c, u->maildrop, &drop, f) < 0)
		return -1;
	for (uint64_t i = 0; i < u->copies; i++) {
		if (drop->sums.archived > 0)
			drop->sums.archived--;
		else
			drop->sums.listed++;
		drop->sums.pending++;
	}
	drop->dirty = true;
	return 0;
}

static int lose_uidl(struct catalog *c, const struct uidl_lost *u, uint64_t id, struct fault *f)
{
	struct slice uidl = buffer_slice(&u->uidl);

	if (count_lost(c, u, f) < 0 || catalog_set_pending(c, u->maildrop, uidl, u->listed, f) < 0)
		return -1;
	sqlite3_stmt *s = catalog_statement(c, SQL_DELETE_UIDL, f);
	if (!s)
		return -1;
	bind_number(s, 1, u->maildrop);
	bind_bytes(s, 2, uidl);
	bind_number(s, 3, id);
	return catalog_run(c, s, f);
}

static int run_with(struct catalog *c, enum catalog_statement which, uint64_t first,
	uint64_t second, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, which, f);

	if (!s)
		return -1;
	bind_number(s, 1, first);
	if (sqlite3_bind_parameter_count(s) > 1)
		bind_number(s, 2, second);
	return catalog_run(c, s, f);
}

static int put_lost(struct catalog *c, uint64_t id, const struct digest *d, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_LOST, f);

	if (!s)
		return -1;
	bind_number(s, 1, id);
	bind_bytes(s, 2, slice_of(d->byte, DIGEST_LEN));
	return catalog_run(c, s, f);
}

int catalog_apply_lost(struct catalog *c, const struct event *e, struct fault *f)
{
	struct uidl_lost u = {.uidl = buffer_make(LIMIT_LEDGER_LINE)};
	struct lost_message m;
	int r = catalog_find_lost(c, &e->digest, &m, f);

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (make_index(c, f) < 0)
		return -1;
	while ((r = next_uidl(c, m.id, &u, f)) == 0) {
		if (lose_uidl(c, &u, m.id, f) < 0) {
			r = -1;
			break;
		}
	}
	buffer_deinit(&u.uidl);
	if (r < 0 || run_with(c, SQL_DELETE_ALSO, m.id, 0, f) < 0 ||
		run_with(c, SQL_DELETE_FILINGS, m.id, 0, f) < 0 ||
		run_with(c, SQL_DELETE_MESSAGE, m.id, 0, f) < 0 ||
		run_with(c, SQL_SHRINK_SEGMENT, m.segment, m.size_bytes, f) < 0)
		return -1;
	return put_lost(c, m.id, &e->digest, f);
}

/* ---- Found elsewhere ------------------------------------------------------------------------- */

static int count_again(struct catalog *c, uint64_t number, struct fault *f)
{
	struct segment_row row;
	int r = catalog_get_segment(c, number, &row, f);

	if (r != 0)
		return r < 0 ? -1 : 0;
	return catalog_count_segment(c, &row, f) < 0 ? -1 : catalog_put_segment(c, &row, f);
}

int catalog_move_message(
	struct catalog *c, uint64_t id, uint64_t from, const struct location *to, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_MOVE_MESSAGE, f);

	if (!s)
		return -1;
	bind_number(s, 1, id);
	bind_number(s, 2, to->segment);
	bind_number(s, 3, to->frame_offset);
	bind_number(s, 4, to->entry_offset);
	if (catalog_run(c, s, f) < 0 || count_again(c, from, f) < 0)
		return -1;
	return count_again(c, to->segment, f);
}
