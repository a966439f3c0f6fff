#include "tests/crash/dump.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* Not compared: when a poll was complete, what is pending, whether a segment is appended to, and
 * what is to be removed: the row outlives the file, so that rebuild does not find it. Nor the table
 * `stretch`: a group's commit makes a row for each segment that it appended to, replay and rebuild
 * one of all that they found. */
static const char *const queries[] = {
	"SELECT ledger_file, ledger_length, lines, hex(frontier), last_line FROM state",
	"SELECT number, name, server, user, listed, archived, pending, refused, vanished, "
	"sizes_unreliable FROM maildrop ORDER BY 1",
	"SELECT id, hex(digest), size, archived, maildrop, class, segment, frame_offset, "
	"entry_offset FROM message ORDER BY 1",
	"SELECT maildrop, hex(uidl), message, listed, copies FROM uidl ORDER BY 1, 2, 3",
	"SELECT message, maildrop FROM also ORDER BY 1, 2",
	"SELECT message, maildrop, hex(folder), hex(flags), received FROM filing ORDER BY 1, 2, 3",
	"SELECT maildrop, hex(uidl), state, listed, reason, tries, next_try, accepted FROM unkept "
	"WHERE state > 1 ORDER BY 1, 2",
	"SELECT number, state IN (1, 3), length, class, messages, bytes, first, hex(digest) "
	"FROM segment WHERE state != 4 ORDER BY 1",
};

static int print_row(void *context, int columns, char **value, char **name)
{
	FILE *to = context;

	for (int i = 0; i < columns; i++)
		(void)fprintf(to, "%s=%s ", name[i], value[i] ? value[i] : "NULL");
	(void)fputc('\n', to);
	return 0;
}

int dump_catalog(const char *path, char **ret, struct fault *f)
{
	sqlite3 *db = NULL;
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return fault_memory(f);
	int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
	for (size_t i = 0; r == SQLITE_OK && i < sizeof queries / sizeof *queries; i++)
		r = sqlite3_exec(db, queries[i], print_row, to, NULL);
	if (r != SQLITE_OK)
		fault_record(f, FAULT_SYSTEM, SCOPE_ARCHIVE, r, "%s: %s", path, sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	(void)fclose(to);
	if (r != SQLITE_OK) {
		free(text);
		return -1;
	}
	*ret = text;
	return 0;
}

bool dump_difference(const char *one, const char *other, char ret[static 512])
{
	const char *a = one, *b = other;

	while (*one && *one == *other) {
		if (*one == '\n') {
			a = one + 1;
			b = other + 1;
		}
		one++;
		other++;
	}
	if (*one == *other)
		return false;
	(void)snprintf(ret, 512, "%.200s | %.200s", a, b);
	for (char *p = ret; *p; p++)
		*p = *p == '\n' ? ' ' : *p;
	return true;
}
