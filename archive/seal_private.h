/* The parts of a seal. A plan says what goes into the new segment, whoever chose it; the rest is
 * the same for seal, repack and salvage. Inside archive/ only. */
#pragma once

#include "archive/handle.h"
#include "archive/limits.h"
#include "archive/seal.h"

/* ---- What goes in: seal_plan.c --------------------------------------------------------------- */

struct seal_source {
	struct segment_row row; /* as it was when the plan was made */
	int fd;			/* for reading */
	size_t first, mails;	/* of the plan's */
};

/* Where a message of the plan was found in the new file. */
struct seal_place {
	uint64_t frame_offset, entry_offset, frames_end;
	uint64_t id; /* of its row; in the turn that moves it */
	bool found;
};

/* Embedded; seal_plan_init() first. */
struct seal_plan {
	struct seal_source source[LIMIT_REPACK_SOURCES];
	size_t sources;
	struct seal_mail *mail; /* in order of source and place */
	size_t mails, mails_size;
	uint32_t *by_digest; /* indexes of them; after seal_plan_finish() */
	struct seal_place *place;
	uint64_t bytes; /* of mail */
	char class_[LIMIT_CLASS + 1];
	struct ledger_at known; /* the ledger's end when the plan was made */
	uint64_t *maildrop;	/* of the messages, rising */
	size_t maildrops, maildrops_size;
	int ledger_fd; /* the bytes of LEDGER; unlinked */
	uint64_t ledger_size;
	struct digest ledger_digest;
	/* What the group says before its `seal`, borrowed: messages of the sources that are not in
	 * the plan. */
	const struct event *lost;
	size_t losts;
};
void seal_plan_init(struct seal_plan *p);
void seal_plan_deinit(struct seal_plan *p);

/* Adds a segment with all of its messages, as the catalog has them. Rising numbers; in a
 * transaction. FAULT_DAMAGE, naming the segment: it is not there, or shorter than it was, or a
 * message that was never found may lie in it. FAULT_LIMIT: too many messages. */
int seal_plan_add(struct seal_plan *p, struct store *s, const struct segment_row *row,
	struct fault *f) MUST_CHECK;
/* The parts of the above, for who chooses messages: a source, then its messages in order. */
int seal_plan_add_source(struct seal_plan *p, struct store *s, const struct segment_row *row,
	struct fault *f) MUST_CHECK;
int seal_plan_add_mail(struct seal_plan *p, const struct message *m, struct fault *f) MUST_CHECK;
/* A message that was never found may lie in it, as far as the catalog can say. */
enum { SEAL_ASTRAY = 1 };
int seal_look_astray(struct store *s, const struct segment_row *row, struct fault *f) MUST_CHECK;
/* After the last one. No turn is needed: makes the bytes of LEDGER. FAULT_DAMAGE: the ledger is
 * damaged. FAULT_WRITE: no room for them. */
int seal_plan_finish(struct seal_plan *p, struct store *s, struct fault *f) MUST_CHECK;
/* Index of the message, or >= mails. */
size_t seal_plan_find(const struct seal_plan *p, const struct digest *d);

/* The bytes of LEDGER: seal_ledger.c. */
int seal_write_ledger(struct seal_plan *p, struct store *s, struct fault *f) MUST_CHECK;
int seal_add_maildrop(struct seal_plan *p, uint64_t maildrop, struct fault *f) MUST_CHECK;

/* ---- The file: seal_exchange.c, seal_check.c ---------------------------------------------------
 */

struct sealed_file {
	uint64_t size;
	struct digest digest;
};
/* Has a worker write it as segments/seal.tmp; durable when it returns. When it fails the file is
 * gone. FAULT_SYSTEM: the worker died, hung or lied; FAULT_WRITE: no room. */
int seal_exchange(struct store *s, struct seal_plan *p, const struct seal_job *job,
	struct sealed_file *ret, struct fault *f) MUST_CHECK;
/* When a worker that begins now has to be done with the plan, and likewise who reads what it made:
 * one that was taken over could stay alive, or make what takes for ever to read, and nobody else
 * would have a turn. Monotonic. */
int64_t seal_deadline(const struct seal_plan *p, const struct seal_job *job);
/* Reads segments/seal.tmp back from the disk: it is what the plan asks for and nothing else. Fills
 * p->place. FAULT_SYSTEM: it is not. */
int seal_check(struct store *s, struct seal_plan *p, const struct seal_job *job,
	const struct sealed_file *file, struct fault *f) MUST_CHECK;
/* Every message of the plan as it lies in its source. FAULT_DAMAGE names the first that is not
 * whole. */
int seal_check_sources(struct store *s, struct seal_plan *p, struct fault *f) MUST_CHECK;

/* ---- Placement: seal_place.c ------------------------------------------------------------------
 */

/* What is done in a turn to commit, brought up to date, in the catalog's transaction, which is
 * committed when it returns 0 and rolled back when it fails. A FAULT_WRITE of it ends the handle.
 */
struct seal_turn {
	struct ledger_at at;
	enum ledger_roll roll;
	bool wrote; /* a group */
};
typedef int seal_turn_work(struct store *s, struct seal_turn *turn, void *context, struct fault *f);
int seal_in_turn(struct store *s, seal_turn_work *work, void *context, struct fault *f) MUST_CHECK;
/* For the work: a group of the ledger. An event is applied when it is added; a SEAL says how many
 * messages it moved (NULL: of no interest). seal_group_write() makes the group durable. */
int seal_group_begin(struct store *s, const struct seal_turn *turn, struct ledger_group *g,
	moment_ms now, struct fault *f) MUST_CHECK;
int seal_group_add(struct store *s, struct ledger_group *g, const struct event *e,
	uint64_t *ret_moved, struct fault *f) MUST_CHECK;
int seal_group_write(struct store *s, struct seal_turn *turn, struct ledger_group *g, moment_ms now,
	struct fault *f) MUST_CHECK;

/* Steps 4 to 7. FAULT_BUSY: what the plan was made of has changed meanwhile. */
int seal_place(struct store *s, struct seal_plan *p, const struct sealed_file *file,
	uint64_t *ret_number, struct fault *f) MUST_CHECK;

/* Files of rows that are REPLACED, then the rows. Under TURN_MAINTENANCE. p: only those that it
 * replaced, a moment after its file was read back; NULL: all of them, once each was looked at. */
int seal_remove_replaced(struct store *s, const struct seal_plan *p, struct fault *f) MUST_CHECK;
/* What a replaced file has and nobody else has whole (the new one was damaged since) counts there
 * again. SEAL_NEEDED: there was such, and its row is none of a replaced one any more. */
enum { SEAL_NEEDED = 1 };
int seal_keep_needed(struct store *s, uint64_t number, struct fault *f) MUST_CHECK;
/* All of store_tidy(), under TURN_MAINTENANCE. */
int seal_tidy(struct store *s, struct fault *f) MUST_CHECK;

/* ---- The whole: seal.c ------------------------------------------------------------------------
 */

/* Steps 2 to 7 for a plan whose open segments are closed. Under TURN_MAINTENANCE. */
int seal_make(struct store *s, struct seal_plan *p, const struct seal_job *job,
	struct seal_result *ret, struct fault *f) MUST_CHECK;
