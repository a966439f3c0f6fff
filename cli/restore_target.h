/* Where mail is to be brought: what --to says, and how to log in there. */
#pragma once

#include "cli/run.h"
#include "daemon/account.h"

/* Zero-initialise. */
struct restore_target {
	char *maildir;		/* NULL: an IMAP server, which is */
	struct account account; /* ready to be used but for its secret */
	char *folder;		/* in it; NULL: none was named */
	char *place; /* where it is and as whom, without a folder: what the journal is for */
	char *shown; /* the whole of it without a secret, for ledger and people; escaped */
};

/* --to (a URL, or maildir:PATH) with LOGIN_OPTIONS; user: instead of --user, or NULL. FAULT_USAGE.
 */
int restore_target_read(struct restore_target *ret, const char *to, const char *user,
	const struct arguments *args, struct fault *f) MUST_CHECK;
/* place and shown, once account and folder are as they shall be. */
int restore_target_name(struct restore_target *t, struct fault *f) MUST_CHECK;
void restore_target_deinit(struct restore_target *t);

/* The journal of restoring an archive to a place, in `restore` beside the databases. The caller
 * frees it; NULL when out of memory. */
char *restore_journal_path(
	const char *folder, const char *cache_dir, const char *host, const char *place);
