/* The writer: one thread with the archive open for writing. It alone waits for locks and disks. The
 * event loop hands it jobs through a bounded queue and takes them back when they are durable. */
#pragma once

#include "archive/batch.h"
#include "daemon/account.h"
#include "daemon/connection.h"

struct intake;

/* network is woken when a job comes back or room is made. Opens the archive (replay included)
 * before it returns: its failures are store_open()'s. */
int intake_open(const char *folder, const char *cache_dir, struct network *network,
	struct intake **ret, struct fault *f) MUST_CHECK;
/* Ends the thread; what is queued is committed first unless the archive failed. */
struct intake *intake_close(struct intake *i);
void intake_closep(struct intake **i);

/* False: stop reading sockets until it is true again. What is put all the same is taken. */
bool intake_has_room(struct intake *i);
/* Takes ownership. It comes back through intake_take() when it is durable. */
void intake_put(struct intake *i, struct item *item);
/* Somebody waits: commit what is queued now and not when a group is full. */
void intake_hurry(struct intake *i);
/* An item that is durable, owned by the caller; NULL when there is none now. */
struct item *intake_take(struct intake *i);

/* Registers the account's maildrop and takes its lock. owner comes back with the answer. */
struct maildrop_answer {
	void *owner;
	int outcome;		  /* MAILDROP_KNOWN and the others of archive/store.h; <0: fault */
	struct maildrop maildrop; /* owned by who takes the answer */
	struct fault fault;	  /* FAULT_BUSY: another process has the maildrop */
};
int intake_ask_maildrop(
	struct intake *i, const struct account *account, void *owner, struct fault *f) MUST_CHECK;
/* True with *ret filled. */
bool intake_take_maildrop(struct intake *i, struct maildrop_answer *ret);
/* Gives the maildrop's lock back. */
void intake_release_maildrop(struct intake *i, uint64_t number);

/* The archive's own notices; the caller frees. */
char *intake_take_notice(struct intake *i);
/* True with *ret set when the writer has failed: nothing more becomes durable. */
bool intake_has_failed(struct intake *i, struct fault *ret);
