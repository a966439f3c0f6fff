/* Sealing: the side that is trusted. It says what goes into a sealed segment, takes the bytes from
 * a worker, writes them, reads them back, checks each message, and only then puts the file in
 * place: FORMAT.md, "Sealing"; the steps stand at the top of seal.c. Ingest goes on meanwhile. */
#pragma once

#include "archive/seal_work.h"
#include "archive/store.h"

/* A worker that was started: popkeep-worker, or in tests whatever says that it is one. */
struct seal_worker {
	int request, out, status; /* our ends of the pipes, owned by the starter */
};
/* Starts one that has these descriptors as its own; called once for each segment that is made.
 * end(): the job is over, well or not; the worker must be gone when it returns. */
struct seal_starter {
	int (*start)(void *context, const struct seal_fds *fds, struct seal_worker *ret,
		struct fault *f);
	/* 0, or <0 with *f: it did not end as one that did its work. */
	int (*end)(void *context, struct fault *f);
	void *context;
};

typedef int seal_progress(void *context, uint64_t done_bytes, uint64_t all_bytes);

struct seal_job {
	struct seal_options options;
	struct seal_starter starter;
	seal_progress *progress; /* NULL; nonzero stops the job: FAULT_INTERRUPT */
	void *progress_context;
	int64_t silence_ms; /* of a worker, before it is given up; 0: LIMIT_WORKER_MS */
};

struct seal_result {
	uint64_t segment;	  /* the new number */
	uint64_t sources;	  /* segments that it replaces */
	uint64_t messages, bytes; /* of mail */
	uint64_t from_size, size; /* of the files before and after */
};

/* Which open segments: one is due with so much mail, or when its first message was archived so long
 * ago. {0, 0}: each that holds mail. */
struct seal_due {
	uint64_t bytes;
	int64_t age_ms;
};

/* SEAL_NOTHING: none is due. s is STORE_WRITE. Looks at the catalog alone. */
enum { SEAL_NOTHING = 1 };
int store_seal_is_due(struct store *s, const struct seal_due *due, struct fault *f) MUST_CHECK;

/* Seals one open segment that is due: 0, and *ret says how; SEAL_NOTHING. FAULT_BUSY: another job
 * held TURN_MAINTENANCE for LIMIT_MAINTENANCE_MS. FAULT_WRITE: disk full or broken; where it hit a
 * commit the handle is dead, as in store_commit(). Anything else: the open segment stays, and can
 * be sealed later; FAULT_DAMAGE: a message of it is damaged. Call again for the next. */
int store_seal(struct store *s, const struct seal_due *due, const struct seal_job *job,
	struct seal_result *ret, struct fault *f) MUST_CHECK;

/* Merges small sealed segments of one class and month (of their first message) into one, at most
 * `bytes` of mail. Likewise. */
int store_repack(struct store *s, uint64_t bytes, const struct seal_job *job,
	struct seal_result *ret, struct fault *f) MUST_CHECK;

/* Removes what jobs that died left behind: FORMAT.md, "Sealing". Each of the above does it first.
 */
int store_tidy(struct store *s, struct fault *f) MUST_CHECK;
