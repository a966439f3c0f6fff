/* A command of the configuration, run by /bin/sh -c in a process group of its own, so that what it
 * started goes with it. It has /dev/null as stdin and our stderr, none of our other descriptors,
 * and neither our signal handlers nor our mask. */
#pragma once

#include "archive/bytes.h"

#include <sys/types.h>

struct child {
	pid_t pid;   /* 0: none runs */
	int process; /* pidfd: readable when it has ended */
	int out;     /* what it prints, without blocking; -1: not asked for */
};

#define CHILD_NONE ((struct child){.process = -1, .out = -1})

enum child_output {
	CHILD_PIPE,  /* stdout is read from out */
	CHILD_STDERR /* stdout goes where our stderr goes */
};

/* extra: "NAME=value", ending with NULL, which win over the environment's; or NULL. *ret is
 * child_deinit()'s. FAULT_SYSTEM, FAULT_MEMORY. */
int child_start(const char *command, enum child_output output, char *const *extra,
	struct child *ret, struct fault *f) MUST_CHECK;
/* Ends the group at once (SIGKILL) if the command still runs. Leaves CHILD_NONE. */
void child_deinit(struct child *c);

enum { CHILD_RUNS = 1 };
/* Never blocks. 0: ended with status 0. FAULT_ACCESS, scope account: ended otherwise, and how;
 * FAULT_SYSTEM. What it printed may still be in out. */
int child_end(struct child *c, struct fault *f) MUST_CHECK;
