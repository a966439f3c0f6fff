/* Checking an archive against itself, and making its databases again. */
#pragma once

#include "archive/find.h"

enum verify_depth {
	VERIFY_QUICK, /* structure: ledger's tree, sizes, positions; no segment is decoded */
	VERIFY_FULL   /* every frame decoded, every message digested */
};

/* One finding. */
struct damage {
	bool has_message;
	struct digest message; /* the message hit */
	uint64_t id;
	char text[256]; /* what is wrong, where; safe to print */
};

struct verify_sums {
	uint64_t messages, segments, bytes, damaged; /* bytes of mail checked; damaged: findings */
};

/* Stepwise, so that the caller shows progress and can stop: VERIFY_MORE, VERIFY_DAMAGE with
 * *ret_damage filled, 0 at the end. Failures (<0) are those of checking, not of the archive. */
struct verify;
enum { VERIFY_MORE = 1, VERIFY_DAMAGE = 2 };
int verify_open(
	struct store *s, enum verify_depth depth, struct verify **ret, struct fault *f) MUST_CHECK;
int verify_step(struct verify *v, struct damage *ret_damage, struct fault *f) MUST_CHECK;
const struct verify_sums *verify_sums(const struct verify *v);
/* Done and all, in bytes of segment files. */
void verify_progress(const struct verify *v, uint64_t *ret_done, uint64_t *ret_all);
struct verify *verify_close(struct verify *v);
void verify_closep(struct verify **v);

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
