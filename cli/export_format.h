/* What `export` can write: one const descriptor for each format. All of them check a message's
 * digest before its bytes are final, write over nothing, keep a manifest, and go on where an
 * interrupted run of the same export ended. popkeep.1, "EXPORTS", says what lies where. */
#pragma once

#include "archive/find.h"
#include "cli/date.h"
#include "cli/output.h"

/* What is exported, and where to. All borrowed. */
struct export_job {
	const char *path;
	const char *origin;  /* of which archive, query and format it is */
	const char *query;   /* canonical; "" is all messages */
	const char *archive; /* its folder */
	const char *archive_id;
	const struct output *out; /* says in which zone dates are written */
	uint64_t split;		  /* bytes of a file, 0: no end; only where the format splits */
	uint64_t expected;	  /* messages, more or less */
};

static inline enum date_zone export_zone(const struct export_job *job)
{
	return job->out->utc ? DATE_UTC : DATE_LOCAL;
}

/* Messages that are in an export, those of earlier runs too. */
struct export_totals {
	uint64_t messages, bytes;
	moment_ms oldest, newest; /* by time of archiving */
};
void export_totals_add(struct export_totals *t, uint64_t size, moment_ms archived);

/* Messages that were wanted and are not in it. */
struct export_left {
	uint64_t damaged, failed;
	uint64_t unindexed; /* when it began: nobody knows whether the query means them */
};

/* Each format embeds it as the first member of what it opens. */
struct export_target {
	const struct export_format *format;
	size_t earlier; /* messages that an earlier run wrote */
	struct export_totals totals;
};

enum export_splits { EXPORT_NO_SPLIT, EXPORT_SPLITS };
enum { EXPORT_PRESENT = 1 };

struct export_format {
	const char *name;
	const char *origin; /* what it adds to the text that says which export this is */
	enum export_splits splits;

	/* FAULT_USAGE: there is something else. FAULT_SYSTEM: it cannot be read or written.
	 * FAULT_BUSY: another process writes it. EXPORT_PRESENT: an earlier run ended it, and
	 * nothing can be added: finish() is all that may be called. */
	int (*open)(const struct export_job *job, struct export_target **ret, struct fault *f);
	/* Writes a message and its line, unless an earlier run did: EXPORT_PRESENT. accounts:
	 * NULL-ended, as find_accounts() gives them. FAULT_DAMAGE, or SCOPE_MESSAGE: nothing of it
	 * was written, others can be. */
	int (*add)(struct export_target *to, struct store *s, const struct message *m,
		char *const *accounts, struct fault *f);
	/* Makes durable what is there, so that the same export goes on behind it. */
	int (*stop)(struct export_target *to, struct fault *f);
	/* All messages are in it: makes it whole and durable, but for its last name. *ret: the
	 * digest of its manifest. EXPORT_PRESENT: an earlier run did, and nothing came since. */
	int (*finish)(struct export_target *to, const struct export_left *left, struct digest *ret,
		struct fault *f);
	/* After finish(), and when the ledger knows of it. */
	int (*publish)(struct export_target *to, struct fault *f);
	void (*close)(struct export_target *to); /* frees it */
};

extern const struct export_format export_eml, export_maildir, export_mboxrd, export_tar,
	export_tar_zst, export_zip;

/* Ended by NULL. */
extern const struct export_format *const export_formats[];
/* NULL: none of that name. */
const struct export_format *export_format_named(const char *name);

/* For `struct export_target *x CLEANUP(export_target_closep) = NULL`. */
void export_target_closep(struct export_target **to);
