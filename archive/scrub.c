/* How far a check that takes several runs has come: table scrub of the catalog, a row for each
 * depth. */
#include "archive/check.h"
#include "archive/handle.h"

int store_get_scrub(struct store *s, enum verify_depth depth, struct scrub *ret, struct fault *f)
{
	if (store_open_catalog(s, f) < 0)
		return -1;
	*ret = (struct scrub){0};
	if (catalog_schema(s->catalog) < SCHEMA_UPKEEP)
		return 0;
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_GET_SCRUB, f);
	if (!row)
		return -1;
	bind_number(row, 1, depth);
	int r = catalog_step(s->catalog, row, f);
	if (r > 0)
		*ret = (struct scrub){.began = sqlite3_column_int64(row, 0),
			.segment = column_number(row, 1),
			.done = column_number(row, 2),
			.damaged = column_number(row, 3)};
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

struct scrub_row {
	enum verify_depth depth;
	const struct scrub *round;
};

static int put(struct catalog *c, const void *what, struct fault *f)
{
	const struct scrub_row *row = what;
	sqlite3_stmt *s = catalog_statement(c, row->round ? SQL_PUT_SCRUB : SQL_DELETE_SCRUB, f);

	if (!s)
		return -1;
	bind_number(s, 1, row->depth);
	if (row->round) {
		bind_number(s, 2, (uint64_t)row->round->began);
		bind_number(s, 3, row->round->segment);
		bind_number(s, 4, row->round->done);
		bind_number(s, 5, row->round->damaged);
	}
	return catalog_run(c, s, f);
}

int store_put_scrub(
	struct store *s, enum verify_depth depth, const struct scrub *round, struct fault *f)
{
	struct scrub_row row = {depth, round};

	return store_change_catalog(s, put, &row, f);
}
