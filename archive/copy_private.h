/* What the parts of copying share. Inside copy*.c only. */
#pragma once

#include "archive/copy.h"
#include "archive/handle.h"

#define FILE_COPYING "copying" /* in a copy: open segments may hold bytes that are not on disk */

enum { COPY_CHUNK = 1024 * 1024 };

/* A segment as it stood when copying began. */
struct copy_segment {
	uint64_t number, length;
	enum segment_state state;
	bool has_digest;
	struct digest digest; /* of the file, of a sealed one */
};

struct copy {
	struct store *s;
	enum copy_depth depth;
	const struct copy_watch *watch;
	const char *target;
	int fd, ledger_fd, segments_fd, lock_fd; /* of the copy */
	bool fresh;				 /* it has no POPKEEP yet */
	bool doubtful;	     /* the last copying ended while open segments were written */
	bool marked;	     /* FILE_COPYING is there */
	struct ledger_at at; /* how far the ledger is committed */
	struct copy_segment *segment;
	size_t segments;
	uint64_t done, all; /* bytes */
	struct copy_sums sums;
	struct hasher *hasher;
	uint8_t *chunk[2];
	struct fault damage; /* the first segment that is damaged, when its code is not NONE */
};

/* ---- copy_target.c: the folder that is copied to --------------------------------------------- */

/* Looks that it may be used, makes what is missing, opens it and takes its turn. */
int copy_open_target(struct copy *c, struct fault *f) MUST_CHECK;
/* The last step: POPKEEP gets its name where it is new, or the archive's text. */
int copy_finish_target(struct copy *c, struct fault *f) MUST_CHECK;
/* A catalog that somebody made there does not fit a ledger that grows. */
int copy_drop_databases(struct copy *c, struct fault *f) MUST_CHECK;

/* ---- copy_bytes.c ---------------------------------------------------------------------------- */

/* A pair of files: the archive's and the copy's. */
struct copy_pair {
	int from, to;
	const char *folder; /* FOLDER_SEGMENTS or FOLDER_LEDGER */
	const char *name;
};

int copy_fault_write(struct copy *c, const char *folder, const char *name, struct fault *f);
/* Counts, shows and asks whether to go on: FAULT_INTERRUPT. */
int copy_progress(struct copy *c, uint64_t bytes, struct fault *f) MUST_CHECK;
void copy_tell(
	struct copy *c, enum copy_deed deed, const char *folder, const char *name, uint64_t bytes);

/* Reads bytes from..end of the archive's file into the same place of the copy's, digested. */
int copy_bytes(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	struct digest *ret, struct fault *f) MUST_CHECK;
/* Syncs the copy's file, and takes it out of the page cache, which proves nothing. */
int copy_sync(struct copy *c, const struct copy_pair *p, struct fault *f) MUST_CHECK;
/* Digests bytes of the copy's file. */
int copy_digest(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	struct digest *ret, struct fault *f) MUST_CHECK;
/* Writes, syncs, reads back and compares. *ret: of what was read. FAULT_WRITE: other bytes came
 * back. */
int copy_verified(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	struct digest *ret, struct fault *f) MUST_CHECK;
/* *ret_same: where the first difference of both lies, or end. */
int copy_compare(struct copy *c, const struct copy_pair *p, uint64_t from, uint64_t end,
	uint64_t *ret_same, struct fault *f) MUST_CHECK;

/* ---- copy_segments.c, copy_ledger.c: copy.c says in which order -------------------------------
 */

int copy_segments(struct copy *c, struct fault *f) MUST_CHECK;
/* Removes segments that the copied ledger says are replaced. */
int copy_remove_replaced(struct copy *c, struct fault *f) MUST_CHECK;
/* The copy's ledger is the beginning of the archive's. Writes nothing. */
int copy_check_ledger(struct copy *c, struct fault *f) MUST_CHECK;
int copy_ledger(struct copy *c, struct fault *f) MUST_CHECK;
/* Committed bytes of one of the archive's ledger files. */
int copy_ledger_length(struct copy *c, uint64_t number, uint64_t *ret, struct fault *f) MUST_CHECK;
