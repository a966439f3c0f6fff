/* What a restore tells people and programs. */
#pragma once

#include "cli/restore.h"
#include "cli/run.h"

struct restore_report {
	struct run *run;
	const char *shown; /* the target, safe to print */
	bool dry;
};

/* For restore_execute(). */
struct restore_watch restore_report_watch(struct restore_report *r);
/* The last lines. how: FAULT_NONE, or why it did not go on. */
void restore_report_end(
	struct restore_report *r, const struct restore_sums *sums, const struct fault *how);
/* The exit status that goes with it. */
int restore_status(const struct restore_sums *sums, const struct fault *how);
