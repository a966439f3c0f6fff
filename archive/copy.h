/* A consistent, incremental, verified copy of an archive while others write to it. What is copied
 * is an archive: open it after `popkeep rebuild`. At every moment of the copying the copy is a
 * legal archive, that of the last time or of this time; the order stands at the top of copy.c. */
#pragma once

#include "archive/store.h"

#include <stdint.h>

struct copy_sums {
	uint64_t segments, ledger_files; /* of the archive */
	uint64_t copied, copied_bytes;	 /* files that were new or grew */
	uint64_t removed;		 /* segments that others replaced */
	uint64_t verified_bytes;	 /* read back from the copy and compared */
};
typedef int copy_progress(void *context, uint64_t done_bytes, uint64_t all_bytes);

/* target: a folder that is made when it is missing, and must be empty or a copy of this archive
 * (FAULT_USAGE otherwise). FAULT_DAMAGE: a file of the archive, or one that was copied before, is
 * not what the ledger says; it is named, and nothing of the copy is replaced by worse. FAULT_BUSY:
 * another job rewrites. progress may be NULL; nonzero stops: FAULT_INTERRUPT. */
int store_copy(struct store *s, const char *target, copy_progress *progress, void *context,
	struct copy_sums *ret, struct fault *f) MUST_CHECK;
