/* Which mailboxes are to be moved where: a file of comma-separated values (RFC 4180). Its first
 * line names the columns, in any order:
 *
 *	account			an account of the configuration, or of the archive
 *	target			imaps://[user@]host[:port][/Folder], or maildir:PATH
 *	user			the target's user, where the URL has none
 *	password-command	what prints its password; may be left out or empty
 *
 * A field in quotes may hold commas, line ends, and quotes as two. Empty lines are passed over. */
#pragma once

#include "archive/bytes.h"

struct migrate_row {
	char *account, *target;
	char *user, *password_command; /* NULL: not given */
	uint64_t line;		       /* where it begins, from 1 */
};

struct migrate_map {
	struct migrate_row *rows;
	size_t n;
};

/* name: of the file, for messages; safe to print. Zero-initialise *ret. FAULT_USAGE names line and
 * column of what is wrong; FAULT_LIMIT beyond LIMIT_ACCOUNTS rows. */
int migrate_map_parse(
	struct slice text, const char *name, struct migrate_map *ret, struct fault *f) MUST_CHECK;
/* The same of a file, of at most LIMIT_CONFIG_FILE bytes. FAULT_USAGE too where it cannot be read.
 */
int migrate_map_read(const char *path, struct migrate_map *ret, struct fault *f) MUST_CHECK;
void migrate_map_deinit(struct migrate_map *m);
