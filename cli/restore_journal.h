/* What was sent to a mailbox, on disk: what makes restore go on without duplicates, whatever ended
 * it. One file for each target of an archive; its format stands in restore_journal.c. Every line is
 * at most LIMIT_JOURNAL_LINE bytes long; nothing of it is kept in memory here. */
#pragma once

#include "archive/digest.h"
#include "archive/moment.h"

struct journal;

enum journal_kind {
	JOURNAL_FOLDER,	  /* a number for a name: folder, name */
	JOURNAL_MAILBOX,  /* as the server had it when a run began: folder, uid_validity, uid
			   * (UIDNEXT, 0 not told), t */
	JOURNAL_INTENT,	  /* about to be sent: folder, id, digest, size, t */
	JOURNAL_DONE,	  /* it is there: folder, id, digest, size, uid_validity, uid; uid 0: the
			   * server did not say which */
	JOURNAL_COMPARED, /* its bytes were fetched back: folder, id, digest */
	JOURNAL_NOT	  /* an intent that came to nothing for certain: folder, id, digest */
};

struct journal_line {
	enum journal_kind kind;
	uint32_t folder;
	struct slice name; /* borrowed until the next line is read */
	uint64_t id;	   /* of the message: the number of its keep line */
	uint64_t digest;   /* the first bytes of its digest: that the number means the same */
	uint64_t size;	   /* of what is sent, line ends made CRLF */
	uint32_t uid_validity, uid;
	moment_ms t;
};

/* What stands for a digest in a line. */
uint64_t journal_digest(const struct digest *d);

/* Opens it, or makes it (and the folders above). archive: its id; target: without a secret.
 * FAULT_USAGE: it is that of another archive or target, or no journal; FAULT_BUSY: another process
 * writes it; FAULT_SYSTEM. */
int journal_open(const char *path, const char *archive, const char *target, struct journal **ret,
	struct fault *f) MUST_CHECK;
/* What was not written yet is lost. Returns NULL. */
struct journal *journal_close(struct journal *j);
void journal_closep(struct journal **j);

/* The lines that earlier runs wrote, in order. JOURNAL_LINE, or 0 at the end: a torn end was cut
 * then, and lines can be added. Lines that are damaged are passed over. */
enum { JOURNAL_LINE = 1 };
int journal_next(struct journal *j, struct journal_line *ret, struct fault *f) MUST_CHECK;
/* Lines in the middle that were passed over. */
uint64_t journal_damaged(const struct journal *j);

/* Only after journal_next() returned 0. Kept in memory up to JOURNAL_BUFFER. */
int journal_add(struct journal *j, const struct journal_line *line, struct fault *f) MUST_CHECK;
/* All lines so far are written / are durable: what an intent announces may be sent only then.
 * FAULT_WRITE; nothing can be added any more then. */
int journal_flush(struct journal *j, struct fault *f) MUST_CHECK;
int journal_sync(struct journal *j, struct fault *f) MUST_CHECK;
