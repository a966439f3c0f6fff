/* How the archive's own upkeep went lately: sealing, checking, handing files to the seal-command,
 * indexing. Of the catalog alone, as health.h: no line of the ledger says it. */
#pragma once

#include "archive/limits.h"
#include "archive/moment.h"
#include "archive/store.h"

enum upkeep_job { UPKEEP_SEAL = 1, UPKEEP_VERIFY, UPKEEP_COMMAND, UPKEEP_INDEX };

struct upkeep {
	moment_ms tried;      /* the last time; 0: never */
	moment_ms succeeded;  /* the last time that it went well; 0: never */
	enum fault_code code; /* of the last time; FAULT_NONE: it went well */
	char text[512];	      /* why not; safe to print; what is beyond is cut */
};

/* Takes the turn, and writes neither ledger nor segments. s is STORE_WRITE. outcome: NULL where it
 * went well. */
int store_put_upkeep(struct store *s, enum upkeep_job job, const struct fault *outcome,
	struct fault *f) MUST_CHECK;
/* {0} where it never ran, or the catalog is of an earlier version. Any mode. */
int store_get_upkeep(
	struct store *s, enum upkeep_job job, struct upkeep *ret, struct fault *f) MUST_CHECK;

/* ---- What waits to be sealed ------------------------------------------------------------------
 */

/* An open segment, or one that is closed to appending and not sealed yet. */
struct unsealed {
	uint64_t segment;
	char class_[(LIMIT_CLASS + 1) * 4]; /* safe to print */
	uint64_t messages, bytes;	    /* of mail */
	moment_ms first;		    /* when its first message was archived */
};
/* The next one above `after` that holds mail: UNSEALED_SEGMENT, or 0. Any mode; 0 where the catalog
 * is of an earlier version. */
enum { UNSEALED_SEGMENT = 1 };
int store_next_unsealed(
	struct store *s, uint64_t after, struct unsealed *ret, struct fault *f) MUST_CHECK;

/* ---- Files for the seal-command ---------------------------------------------------------------
 */

/* The first sealed segment or closed ledger file, in this order by number, that was not handed over
 * yet: HANDOVER_FILE with its path ("segments/000012.tar.zst") in the archive, or 0. A ledger file
 * is closed when a later one has begun. Files that are gone are passed over: verify names them. Any
 * mode. */
enum { HANDOVER_FILE = 1, HANDOVER_PATH = 64 };
int store_next_handover(
	struct store *s, char ret_path[static HANDOVER_PATH], struct fault *f) MUST_CHECK;
/* It was. Remembered in the catalog: after `rebuild` all are handed over again. s is STORE_WRITE.
 */
int store_handed_over(struct store *s, const char *path, struct fault *f) MUST_CHECK;
