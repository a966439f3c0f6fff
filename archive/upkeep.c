#include "archive/upkeep.h"

#include "archive/escape.h"
#include "archive/handle.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* ---- Writing: the catalog's transaction and nothing else, as a quiet group of commit.c --------
 */

static int change_in_turn(struct store *s, catalog_change *apply, const void *what, struct fault *f)
{
	struct ledger_at at;

	if (store_open_catalog(s, f) < 0 || catalog_begin(s->catalog, f) < 0)
		return -1;
	/* It may be another archive's by now: whose rows are these? */
	if (catalog_get_state(s->catalog, s->id, &at, f) < 0 || apply(s->catalog, what, f) < 0 ||
		catalog_commit(s->catalog, f) < 0) {
		catalog_rollback(s->catalog);
		return -1;
	}
	return 0;
}

int store_change_catalog(struct store *s, catalog_change *apply, const void *what, struct fault *f)
{
	if (s->dead.code != FAULT_NONE) {
		*f = s->dead;
		return -1;
	}
	if (turns_take_commit(s->lock_fd, LIMIT_LOCK_MS, f) < 0)
		return -1;
	int r = change_in_turn(s, apply, what, f);
	if (r < 0) {
		fault_widen(f, SCOPE_ARCHIVE);
		if (f->code == FAULT_WRITE)
			(void)store_die(s, f);
	}
	turn_release(s->lock_fd, TURN_COMMIT);
	return r;
}

/* ---- How it went ------------------------------------------------------------------------------
 */

_Static_assert(sizeof((struct upkeep){0}.text) > LIMIT_HEALTH_TEXT - 1, "the text fits");

/* Cut at a whole character, into ret. */
static void cut_text(struct slice text, char *ret, size_t size)
{
	size_t n = text.len < size ? text.len : size - 1;

	if (n < text.len) {
		while (n > 0 && (text.data[n] & 0xc0) == 0x80)
			n--;
	}
	if (n > 0)
		memcpy(ret, text.data, n);
	ret[n] = '\0';
}

struct outcome {
	enum upkeep_job job;
	const struct fault *fault;
};

static int put_outcome(struct catalog *c, const void *what, struct fault *f)
{
	const struct outcome *o = what;
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_UPKEEP, f);
	char text[sizeof((struct upkeep){0}.text)] = "";

	if (!s)
		return -1;
	if (o->fault)
		cut_text(slice_text(o->fault->text), text, sizeof text);
	bind_number(s, 1, o->job);
	bind_number(s, 2, (uint64_t)moment_now());
	bind_number(s, 3, o->fault ? o->fault->code : FAULT_NONE);
	bind_text(s, 4, slice_text(text));
	return catalog_run(c, s, f);
}

int store_put_upkeep(
	struct store *s, enum upkeep_job job, const struct fault *outcome, struct fault *f)
{
	struct outcome o = {job, outcome};

	return store_change_catalog(s, put_outcome, &o, f);
}

/* A later version may have stored numbers that this one does not know. */
static enum fault_code code_of(int code)
{
	return code >= FAULT_NONE && code <= FAULT_INTERRUPT ? (enum fault_code)code : FAULT_SYSTEM;
}

int store_get_upkeep(struct store *s, enum upkeep_job job, struct upkeep *ret, struct fault *f)
{
	char safe[sizeof ret->text * 4];

	if (store_open_catalog(s, f) < 0)
		return -1;
	*ret = (struct upkeep){0};
	if (catalog_schema(s->catalog) < SCHEMA_UPKEEP)
		return 0;
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_GET_UPKEEP, f);
	if (!row)
		return -1;
	bind_number(row, 1, job);
	int r = catalog_step(s->catalog, row, f);
	if (r > 0) {
		ret->tried = sqlite3_column_int64(row, 0);
		ret->succeeded = sqlite3_column_int64(row, 1);
		ret->code = code_of(sqlite3_column_int(row, 2));
		/* Whoever could write the catalog may have put into it what no fault's text holds.
		 */
		cut_text(slice_text(escape_again(column_bytes(row, 3), safe, sizeof safe)),
			ret->text, sizeof ret->text);
	}
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

/* ---- What waits to be sealed ------------------------------------------------------------------
 */

int store_next_unsealed(struct store *s, uint64_t after, struct unsealed *ret, struct fault *f)
{
	if (store_open_catalog(s, f) < 0)
		return -1;
	if (catalog_schema(s->catalog) < SCHEMA_UPKEEP)
		return 0;
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_NEXT_UNSEALED, f);
	if (!row)
		return -1;
	bind_number(row, 1, after);
	int r = catalog_step(s->catalog, row, f);
	if (r > 0) {
		struct unsealed u = {.segment = column_number(row, 0),
			.messages = column_number(row, 2),
			.bytes = column_number(row, 3),
			.first = sqlite3_column_int64(row, 4)};

		(void)escape_text(column_bytes(row, 1), u.class_, sizeof u.class_);
		*ret = u;
	}
	(void)sqlite3_reset(row);
	return r > 0 ? UNSEALED_SEGMENT : r;
}

/* ---- Files for the seal-command ---------------------------------------------------------------
 */

static int is_handed(struct store *s, const char *path, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_GET_HANDED, f);

	if (!row)
		return -1;
	bind_text(row, 1, slice_text(path));
	int r = catalog_step(s->catalog, row, f);
	(void)sqlite3_reset(row);
	return r;
}

/* One that is gone is damage, for verify to tell of; the others must not wait for it. */
static bool is_there(struct store *s, const char *path)
{
	return faccessat(s->folder_fd, path, F_OK, 0) == 0 || errno != ENOENT;
}

static int next_segment(struct store *s, char ret_path[static HANDOVER_PATH], struct fault *f)
{
	char name[SEGMENT_NAME];
	uint64_t after = 0;

	for (;;) {
		sqlite3_stmt *row = catalog_statement(s->catalog, SQL_NEXT_UNHANDED, f);

		if (!row)
			return -1;
		bind_number(row, 1, after);
		int r = catalog_step(s->catalog, row, f);
		after = r > 0 ? column_number(row, 0) : 0;
		(void)sqlite3_reset(row);
		if (r <= 0)
			return r;
		segment_name(after, SEGMENT_SEALED, name);
		(void)snprintf(ret_path, HANDOVER_PATH, "%s/%s", FOLDER_SEGMENTS, name);
		if (is_there(s, ret_path))
			return HANDOVER_FILE;
	}
}

static int next_ledger(struct store *s, char ret_path[static HANDOVER_PATH], struct fault *f)
{
	char name[LEDGER_NAME];
	struct ledger_at at;

	if (catalog_get_state(s->catalog, s->id, &at, f) < 0)
		return -1;
	for (uint64_t number = 1; number < at.file; number++) {
		ledger_name(number, name);
		(void)snprintf(ret_path, HANDOVER_PATH, "%s/%s", FOLDER_LEDGER, name);
		int r = is_handed(s, ret_path, f);
		if (r < 0)
			return -1;
		if (r == 0 && is_there(s, ret_path))
			return HANDOVER_FILE;
	}
	return 0;
}

int store_next_handover(struct store *s, char ret_path[static HANDOVER_PATH], struct fault *f)
{
	char path[HANDOVER_PATH];

	if (store_open_catalog(s, f) < 0)
		return -1;
	if (catalog_schema(s->catalog) < SCHEMA_UPKEEP)
		return 0;
	int r = next_segment(s, path, f);
	if (r == 0)
		r = next_ledger(s, path, f);
	if (r > 0)
		memcpy(ret_path, path, sizeof path);
	return r;
}

static int put_handed(struct catalog *c, const void *what, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_PUT_HANDED, f);

	if (!s)
		return -1;
	bind_text(s, 1, slice_text(what));
	bind_number(s, 2, (uint64_t)moment_now());
	return catalog_run(c, s, f);
}

int store_handed_over(struct store *s, const char *path, struct fault *f)
{
	return store_change_catalog(s, put_handed, path, f);
}
