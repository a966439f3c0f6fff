/* The parts of index.h: which messages are read (index_plan.c), what is written of what a worker
 * says of them (index_write.c), and the whole (index.c). Inside archive/ only. */
#pragma once

#include "archive/handle.h"
#include "archive/index.h"
#include "archive/index_record.h"
#include "archive/index_work.h"
#include "archive/search_db.h"

struct planned {
	struct seal_mail mail;
	uint64_t id;
};

/* What one worker reads. {0} at first, but for index_plan_init(). */
struct index_plan {
	struct planned *mail; /* in order of source and place */
	size_t mails, mails_size;
	uint64_t bytes;
	int fd[LIMIT_REPACK_SOURCES];
	uint64_t segment[LIMIT_REPACK_SOURCES];
	size_t sources;
	uint64_t last; /* it goes up to this id; 0: to none */
	struct digest last_digest;
};
void index_plan_init(struct index_plan *p);
void index_plan_deinit(struct index_plan *p);

/* Which messages: those that nobody looked at, or those that could not be read before `before`. */
enum index_which { INDEX_NEW, INDEX_AGAIN };
/* The next ones behind `after`, as many as one worker takes, where they lie now. What lies nowhere
 * is noted as unread at once, and rows that are wrong are deleted; both are in the transaction of d
 * that must be open, and *state follows. */
int index_plan_make(struct index_plan *p, struct store *s, struct search_db *d,
	enum index_which which, uint64_t after, moment_ms before, struct search_state *state,
	struct fault *f) MUST_CHECK;

/* ---- index_write.c --------------------------------------------------------------------------- */

/* What a worker said of messages of a plan, until it is committed. */
struct index_rows;
int index_rows_new(struct store *s, struct search_db *d, const struct index_plan *p,
	enum index_which which, struct search_state *state, struct index_result *sum,
	struct index_rows **ret, struct fault *f) MUST_CHECK;
struct index_rows *index_rows_free(struct index_rows *r);
void index_rows_freep(struct index_rows **r);
/* Output of the worker. FAULT_SYSTEM: it lies. */
int index_rows_take(struct index_rows *r, struct slice bytes, struct fault *f) MUST_CHECK;
/* Commits what is there. */
int index_rows_commit(struct index_rows *r, struct fault *f) MUST_CHECK;
/* The worker is done: each message of the plan has its record, or it lied. Commits the rest. */
int index_rows_end(struct index_rows *r, struct fault *f) MUST_CHECK;

/* A message that cannot be read. In a transaction. */
int index_put_again(struct search_db *d, uint64_t id, const struct digest *digest, moment_ms tried,
	struct fault *f) MUST_CHECK;
int index_delete_again(struct search_db *d, uint64_t id, struct fault *f) MUST_CHECK;

/* ---- index_check.c ---------------------------------------------------------------------------
 */

/* Rows of messages that were lost go. */
int index_forget_lost(struct store *s, struct search_db *d, struct search_state *state,
	struct index_result *sum, struct fault *f) MUST_CHECK;
/* Each row against the catalog. What is wrong goes, and what has none is noted as unread. */
int index_compare(struct store *s, struct search_db *d, struct search_state *state,
	struct index_result *sum, struct fault *f) MUST_CHECK;
