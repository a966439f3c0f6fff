/* What `popkeep status` prints of a report, as text and as JSON (JSON.md). */
#pragma once

#include "archive/find.h"
#include "cli/report.h"
#include "cli/run.h"

enum status_which { STATUS_NEEDING_ATTENTION, STATUS_ALL };

/* The archive, the sums, a full disk; then each account with what it needs and what to do. Reads
 * the refused and vanished UIDLs of those. */
int status_print_text(struct run *run, const struct report *r, const struct store_totals *totals,
	enum status_which which, struct fault *f) MUST_CHECK;
/* A line for each account, and the summary. */
void status_print_json(struct run *run, const struct report *r, const struct store_totals *totals,
	enum status_which which);

/* "login refused", "server not reached": what a poll failed of, in words. */
const char *status_words(enum fault_code code);
