/* catalog.db: what the ledger says and where each message lies, for looking it up. A cache: made
 * again from ledger and segments at any time. Inside archive/ only. */
#pragma once

#include "archive/find.h"
#include "archive/health.h"
#include "archive/ledger.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "archive/segment.h"

#include <sqlite3.h>

struct catalog;

/* unkept.state */
enum { UNKEPT_PENDING = 1, UNKEPT_REFUSED = 2, UNKEPT_VANISHED = 3 };

/* CATALOG_CREATE makes the file and the tables of this version's schema (O_EXCL in spirit: what is
 * there already is opened). CATALOG_BULK is CREATE without journal and syncs, for rebuild, which
 * syncs the whole file itself. FAULT_FORMAT: a newer schema. FAULT_DAMAGE: not a catalog, or
 * missing. */
enum catalog_mode { CATALOG_READ, CATALOG_WRITE, CATALOG_CREATE, CATALOG_BULK };
int catalog_open(
	const char *path, enum catalog_mode mode, struct catalog **ret, struct fault *f) MUST_CHECK;
struct catalog *catalog_close(struct catalog *c);
void catalog_closep(struct catalog **c);
/* Brings all of the journal into the file, durably. CATALOG_PARTLY: not all of it, because it is
 * read just now or damaged, or there is no such file. */
enum { CATALOG_PARTLY = 1 };
int catalog_checkpoint(const char *path) MUST_CHECK;
sqlite3 *catalog_handle(struct catalog *c);
/* Of the file when it was opened: readers may see an older one, and do without its tables. */
enum {
	SCHEMA_HEALTH = 3, /* the first that has the table of health.h */
	SCHEMA_UPKEEP = 4, /* those of upkeep.h, and what segments hold */
	SCHEMA_FILING = 5  /* what imports knew */
};
int catalog_schema(const struct catalog *c);

/* A transaction that can write; then exactly one of commit and rollback. */
int catalog_begin(struct catalog *c, struct fault *f) MUST_CHECK;
int catalog_commit(struct catalog *c, struct fault *f) MUST_CHECK;
void catalog_rollback(struct catalog *c);

/* What is read from here to catalog_let_go() is the catalog of one moment. Without it each
 * statement looks for another process's changes, at the cost of some ten calls of the kernel.
 * Outside of a transaction. */
int catalog_hold(struct catalog *c, struct fault *f) MUST_CHECK;
void catalog_let_go(struct catalog *c);

/* How far into the ledger the catalog goes, and of which archive it is. */
int catalog_get_state(struct catalog *c, const char *archive_id, struct ledger_at *ret,
	struct fault *f) MUST_CHECK;
int catalog_set_state(struct catalog *c, const char *archive_id, const struct ledger_at *at,
	struct fault *f) MUST_CHECK;

/* ---- Applying the ledger: the same code for a commit, for replay and for rebuild ------------ */

/* at: where the message of a KEEP lies; NULL: not found in any segment. */
int catalog_apply(struct catalog *c, const struct event *e, uint64_t number,
	const struct location *at, struct fault *f) MUST_CHECK;

/* What a message that came under (maildrop, uidl) is. */
enum catalog_known {
	CATALOG_NEW = 1,      /* bytes not kept yet */
	CATALOG_NEW_UIDL = 2, /* bytes kept, not under this UIDL (so often) */
	CATALOG_RESIZED = 3   /* known, but LIST said another size before */
};
/* 0 when all of it is known. */
int catalog_classify(struct catalog *c, const struct event *keep, struct fault *f) MUST_CHECK;

/* Not of the ledger, but of listings: UIDLs that became pending; when a poll was complete; that a
 * UIDL turned out to be known after all. */
int catalog_set_pending(struct catalog *c, uint64_t maildrop, struct slice uidl, uint64_t listed,
	struct fault *f) MUST_CHECK;
int catalog_set_polled(
	struct catalog *c, uint64_t maildrop, moment_ms t, struct fault *f) MUST_CHECK;
int catalog_settle(
	struct catalog *c, uint64_t maildrop, struct slice uidl, struct fault *f) MUST_CHECK;
/* *ret_polled: when a poll was last noted, 0 never. */
int catalog_get_sums(struct catalog *c, uint64_t maildrop, struct sums *ret, moment_ms *ret_polled,
	struct fault *f) MUST_CHECK;

/* How many UIDLs have vanished and nobody accepted it. */
int catalog_count_vanished(
	struct catalog *c, uint64_t maildrop, uint64_t *ret, struct fault *f) MUST_CHECK;
/* What of a UIDL is to be accepted, if anything. */
struct unkept {
	int state; /* 0: no row */
	uint64_t tries;
	bool accepted;
	enum refusal reason;
};
int catalog_get_unkept(struct catalog *c, uint64_t maildrop, struct slice uidl, struct unkept *ret,
	struct fault *f) MUST_CHECK;
/* Writes or deletes the account's row. */
int catalog_put_health(struct catalog *c, const struct health *h, struct fault *f) MUST_CHECK;

/* ---- Segments ------------------------------------------------------------------------------ */

struct segment_row {
	uint64_t number;
	enum segment_state state;
	uint64_t length;	      /* committed bytes of the file */
	char class_[LIMIT_CLASS + 1]; /* retention class */
	uint64_t messages, bytes;     /* that lie there as far as the catalog goes; bytes of mail */
	moment_ms first;	      /* the oldest `archived` of them; 0: it holds none */
	struct digest digest;	      /* SEALED: of the file, as its ledger line says; else zero */
};
/* CATALOG_NONE: no such row. Putting one that is neither open nor closed, or deleting it, takes its
 * stretches with it (stretch.h). */
enum { CATALOG_NONE = 1 };
int catalog_put_segment(
	struct catalog *c, const struct segment_row *row, struct fault *f) MUST_CHECK;
int catalog_open_segment(
	struct catalog *c, const char *class_, struct segment_row *ret, struct fault *f) MUST_CHECK;
int catalog_get_segment(
	struct catalog *c, uint64_t number, struct segment_row *ret, struct fault *f) MUST_CHECK;
int catalog_next_segment(
	struct catalog *c, uint64_t after, struct segment_row *ret, struct fault *f) MUST_CHECK;
int catalog_delete_segment(struct catalog *c, uint64_t number, struct fault *f) MUST_CHECK;
/* Sets messages, bytes and first to what the messages' rows say. */
int catalog_count_segment(struct catalog *c, struct segment_row *row, struct fault *f) MUST_CHECK;
/* A SEAL: every message that has a place in the new segment lies there from now on. The rows of
 * those that it replaces become REPLACED; one that still holds a message, because it has no place
 * in the new one, stays as it is but for being CLOSED. *ret_moved: messages. */
int catalog_apply_seal(
	struct catalog *c, const struct event *e, uint64_t *ret_moved, struct fault *f) MUST_CHECK;

/* The highest number; 0: there is none. */
int catalog_last_segment(struct catalog *c, uint64_t *ret, struct fault *f) MUST_CHECK;

/* ---- Lost messages ------------------------------------------------------------------------- */

struct lost_message {
	uint64_t id, size_bytes;
	uint64_t segment; /* 0: it has no place */
};
/* CATALOG_NONE: no such message. */
int catalog_find_lost(struct catalog *c, const struct digest *d, struct lost_message *ret,
	struct fault *f) MUST_CHECK;
/* The message goes with its UIDLs, which are pending again. Of one that is not kept it means
 * nothing. */
int catalog_apply_lost(struct catalog *c, const struct event *e, struct fault *f) MUST_CHECK;
/* The message of this id lies elsewhere; the rows of both segments are counted again. */
int catalog_move_message(struct catalog *c, uint64_t id, uint64_t from, const struct location *to,
	struct fault *f) MUST_CHECK;

/* ---- Places: digests found by walking segments, for replay and rebuild ---------------------- */

/* A table that lives with the connection, on disk, so that memory stays flat. */
int catalog_begin_places(struct catalog *c, struct fault *f) MUST_CHECK;
/* The first place of a digest in a segment counts. frames_end: of the frame in which the entry
 * ends. */
/* Where one message lies now, known by its number: for many, in the order of their numbers or
 * nearly, this is several times as fast as by a digest, whose index is in no order. */
int catalog_move(
	struct catalog *c, uint64_t id, const struct location *to, struct fault *f) MUST_CHECK;
int catalog_put_place(struct catalog *c, const struct digest *d, const struct location *at,
	uint64_t frames_end, struct fault *f) MUST_CHECK;
/* In the segment of the lowest number. */
int catalog_get_place(struct catalog *c, const struct digest *d, struct location *ret,
	uint64_t *ret_frames_end, struct fault *f) MUST_CHECK;

/* ---- Statements ------------------------------------------------------------------------------ */

/* All SQL of this database. Numbered parameters, explicit columns. */
#define CATALOG_STATEMENTS(X)                                                                      \
	X(GET_STATE, "SELECT archive, ledger_file, ledger_length, lines, frontier, last_line "     \
		     "FROM state WHERE one = 1")                                                   \
	X(SET_STATE, "INSERT OR REPLACE INTO state (one, archive, ledger_file, ledger_length, "    \
		     "lines, frontier, last_line) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)")             \
	X(PUT_MAILDROP, "INSERT INTO maildrop (number, name, server, user) "                       \
			"VALUES (?1, ?2, ?3, ?4) ON CONFLICT (number) DO UPDATE SET name = ?2")    \
	X(GET_SUMS,                                                                                \
		"SELECT listed, archived, pending, refused, vanished, sizes_unreliable, polled "   \
		"FROM maildrop WHERE number = ?1")                                                 \
	X(SET_SUMS, "UPDATE maildrop SET listed = ?2, archived = ?3, pending = ?4, refused = ?5, " \
		    "vanished = ?6, sizes_unreliable = ?7 WHERE number = ?1")                      \
	X(SET_POLLED, "UPDATE maildrop SET polled = ?2 WHERE number = ?1")                         \
	X(FIND_MAILDROP, "SELECT number, name, server, user, listed, archived, pending, refused, " \
			 "vanished, polled, sizes_unreliable FROM maildrop "                       \
			 "WHERE server = ?1 AND user = ?2")                                        \
	X(NEXT_MAILDROP, "SELECT number, name, server, user, listed, archived, pending, refused, " \
			 "vanished, polled, sizes_unreliable FROM maildrop "                       \
			 "WHERE number > ?1 ORDER BY number LIMIT 1")                              \
	X(NAME_IN_USE, "SELECT max(number) FROM maildrop WHERE name = ?1 AND "                     \
		       "server != '" MAILDROP_IMPORT "'")                                          \
	X(LAST_MAILDROP, "SELECT max(number) FROM maildrop")                                       \
	X(PUT_MESSAGE, "INSERT INTO message (id, digest, size, archived, maildrop, class, "        \
		       "segment, frame_offset, entry_offset) "                                     \
		       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                              \
	X(FIND_DIGEST, "SELECT id, maildrop FROM message WHERE digest = ?1")                       \
	X(GET_UIDL, "SELECT listed, copies FROM uidl "                                             \
		    "WHERE maildrop = ?1 AND uidl = ?2 AND message = ?3")                          \
	X(PUT_UIDL, "INSERT INTO uidl (maildrop, uidl, message, listed, copies) "                  \
		    "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (maildrop, uidl, message) "           \
		    "DO UPDATE SET listed = ?4, copies = max(copies, ?5)")                         \
	X(PUT_ALSO, "INSERT OR IGNORE INTO also (message, maildrop) VALUES (?1, ?2)")              \
	X(PUT_FILING, "INSERT OR IGNORE INTO filing (message, maildrop, folder, flags, received) " \
		      "VALUES (?1, ?2, ?3, ?4, ?5)")                                               \
	X(FILINGS, "SELECT maildrop, folder, flags, received FROM filing WHERE message = ?1 "      \
		   "ORDER BY maildrop, folder")                                                    \
	X(DELETE_FILINGS, "DELETE FROM filing WHERE message = ?1")                                 \
	X(GET_UNKEPT, "SELECT state, tries, accepted, reason FROM unkept WHERE maildrop = ?1 AND " \
		      "uidl = ?2")                                                                 \
	X(PUT_PENDING,                                                                             \
		"INSERT INTO unkept (maildrop, uidl, state, listed) VALUES (?1, ?2, 1, ?3) "       \
		"ON CONFLICT (maildrop, uidl) DO UPDATE SET state = 1, accepted = 0 WHERE state "  \
		"= 3")                                                                             \
	X(PUT_REFUSED,                                                                             \
		"INSERT INTO unkept (maildrop, uidl, state, listed, reason, tries, next_try) "     \
		"VALUES (?1, ?2, 2, ?3, ?4, ?5, ?6) ON CONFLICT (maildrop, uidl) DO UPDATE SET "   \
		"state = 2, listed = ?3, reason = ?4, tries = ?5, next_try = ?6, "                 \
		"accepted = CASE state WHEN 2 THEN accepted ELSE 0 END")                           \
	X(PUT_VANISHED, "INSERT OR REPLACE INTO unkept (maildrop, uidl, state, listed) "           \
			"VALUES (?1, ?2, 3, -1)")                                                  \
	X(PUT_ACCEPTED, "UPDATE unkept SET accepted = 1 WHERE maildrop = ?1 AND uidl = ?2")        \
	X(COUNT_VANISHED,                                                                          \
		"SELECT count(*) FROM unkept WHERE maildrop = ?1 AND state = 3 AND accepted = 0")  \
	X(TO_ACCEPT, "SELECT uidl FROM unkept WHERE maildrop = ?1 AND uidl >= ?2 AND state = ?3 "  \
		     "AND accepted = 0 ORDER BY uidl")                                             \
	X(DELETE_UNKEPT, "DELETE FROM unkept WHERE maildrop = ?1 AND uidl = ?2")                   \
	X(KNOWN_KEPT, "SELECT uidl, listed, copies FROM uidl WHERE maildrop = ?1 "                 \
		      "ORDER BY uidl, message")                                                    \
	X(KNOWN_UNKEPT, "SELECT uidl, state, listed, reason, tries, next_try, accepted "           \
			"FROM unkept WHERE maildrop = ?1 ORDER BY uidl")                           \
	X(PUT_HEALTH, "INSERT OR REPLACE INTO health (account, state, since, tried, next, "        \
		      "failures, code, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")             \
	X(DELETE_HEALTH, "DELETE FROM health WHERE account = ?1")                                  \
	X(ALL_HEALTH, "SELECT account, state, since, tried, next, failures, code, text FROM "      \
		      "health ORDER BY account")                                                   \
	X(PUT_UPKEEP, "INSERT INTO upkeep (job, tried, succeeded, code, text) "                    \
		      "VALUES (?1, ?2, CASE ?3 WHEN 0 THEN ?2 ELSE 0 END, ?3, ?4) "                \
		      "ON CONFLICT (job) DO UPDATE SET tried = ?2, "                               \
		      "succeeded = CASE ?3 WHEN 0 THEN ?2 ELSE succeeded END, "                    \
		      "code = ?3, text = ?4")                                                      \
	X(GET_UPKEEP, "SELECT tried, succeeded, code, text FROM upkeep WHERE job = ?1")            \
	X(NEXT_UNSEALED, "SELECT number, class, messages, bytes, first FROM segment "              \
			 "WHERE number > ?1 AND state IN (1, 3) AND messages > 0 "                 \
			 "ORDER BY number LIMIT 1")                                                \
	X(NEXT_UNHANDED, "SELECT number FROM segment WHERE number > ?1 AND state = 2 AND NOT "     \
			 "EXISTS (SELECT 1 FROM handed "                                           \
			 "WHERE file = printf('segments/%06lld.tar.zst', number)) "                \
			 "ORDER BY number LIMIT 1")                                                \
	X(GET_HANDED, "SELECT 1 FROM handed WHERE file = ?1")                                      \
	X(PUT_HANDED, "INSERT OR REPLACE INTO handed (file, t) VALUES (?1, ?2)")                   \
	X(PUT_SEGMENT, "INSERT OR REPLACE INTO segment (number, state, length, class, messages, "  \
		       "bytes, first, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")            \
	X(OPEN_SEGMENT, "SELECT number, state, length, class, messages, bytes, first, digest "     \
			"FROM segment WHERE state = 1 AND class = ?1 ORDER BY number DESC "        \
			"LIMIT 1")                                                                 \
	X(GET_SEGMENT, "SELECT number, state, length, class, messages, bytes, first, digest "      \
		       "FROM segment WHERE number = ?1")                                           \
	X(NEXT_SEGMENT, "SELECT number, state, length, class, messages, bytes, first, digest "     \
			"FROM segment WHERE number > ?1 ORDER BY number LIMIT 1")                  \
	/* Of a catalog that was not migrated yet, for those who only read. */                     \
	X(NEXT_SEGMENT_OLD, "SELECT number, state, length, class, 0, 0, 0, NULL "                  \
			    "FROM segment WHERE number > ?1 ORDER BY number LIMIT 1")              \
	X(DELETE_SEGMENT, "DELETE FROM segment WHERE number = ?1")                                 \
	X(COUNT_SEGMENT, "SELECT count(*), coalesce(sum(size), 0), coalesce(min(archived), 0) "    \
			 "FROM message WHERE segment = ?1")                                        \
	X(IS_SEGMENT_USED, "SELECT 1 FROM message WHERE segment = ?1 LIMIT 1")                     \
	X(IDS_IN_SEGMENT, "SELECT min(id), max(id) FROM message WHERE segment = ?1")               \
	X(PLACED_BEFORE, "SELECT id FROM message WHERE id < ?1 AND segment IS NOT NULL AND "       \
			 "coalesce(class, 'default') = ?2 ORDER BY id DESC LIMIT 1")               \
	X(PLACED_BEHIND, "SELECT id FROM message WHERE id > ?1 AND segment IS NOT NULL AND "       \
			 "coalesce(class, 'default') = ?2 ORDER BY id LIMIT 1")                    \
	X(COUNT_ASTRAY, "SELECT count(*) FROM message WHERE segment IS NULL AND "                  \
			"coalesce(class, 'default') = ?1 AND id > ?2 AND id < ?3")                 \
	X(ALSO_IN_SEGMENT, "SELECT DISTINCT also.maildrop FROM message JOIN also "                 \
			   "ON also.message = message.id WHERE message.segment = ?1")              \
	X(LAST_SEGMENT, "SELECT max(number) FROM segment")                                         \
	X(LOST_MESSAGE, "SELECT id, size, segment FROM message WHERE digest = ?1")                 \
	X(UIDL_OF_MESSAGE, "SELECT maildrop, uidl, listed, copies FROM uidl WHERE message = ?1 "   \
			   "LIMIT 1")                                                              \
	X(DELETE_UIDL, "DELETE FROM uidl WHERE maildrop = ?1 AND uidl = ?2 AND message = ?3")      \
	X(DELETE_ALSO, "DELETE FROM also WHERE message = ?1")                                      \
	X(DELETE_MESSAGE, "DELETE FROM message WHERE id = ?1")                                     \
	X(PUT_LOST, "INSERT OR REPLACE INTO lost (id, digest) VALUES (?1, ?2)")                    \
	X(SHRINK_SEGMENT, "UPDATE segment SET messages = max(messages - 1, 0), "                   \
			  "bytes = max(bytes - ?2, 0) WHERE number = ?1")                          \
	X(MOVE_MESSAGE, "UPDATE message SET segment = ?2, frame_offset = ?3, entry_offset = ?4 "   \
			"WHERE id = ?1")                                                           \
	X(FIND_PREFIX, "SELECT id, digest, size, archived, maildrop, class, segment, "             \
		       "frame_offset, entry_offset FROM message "                                  \
		       "WHERE digest >= ?1 AND digest <= ?2 ORDER BY digest LIMIT 2")              \
	X(MESSAGE_BY_ID, "SELECT id, digest, size, archived, maildrop, class, segment, "           \
			 "frame_offset, entry_offset FROM message WHERE id = ?1")                  \
	X(BY_PLACE, "SELECT id, digest, size, archived, maildrop, class, segment, "                \
		    "frame_offset, entry_offset FROM message WHERE segment = ?1 "                  \
		    "ORDER BY frame_offset, entry_offset")                                         \
	X(NOT_LOCATED, "SELECT id, digest, size, archived, maildrop, class, segment, "             \
		       "frame_offset, entry_offset FROM message WHERE segment IS NULL "            \
		       "ORDER BY id")                                                              \
	X(ALSO_NAMES, "SELECT DISTINCT name FROM also JOIN maildrop ON number = also.maildrop "    \
		      "WHERE message = ?1 ORDER BY number")                                        \
	X(NAME_OF, "SELECT name FROM maildrop WHERE number = ?1")                                  \
	X(IS_LOST, "SELECT 1 FROM lost WHERE id = ?1")                                             \
	X(COUNT_BELOW, "SELECT count(*) FROM message WHERE id < ?1")                               \
	/* Of index.h; the old ones are for those who only read, as above. */                      \
	X(NEXT_TO_READ, "SELECT id, digest, size, segment, frame_offset, entry_offset "            \
			"FROM message WHERE id > ?1 ORDER BY id")                                  \
	X(TO_READ, "SELECT id, digest, size, segment, frame_offset, entry_offset "                 \
		   "FROM message WHERE id = ?1")                                                   \
	X(ALL_DIGESTS, "SELECT id, digest FROM message WHERE id <= ?1 ORDER BY id")                \
	X(DIGEST_OF, "SELECT digest FROM message WHERE id = ?1 UNION ALL "                         \
		     "SELECT digest FROM lost WHERE id = ?1")                                      \
	X(DIGEST_OF_OLD, "SELECT digest FROM message WHERE id = ?1")                               \
	X(COUNT_LOST, "SELECT count(*) FROM lost")                                                 \
	X(NEXT_LOST, "SELECT id FROM lost WHERE id > ?1 ORDER BY id LIMIT 1")                      \
	X(COUNT_BEHIND,                                                                            \
		"SELECT count(*) FROM message WHERE id > ?1 AND id <= "                            \
		"coalesce((SELECT id FROM message WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2), "  \
		"9223372036854775807)")                                                            \
	X(ARCHIVED_BEHIND, "SELECT archived FROM message WHERE id > ?1 ORDER BY id LIMIT 1")       \
	X(COUNT_KEPT, "SELECT (SELECT coalesce(sum(messages), 0) FROM segment WHERE state != 4) "  \
		      "+ (SELECT count(*) FROM message WHERE segment IS NULL)")                    \
	X(COUNT_KEPT_OLD, "SELECT count(*) FROM message")                                          \
	X(GET_SCRUB, "SELECT began, segment, done, damaged FROM scrub WHERE depth = ?1")           \
	X(PUT_SCRUB,                                                                               \
		"INSERT OR REPLACE INTO scrub (depth, began, segment, offset, done, damaged) "     \
		"VALUES (?1, ?2, ?3, 0, ?4, ?5)")                                                  \
	X(DELETE_SCRUB, "DELETE FROM scrub WHERE depth = ?1")                                      \
	X(PUT_STRETCH, "INSERT OR REPLACE INTO stretch (segment, offset, length, digest) "         \
		       "VALUES (?1, ?2, ?3, ?4)")                                                  \
	X(NEXT_STRETCH, "SELECT segment, offset, length, digest FROM stretch "                     \
			"WHERE segment = ?1 AND offset >= ?2 ORDER BY offset LIMIT 1")             \
	X(LAST_STRETCH, "SELECT segment, offset, length, digest FROM stretch "                     \
			"WHERE segment = ?1 ORDER BY offset DESC LIMIT 1")                         \
	X(DELETE_STRETCHES, "DELETE FROM stretch WHERE segment = ?1 AND offset >= ?2")             \
	/* Of the temporary table: only after catalog_begin_places(). */                           \
	X(PUT_PLACE, "INSERT OR IGNORE INTO temp.place (digest, segment, frame_offset, "           \
		     "entry_offset, frames_end) VALUES (?1, ?2, ?3, ?4, ?5)")                      \
	X(GET_PLACE, "SELECT segment, frame_offset, entry_offset, frames_end FROM temp.place "     \
		     "WHERE digest = ?1 ORDER BY segment LIMIT 1")                                 \
	X(MOVE_TO_PLACE, "UPDATE message SET segment = place.segment, "                            \
			 "frame_offset = place.frame_offset, entry_offset = place.entry_offset "   \
			 "FROM temp.place WHERE place.segment = ?1 AND "                           \
			 "message.digest = place.digest AND message.segment IS NOT ?1")            \
	X(MOVE, "UPDATE message SET segment = ?2, frame_offset = ?3, entry_offset = ?4 "           \
		"WHERE id = ?1")                                                                   \
	X(TOTALS, "SELECT (SELECT count(*) FROM message), (SELECT total(size) FROM message), "     \
		  "(SELECT count(*) FROM segment WHERE state != 4), "                              \
		  "(SELECT total(length) FROM segment WHERE state != 4)")

enum catalog_statement {
#define NAME_IT(name, sql) SQL_##name,
	CATALOG_STATEMENTS(NAME_IT)
#undef NAME_IT
		SQL_COUNT
};

/* A reset statement, prepared on first use, with parameters unbound. NULL with *f set. */
sqlite3_stmt *catalog_statement(struct catalog *c, enum catalog_statement which, struct fault *f);
/* A statement of the caller's own, to be finalized by it, for cursors that live longer. */
sqlite3_stmt *catalog_cursor(struct catalog *c, enum catalog_statement which, struct fault *f);
/* The same of a text put together by find_sql.c. */
sqlite3_stmt *catalog_compose(struct catalog *c, const char *text, struct fault *f);
/* SQLITE_ROW -> 1, SQLITE_DONE -> 0, anything else <0. */
int catalog_step(struct catalog *c, sqlite3_stmt *s, struct fault *f) MUST_CHECK;
/* For statements without rows: step and reset. */
int catalog_run(struct catalog *c, sqlite3_stmt *s, struct fault *f) MUST_CHECK;

void bind_number(sqlite3_stmt *s, int parameter, uint64_t value);
void bind_bytes(sqlite3_stmt *s, int parameter, struct slice bytes);
void bind_text(sqlite3_stmt *s, int parameter, struct slice text);
struct slice column_bytes(sqlite3_stmt *s, int column);
/* A negative number is SIZE_UNKNOWN. */
uint64_t column_number(sqlite3_stmt *s, int column);
