/* What `export` can write: one const descriptor for each format. All of them check a message's
 * digest before its bytes are final, write over nothing, keep a manifest, and go on where an
 * interrupted run of the same export ended. */
#pragma once

#include "archive/find.h"

/* Each format embeds it as the first member of what it opens. */
struct export_target {
	const struct export_format *format;
	size_t earlier; /* messages that an earlier run wrote */
};

enum export_end { EXPORT_WHOLE, EXPORT_STOPPED };
enum { EXPORT_PRESENT = 1 };

struct export_format {
	const char *name;
	const char *origin; /* what it adds to the text that says which export this is */

	/* origin: of which archive, query and format it is. FAULT_USAGE: there is something else.
	 * FAULT_SYSTEM: it cannot be read or written. FAULT_BUSY: another process writes it. */
	int (*open)(
		const char *path, const char *origin, struct export_target **ret, struct fault *f);
	/* Writes a message and its line, unless an earlier run did: EXPORT_PRESENT. accounts:
	 * NULL-ended, as find_accounts() gives them. FAULT_DAMAGE, or SCOPE_MESSAGE: nothing of it
	 * was written, others can be. */
	int (*add)(struct export_target *to, struct store *s, const struct message *m,
		char *const *accounts, struct fault *f);
	/* Makes all durable; EXPORT_WHOLE also gives it its name where it has none yet. */
	int (*finish)(struct export_target *to, enum export_end end, struct fault *f);
	void (*close)(struct export_target *to); /* frees it */
};

extern const struct export_format export_eml, export_maildir, export_mboxrd;

/* Ended by NULL. */
extern const struct export_format *const export_formats[];
/* NULL: none of that name. */
const struct export_format *export_format_named(const char *name);

/* For `struct export_target *x CLEANUP(export_target_closep) = NULL`. */
void export_target_closep(struct export_target **to);

/* ---- For the formats ------------------------------------------------------------------------- */

/* The file beside an export that says of which it is. Folders are descriptors, borrowed; shown is
 * the export's name for messages. >0: there is no such file any more; one that was begun and not
 * ended is removed. FAULT_USAGE: of another export. */
int export_origin_check(int folder, const char *name, const char *origin, const char *shown,
	struct fault *f) MUST_CHECK;
/* Durable when it returns. */
int export_origin_write(int folder, const char *name, const char *origin, const char *shown,
	struct fault *f) MUST_CHECK;
