/* search/search.db: what the headers of kept messages say, for finding them. A cache like the
 * catalog, made again at any time, and never believed: a row counts only where its digest is that
 * of the message. Whoever holds TURN_INDEX writes it; popkeep-worker reads the mail (index_work.h)
 * and says what to write. search_db.h says what is in it.
 *
 * A message that cannot be read (damaged) gets no row and is tried again by later runs. One that
 * was lost loses its row with the next run. */
#pragma once

#include "archive/find.h"
#include "archive/seal.h"

enum index_care {
	INDEX_QUICK,	/* what came since; what could not be read is left alone for an hour */
	INDEX_THOROUGH, /* also compares each row with the catalog, and tries all again */
	INDEX_ANEW	/* all is read again */
};

struct index_job {
	/* As for a seal, but of struct seal_fds only source is used, and scratch and ledger are -1;
	 * the worker is one that indexes. It is started for each LIMIT_INDEX_RUN messages. */
	struct seal_starter starter;
	enum index_care care;
	seal_progress *progress; /* NULL; in messages of this run; nonzero stops it:
				  * FAULT_INTERRUPT, and what was written stays */
	void *progress_context;
	int64_t silence_ms; /* 0: LIMIT_WORKER_MS */
};

struct index_result {
	uint64_t indexed; /* by this run */
	uint64_t removed; /* rows of messages that are not there any more */
	uint64_t failed;  /* could not be read; verify names them */
};

/* Reads what is not indexed yet, in batches that are committed each. s is STORE_WRITE. FAULT_BUSY
 * at once: another process does it. A search.db of another archive, of another version or that is
 * damaged begins anew, and a notice says so. FAULT_SYSTEM: the worker died, hung or lied; nothing
 * of what it said behind the last batch is written. FAULT_WRITE: no room; the archive itself is
 * not touched by it, and the handle goes on. */
int store_index(struct store *s, const struct index_job *job, struct index_result *ret,
	struct fault *f) MUST_CHECK;

/* How far it lags. Any mode, and cheap: nothing is counted. */
struct index_state {
	uint64_t messages; /* kept */
	uint64_t indexed;
	uint64_t unread;  /* of the others: could not be read when that was tried last */
	moment_ms oldest; /* `archived` of the first that is not indexed; 0: all are. While a run is
			   * under way, it may be that of an earlier one */
};
int store_index_state(struct store *s, struct index_state *ret, struct fault *f) MUST_CHECK;

/* What search.db says of one message, for listing, names and restoring. Zero-initialise; texts are
 * UTF-8 without control characters as far as popkeep-worker told the truth, and never safe to
 * print. */
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
