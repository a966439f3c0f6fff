/* SQLite files, as far as catalog.db and search.db have the same needs. Inside archive/ only. */
#pragma once

#include "archive/bytes.h"

#include <sqlite3.h>

/* What messages say of a database: its name ("catalog.db"), and what to do when it is damaged
 * ("run `popkeep rebuild`"). */
struct database_words {
	const char *name, *cure;
};

/* What SQLite says of a file that is broken is FAULT_DAMAGE; of a full disk, FAULT_WRITE. Yields
 * -1. db: NULL where it could not be opened. */
int database_trouble(sqlite3 *db, const struct database_words *words, int code, struct fault *f);

enum database_mode {
	DATABASE_READ,	/* where the folder cannot be written and no journal is there, the file is
			 * taken for one that nobody changes: SQLite would make files beside it */
	DATABASE_WRITE, /* must be there */
	DATABASE_CREATE
};
/* An SQLite result code. *ret is to be closed whatever that is. */
int database_open(const char *path, enum database_mode mode, sqlite3 **ret) MUST_CHECK;
/* The name by which to ATTACH the file to a connection that database_open() opened with
 * DATABASE_READ or DATABASE_WRITE: as above. FAULT_MEMORY. */
int database_attach_name(const char *path, struct buffer *to, struct fault *f) MUST_CHECK;

/* The first column of the first row of a text, most of all a PRAGMA. An SQLite result code:
 * SQLITE_ROW, where there is one. */
int database_number(sqlite3 *db, const char *text, int *ret) MUST_CHECK;
