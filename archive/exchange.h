/* The trusted end of a worker's pipes, whatever it works on. What comes out of it is bytes and
 * nothing more; here only time and the end are watched: everything goes through one poll(), the
 * request is written while output is read, and nothing blocks. Inside archive/ only. */
#pragma once

#include "archive/limits.h"
#include "archive/seal.h"

struct exchange_job {
	const struct seal_starter *starter;
	const struct seal_fds *fds; /* what the worker gets: request, out and status are -1 */
	/* Appends the next piece of the request; EXCHANGE_REQUEST_ENDS with the last one. */
	int (*request)(void *context, struct buffer *to, struct fault *f);
	/* The next bytes of the output. */
	int (*take)(void *context, struct slice bytes, struct fault *f);
	/* When nothing has to be done for a moment, and at least every half second. NULL. */
	int (*idle)(void *context, struct fault *f);
	void *context;
	seal_progress *progress; /* NULL; gets what the worker says of itself */
	void *progress_context;
	int64_t silence_ms;  /* without a sign of life; 0: LIMIT_WORKER_MS */
	int64_t deadline_ms; /* monotonic: when it has to be done, alive or not */
};
enum { EXCHANGE_REQUEST_ENDS = 1, EXCHANGE_PIECE = 64 * 1024 };

/* Runs a worker to its end. 0: it said that it is done, and ended well. EXCHANGE_FAILED: it said
 * that it failed, and *f is FAULT_SYSTEM with why. FAULT_SYSTEM: it could not be started, died,
 * hung, or said what it should not; FAULT_INTERRUPT; or what a function of the job gave. */
enum { EXCHANGE_FAILED = 1 };
int exchange_run(const struct exchange_job *job, struct fault *f) MUST_CHECK;

/* "the worker %s"; yields -1. */
int exchange_lie(struct fault *f, const char *what);

/* When a worker that begins now has to be done with so many bytes of mail, and who reads what it
 * made: one that was taken over could stay alive, or make what takes for ever to read, and nobody
 * else would have a turn. Monotonic. */
int64_t exchange_deadline(uint64_t bytes, int64_t silence_ms);
