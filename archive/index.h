/* search/search.db: what the headers of kept messages say, for finding them. A cache like the
 * catalog, made again at any time, and never believed: a row counts only where its digest is that
 *of the message. Whoever holds TURN_INDEX writes it; popkeep-worker reads the mail (index_work.h)
 *and says what to write.
 *
 *	header	id (that of the message), digest, date, received (milliseconds, NULL where the
 *		message has no readable one), sender, recipients, copied, subject, message_id,
 *		attachments (their number), names (of attachments, a line each)
 *	words	FTS5 over sender, recipients, copied, subject, names; content = header
 *	state	archive id
 *
 * A message that cannot be read (damaged) gets no row and is tried again by the next run. */
#pragma once

#include "archive/find.h"
#include "archive/seal.h"

struct index_job {
	/* As for a seal, but of struct seal_fds only request, out, status and source are used. */
	struct seal_starter starter;
	seal_progress *progress; /* NULL; in messages; nonzero stops: FAULT_INTERRUPT, and what
				  * was written stays */
	void *progress_context;
	int64_t silence_ms; /* 0: LIMIT_WORKER_MS */
};

struct index_result {
	uint64_t indexed; /* by this run */
	uint64_t failed;  /* could not be read; verify names them */
};

/* Reads what is not indexed yet, in batches that are committed each. s is STORE_WRITE. FAULT_BUSY
 * at once: another process does it. A search.db of another archive, of an earlier version or that
 * is damaged begins anew. */
int store_index(struct store *s, const struct index_job *job, struct index_result *ret,
	struct fault *f) MUST_CHECK;

/* How far it lags. Any mode. */
struct index_state {
	uint64_t messages; /* kept */
	uint64_t indexed;
	moment_ms oldest; /* `archived` of the first that is not indexed; 0: all are */
};
int store_index_state(struct store *s, struct index_state *ret, struct fault *f) MUST_CHECK;

/* What search.db says of one message, for listing, names and restoring. Zero-initialise; texts are
 * UTF-8 as far as the message said the truth, never safe to print. */
struct indexed {
	bool has_date, has_received;
	moment_ms date, received; /* Date; the topmost Received field that has a date */
	char *from, *to, *cc, *subject;
	char *message_id; /* without angle brackets; "" none */
	uint64_t attachments;
	char *names; /* a line each */
};
void indexed_deinit(struct indexed *x);
/* INDEX_NONE: it is not indexed (yet), or there is no search.db. Any mode. */
enum { INDEX_NONE = 1 };
int store_indexed(
	struct store *s, const struct message *m, struct indexed *ret, struct fault *f) MUST_CHECK;
