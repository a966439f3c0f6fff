/* Finding kept messages and reading them. */
#pragma once

#include "archive/condition.h"
#include "archive/digest.h"
#include "archive/moment.h"
#include "archive/store.h"

#include <stdbool.h>

/* Where a message lies now. Seal and repack move it: look it up again when it is not there. */
struct location {
	uint64_t segment, frame_offset,
		entry_offset; /* bytes into the file; bytes into the decoded frame */
};

struct message {
	uint64_t id; /* number of its keep line in the ledger */
	struct digest digest;
	uint64_t size_bytes;
	moment_ms archived;
	uint64_t maildrop; /* under which it came first */
	char *account;	   /* that maildrop's name, owned by the cursor or by message_deinit() */
	char *class_;
	struct location at;
	bool located; /* false: kept by the ledger, but not found in any segment: damage */
};
void message_deinit(struct message *m);

enum find_order {
	FIND_NEWEST,  /* the last kept first */
	FIND_BY_PLACE /* as they lie in the segments, so that each frame is decoded once; what lies
		       * in none comes last */
};
struct find_options {
	enum find_order order;
	uint64_t limit; /* 0: all */
};

/* What matches wanted; NULL: all messages. how NULL: newest first, all. Neither is needed any more
 * when it returns. A condition of the header is neither true nor false of a message that search.db
 * does not know, so that nothing is found by it or by its contrary. FAULT_USAGE: an id that is not
 * 1 to 64 hex digits. FAULT_DAMAGE: also of search.db. */
struct find_cursor;
int find_open(struct store *s, const struct condition *wanted, const struct find_options *how,
	struct find_cursor **ret, struct fault *f) MUST_CHECK;
enum { FIND_ROW = 1 };
/* FIND_ROW with *ret borrowed until the next call (do not deinit it), or 0 at the end. */
int find_next(struct find_cursor *c, struct message *ret, struct fault *f) MUST_CHECK;
struct find_cursor *find_close(struct find_cursor *c);
void find_closep(struct find_cursor **c);

/* How many messages match, and their bytes. */
int find_count(struct store *s, const struct condition *wanted, uint64_t *ret_messages,
	uint64_t *ret_bytes, struct fault *f) MUST_CHECK;
/* How many messages are neither found nor left out for certain, because search.db does not know
 * them (yet). */
int find_unindexed(
	struct store *s, const struct condition *wanted, uint64_t *ret, struct fault *f) MUST_CHECK;

/* The one message whose digest begins with these 4 to 64 hex digits. FAULT_USAGE: not hex, or too
 * few; FAULT_MISSING: none; FIND_AMBIGUOUS: more than one. */
enum { FIND_AMBIGUOUS = 1 };
int find_one(struct store *s, const char *hex, struct message *ret, struct fault *f) MUST_CHECK;

/* The names of all accounts under which a message came, the first first, each once; NULL-ended
 * array of strings, to be freed with names_free(). */
int find_accounts(
	struct store *s, const struct message *m, char ***ret, struct fault *f) MUST_CHECK;
void names_free(char **names);

/* What an import knew of a message: under which maildrop, and in which folder it lay there. */
struct filing {
	uint64_t maildrop;
	char *folder; /* UTF-8, "/" between levels; "": none */
	char *flags;  /* those of IMAP, RFC 3501 section 2.3.2, and keywords, separated by single
		       * spaces: "\\Seen $Forwarded"; may be "" */
	moment_ms received; /* 0: not known */
};
/* By maildrop and folder; none for mail that POP3 brought. *ret is an array of *ret_n, to be freed
 * with filings_free(). */
int find_filings(struct store *s, const struct message *m, struct filing **ret, size_t *ret_n,
	struct fault *f) MUST_CHECK;
void filings_free(struct filing *all, size_t n);

/* Reads a message's bytes in order. The digest is checked over all of them: the function fails with
 * FAULT_DAMAGE, naming the message, when they are not what was kept. `sink` gets the bytes in
 * pieces as they are decoded, before the check is complete: it must not let them out of its hands
 * before message_read() returned 0. It returns <0 with *f set to stop. */
typedef int message_sink(void *context, struct slice bytes, struct fault *f);
int message_read(struct store *s, const struct message *m, message_sink *sink, void *context,
	struct fault *f) MUST_CHECK;
/* Checks without giving anything out. */
int message_check(struct store *s, const struct message *m, struct fault *f) MUST_CHECK;
/* Only the first limit bytes, unchecked: for showing headers of many rows quickly. to is cleared
 * first. */
int message_peek(struct store *s, const struct message *m, size_t limit, struct buffer *to,
	struct fault *f) MUST_CHECK;

/* Totals of the catalog. */
struct store_totals {
	uint64_t messages, bytes, segments,
		segment_bytes; /* bytes of mail; bytes of segment files */
};
int store_totals(struct store *s, struct store_totals *ret, struct fault *f) MUST_CHECK;
