/* Taking turns: open file description locks on single bytes of ARCHIVE/lock. A lock is held for a
 * commit and not for a life. Readers take none. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stdint.h>

enum turn {
	TURN_QUEUE = 0,	      /* waiting for TURN_COMMIT, in order: see turns_take_commit() */
	TURN_COMMIT = 1,      /* ledger, open segments, catalog */
	TURN_MAINTENANCE = 2, /* one job that rewrites segments or databases */
	TURN_REGISTER = 3,    /* giving numbers to maildrops; taken before QUEUE */
	TURN_SERVICE = 4,     /* one popkeepd serves the archive, for as long as it runs */
	TURN_INDEX = 5,	      /* writing search.db */
	TURN_MAILDROPS = 1024 /* + number: one process on a maildrop */
};

/* For a group commit: takes QUEUE, then COMMIT, then lets QUEUE go. With one lock alone a writer
 * that commits in a loop starves the others; here the next one already holds QUEUE when COMMIT
 * becomes free. FAULT_BUSY after wait_ms. */
int turns_take_commit(int lock_fd, int64_t wait_ms, struct fault *f) MUST_CHECK;

/* Any one turn, as above. */
int turn_wait(int lock_fd, enum turn turn, int64_t wait_ms, struct fault *f) MUST_CHECK;

/* TURN_TAKEN when another open file holds it. */
enum { TURN_TAKEN = 1 };
int turn_try(int lock_fd, uint64_t turn, struct fault *f) MUST_CHECK;
void turn_release(int lock_fd, uint64_t turn);

/* TURN_TAKEN when any open file but this one holds it; takes nothing, and lock_fd may be open for
 * reading only. */
int turn_test(int lock_fd, uint64_t turn, struct fault *f) MUST_CHECK;
