/* A consistent, incremental, verified copy of an archive while others write to it. What is copied
 * is an archive: open it after `popkeep rebuild`. At every moment of the copying the copy is a
 * legal archive, that of the last time or of this time; the order stands at the top of copy.c. */
#pragma once

#include "archive/store.h"

#include <stdint.h>

enum copy_depth {
	COPY_NEW, /* of what the copy has already, lengths, ends and the last ledger file are
		   * compared */
	COPY_FULL /* all of it is read and compared; damaged files are copied again */
};

/* What was done to a file of the copy. */
enum copy_deed {
	COPY_MADE,     /* it was not there, or not whole */
	COPY_GREW,     /* its new end was copied */
	COPY_MENDED,   /* it was there with other bytes, and was copied again */
	COPY_REMOVED,  /* a segment that another one replaced */
	COPY_SET_ASIDE /* one that salvage replaced: kept under the name *.damaged, since it may be
			* whole here */
};
struct copy_watch {
	/* May be NULL; nonzero stops: FAULT_INTERRUPT. */
	int (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
	/* May be NULL. path: in the archive, "segments/000012.tar.zst"; bytes that were written. */
	void (*file)(void *context, enum copy_deed deed, const char *path, uint64_t bytes);
	void *context;
};

struct copy_sums {
	uint64_t segments, ledger_files; /* of the archive */
	uint64_t copied, copied_bytes;	 /* files that were new or grew */
	uint64_t mended;		 /* files that had other bytes */
	uint64_t removed;		 /* segments that others replaced */
	uint64_t verified_bytes;	 /* read back from the copy and compared */
};

/* target: a folder that is made when it is missing (the one above it must be there: what is not
 * mounted is not written to), and must be empty or a copy of this archive (FAULT_USAGE otherwise).
 * FAULT_DAMAGE: a file of the archive, or one that was copied before, is not what it was; it is
 * named, nothing of the copy is replaced by worse, and the copy stays that of the last time, with
 * the whole ones of the new segments beside. FAULT_BUSY: another job rewrites, or somebody uses the
 * copy as an archive. FAULT_WRITE: the target is full or broken. After any of them the same call
 * goes on where this one stopped. s is STORE_WRITE. watch may be NULL. */
int store_copy(struct store *s, const char *target, enum copy_depth depth,
	const struct copy_watch *watch, struct copy_sums *ret, struct fault *f) MUST_CHECK;
