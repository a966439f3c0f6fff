/* popkeep-worker: the helper that takes mail apart. It is started by worker_start.h with all that
 * it works on as descriptors:
 *
 *	popkeep-worker seal|index required|best SOURCES
 *
 *	0  the request	1  the output	2  /dev/null	3  status
 *	4  scratch	5  LEDGER	6… SOURCES segments, for reading
 *
 * (archive/seal_work.h and archive/index_work.h say what goes over them; who indexes gets /dev/null
 * for 4 and 5.) It shuts itself in before it reads a byte, and
 * says how on the status pipe, before all else, in one line:
 *
 *	popkeep-worker 1 complete|incomplete <what its sandbox is made of>
 *	failed <why there is none>
 */
#pragma once

/* The line's beginning; the number changes with what is said over the descriptors. */
#define WORKER_GREETING "popkeep-worker 1 "

enum {
	WORKER_REQUEST,
	WORKER_OUT,
	WORKER_STDERR,
	WORKER_STATUS,
	WORKER_SCRATCH,
	WORKER_LEDGER,
	WORKER_SOURCE
};

/* The whole program; never returns to code that expects more than its exit status. 0: done; 1: not,
 * and the status pipe says why; 2: nobody calls it so. */
int worker_main(int argc, char **argv);
