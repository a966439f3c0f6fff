/* Imports of what `export` wrote: its manifest knows in which folder a message lay, with what
 * flags, and when it was received, where the export's own folders ("2026-11") say nothing of that.
 *
 * A manifest is asked for the digest of what was read, so that it can speak only of bytes that are
 * there, whatever file they came from; and it says no more than the names of files could. */
#pragma once

#include "cli/import_taker.h"
#include "cli/manifest.h"

/* Those that are in force, the innermost last. Embedded; zero-initialise. */
enum { IMPORT_OWN_DEPTH = 8 };
struct import_own {
	struct manifest *manifest[IMPORT_OWN_DEPTH];
	size_t depth; /* those beyond IMPORT_OWN_DEPTH are not asked */
};
void import_own_deinit(struct import_own *o);

/* fd: a manifest, borrowed; scratch: a folder for files without a name. IMPORT_OWN_BAD: it is none,
 * and nothing will be found in it. Each begin, unless it fails, has its end. */
enum { IMPORT_OWN_BAD = 1 };
int import_own_begin(struct import_own *o, int fd, int scratch, struct fault *f) MUST_CHECK;
void import_own_end(struct import_own *o);

/* MANIFEST_FOUND: *ret is of this message, borrowed until the next call. Of mail that was no import
 * it has no folder. */
int import_own_find(struct import_own *o, const struct digest *d, struct manifest_entry *ret,
	struct fault *f) MUST_CHECK;

/* ---- For readers ----------------------------------------------------------------------------- */

/* The manifest beside the file path (from the descriptor at), or that of all volumes where path is
 * one of them ("mail-0002.tar" of "mail.tar"). A descriptor, or -1. */
int import_own_beside(int at, const char *path);
/* That of a folder. */
int import_own_within(int folder);
