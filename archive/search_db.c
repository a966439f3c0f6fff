#include "archive/search_db.h"

#include "archive/catalog.h"
#include "archive/database.h"
#include "archive/handle.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* It is never migrated: another version's begins anew, which takes a minute for a million messages.
 * A change of any of this counts VERSION up. */
static const char schema[] =
	"CREATE TABLE state ("
	" one INTEGER PRIMARY KEY CHECK (one = 1),"
	" archive TEXT NOT NULL,"
	" done INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" indexed INTEGER NOT NULL,"
	" lost INTEGER NOT NULL) STRICT;"
	"CREATE TABLE header ("
	" id INTEGER PRIMARY KEY,"
	" digest BLOB NOT NULL,"
	" date INTEGER,"
	" received INTEGER,"
	" sender TEXT NOT NULL,"
	" recipients TEXT NOT NULL,"
	" copied TEXT NOT NULL,"
	" subject TEXT NOT NULL,"
	" message_id TEXT NOT NULL,"
	" attachments INTEGER NOT NULL,"
	" names TEXT NOT NULL) STRICT;"
	"CREATE INDEX header_date ON header (date);"
	"CREATE INDEX header_message_id ON header (message_id);"
	"CREATE VIRTUAL TABLE words USING fts5 (sender, recipients, copied, subject, names,"
	" content = 'header', content_rowid = 'id', columnsize = 0,"
	" tokenize = 'unicode61 remove_diacritics 2');"
	"CREATE TABLE again ("
	" id INTEGER PRIMARY KEY,"
	" digest BLOB NOT NULL,"
	" tried INTEGER NOT NULL) STRICT;"
	"PRAGMA application_id = 1886351475;"
	"PRAGMA user_version = 1;";

enum {
	VERSION = 1,
	APPLICATION = 0x706f7073, /* "pops" in the file's header */
	BUSY_MS = 30000,	  /* readers never wait; writers hold TURN_INDEX */
};
_Static_assert(APPLICATION == 1886351475, "written out above");

static const char *const sql[SEARCH_COUNT_OF_STATEMENTS] = {
#define TEXT_OF(name, text) [SEARCH_##name] = (text),
	SEARCH_STATEMENTS(TEXT_OF)
#undef TEXT_OF
};

static const struct database_words words = {"search.db", "run `popkeep index --rebuild`"};

struct search_db {
	sqlite3 *db;
	sqlite3_stmt *statement[SEARCH_COUNT_OF_STATEMENTS];
};

static int run_text(struct search_db *d, const char *text, struct fault *f)
{
	int r = sqlite3_exec(d->db, text, NULL, NULL, NULL);

	return r == SQLITE_OK ? 0 : database_trouble(d->db, &words, r, f);
}

/* ---- Is it ours? ----------------------------------------------------------------------------- */

enum usable { USABLE, EMPTY, UNUSABLE };

/* NULL: it is, or, where *ret_empty, nothing is in it yet. Otherwise why not. An error that says
 * nothing about the file (memory, a lock) is in *ret_error. */
static const char *look(
	sqlite3 *db, const char *of, const char *archive_id, bool *ret_empty, int *ret_error)
{
	char text[160];
	int version = 0, application = 0, same = 0;
	int r;

	*ret_empty = false;
	*ret_error = SQLITE_OK;
	(void)snprintf(text, sizeof text, "PRAGMA %s.application_id", of);
	r = database_number(db, text, &application);
	if (r == SQLITE_ROW) {
		(void)snprintf(text, sizeof text, "PRAGMA %s.user_version", of);
		r = database_number(db, text, &version);
	}
	if (r == SQLITE_ROW && application == 0 && version == 0) {
		*ret_empty = true;
		return NULL;
	}
	if (r == SQLITE_ROW && (application != APPLICATION || version != VERSION))
		return application == APPLICATION ? "it was of another version of popkeep"
						  : "it was no index of popkeep's";
	if (r == SQLITE_ROW) {
		(void)snprintf(text, sizeof text,
			"SELECT archive = '%.*s' FROM %s.state WHERE one = 1", STORE_ID - 1,
			archive_id, of);
		r = database_number(db, text, &same);
	}
	if (r == SQLITE_ROW)
		return same ? NULL : "it was of another archive";
	int primary = r & 0xff;
	if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT || primary == SQLITE_ERROR ||
		primary == SQLITE_DONE)
		return "it was damaged";
	*ret_error = r;
	return NULL;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int configure(struct search_db *d, enum search_mode mode, struct fault *f)
{
	(void)sqlite3_busy_timeout(d->db, BUSY_MS);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	/* As the catalog: a power cut may take the last transactions, which are made again. */
	if (mode == SEARCH_WRITE)
		return run_text(d,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
			"PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 16777216; "
			"PRAGMA temp_store = MEMORY",
			f);
	return run_text(d, "PRAGMA query_only = 1; PRAGMA cache_size = -2048", f);
}

/* Under the eyes of readers: they have the file open, and one of the same name beside it would get
 * the other one's journal. */
static int wipe(struct search_db *d)
{
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_RESET_DATABASE, 1, NULL);
	int r = sqlite3_exec(d->db, "VACUUM", NULL, NULL, NULL);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_RESET_DATABASE, 0, NULL);
	(void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return r;
}

static void unlink_all(const char *path)
{
	static const char *const beside[] = {"", "-journal", "-wal", "-shm"};
	char name[PATH_MAX];

	for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
		(void)snprintf(name, sizeof name, "%s%s", path, beside[i]);
		(void)unlink(name);
	}
}

/* NULL with *f set. */
static struct search_db *open_file(const char *path, enum search_mode mode, struct fault *f)
{
	struct search_db *d = calloc(1, sizeof *d);

	if (!d) {
		(void)fault_memory(f);
		return NULL;
	}
	int r = database_open(path, mode == SEARCH_WRITE ? DATABASE_CREATE : DATABASE_READ, &d->db);
	if (r != SQLITE_OK)
		(void)database_trouble(d->db, &words, r, f);
	return r == SQLITE_OK && configure(d, mode, f) == 0 ? d : search_db_close(d);
}

/* All of it in one transaction, with the marks by which it is known: a crash leaves an empty file
 * or an index. */
static int fill(struct search_db *d, const char *archive_id, struct fault *f)
{
	const struct search_state nothing = {0};

	if (search_db_begin(d, f) < 0)
		return -1;
	if (run_text(d, schema, f) < 0 || search_db_set_state(d, archive_id, &nothing, f) < 0) {
		search_db_rollback(d);
		return -1;
	}
	return search_db_commit(d, f);
}

/* Where SQLite cannot even empty it, another file takes its place. */
static int begin_anew(
	struct search_db **d, const char *path, const char *archive_id, struct fault *f)
{
	if (wipe(*d) != SQLITE_OK) {
		*d = search_db_close(*d);
		unlink_all(path);
		*d = open_file(path, SEARCH_WRITE, f);
		if (!*d)
			return -1;
	}
	return fill(*d, archive_id, f);
}

static int open_to_write(const char *path, const char *archive_id, struct search_db **ret,
	struct search_anew *anew, struct fault *f)
{
	struct search_db *d CLEANUP(search_db_closep) = open_file(path, SEARCH_WRITE, f);
	bool empty;
	int error;

	/* Turning on the journal reads the file. */
	if (!d && f->code == FAULT_DAMAGE) {
		unlink_all(path);
		(void)snprintf(anew->why, sizeof anew->why, "it was damaged");
		d = open_file(path, SEARCH_WRITE, f);
	}
	if (!d)
		return -1;
	const char *why = look(d->db, "main", archive_id, &empty, &error);
	if (error != SQLITE_OK)
		return database_trouble(d->db, &words, error, f);
	anew->anew = why || empty;
	if (why)
		(void)snprintf(anew->why, sizeof anew->why, "%s", why);
	if ((why && begin_anew(&d, path, archive_id, f) < 0) ||
		(empty && fill(d, archive_id, f) < 0))
		return -1;
	*ret = TAKE(d);
	return 0;
}

int search_db_open(const char *path, const char *archive_id, enum search_mode mode,
	struct search_db **ret, struct search_anew *ret_anew, struct fault *f)
{
	struct search_anew anew = {0};
	bool empty;
	int error;

	if (mode == SEARCH_WRITE) {
		int r = open_to_write(path, archive_id, ret, &anew, f);

		if (r == 0 && ret_anew)
			*ret_anew = anew;
		return r;
	}
	if (access(path, F_OK) != 0)
		return SEARCH_NONE;
	struct search_db *d CLEANUP(search_db_closep) = open_file(path, SEARCH_READ, f);
	if (!d)
		return f->code == FAULT_DAMAGE ? SEARCH_NONE : -1;
	const char *why = look(d->db, "main", archive_id, &empty, &error);
	if (error != SQLITE_OK)
		return database_trouble(d->db, &words, error, f);
	if (why || empty)
		return SEARCH_NONE;
	*ret = TAKE(d);
	return 0;
}

struct search_db *search_db_close(struct search_db *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < SEARCH_COUNT_OF_STATEMENTS; i++)
		(void)sqlite3_finalize(d->statement[i]);
	(void)sqlite3_close_v2(d->db);
	free(d);
	return NULL;
}

void search_db_closep(struct search_db **d)
{
	*d = search_db_close(*d);
}

int search_db_empty(struct search_db *d, const char *archive_id, struct fault *f)
{
	for (size_t i = 0; i < SEARCH_COUNT_OF_STATEMENTS; i++) {
		(void)sqlite3_finalize(d->statement[i]);
		d->statement[i] = NULL;
	}
	int r = wipe(d);
	return r == SQLITE_OK ? fill(d, archive_id, f) : database_trouble(d->db, &words, r, f);
}

/* ---- Beside the catalog ---------------------------------------------------------------------- */

static int attach(struct store *s, sqlite3 *to, struct fault *f)
{
	struct buffer name CLEANUP(buffer_deinit) = buffer_make(4 * PATH_MAX);
	sqlite3_stmt *row = NULL;

	if (database_attach_name(s->search_path, &name, f) < 0 || !buffer_text(&name))
		return fault_memory(f);
	int r = sqlite3_prepare_v2(to, "ATTACH ?1 AS search", -1, &row, NULL);
	if (r == SQLITE_OK)
		(void)sqlite3_bind_text(row, 1, buffer_text(&name), -1, SQLITE_STATIC);
	if (r == SQLITE_OK)
		r = sqlite3_step(row);
	(void)sqlite3_finalize(row);
	int primary = r & 0xff;
	if (r == SQLITE_DONE)
		return 0;
	if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT || primary == SQLITE_CANTOPEN)
		return SEARCH_NONE;
	return database_trouble(to, &words, r, f);
}

static int detach(sqlite3 *from, struct fault *f)
{
	int r = sqlite3_exec(from, "DETACH search", NULL, NULL, NULL);

	return r == SQLITE_OK ? SEARCH_NONE : database_trouble(from, &words, r, f);
}

/* The file that is attached is the one that has the name now. */
static bool is_current(struct store *s, sqlite3 *db)
{
	const char *attached = sqlite3_db_filename(db, "search");
	struct stat now;

	return attached && stat(s->search_path, &now) == 0 &&
	       s->search_inode == (uint64_t)now.st_ino;
}

int store_attach_search(struct store *s, sqlite3 *to, struct fault *f)
{
	struct stat st;
	bool empty;
	int error;

	if (sqlite3_db_filename(to, "search") && !is_current(s, to) && detach(to, f) < 0)
		return -1;
	if (!sqlite3_db_filename(to, "search")) {
		if (stat(s->search_path, &st) < 0)
			return SEARCH_NONE;
		int r = attach(s, to, f);
		if (r != 0)
			return r;
		s->search_inode = (uint64_t)st.st_ino;
	}
	const char *why = look(to, "search", s->id, &empty, &error);
	if (error != SQLITE_OK)
		return database_trouble(to, &words, error, f);
	return why || empty ? detach(to, f) : 0;
}

/* ---- Statements ------------------------------------------------------------------------------ */

sqlite3_stmt *search_db_statement(struct search_db *d, enum search_statement which, struct fault *f)
{
	sqlite3_stmt **s = &d->statement[which];

	if (!*s) {
		int r = sqlite3_prepare_v3(
			d->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);

		if (r != SQLITE_OK)
			(void)database_trouble(
				d->db, &words, r == SQLITE_ERROR ? SQLITE_CORRUPT : r, f);
		return *s;
	}
	(void)sqlite3_reset(*s);
	(void)sqlite3_clear_bindings(*s);
	return *s;
}

int search_db_step(struct search_db *d, sqlite3_stmt *s, struct fault *f)
{
	int r = sqlite3_step(s);

	if (r == SQLITE_ROW)
		return 1;
	return r == SQLITE_DONE ? 0 : database_trouble(d->db, &words, r, f);
}

int search_db_run(struct search_db *d, sqlite3_stmt *s, struct fault *f)
{
	int r = search_db_step(d, s, f);

	(void)sqlite3_reset(s);
	return r < 0 ? -1 : 0;
}

int search_db_begin(struct search_db *d, struct fault *f)
{
	search_db_rollback(d);
	return run_text(d, "BEGIN IMMEDIATE", f);
}

int search_db_commit(struct search_db *d, struct fault *f)
{
	return run_text(d, "COMMIT", f);
}

void search_db_rollback(struct search_db *d)
{
	if (!sqlite3_get_autocommit(d->db))
		(void)sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
}

int search_db_get_state(struct search_db *d, struct search_state *ret, struct fault *f)
{
	sqlite3_stmt *s = search_db_statement(d, SEARCH_GET_STATE, f);
	struct search_state state = {0};

	if (!s)
		return -1;
	int r = search_db_step(d, s, f);
	if (r > 0) {
		struct slice digest = column_bytes(s, 2);

		state.done = column_number(s, 1);
		state.indexed = column_number(s, 3);
		state.lost = column_number(s, 4);
		if (digest.len == DIGEST_LEN)
			memcpy(state.digest.byte, digest.data, DIGEST_LEN);
	}
	(void)sqlite3_reset(s);
	if (r < 0)
		return -1;
	*ret = state;
	return 0;
}

int search_db_set_state(struct search_db *d, const char *archive_id,
	const struct search_state *state, struct fault *f)
{
	sqlite3_stmt *s = search_db_statement(d, SEARCH_SET_STATE, f);

	if (!s)
		return -1;
	bind_text(s, 1, slice_text(archive_id));
	bind_number(s, 2, state->done);
	bind_bytes(s, 3, slice_of(state->digest.byte, DIGEST_LEN));
	bind_number(s, 4, state->indexed);
	bind_number(s, 5, state->lost);
	return search_db_run(d, s, f);
}

int search_db_delete(struct search_db *d, uint64_t id, uint64_t *ret_gone, struct fault *f)
{
	sqlite3_stmt *of_words = search_db_statement(d, SEARCH_DELETE_WORDS, f);
	sqlite3_stmt *row = of_words ? search_db_statement(d, SEARCH_DELETE_HEADER, f) : NULL;

	if (!row)
		return -1;
	bind_number(of_words, 1, id);
	bind_number(row, 1, id);
	if (search_db_run(d, of_words, f) < 0 || search_db_run(d, row, f) < 0)
		return -1;
	*ret_gone = sqlite3_changes(d->db) > 0;
	return 0;
}
