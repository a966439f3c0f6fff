/* Finding messages in the catalog; read.c reads them. */
#include "archive/find.h"

#include "archive/find_sql.h"
#include "archive/handle.h"
#include "archive/search_db.h"

enum { PREFIX_MIN = 4 };

void message_deinit(struct message *m)
{
	free(m->account);
	free(m->class_);
	*m = (struct message){0};
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static char *name_of(struct store *s, uint64_t maildrop, struct fault *f)
{
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_NAME_OF, f);

	if (!row)
		return NULL;
	bind_number(row, 1, maildrop);
	int r = catalog_step(s->catalog, row, f);
	char *name = r < 0 ? NULL : strdup(r > 0 ? (const char *)sqlite3_column_text(row, 0) : "?");
	if (r >= 0 && !name)
		(void)fault_memory(f);
	(void)sqlite3_reset(row);
	return name;
}

int message_from_row(struct store *s, sqlite3_stmt *row, struct message *ret, struct fault *f)
{
	struct slice digest = column_bytes(row, 1);
	const char *class_ = (const char *)sqlite3_column_text(row, 5);

	if (digest.len != DIGEST_LEN)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"catalog.db does not fit together; run `popkeep rebuild`");
	struct message m = {.id = column_number(row, 0),
		.size_bytes = column_number(row, 2),
		.archived = sqlite3_column_int64(row, 3),
		.maildrop = column_number(row, 4),
		.located = sqlite3_column_type(row, 6) != SQLITE_NULL,
		.at = {column_number(row, 6), column_number(row, 7), column_number(row, 8)}};
	memcpy(m.digest.byte, digest.data, DIGEST_LEN);
	m.class_ = strdup(class_ ? class_ : "default");
	m.account = m.class_ ? name_of(s, m.maildrop, f) : NULL;
	if (!m.class_ || !m.account) {
		bool memory = !m.class_;

		message_deinit(&m);
		return memory ? fault_memory(f) : -1;
	}
	*ret = m;
	return 0;
}

/* ---- Cursors -------------------------------------------------------------------------------- */

struct find_cursor {
	struct store *store;
	struct find_sql sql;
	sqlite3_stmt *row;
	struct message message;
};

#define MESSAGE_COLUMNS                                                                            \
	"SELECT message.id, message.digest, message.size, message.archived, message.maildrop, "    \
	"message.class, message.segment, message.frame_offset, message.entry_offset"

/* Opens what the answer needs. */
static int begin(
	struct store *s, const struct condition *wanted, struct find_sql *ret, struct fault *f)
{
	int r = store_open_catalog(s, f);

	if (r == 0 && condition_uses_index(wanted))
		r = store_attach_search(s, catalog_handle(s->catalog), f);
	else if (r == 0)
		r = SEARCH_NONE;
	if (r < 0)
		return -1;
	*ret = find_sql_make(r == SEARCH_NONE ? INDEX_ABSENT : INDEX_ATTACHED);
	return 0;
}

/* A statement over both databases failed. Which of them it is decides what to do. */
static int damaged(struct store *s, const struct find_sql *q, struct fault *f)
{
	sqlite3 *db = catalog_handle(s->catalog);
	sqlite3_stmt *check = NULL;
	bool is_search = sqlite3_extended_errcode(db) == SQLITE_CORRUPT_VTAB;

	if (q->index == INDEX_ABSENT || f->code != FAULT_DAMAGE)
		return -1;
	if (!is_search && sqlite3_prepare_v2(db, "PRAGMA search.quick_check(1)", -1, &check,
				  NULL) == SQLITE_OK)
		is_search = sqlite3_step(check) != SQLITE_ROW ||
			    slice_compare(column_bytes(check, 0), slice_text("ok")) != 0;
	(void)sqlite3_finalize(check);
	return is_search ? fault_set(f, FAULT_DAMAGE, SCOPE_SESSION, f->error,
				   "search.db is damaged; run `popkeep index --rebuild`")
			 : -1;
}

static sqlite3_stmt *prepare(struct store *s, struct find_sql *q, struct fault *f)
{
	const char *text = buffer_text(&q->text);
	sqlite3_stmt *row = text ? catalog_compose(s->catalog, text, f) : NULL;

	if (!text)
		(void)fault_memory(f);
	else if (!row)
		(void)damaged(s, q, f);
	if (row && find_sql_bind(q, row, f) < 0) {
		(void)sqlite3_finalize(row);
		return NULL;
	}
	return row;
}

static int compose(struct find_sql *q, const struct condition *wanted,
	const struct find_options *how, struct fault *f)
{
	static const char *const order[] = {[FIND_NEWEST] = " ORDER BY message.id DESC",
		[FIND_BY_PLACE] = " ORDER BY message.segment NULLS LAST, message.frame_offset, "
				  "message.entry_offset"};

	if (find_sql_add(q, MESSAGE_COLUMNS, f) < 0 || find_sql_where(q, wanted, f) < 0 ||
		find_sql_add(q, order[how->order], f) < 0)
		return -1;
	if (how->limit == 0 || how->limit > INT64_MAX)
		return 0;
	if (find_sql_add(q, " LIMIT ", f) < 0)
		return -1;
	return find_sql_number(q, (int64_t)how->limit, f);
}

int find_open(struct store *s, const struct condition *wanted, const struct find_options *how,
	struct find_cursor **ret, struct fault *f)
{
	static const struct find_options all = {FIND_NEWEST, 0};
	struct find_cursor *c CLEANUP(find_closep) = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	c->store = s;
	if (begin(s, wanted, &c->sql, f) < 0 || compose(&c->sql, wanted, how ? how : &all, f) < 0)
		return -1;
	c->row = prepare(s, &c->sql, f);
	if (!c->row)
		return -1;
	*ret = TAKE(c);
	return 0;
}

int find_next(struct find_cursor *c, struct message *ret, struct fault *f)
{
	int r = catalog_step(c->store->catalog, c->row, f);

	message_deinit(&c->message);
	if (r < 0)
		return damaged(c->store, &c->sql, f);
	if (r == 0)
		return 0;
	if (message_from_row(c->store, c->row, &c->message, f) < 0)
		return -1;
	*ret = c->message;
	return FIND_ROW;
}

struct find_cursor *find_close(struct find_cursor *c)
{
	if (!c)
		return NULL;
	(void)sqlite3_finalize(c->row);
	find_sql_deinit(&c->sql);
	message_deinit(&c->message);
	free(c);
	return NULL;
}

void find_closep(struct find_cursor **c)
{
	*c = find_close(*c);
}

/* The one row of a statement; two numbers of it. */
static int read_sums(
	struct store *s, struct find_sql *q, uint64_t *ret_n, uint64_t *ret_sum, struct fault *f)
{
	sqlite3_stmt *row = prepare(s, q, f);

	if (!row)
		return -1;
	int r = catalog_step(s->catalog, row, f);
	if (r > 0) {
		*ret_n = column_number(row, 0);
		*ret_sum = (uint64_t)sqlite3_column_double(row, 1);
	}
	if (r < 0)
		(void)damaged(s, q, f);
	(void)sqlite3_finalize(row);
	return r > 0 ? 0 : -1;
}

int find_count(struct store *s, const struct condition *wanted, uint64_t *ret_messages,
	uint64_t *ret_bytes, struct fault *f)
{
	struct find_sql q CLEANUP(find_sql_deinit) = {0};

	if (begin(s, wanted, &q, f) < 0 ||
		find_sql_add(&q, "SELECT count(*), total(message.size)", f) < 0 ||
		find_sql_where(&q, wanted, f) < 0)
		return -1;
	return read_sums(s, &q, ret_messages, ret_bytes, f);
}

/* Whether the index says of itself how far it goes: up to the message `done`, which is that of
 * this catalog, but for those in `again`. */
static int knows_how_far(struct store *s, bool *ret, struct fault *f)
{
	struct find_sql q CLEANUP(find_sql_deinit) = find_sql_make(INDEX_ATTACHED);
	uint64_t n = 0, sum;

	if (find_sql_add(&q,
		    "SELECT count(*), 0 FROM search.state JOIN main.message "
		    "ON message.id = state.done AND message.digest = state.digest",
		    f) < 0 ||
		read_sums(s, &q, &n, &sum, f) < 0)
		return -1;
	*ret = n > 0;
	return 0;
}

int find_unindexed(struct store *s, const struct condition *wanted, uint64_t *ret, struct fault *f)
{
	struct find_sql q CLEANUP(find_sql_deinit) = {0};
	uint64_t n = 0, sum;
	bool is_narrow = false;

	if (!condition_uses_index(wanted)) {
		*ret = 0;
		return 0;
	}
	if (begin(s, wanted, &q, f) < 0)
		return -1;
	if (q.index == INDEX_ATTACHED && knows_how_far(s, &is_narrow, f) < 0)
		return -1;
	if (find_sql_add(&q, "SELECT count(*), 0", f) < 0 ||
		find_sql_where_unknown(&q, wanted, f) < 0 ||
		(is_narrow && find_sql_add(&q,
				      " AND (message.id > (SELECT done FROM search.state) OR "
				      "message.id IN (SELECT id FROM search.again))",
				      f) < 0) ||
		read_sums(s, &q, &n, &sum, f) < 0)
		return -1;
	*ret = n;
	return 0;
}

int find_one(struct store *s, const char *hex, struct message *ret, struct fault *f)
{
	struct digest low, high;
	struct message m CLEANUP(message_deinit) = {0};

	if (strlen(hex) < PREFIX_MIN || !find_digests(hex, &low, &high))
		return fault_set(f, FAULT_USAGE, SCOPE_MESSAGE, 0,
			"a message id is %d to %d hexadecimal digits", PREFIX_MIN, DIGEST_HEX);
	if (store_open_catalog(s, f) < 0)
		return -1;
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_FIND_PREFIX, f);
	if (!row)
		return -1;
	bind_bytes(row, 1, slice_of(low.byte, DIGEST_LEN));
	bind_bytes(row, 2, slice_of(high.byte, DIGEST_LEN));
	int r = catalog_step(s->catalog, row, f);
	if (r == 0)
		return fault_set(f, FAULT_MISSING, SCOPE_MESSAGE, 0,
			"no message has an id that begins with %s", hex);
	if (r < 0 || message_from_row(s, row, &m, f) < 0)
		return -1;
	r = catalog_step(s->catalog, row, f);
	(void)sqlite3_reset(row);
	if (r != 0)
		return r < 0 ? -1 : FIND_AMBIGUOUS;
	*ret = m;
	m = (struct message){0};
	return 0;
}

/* ---- Accounts of a message ------------------------------------------------------------------- */

void names_free(char **names)
{
	for (char **n = names; n && *n; n++)
		free(*n);
	free(names);
}

static int add_name(char ***names, size_t *n, const char *name, struct fault *f)
{
	for (size_t i = 0; i < *n; i++) {
		if (strcmp((*names)[i], name) == 0)
			return 0;
	}
	char **grown = realloc(*names, (*n + 2) * sizeof *grown);
	if (!grown)
		return fault_memory(f);
	*names = grown;
	grown[*n] = strdup(name);
	grown[*n + 1] = NULL;
	if (!grown[*n])
		return fault_memory(f);
	(*n)++;
	return 0;
}

int find_accounts(struct store *s, const struct message *m, char ***ret, struct fault *f)
{
	char **names = NULL;
	size_t n = 0;
	int r = add_name(&names, &n, m->account, f);
	sqlite3_stmt *row = r < 0 ? NULL : catalog_statement(s->catalog, SQL_ALSO_NAMES, f);

	if (!row) {
		names_free(names);
		return -1;
	}
	bind_number(row, 1, m->id);
	while ((r = catalog_step(s->catalog, row, f)) > 0) {
		if (add_name(&names, &n, (const char *)sqlite3_column_text(row, 0), f) < 0) {
			r = -1;
			break;
		}
	}
	(void)sqlite3_reset(row);
	if (r < 0) {
		names_free(names);
		return -1;
	}
	*ret = names;
	return 0;
}

/* ---- What imports knew ------------------------------------------------------------------------
 */

void filings_free(struct filing *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(all[i].folder);
		free(all[i].flags);
	}
	free(all);
}

static char *column_string(sqlite3_stmt *s, int column)
{
	struct slice bytes = column_bytes(s, column);

	return strndup(bytes.len ? (const char *)bytes.data : "", bytes.len);
}

static int add_filing(struct filing **all, size_t *n, sqlite3_stmt *row, struct fault *f)
{
	struct filing *grown = reallocarray(*all, *n + 1, sizeof *grown);

	if (!grown)
		return fault_memory(f);
	*all = grown;
	struct filing *one = &grown[(*n)++];
	*one = (struct filing){.maildrop = column_number(row, 0),
		.folder = column_string(row, 1),
		.flags = column_string(row, 2),
		.received = sqlite3_column_int64(row, 3)};
	return one->folder && one->flags ? 0 : fault_memory(f);
}

int find_filings(struct store *s, const struct message *m, struct filing **ret, size_t *ret_n,
	struct fault *f)
{
	struct filing *all = NULL;
	size_t n = 0;
	int r;

	if (store_open_catalog(s, f) < 0)
		return -1;
	if (catalog_schema(s->catalog) >= SCHEMA_FILING) {
		sqlite3_stmt *row = catalog_statement(s->catalog, SQL_FILINGS, f);

		if (!row)
			return -1;
		bind_number(row, 1, m->id);
		while ((r = catalog_step(s->catalog, row, f)) > 0) {
			if (add_filing(&all, &n, row, f) < 0) {
				r = -1;
				break;
			}
		}
		(void)sqlite3_reset(row);
		if (r < 0) {
			filings_free(all, n);
			return -1;
		}
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

int store_totals(struct store *s, struct store_totals *ret, struct fault *f)
{
	if (store_open_catalog(s, f) < 0)
		return -1;
	sqlite3_stmt *row = catalog_statement(s->catalog, SQL_TOTALS, f);
	if (!row)
		return -1;
	int r = catalog_step(s->catalog, row, f);
	if (r > 0)
		*ret = (struct store_totals){column_number(row, 0),
			(uint64_t)sqlite3_column_double(row, 1), column_number(row, 2),
			(uint64_t)sqlite3_column_double(row, 3)};
	(void)sqlite3_reset(row);
	return r > 0 ? 0 : -1;
}
