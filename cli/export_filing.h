/* Where an import says that a message lay, as far as an export tells it: one folder, one set of
 * flags. */
#pragma once

#include "archive/find.h"
#include "cli/json.h"
#include "cli/maildir_letters.h"

/* Zero-initialise. */
struct export_filing {
	struct filing *all;
	size_t n;
	const struct filing *chosen; /* the first that names a folder, or the first; NULL: none */
};
int export_filing_read(struct export_filing *x, struct store *s, const struct message *m,
	struct fault *f) MUST_CHECK;
void export_filing_deinit(struct export_filing *x);
/* "folder", "flags", "received" of a line in the manifest; nothing where none is known. */
void export_filing_tell(const struct export_filing *x, struct json_line *line);

enum { MAILDIR_FOLDER = 224 };
/* The folder in a Maildir++, "" for INBOX, ".Archive.2026/" for others, in modified UTF-7; and
 * letters for the flags, "S" where no import knew any. */
int export_filing_maildir(const struct export_filing *x, char folder[static MAILDIR_FOLDER],
	char flags[static MAILDIR_LETTERS], struct fault *f) MUST_CHECK;
