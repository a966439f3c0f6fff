/* The upkeep child of the runner: at most one. In the runner's process only. */
#pragma once

#include "daemon/upkeep.h"

struct runner_upkeep {
	pid_t pid;   /* 0: none runs */
	int process; /* pidfd */
	int socket;  /* -1: it will say no more */
};

void runner_upkeep_init(struct runner_upkeep *u);
/* Ends it at once, with all that it started. */
void runner_upkeep_deinit(struct runner_upkeep *u);

/* None may run. Returns in both processes. UPKEEP_CHILD: in the new one, and *ret_socket is the one
 * to tell on. FAULT_SYSTEM. */
enum { UPKEEP_CHILD = 1 };
int runner_upkeep_fork(struct runner_upkeep *u, int *ret_socket, struct fault *f) MUST_CHECK;
/* Asks it to end, if one runs. */
void runner_upkeep_stop(const struct runner_upkeep *u);

/* Never blocks. UPKEEP_TOLD with *ret, of which NEWS_ENDED is the last; 0: nothing to do before
 * socket or process is readable. */
enum { UPKEEP_TOLD = 1 };
int runner_upkeep_step(struct runner_upkeep *u, struct upkeep_report *ret);
