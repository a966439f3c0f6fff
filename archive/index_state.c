/* Looking into search.db without writing: how far it goes, and what it says of a message. */
#include "archive/index_private.h"

#include <sys/stat.h>

/* Opened once, and again where another file has its name. 0 with s->search, or SEARCH_NONE. */
static int open_to_read(struct store *s, struct fault *f)
{
	struct stat st;
	uint64_t inode = stat(s->search_path, &st) == 0 ? (uint64_t)st.st_ino : 0;

	if (s->search && inode == s->search_read_inode)
		return 0;
	s->search = search_db_close(s->search);
	s->search_read_inode = inode;
	return search_db_open(s->search_path, s->id, SEARCH_READ, &s->search, NULL, f);
}

/* ---- How far --------------------------------------------------------------------------------- */

enum { COUNTED = 10000 }; /* exactly; beyond, sums that are kept will do */

/* As many of them as the statement has parameters. */
static void bind_those(sqlite3_stmt *row, uint64_t first, uint64_t second)
{
	if (sqlite3_bind_parameter_count(row) > 0)
		bind_number(row, 1, first);
	if (sqlite3_bind_parameter_count(row) > 1)
		bind_number(row, 2, second);
}

/* The first column of the only row; 0 where there is none. */
static int ask_catalog(struct store *s, enum catalog_statement which, uint64_t first,
	uint64_t second, uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, which, f);

	if (!row)
		return -1;
	bind_those(row, first, second);
	int r = catalog_step(s->catalog, row, f);
	*ret = r > 0 ? column_number(row, 0) : 0;
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

static int ask_search(struct store *s, enum search_statement which, uint64_t first, uint64_t second,
	uint64_t *ret, struct fault *f)
{
	sqlite3_stmt *row = search_db_statement(s->search, which, f);

	if (!row)
		return -1;
	bind_those(row, first, second);
	int r = search_db_step(s->search, row, f);
	*ret = r > 0 ? column_number(row, 0) : 0;
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : 0;
}

/* Of the state, as far as it fits the archive. */
static int read_state(struct store *s, struct search_state *ret, struct fault *f)
{
	*ret = (struct search_state){0};
	int r = open_to_read(s, f);
	if (r != 0)
		return r;
	if (search_db_get_state(s->search, ret, f) < 0)
		return -1;
	if (ret->done == 0)
		return 0;
	sqlite3_stmt *row = catalog_statement(s->catalog,
		catalog_schema(s->catalog) < SCHEMA_UPKEEP ? SQL_DIGEST_OF_OLD : SQL_DIGEST_OF, f);
	if (!row)
		return -1;
	bind_number(row, 1, ret->done);
	r = catalog_step(s->catalog, row, f);
	bool same = r > 0 && slice_compare(column_bytes(row, 0),
				     slice_of(ret->digest.byte, DIGEST_LEN)) == 0;
	(void)sqlite3_reset(row);
	if (r >= 0 && !same)
		*ret = (struct search_state){0};
	return r < 0 ? -1 : same ? 0 : SEARCH_NONE;
}

/* Messages behind `done` that have no row. Where a run is under way or was stopped, some have one.
 */
static int count_lag(struct store *s, const struct search_state *state, uint64_t messages,
	uint64_t unread, uint64_t *ret, struct fault *f)
{
	uint64_t behind, rows;

	if (ask_catalog(s, SQL_COUNT_BEHIND, state->done, COUNTED, &behind, f) < 0 ||
		ask_search(s, SEARCH_COUNT_BEHIND, state->done, COUNTED, &rows, f) < 0)
		return -1;
	if (behind < COUNTED && rows <= behind) {
		*ret = behind - rows;
		return 0;
	}
	uint64_t known = state->indexed + unread;
	*ret = known < messages ? messages - known : 1;
	return 0;
}

static moment_ms earlier(moment_ms a, moment_ms b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static int fill_state(struct store *s, struct index_state *ret, struct fault *f)
{
	struct search_state state;
	uint64_t lag = ret->messages, first = 0, first_unread = 0, id = 0;
	int r = read_state(s, &state, f);

	if (r < 0)
		return -1;
	if (r == 0 && (ask_search(s, SEARCH_COUNT_AGAIN, 0, 0, &ret->unread, f) < 0 ||
			      count_lag(s, &state, ret->messages, ret->unread, &lag, f) < 0))
		return -1;
	if (lag > 0 && ask_catalog(s, SQL_ARCHIVED_BEHIND, state.done, 0, &first, f) < 0)
		return -1;
	if (ret->unread > 0 &&
		(ask_search(s, SEARCH_FIRST_AGAIN, 0, 0, &id, f) < 0 ||
			ask_catalog(s, SQL_ARCHIVED_BEHIND, id - 1, 0, &first_unread, f) < 0))
		return -1;
	lag += ret->unread;
	ret->indexed = lag < ret->messages ? ret->messages - lag : 0;
	ret->oldest = earlier((moment_ms)first, (moment_ms)first_unread);
	return 0;
}

int store_index_state(struct store *s, struct index_state *ret, struct fault *f)
{
	struct index_state state = {0};

	if (store_open_catalog(s, f) < 0)
		return -1;
	if (ask_catalog(s,
		    catalog_schema(s->catalog) < SCHEMA_UPKEEP ? SQL_COUNT_KEPT_OLD
							       : SQL_COUNT_KEPT,
		    0, 0, &state.messages, f) < 0)
		return -1;
	if (fill_state(s, &state, f) < 0) {
		/* A cache that cannot be read is as good as none. */
		if (f->code != FAULT_DAMAGE || strncmp(f->text, "search.db", 9) != 0)
			return -1;
		uint64_t first;
		if (ask_catalog(s, SQL_ARCHIVED_BEHIND, 0, 0, &first, f) < 0)
			return -1;
		state.unread = state.indexed = 0;
		state.oldest = (moment_ms)first;
	}
	*ret = state;
	return 0;
}

/* ---- One message ----------------------------------------------------------------------------- */

void indexed_deinit(struct indexed *x)
{
	free(x->from);
	free(x->to);
	free(x->cc);
	free(x->subject);
	free(x->message_id);
	free(x->names);
	*x = (struct indexed){0};
}

static char *text_of(sqlite3_stmt *row, int column)
{
	const unsigned char *text = sqlite3_column_text(row, column);

	return strdup(text ? (const char *)text : "");
}

static int copy_row(sqlite3_stmt *row, struct indexed *ret, struct fault *f)
{
	struct indexed x = {.has_date = sqlite3_column_type(row, 0) != SQLITE_NULL,
		.has_received = sqlite3_column_type(row, 1) != SQLITE_NULL,
		.date = sqlite3_column_int64(row, 0),
		.received = sqlite3_column_int64(row, 1),
		.from = text_of(row, 2),
		.to = text_of(row, 3),
		.cc = text_of(row, 4),
		.subject = text_of(row, 5),
		.message_id = text_of(row, 6),
		.attachments = column_number(row, 7),
		.names = text_of(row, 8)};

	if (!x.from || !x.to || !x.cc || !x.subject || !x.message_id || !x.names) {
		indexed_deinit(&x);
		return fault_memory(f);
	}
	*ret = x;
	return 0;
}

int store_indexed(struct store *s, const struct message *m, struct indexed *ret, struct fault *f)
{
	int r = open_to_read(s, f);

	if (r != 0)
		return r < 0 ? -1 : INDEX_NONE;
	sqlite3_stmt *row = search_db_statement(s->search, SEARCH_GET_HEADER, f);
	if (!row)
		return -1;
	bind_number(row, 1, m->id);
	bind_bytes(row, 2, slice_of(m->digest.byte, DIGEST_LEN));
	r = search_db_step(s->search, row, f);
	if (r > 0)
		r = copy_row(row, ret, f) < 0 ? -1 : 1;
	(void)sqlite3_reset(row);
	return r < 0 ? -1 : r > 0 ? 0 : INDEX_NONE;
}
