/* Files that will not change any more go to the seal-command (popkeep.conf(5)): by the service's
 * upkeep child, and by `popkeep seal` and `repack` where no service runs. */
#pragma once

#include "archive/upkeep.h"

struct handover_job {
	const char *command; /* run by /bin/sh -c; borrowed */
	uint32_t timeout_ms; /* for each file; LIMIT_HANDOVER_MS */
	/* Asked several times a second: nonzero ends it. NULL: nobody asks. */
	int (*stop)(void *context);
	/* The command took it. NULL: nobody wants to know. */
	void (*handed)(void *context, const char *path);
	void *context;
};

/* Hands over all that waits, one after the other, in order; each is remembered at once. 0: nothing
 * waits any more. The first that fails ends it, and so that it is tried again first: FAULT_ACCESS
 * the command ended otherwise than with 0, or took too long; FAULT_INTERRUPT; what store_…()
 * give. How it went is noted as UPKEEP_COMMAND where something waited or it was ill before, but not
 * of FAULT_INTERRUPT, FAULT_BUSY. s is STORE_WRITE. */
int handover_run(struct store *s, const struct handover_job *job, struct fault *f) MUST_CHECK;
