/* Bringing the index up to date: what `popkeep index` does by order, and others in passing. */
#pragma once

#include "archive/index.h"
#include "cli/run.h"

/* For a command that is about to search, or that has brought mail: where this archive may be
 * written and no other process is at it, what is not indexed yet is indexed now, with a progress
 * bar where it takes long. run->store is open in any mode. That it cannot be done is no failure: a
 * note says why, where that is more than that somebody else does it. -1: it was stopped
 * (cli/stop.h), FAULT_INTERRUPT. */
int indexing_catch_up(struct run *run, struct fault *f) MUST_CHECK;

/* The job itself, with run's progress bar and configuration; s is STORE_WRITE. Notices are printed.
 */
int indexing_run(struct run *run, struct store *s, enum index_care care, struct index_result *ret,
	struct fault *f) MUST_CHECK;
