/* What seal and repack have in common: the archive open for writing, a worker, and a line for each
 * segment that is made. */
#pragma once

#include "cli/run.h"
#include "daemon/worker_start.h"

/* Embedded; SEALING_NONE at first. */
struct sealing {
	struct run *run;
	const char *label; /* of the progress bar */
	struct worker_starter starter;
	struct seal_job job;
	struct seal_result all; /* of all segments: sources, messages, bytes, sizes */
	uint64_t segments;	/* made */
	bool told;		/* how the worker is shut in */
};

#define SEALING_NONE ((struct sealing){.starter = WORKER_STARTER_NONE})

/* Options that both commands have. */
#define SEALING_OPTIONS                                                                            \
	{"level", 0, "N", "of compression, 1 to 19 (seal-level of the configuration, or 9)"},      \
		{"frame-size", 0, "SIZE",                                                          \
			"of what is decompressed for a message (seal-frame, or 4M)"},              \
	{                                                                                          \
		"no-part-sharing", 0, NULL, "keep every message in a file of its own"              \
	}

/* Reads the options and opens run->store. 0, or what the command exits with: it was said why. From
 * then on Ctrl-C only asks. */
int sealing_begin(struct sealing *s, struct run *run, const char *label);
void sealing_deinit(struct sealing *s);

/* A segment was made. */
void sealing_tell(struct sealing *s, const struct seal_result *r);
/* There is no more to do: the sum, where something was done or --json asks for it. */
void sealing_sum(struct sealing *s);
