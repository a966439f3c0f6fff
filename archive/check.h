/* Checking an archive against itself, and making its databases again. */
#pragma once

#include "archive/find.h"

enum verify_depth {
	VERIFY_QUICK = 1, /* structure: files and their sizes, the ledger's tree, the ledger against
			   * the catalog, places within their files; no segment is decoded */
	VERIFY_DEFAULT,	  /* and every byte: of sealed segments by the digest of the file and of
			   * each frame, of open ones by decoding and digesting what is in them */
	VERIFY_FULL	  /* and every message put together and digested, and each other entry */
};

/* One finding: damage, or what a person should know. */
struct damage {
	bool has_message;
	struct digest message; /* the message hit */
	uint64_t id;
	char file[64];	   /* "segments/000012.tar.zst"; "": of no file */
	bool has_bytes;	   /* which of its bytes: */
	uint64_t from, to; /* [from, to) */
	char text[512];	   /* what is wrong, and where; safe to print */
	char advice[160];  /* what to do next; may be empty */
};

struct verify_sums {
	uint64_t messages, segments, bytes; /* bytes of mail checked */
	uint64_t frames;		    /* of segments, read whole */
	uint64_t damaged;		    /* findings that are damage */
	uint64_t reread;		    /* read wrong once and right the second time */
	uint64_t notes;			    /* of any other kind */
};

/* Stepwise, so that the caller shows progress and can stop: VERIFY_MORE; VERIFY_DAMAGE or
 * VERIFY_NOTE with *ret_damage filled; 0 at the end. What looks damaged is read again from the disk
 * before it is called so; where it is right then, a note says that. Failures (<0) are those of
 * checking, not of the archive. */
struct verify;
enum { VERIFY_MORE = 1, VERIFY_DAMAGE = 2, VERIFY_NOTE = 3 };
int verify_open(
	struct store *s, enum verify_depth depth, struct verify **ret, struct fault *f) MUST_CHECK;
int verify_step(struct verify *v, struct damage *ret_damage, struct fault *f) MUST_CHECK;
const struct verify_sums *verify_sums(const struct verify *v);
/* Done and all, in bytes of segment files; of the whole round where it goes on from an earlier run.
 */
void verify_progress(const struct verify *v, uint64_t *ret_done, uint64_t *ret_all);
struct verify *verify_close(struct verify *v);
void verify_closep(struct verify **v);

/* ---- Rounds of several runs ------------------------------------------------------------------ */

/* How far a round has come: every run looks at ledger and catalog, and goes on with the segments
 * behind the last one that an earlier run looked at. */
struct scrub {
	moment_ms began;  /* 0: no round is under way */
	uint64_t segment; /* all up to this one were looked at */
	uint64_t done;	  /* bytes of their files */
	uint64_t damaged; /* findings so far */
};

/* Before the first step: goes on with this round, and ends behind the first segment after max_ms
 * (0: never). A segment that was begun is finished, so that each run gets on. */
void verify_go_on(struct verify *v, const struct scrub *round, int64_t max_ms);
/* Where the round stands. VERIFY_ROUND_ENDS: every segment was looked at. */
enum { VERIFY_ROUND_ENDS = 1 };
int verify_round(const struct verify *v, struct scrub *ret);

/* What is remembered of the round of this depth, in the catalog alone. {0} where there is none, or
 * the catalog is of an earlier version. Any mode. */
int store_get_scrub(
	struct store *s, enum verify_depth depth, struct scrub *ret, struct fault *f) MUST_CHECK;
/* Takes the turn. s is STORE_WRITE. round: NULL when it has ended. */
int store_put_scrub(struct store *s, enum verify_depth depth, const struct scrub *round,
	struct fault *f) MUST_CHECK;

/* Makes catalog.db again from ledger and segments, under the lock, and puts it in place whole.
 * ledger_lines, messages: what was read; passed_over: lines too damaged to be used; missing:
 * messages of the ledger that no segment holds whole (then the catalog is made all the same, and
 * verify names them). progress may be NULL. */
struct rebuild_sums {
	uint64_t ledger_lines, messages, missing, passed_over;
};
/* Nonzero stops: FAULT_INTERRUPT, and nothing has changed. */
typedef int rebuild_progress(void *context, uint64_t done_bytes, uint64_t all_bytes);
int store_rebuild(const char *folder, const char *cache_dir, rebuild_progress *progress,
	void *context, struct rebuild_sums *ret, struct fault *f) MUST_CHECK;

/* The same without writing to folder, which may be on a read-only medium and belong to another
 * user: into cache_dir, a new folder of the caller's. Then store_open() with STORE_INSPECT reads
 * it. FAULT_BUSY: a popkeepd or a job that rewrites works on it just now. */
int store_rebuild_into(const char *folder, const char *cache_dir, rebuild_progress *progress,
	void *context, struct rebuild_sums *ret, struct fault *f) MUST_CHECK;

/* ---- The ledger for people ----------------------------------------------------------------- */

/* Committed lines in order, from leaf number `from`. LEDGER_LINE with *ret_line borrowed until the
 * next call (no LF) and its number, or 0 at the end. */
struct ledger_lines;
enum { LEDGER_LINE = 1 };
int ledger_lines_open(
	struct store *s, uint64_t from, struct ledger_lines **ret, struct fault *f) MUST_CHECK;
int ledger_lines_next(struct ledger_lines *l, struct slice *ret_line, uint64_t *ret_number,
	struct fault *f) MUST_CHECK;
struct ledger_lines *ledger_lines_close(struct ledger_lines *l);
void ledger_lines_closep(struct ledger_lines **l);
