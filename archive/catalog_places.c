/* Segments and places: the part of the catalog that says where bytes are. */
#include "archive/stretch.h"

#include <stdio.h>

static int get_segment(struct catalog *c, sqlite3_stmt *s, struct segment_row *ret, struct fault *f)
{
	int r = catalog_step(c, s, f);

	if (r > 0) {
		*ret = (struct segment_row){.number = column_number(s, 0),
			.state = (enum segment_state)sqlite3_column_int(s, 1),
			.length = column_number(s, 2),
			.messages = column_number(s, 4),
			.bytes = column_number(s, 5),
			.first = sqlite3_column_int64(s, 6)};
		(void)snprintf(ret->class_, sizeof ret->class_, "%s",
			(const char *)sqlite3_column_text(s, 3));
		struct slice digest = column_bytes(s, 7);
		if (digest.len == DIGEST_LEN)
			memcpy(ret->digest.byte, digest.data, DIGEST_LEN);
	}
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : r > 0 ? 0 : CATALOG_NONE;
}

int catalog_put_segment(struct catalog *c, const struct segment_row *row, struct fault *f)
{
	bool appended = row->state == SEGMENT_OPEN || row->state == SEGMENT_CLOSED;

	if (!appended && stretch_forget(c, row->number, 0, f) < 0)
		return -1;
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_SEGMENT, f);
	if (!s)
		return -1;
	bind_number(s, 1, row->number);
	bind_number(s, 2, row->state);
	bind_number(s, 3, row->length);
	bind_text(s, 4, slice_text(row->class_));
	bind_number(s, 5, row->messages);
	bind_number(s, 6, row->bytes);
	bind_number(s, 7, (uint64_t)row->first);
	if (digest_compare(&row->digest, &(struct digest){0}) != 0)
		bind_bytes(s, 8, slice_of(row->digest.byte, DIGEST_LEN));
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

int catalog_next_segment(
	struct catalog *c, uint64_t after, struct segment_row *ret, struct fault *f)
{
	bool old = catalog_schema(c) < SCHEMA_UPKEEP;
	sqlite3_stmt *s = catalog_statement(c, old ? SQL_NEXT_SEGMENT_OLD : SQL_NEXT_SEGMENT, f);

	if (!s)
		return -1;
	bind_number(s, 1, after);
	return get_segment(c, s, ret, f);
}

int catalog_get_segment(
	struct catalog *c, uint64_t number, struct segment_row *ret, struct fault *f)
{
	struct segment_row row;

	if (catalog_schema(c) < SCHEMA_UPKEEP) {
		int r = catalog_next_segment(c, number - 1, &row, f);

		if (r == 0 && row.number == number)
			*ret = row;
		return r == 0 && row.number != number ? CATALOG_NONE : r;
	}
	sqlite3_stmt *s = catalog_statement(c, SQL_GET_SEGMENT, f);
	if (!s)
		return -1;
	bind_number(s, 1, number);
	return get_segment(c, s, ret, f);
}

int catalog_last_segment(struct catalog *c, uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_LAST_SEGMENT, f);

	if (!s)
		return -1;
	int r = catalog_step(c, s, f);
	if (r > 0)
		*ret = column_number(s, 0);
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : 0;
}

int catalog_delete_segment(struct catalog *c, uint64_t number, struct fault *f)
{
	if (stretch_forget(c, number, 0, f) < 0)
		return -1;
	sqlite3_stmt *s = catalog_statement(c, SQL_DELETE_SEGMENT, f);
	if (!s)
		return -1;
	bind_number(s, 1, number);
	return catalog_run(c, s, f);
}

int catalog_count_segment(struct catalog *c, struct segment_row *row, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_COUNT_SEGMENT, f);

	if (!s)
		return -1;
	bind_number(s, 1, row->number);
	int r = catalog_step(c, s, f);
	if (r > 0) {
		row->messages = column_number(s, 0);
		row->bytes = column_number(s, 1);
		row->first = sqlite3_column_int64(s, 2);
	}
	(void)sqlite3_reset(s);
	return r < 0 ? -1 : 0;
}

/* ---- A sealed segment ------------------------------------------------------------------------ */

/* What no message's row speaks of any more is to be removed. */
static int replace_segment(struct catalog *c, uint64_t number, struct fault *f)
{
	struct segment_row row;
	int r = catalog_get_segment(c, number, &row, f);

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (catalog_count_segment(c, &row, f) < 0)
		return -1;
	if (row.messages == 0)
		row.state = SEGMENT_REPLACED;
	else if (row.state == SEGMENT_OPEN)
		row.state = SEGMENT_CLOSED;
	return catalog_put_segment(c, &row, f);
}

int catalog_apply_seal(
	struct catalog *c, const struct event *e, uint64_t *ret_moved, struct fault *f)
{
	struct segment_row row = {.number = e->segment,
		.state = SEGMENT_SEALED,
		.length = e->size,
		.digest = e->digest};
	struct slice replaces = e->replaces;
	uint64_t number;
	sqlite3_stmt *s = catalog_statement(c, SQL_MOVE_TO_PLACE, f);

	if (!s)
		return -1;
	bind_number(s, 1, e->segment);
	if (catalog_run(c, s, f) < 0)
		return -1;
	*ret_moved = (uint64_t)sqlite3_changes64(catalog_handle(c));
	(void)snprintf(row.class_, sizeof row.class_, "%.*s", (int)e->class_.len,
		(const char *)e->class_.data);
	if (catalog_count_segment(c, &row, f) < 0 || catalog_put_segment(c, &row, f) < 0)
		return -1;
	while (event_replaced(&replaces, &number)) {
		if (replace_segment(c, number, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Places ---------------------------------------------------------------------------------- */

/* The temporary table is not part of the schema. */
int catalog_begin_places(struct catalog *c, struct fault *f)
{
	static const char text[] =
		"DROP TABLE IF EXISTS temp.place;"
		"CREATE TEMP TABLE place (digest BLOB, segment INTEGER, "
		"frame_offset INTEGER, entry_offset INTEGER, frames_end INTEGER, "
		"PRIMARY KEY (digest, segment)) WITHOUT ROWID";

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

int catalog_move(struct catalog *c, uint64_t id, const struct location *to, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_MOVE, f);

	if (!s)
		return -1;
	bind_number(s, 1, id);
	bind_number(s, 2, to->segment);
	bind_number(s, 3, to->frame_offset);
	bind_number(s, 4, to->entry_offset);
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
