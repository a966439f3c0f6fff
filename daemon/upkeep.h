/* The archive's upkeep while the service runs: a process of its own, forked by the runner and so
 * outside of the sandbox, that indexes what came, seals what is due, hands files to the
 * seal-command, and ends. It parses no mail: popkeep-worker does. What it did goes to the service
 * by way of the runner, one struct upkeep_report a packet; how it went is noted in the archive too
 * (archive/upkeep.h). */
#pragma once

#include "daemon/config.h"

#include <sys/types.h>

/* What is wanted of it; may be joined by |. */
enum upkeep_wish {
	UPKEEP_SEAL_DUE = 1,
	UPKEEP_HAND_OVER = 2,
	UPKEEP_NOTE = 4, /* nothing but to note that the one before died, and of what; with
			  * UPKEEP_INDEX_NEW: while it indexed */
	UPKEEP_END = 8,	 /* the one that runs is to end */
	UPKEEP_INDEX_NEW = 16,
	UPKEEP_INDEX_ALL = 32, /* likewise, and thoroughly: archive/index.h */
	UPKEEP_WISHES = 64
};

enum upkeep_news {
	NEWS_SEALED = 1,     /* a segment; the text says which */
	NEWS_SEAL_WELL,	     /* nothing that is due is left */
	NEWS_SEAL_FAILED,    /* why */
	NEWS_HANDED,	     /* a file, which the text says, to the seal-command */
	NEWS_COMMAND_WELL,   /* nothing waits for the seal-command any more */
	NEWS_COMMAND_FAILED, /* why */
	NEWS_INDEXED,	     /* some messages; the text says how many */
	NEWS_INDEX_WELL,
	NEWS_INDEX_FAILED, /* why */
	NEWS_BUSY,	   /* another job of this kind is under way: no failure */
	NEWS_WRITE_FAILED, /* to the archive: the service ends, as after a write of its own */
	NEWS_NOTICE,	   /* of the archive, for the log */
	NEWS_SANDBOX,	   /* what popkeep-worker is shut in with */
	NEWS_ENDED,	   /* the last; its text is "" unless it died */
	NEWS_KINDS
};

struct upkeep_report {
	uint32_t news;
	uint32_t code; /* enum fault_code; FAULT_NONE where nothing failed */
	char text[FAULT_TEXT_MAX];
};

/* Borrowed. */
struct upkeep_plan {
	const struct config *config;
	const char *archive;
	unsigned wish;
	const char *note; /* UPKEEP_NOTE */
};

/* Takes over socket (SOCK_SEQPACKET), closes all other descriptors but the first three, and tells
 * all but NEWS_ENDED. SIGTERM, and the death of parent, end it soon: a seal that is under way never
 * happened then. */
_Noreturn void upkeep_process(int socket, pid_t parent, const struct upkeep_plan *plan);
