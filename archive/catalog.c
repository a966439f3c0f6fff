#include "archive/catalog.h"

#include "archive/catalog_drops.h"
#include "archive/database.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

/* Append-only: step n brings a database from user_version n to n + 1, in a transaction. */
static const char *const migrations[] = {
	"CREATE TABLE state ("
	" one INTEGER PRIMARY KEY CHECK (one = 1),"
	" archive TEXT NOT NULL,"
	" ledger_file INTEGER NOT NULL,"
	" ledger_length INTEGER NOT NULL,"
	" lines INTEGER NOT NULL,"
	" frontier BLOB NOT NULL,"
	" last_line INTEGER NOT NULL) STRICT;"
	"CREATE TABLE maildrop ("
	" number INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL,"
	" server TEXT NOT NULL,"
	" user TEXT NOT NULL,"
	" listed INTEGER NOT NULL DEFAULT 0,"
	" archived INTEGER NOT NULL DEFAULT 0,"
	" pending INTEGER NOT NULL DEFAULT 0,"
	" refused INTEGER NOT NULL DEFAULT 0,"
	" vanished INTEGER NOT NULL DEFAULT 0,"
	" polled INTEGER NOT NULL DEFAULT 0,"
	" sizes_unreliable INTEGER NOT NULL DEFAULT 0,"
	" UNIQUE (server, user)) STRICT;"
	"CREATE TABLE message (" /* id: number of its keep line */
	" id INTEGER PRIMARY KEY,"
	" digest BLOB NOT NULL UNIQUE,"
	" size INTEGER NOT NULL,"
	" archived INTEGER NOT NULL,"
	" maildrop INTEGER NOT NULL,"
	" class TEXT,"	    /* NULL: default */
	" segment INTEGER," /* NULL: in no segment: damage */
	" frame_offset INTEGER,"
	" entry_offset INTEGER) STRICT;"
	"CREATE TABLE uidl ("
	" maildrop INTEGER NOT NULL,"
	" uidl BLOB NOT NULL,"
	" message INTEGER NOT NULL,"
	" listed INTEGER NOT NULL," /* -1: unknown */
	" copies INTEGER NOT NULL,"
	" PRIMARY KEY (maildrop, uidl, message)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE also (" /* maildrops of a message beside its first */
	" message INTEGER NOT NULL,"
	" maildrop INTEGER NOT NULL,"
	" PRIMARY KEY (message, maildrop)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE unkept ("
	" maildrop INTEGER NOT NULL,"
	" uidl BLOB NOT NULL,"
	" state INTEGER NOT NULL," /* 1 pending, 2 refused, 3 vanished */
	" listed INTEGER NOT NULL,"
	" reason INTEGER NOT NULL DEFAULT 0,"
	" tries INTEGER NOT NULL DEFAULT 0,"
	" next_try INTEGER NOT NULL DEFAULT 0,"
	" accepted INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY (maildrop, uidl)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE segment ("
	" number INTEGER PRIMARY KEY,"
	" state INTEGER NOT NULL,"
	" length INTEGER NOT NULL,"
	" class TEXT NOT NULL) STRICT;",
	"CREATE INDEX maildrop_name ON maildrop (name);",
	"CREATE TABLE health (" /* of accounts whose last poll did not go well */
	" account TEXT PRIMARY KEY,"
	" state INTEGER NOT NULL,"
	" since INTEGER NOT NULL,"
	" tried INTEGER NOT NULL,"
	" next INTEGER NOT NULL," /* 0: unknown */
	" failures INTEGER NOT NULL,"
	" code INTEGER NOT NULL," /* enum fault_code */
	" text TEXT NOT NULL) STRICT, WITHOUT ROWID;",
	"CREATE INDEX message_place ON message (segment, frame_offset, entry_offset);"
	"ALTER TABLE segment ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE segment ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;" /* of mail */
	"ALTER TABLE segment ADD COLUMN first INTEGER NOT NULL DEFAULT 0;" /* oldest archived */
	"ALTER TABLE segment ADD COLUMN digest BLOB;" /* of a sealed segment's file */
	"UPDATE segment SET"
	" messages = (SELECT count(*) FROM message WHERE segment = number),"
	" bytes = (SELECT coalesce(sum(size), 0) FROM message WHERE segment = number),"
	" first = (SELECT coalesce(min(archived), 0) FROM message WHERE segment = number);"
	"CREATE TABLE lost (" /* id: number of the keep line whose message is lost */
	" id INTEGER PRIMARY KEY,"
	" digest BLOB NOT NULL) STRICT;"
	"CREATE TABLE upkeep ("
	" job INTEGER PRIMARY KEY," /* enum upkeep_job */
	" tried INTEGER NOT NULL,"
	" succeeded INTEGER NOT NULL,"
	" code INTEGER NOT NULL,"
	" text TEXT NOT NULL) STRICT;"
	"CREATE TABLE scrub (" /* how far a verify that goes on later has come */
	" depth INTEGER PRIMARY KEY,"
	" began INTEGER NOT NULL,"
	" segment INTEGER NOT NULL,"
	" offset INTEGER NOT NULL,"
	" done INTEGER NOT NULL," /* bytes of files */
	" damaged INTEGER NOT NULL) STRICT;"
	"CREATE TABLE handed ("	  /* to the seal-command */
	" file TEXT PRIMARY KEY," /* segments/000012.tar.zst */
	" t INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE stretch (" /* what a group appended to an open segment */
	" segment INTEGER NOT NULL,"
	" offset INTEGER NOT NULL,"
	" length INTEGER NOT NULL,"
	" digest BLOB NOT NULL," /* of the bytes as they lie in the file */
	" PRIMARY KEY (segment, offset)) STRICT, WITHOUT ROWID;",
	"CREATE TABLE filing (" /* what an import knew of a message */
	" message INTEGER NOT NULL,"
	" maildrop INTEGER NOT NULL,"
	" folder BLOB NOT NULL,"
	" flags BLOB NOT NULL,"
	" received INTEGER NOT NULL," /* 0: not known */
	" PRIMARY KEY (message, maildrop, folder)) STRICT, WITHOUT ROWID;",
};

enum {
	SCHEMA = sizeof migrations / sizeof *migrations,
	APPLICATION = 0x706f706b, /* "popk" in the file's header */
	BUSY_MS = 30000,	  /* readers never wait; writers hold TURN_COMMIT */
};

static const char *const sql[SQL_COUNT] = {
#define TEXT_OF(name, text) [SQL_##name] = (text),
	CATALOG_STATEMENTS(TEXT_OF)
#undef TEXT_OF
};

struct catalog {
	sqlite3 *db;
	sqlite3_stmt *statement[SQL_COUNT];
	struct drops *drops;
	int schema;
};

static const struct database_words words = {"catalog.db", "run `popkeep rebuild`"};

static int trouble(struct catalog *c, int code, struct fault *f)
{
	return database_trouble(c->db, &words, code, f);
}

static int run_text(struct catalog *c, const char *text, struct fault *f)
{
	int r = sqlite3_exec(c->db, text, NULL, NULL, NULL);

	return r == SQLITE_OK ? 0 : trouble(c, r, f);
}

static int get_pragma(struct catalog *c, const char *text, int *ret, struct fault *f)
{
	int r = database_number(c->db, text, ret);

	return r == SQLITE_ROW ? 0 : trouble(c, r, f);
}

/* One step. The version is read again inside: another process may have done it meanwhile. */
static int migrate_once(struct catalog *c, int *version, struct fault *f)
{
	char text[64];

	if (run_text(c, "BEGIN IMMEDIATE", f) < 0 ||
		get_pragma(c, "PRAGMA user_version", version, f) < 0)
		return -1;
	if (*version < SCHEMA) {
		(void)snprintf(text, sizeof text, "PRAGMA user_version = %d", *version + 1);
		if (run_text(c, migrations[*version], f) < 0 || run_text(c, text, f) < 0)
			return -1;
		(*version)++;
	}
	return run_text(c, "COMMIT", f);
}

static int migrate(struct catalog *c, int version, struct fault *f)
{
	while (version < SCHEMA) {
		if (migrate_once(c, &version, f) < 0)
			return -1;
	}
	return 0;
}

static int check_schema(struct catalog *c, enum catalog_mode mode, struct fault *f)
{
	int version = 0, application = 0;

	if (get_pragma(c, "PRAGMA application_id", &application, f) < 0 ||
		get_pragma(c, "PRAGMA user_version", &version, f) < 0)
		return -1;
	if (version > SCHEMA)
		return fault_set(f, FAULT_FORMAT, SCOPE_ARCHIVE, 0,
			"catalog.db was written by a later version of popkeep (schema %d, this one "
			"knows %d); where none did, run `popkeep rebuild`",
			version, SCHEMA);
	bool fresh = version == 0 && application == 0;
	if (fresh ? mode < CATALOG_CREATE : application != APPLICATION)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"catalog.db is not a popkeep catalog; run `popkeep rebuild`");
	if (fresh && run_text(c, "PRAGMA application_id = 1886351467", f) < 0)
		return -1;
	_Static_assert(APPLICATION == 1886351467, "written out above");
	c->schema = mode == CATALOG_READ ? version : SCHEMA;
	return mode == CATALOG_READ ? 0 : migrate(c, version, f);
}

static int configure(struct catalog *c, enum catalog_mode mode, struct fault *f)
{
	(void)sqlite3_busy_timeout(c->db, BUSY_MS);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (mode == CATALOG_BULK)
		return run_text(c,
			"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
			"PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -16384",
			f);
	/* The ledger makes the catalog whole again, so that losing the last transactions in a power
	 * cut is no loss: NORMAL syncs at checkpoints only. Temporary tables stay in memory, since
	 * the service can make no files in the system's folder for them. */
	if (mode != CATALOG_READ)
		return run_text(c,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
			"PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 16777216; "
			"PRAGMA temp_store = MEMORY",
			f);
	return run_text(c, "PRAGMA query_only = 1; PRAGMA cache_size = -4096", f);
}

int catalog_open(const char *path, enum catalog_mode mode, struct catalog **ret, struct fault *f)
{
	struct catalog *c CLEANUP(catalog_closep) = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	if (access(path, F_OK) != 0 && mode < CATALOG_CREATE)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno,
			"catalog.db is missing; run `popkeep rebuild`");
	int r = database_open(path,
		mode == CATALOG_READ	? DATABASE_READ
		: mode == CATALOG_WRITE ? DATABASE_WRITE
					: DATABASE_CREATE,
		&c->db);
	if (r != SQLITE_OK)
		return trouble(c, r, f);
	if (drops_new(&c->drops, f) < 0 || configure(c, mode, f) < 0 ||
		check_schema(c, mode, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

struct catalog *catalog_close(struct catalog *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < SQL_COUNT; i++)
		(void)sqlite3_finalize(c->statement[i]);
	drops_free(c->drops);
	(void)sqlite3_close_v2(c->db); /* a cursor may outlive it */
	free(c);
	return NULL;
}

void catalog_closep(struct catalog **c)
{
	*c = catalog_close(*c);
}

int catalog_checkpoint(const char *path)
{
	sqlite3 *db = NULL;
	int frames = -1, home = -1;
	int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_exec(
			db, "PRAGMA synchronous = FULL; SELECT 1 FROM state", NULL, NULL, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &home);
	(void)sqlite3_close(db);
	return r == SQLITE_OK && frames == home ? 0 : CATALOG_PARTLY;
}

sqlite3 *catalog_handle(struct catalog *c)
{
	return c->db;
}

int catalog_schema(const struct catalog *c)
{
	return c->schema;
}

struct drops *catalog_drops(struct catalog *c)
{
	return c->drops;
}

/* ---- Statements ------------------------------------------------------------------------------ */

static sqlite3_stmt *prepare(struct catalog *c, const char *text, unsigned flags, struct fault *f)
{
	sqlite3_stmt *s = NULL;
	int r = sqlite3_prepare_v3(c->db, text, -1, flags, &s, NULL);

	/* Each statement is right for the schema: the tables are not what it says. */
	if (r == SQLITE_ERROR)
		fault_record(f, FAULT_DAMAGE, SCOPE_ARCHIVE, r,
			"catalog.db: %s; run `popkeep rebuild`", sqlite3_errmsg(c->db));
	else if (r != SQLITE_OK)
		(void)trouble(c, r, f);
	return s;
}

sqlite3_stmt *catalog_statement(struct catalog *c, enum catalog_statement which, struct fault *f)
{
	sqlite3_stmt **s = &c->statement[which];

	if (!*s)
		*s = prepare(c, sql[which], SQLITE_PREPARE_PERSISTENT, f);
	if (*s) {
		(void)sqlite3_reset(*s);
		(void)sqlite3_clear_bindings(*s);
	}
	return *s;
}

sqlite3_stmt *catalog_cursor(struct catalog *c, enum catalog_statement which, struct fault *f)
{
	return prepare(c, sql[which], 0, f);
}

sqlite3_stmt *catalog_compose(struct catalog *c, const char *text, struct fault *f)
{
	return prepare(c, text, 0, f);
}

int catalog_step(struct catalog *c, sqlite3_stmt *s, struct fault *f)
{
	int r = sqlite3_step(s);

	if (r == SQLITE_ROW)
		return 1;
	return r == SQLITE_DONE ? 0 : trouble(c, r, f);
}

int catalog_run(struct catalog *c, sqlite3_stmt *s, struct fault *f)
{
	int r = catalog_step(c, s, f);

	(void)sqlite3_reset(s);
	return r < 0 ? -1 : 0;
}

void bind_number(sqlite3_stmt *s, int parameter, uint64_t value)
{
	(void)sqlite3_bind_int64(s, parameter, (sqlite3_int64)value);
}

void bind_bytes(sqlite3_stmt *s, int parameter, struct slice bytes)
{
	/* A NULL pointer would bind NULL, and an empty UIDL is a UIDL. */
	(void)sqlite3_bind_blob64(
		s, parameter, bytes.len ? (const void *)bytes.data : "", bytes.len, SQLITE_STATIC);
}

void bind_text(sqlite3_stmt *s, int parameter, struct slice text)
{
	(void)sqlite3_bind_text64(s, parameter, text.len ? (const char *)text.data : "", text.len,
		SQLITE_STATIC, SQLITE_UTF8);
}

struct slice column_bytes(sqlite3_stmt *s, int column)
{
	const void *data = sqlite3_column_blob(s, column);

	return slice_of(data, (size_t)sqlite3_column_bytes(s, column));
}

uint64_t column_number(sqlite3_stmt *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s, column);
}

/* ---- Transactions and state ------------------------------------------------------------------ */

int catalog_begin(struct catalog *c, struct fault *f)
{
	/* One that could not even be rolled back, for want of memory, is done with now. */
	catalog_rollback(c);
	/* It would take the writers' lock of search.db too, and wait for whoever indexes. */
	if (sqlite3_db_filename(c->db, "search"))
		(void)sqlite3_exec(c->db, "DETACH search", NULL, NULL, NULL);
	if (run_text(c, "BEGIN IMMEDIATE", f) == 0)
		return 0;
	catalog_rollback(c); /* it may have begun all the same */
	return -1;
}

int catalog_commit(struct catalog *c, struct fault *f)
{
	if (drops_write(c, f) < 0)
		return -1;
	return run_text(c, "COMMIT", f);
}

void catalog_rollback(struct catalog *c)
{
	struct fault ignored;

	drops_clear(c->drops);
	if (!sqlite3_get_autocommit(c->db))
		(void)run_text(c, "ROLLBACK", &ignored);
}

int catalog_hold(struct catalog *c, struct fault *f)
{
	catalog_rollback(c); /* as above */
	if (run_text(c, "BEGIN", f) == 0)
		return 0;
	catalog_rollback(c);
	return -1;
}

void catalog_let_go(struct catalog *c)
{
	catalog_rollback(c);
}

int catalog_get_state(
	struct catalog *c, const char *archive_id, struct ledger_at *ret, struct fault *f)
{
	sqlite3_stmt *s = catalog_statement(c, SQL_GET_STATE, f);
	struct ledger_at at;

	if (!s)
		return -1;
	int r = catalog_step(c, s, f);
	if (r < 0)
		return -1;
	struct slice id = r ? column_bytes(s, 0) : slice_text("");
	if (slice_compare(id, slice_text(archive_id)) != 0) {
		(void)sqlite3_reset(s);
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"catalog.db belongs to another archive; run `popkeep rebuild`");
	}
	at.file = column_number(s, 1);
	at.length = column_number(s, 2);
	r = merkle_restore(&at.tree, column_number(s, 3), column_bytes(s, 4));
	at.last = sqlite3_column_int64(s, 5);
	(void)sqlite3_reset(s);
	if (r != 0)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
			"catalog.db does not fit together; run `popkeep rebuild`");
	*ret = at;
	return 0;
}

int catalog_set_state(
	struct catalog *c, const char *archive_id, const struct ledger_at *at, struct fault *f)
{
	uint8_t frontier[MERKLE_DEPTH * DIGEST_LEN];
	sqlite3_stmt *s = catalog_statement(c, SQL_SET_STATE, f);

	if (!s)
		return -1;
	bind_text(s, 1, slice_text(archive_id));
	bind_number(s, 2, at->file);
	bind_number(s, 3, at->length);
	bind_number(s, 4, at->tree.size);
	bind_bytes(s, 5, slice_of(frontier, merkle_frontier(&at->tree, frontier)));
	bind_number(s, 6, (uint64_t)at->last);
	return catalog_run(c, s, f);
}
