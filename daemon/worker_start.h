/* Starting popkeep-worker for a job of archive/seal.h, and ending it. */
#pragma once

#include "archive/limits.h"
#include "archive/seal.h"
#include "daemon/sandbox.h"

#include <limits.h>
#include <sys/types.h>

enum worker_verb { WORKER_SEAL, WORKER_INDEX };

/* Embedded; worker_starter_init() first, or WORKER_STARTER_NONE. */
struct worker_starter {
	enum worker_verb verb; /* SEAL, unless somebody changes it */
	enum sandbox_mode mode;
	int64_t start_ms; /* how long the program may take to say that it is there */
	bool (*stop)(
		void); /* NULL; true while it is waited for: FAULT_INTERRUPT, and it is killed */
	/* What the worker that was started last is shut in with; text "": none was. */
	struct sandbox_state sandbox;
	pid_t pid;   /* 0: none runs */
	int process; /* pidfd */
	struct seal_worker ends;
};

/* Nothing that would have to be ended. */
#define WORKER_STARTER_NONE                                                                        \
	((struct worker_starter){                                                                  \
		.start_ms = LIMIT_WORKER_START_MS, .process = -1, .ends = {-1, -1, -1}})

void worker_starter_init(struct worker_starter *w, enum sandbox_mode mode);
/* Kills the worker that runs, if one does. */
void worker_starter_deinit(struct worker_starter *w);

/* For struct seal_job or, where the verb says so, struct index_job; borrows w. It is for a process
 * with one thread: it forks, and the worker is killed when the thread that started it ends.
 *
 * start(): of fds, scratch, ledger (-1: none) and sources are used; they become the worker's own,
 * as the pipes do, and nothing else: its environment is empty, it has a process group of its own
 * and default signals. When start() returns, the worker said that it is shut in. FAULT_SYSTEM: the
 * program is missing, cannot be run, or is something else; with SANDBOX_REQUIRED, this kernel lacks
 * what it needs. end(): closes the pipes, waits LIMIT_WORKER_STOP_MS, then kills. FAULT_SYSTEM: it
 * was killed, died of a signal or ended with a status other than 0, in words. */
struct seal_starter worker_starter(struct worker_starter *w);

/* Where the program is: $POPKEEP_WORKER, or beside our own (in the same folder, ../daemon,
 * ../libexec/popkeep), or where it was installed. FAULT_SYSTEM: nowhere; or what POPKEEP_WORKER
 * names is no program. */
int worker_find(char ret[static PATH_MAX], struct fault *f) MUST_CHECK;

/* How long a worker may say nothing: $POPKEEP_WORKER_TIMEOUT, a duration as in the configuration,
 * for w where that is shorter, and for struct seal_job (0 where it is not set: LIMIT_WORKER_MS).
 * FAULT_USAGE: it is no duration. */
int worker_patience(struct worker_starter *w, int64_t *ret_silence_ms, struct fault *f) MUST_CHECK;
