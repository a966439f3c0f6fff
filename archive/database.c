#include "archive/database.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

int database_trouble(sqlite3 *db, const struct database_words *words, int code, struct fault *f)
{
	int primary = code & 0xff;
	enum fault_code kind = primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ? FAULT_DAMAGE
			       : primary == SQLITE_FULL || primary == SQLITE_IOERR   ? FAULT_WRITE
			       : primary == SQLITE_NOMEM			     ? FAULT_MEMORY
			       : primary == SQLITE_BUSY				     ? FAULT_BUSY
										     : FAULT_SYSTEM;

	return fault_set(f, kind, SCOPE_ARCHIVE, code, "%s: %s%s%s", words->name,
		db ? sqlite3_errmsg(db) : sqlite3_errstr(code), kind == FAULT_DAMAGE ? "; " : "",
		kind == FAULT_DAMAGE ? words->cure
		: primary == SQLITE_READONLY
			? "; the archive's owner must be able to write to it and to its folder"
			: "");
}

/* Of a folder that cannot be written: SQLite would make its -wal and -shm there. Where no -wal is
 * there, nothing is missing in the file, and nobody changes it. */
static bool is_immutable(const char *path)
{
	char name[PATH_MAX];

	(void)snprintf(name, sizeof name, "%s-wal", path);
	if (access(name, F_OK) == 0)
		return false;
	(void)snprintf(name, sizeof name, "%s", path);
	char *slash = strrchr(name, '/');
	if (!slash)
		(void)snprintf(name, sizeof name, ".");
	else
		slash[slash == name ? 1 : 0] = '\0';
	return faccessat(AT_FDCWD, name, W_OK, AT_EACCESS) < 0 &&
	       (errno == EACCES || errno == EROFS);
}

/* The path as SQLite's URI, for the parameter that no flag has. */
static int immutable_uri(const char *path, struct buffer *to, struct fault *f)
{
	if (buffer_append_text(to, "file:", f) < 0)
		return -1;
	for (const char *p = path; *p; p++) {
		bool plain = *p != '%' && *p != '?' && *p != '#';

		if (buffer_append_format(
			    to, f, plain ? "%c" : "%%%02x", (unsigned)(unsigned char)*p) < 0)
			return -1;
	}
	return buffer_append_text(to, "?immutable=1", f);
}

static int open_immutable(const char *path, sqlite3 **ret)
{
	struct buffer uri CLEANUP(buffer_deinit) = buffer_make(4 * PATH_MAX);
	struct fault ignored;

	if (immutable_uri(path, &uri, &ignored) < 0 || !buffer_text(&uri))
		return SQLITE_NOMEM;
	return sqlite3_open_v2(buffer_text(&uri), ret,
		SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
}

int database_open(const char *path, enum database_mode mode, sqlite3 **ret)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE;

	*ret = NULL;
	if (mode == DATABASE_READ && is_immutable(path))
		return open_immutable(path, ret);
	return sqlite3_open_v2(
		path, ret, flags | (mode == DATABASE_CREATE ? SQLITE_OPEN_CREATE : 0), NULL);
}

/* A connection that understands URIs was opened with one: its folder cannot be written either. One
 * that does not would take it for a name. */
int database_attach_name(const char *path, struct buffer *to, struct fault *f)
{
	return is_immutable(path) ? immutable_uri(path, to, f) : buffer_append_text(to, path, f);
}

int database_number(sqlite3 *db, const char *text, int *ret)
{
	sqlite3_stmt *s = NULL;
	int r = sqlite3_prepare_v2(db, text, -1, &s, NULL);

	if (r == SQLITE_OK)
		r = sqlite3_step(s);
	if (r == SQLITE_ROW)
		*ret = sqlite3_column_int(s, 0);
	(void)sqlite3_finalize(s);
	return r;
}
