/* search.db: the file behind index.h. What is in it, and how it is read and written; index.c says
 * what is written when. A cache of a cache: one that is damaged, or of another archive or version,
 * is as good as none, and the next one who writes begins anew. Inside archive/ only.
 *
 *	header	id (that of the message), digest, date, received (milliseconds, NULL where the
 *		message has no readable one), sender, recipients, copied, subject, message_id (""
 *		where there is none), attachments (their number), names (of attachments, a line
 *		each); all texts are UTF-8 without control characters, but for the line ends in
 *		names. Indexes on date and message_id
 *	words	FTS5 over sender, recipients, copied, subject, names; its rowid is header's id
 *	again	id, digest, tried: messages that could not be read, and when that was
 *	state	archive; done: all messages up to this id have a row in header or in again; digest:
 *		that of the message `done`; indexed: rows in header; lost: messages that were lost
 *		when their rows were last removed */
#pragma once

#include "archive/digest.h"
#include "archive/index.h"

#include <sqlite3.h>

struct search_db;

/* SEARCH_NONE, with SEARCH_READ: there is none that could be used. With SEARCH_WRITE what cannot be
 * used begins anew, and *ret_anew (NULL: not asked for) says why: "" where there was none,
 * otherwise a text for people. Who writes holds TURN_INDEX. */
enum search_mode { SEARCH_READ, SEARCH_WRITE };
enum { SEARCH_NONE = 1, SEARCH_WHY = 200 };
struct search_anew {
	bool anew;
	char why[SEARCH_WHY];
};
int search_db_open(const char *path, const char *archive_id, enum search_mode mode,
	struct search_db **ret, struct search_anew *ret_anew, struct fault *f) MUST_CHECK;
struct search_db *search_db_close(struct search_db *d);
void search_db_closep(struct search_db **d);
/* All rows go. Not in a transaction. */
int search_db_empty(struct search_db *d, const char *archive_id, struct fault *f) MUST_CHECK;

/* Makes it the schema "search" of a connection to the catalog, outside of a transaction; again on
 * the same one is cheap, and follows where the file was replaced meanwhile. SEARCH_NONE: as above,
 * and no schema of this name is there. */
int store_attach_search(struct store *s, sqlite3 *to, struct fault *f) MUST_CHECK;

int search_db_begin(struct search_db *d, struct fault *f) MUST_CHECK;
int search_db_commit(struct search_db *d, struct fault *f) MUST_CHECK;
void search_db_rollback(struct search_db *d);

/* All SQL of this database. Numbered parameters, explicit columns. */
#define SEARCH_STATEMENTS(X)                                                                       \
	X(GET_STATE, "SELECT archive, done, digest, indexed, lost FROM state WHERE one = 1")       \
	X(SET_STATE, "INSERT OR REPLACE INTO state (one, archive, done, digest, indexed, lost) "   \
		     "VALUES (1, ?1, ?2, ?3, ?4, ?5)")                                             \
	X(PUT_HEADER, "INSERT INTO header (id, digest, date, received, sender, recipients, "       \
		      "copied, subject, message_id, attachments, names) "                          \
		      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")                     \
	X(PUT_WORDS, "INSERT INTO words (rowid, sender, recipients, copied, subject, names) "      \
		     "VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                            \
	X(GET_HEADER, "SELECT date, received, sender, recipients, copied, subject, message_id, "   \
		      "attachments, names FROM header WHERE id = ?1 AND digest = ?2")              \
	X(GET_DIGEST, "SELECT digest FROM header WHERE id = ?1")                                   \
	X(ALL_DIGESTS, "SELECT id, digest FROM header WHERE id <= ?1 ORDER BY id")                 \
	X(COUNT_BEHIND,                                                                            \
		"SELECT count(*) FROM header WHERE id > ?1 AND id <= "                             \
		"coalesce((SELECT id FROM header WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2), "   \
		"9223372036854775807)")                                                            \
	X(LAST_ID, "SELECT max(id) FROM header")                                                   \
	X(COUNT, "SELECT count(*) FROM header")                                                    \
	X(DELETE_WORDS,                                                                            \
		"INSERT INTO words (words, rowid, sender, recipients, copied, subject, names) "    \
		"SELECT 'delete', id, sender, recipients, copied, subject, names FROM header "     \
		"WHERE id = ?1")                                                                   \
	X(DELETE_HEADER, "DELETE FROM header WHERE id = ?1")                                       \
	X(PUT_AGAIN, "INSERT OR REPLACE INTO again (id, digest, tried) VALUES (?1, ?2, ?3)")       \
	X(NEXT_AGAIN, "SELECT id, digest FROM again WHERE id > ?1 AND tried < ?2 "                 \
		      "ORDER BY id LIMIT 1")                                                       \
	X(DELETE_AGAIN, "DELETE FROM again WHERE id = ?1")                                         \
	X(ALL_AGAIN, "SELECT id, digest FROM again ORDER BY id")                                   \
	X(FIRST_AGAIN, "SELECT min(id) FROM again")                                                \
	X(COUNT_AGAIN, "SELECT count(*) FROM again")

enum search_statement {
#define NAME_IT(name, sql) SEARCH_##name,
	SEARCH_STATEMENTS(NAME_IT)
#undef NAME_IT
		SEARCH_COUNT_OF_STATEMENTS
};

/* A reset statement, prepared on first use, with parameters unbound. NULL with *f set. */
sqlite3_stmt *search_db_statement(
	struct search_db *d, enum search_statement which, struct fault *f);
/* SQLITE_ROW -> 1, SQLITE_DONE -> 0, anything else <0. */
int search_db_step(struct search_db *d, sqlite3_stmt *s, struct fault *f) MUST_CHECK;
/* For statements without rows: step and reset. */
int search_db_run(struct search_db *d, sqlite3_stmt *s, struct fault *f) MUST_CHECK;

struct search_state {
	uint64_t done, indexed, lost;
	struct digest digest;
};
int search_db_get_state(struct search_db *d, struct search_state *ret, struct fault *f) MUST_CHECK;
int search_db_set_state(struct search_db *d, const char *archive_id,
	const struct search_state *state, struct fault *f) MUST_CHECK;
/* The row and its words, if there are any. *ret_gone: 0 or 1. */
int search_db_delete(
	struct search_db *d, uint64_t id, uint64_t *ret_gone, struct fault *f) MUST_CHECK;
