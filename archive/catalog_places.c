/* Segments and places: the part of the catalog that says where bytes are. */
#include "archive/catalog.h"

#include <stdio.h>

static int get_segment(struct catalog *c, sqlite3_stmt *s, struct segment_row *ret, struct fault *f)
{
	int r = catalog_step(c, s, f);

	if (r > 0) {
		*ret = (struct segment_row){.number = column_number(s, 0),
			.state = (enum segment_state)sqlite3_column_int(s, 1),
			.length = column_number(s, 2)};
		(void)snprintf(ret->class_, sizeof ret->class_, "%s",
			(const char *)sqlite3_column_text(s, 3));
	}
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

int catalog_put_segment(struct catalog *c, const struct segment_row *row, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_SEGMENT, f);

	if (!s)
		return -1;
	bind_number(s, 1, row->number);
	bind_number(s, 2, row->state);
	bind_number(s, 3, row->length);
	bind_text(s, 4, slice_text(row->class_));
	return catalog_run(c, s, f);
}

int catalog_open_segment(
	struct catalog *c, const char *class_, struct segment_row *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_OPEN_SEGMENT, f);

	if (!s)
		return -1;
	bind_text(s, 1, slice_text(class_));
	return get_segment(c, s, ret, f);
}

int catalog_get_segment(
	struct catalog *c, uint64_t number, struct segment_row *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_GET_SEGMENT, f);

	if (!s)
		return -1;
	bind_number(s, 1, number);
	return get_segment(c, s, ret, f);
}

int catalog_next_segment(
	struct catalog *c, uint64_t after, struct segment_row *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_NEXT_SEGMENT, f);

	if (!s)
		return -1;
	bind_number(s, 1, after);
	return get_segment(c, s, ret, f);
}

/* The temporary table is not part of the schema. */
int catalog_begin_places(struct catalog *c, struct fault *f)
{
	static const char text[] = "DROP TABLE IF EXISTS temp.place;"
				   "CREATE TEMP TABLE place (digest BLOB PRIMARY KEY, segment, "
				   "frame_offset, entry_offset, frames_end) WITHOUT ROWID";

	if (sqlite3_exec(catalog_handle(c), text, NULL, NULL, NULL) != SQLITE_OK)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "SQLite's temporary table: %s",
			sqlite3_errmsg(catalog_handle(c)));
	return 0;
}

int catalog_put_place(struct catalog *c, const struct digest *d, const struct location *at,
	uint64_t frames_end, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_PLACE, f);

	if (!s)
		return -1;
	bind_bytes(s, 1, slice_of(d->byte, DIGEST_LEN));
	bind_number(s, 2, at->segment);
	bind_number(s, 3, at->frame_offset);
	bind_number(s, 4, at->entry_offset);
	bind_number(s, 5, frames_end);
	return catalog_run(c, s, f);
}

int catalog_get_place(struct catalog *c, const struct digest *d, struct location *ret,
	uint64_t *ret_frames_end, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_GET_PLACE, f);

	if (!s)
		return -1;
	bind_bytes(s, 1, slice_of(d->byte, DIGEST_LEN));
	int r = catalog_step(c, s, f);
	if (r > 0) {
		*ret = (struct location){
			column_number(s, 0), column_number(s, 1), column_number(s, 2)};
		*ret_frames_end = column_number(s, 3);
	}
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}
