/* What `popkeep status` prints of a report, as text and as JSON (JSON.md). */
#pragma once

#include "archive/find.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/service_view.h"
#include "cli/upkeep_view.h"

/* All that is shown, as of one moment. */
struct status {
	struct report report;
	struct store_totals totals;
	struct upkeep_view upkeep;
	struct service_view service;
	char service_notice[FAULT_TEXT_MAX]; /* it runs, and does not answer; "" */
};

/* run->store is open. Zero-initialise *ret. */
int status_read(struct status *ret, struct run *run, const struct report_terms *terms,
	struct fault *f) MUST_CHECK;
void status_deinit(struct status *s);
/* The exit status that it means: STATUS_DONE or STATUS_PARTLY. */
int status_verdict(const struct status *s);

enum status_which { STATUS_NEEDING_ATTENTION, STATUS_ALL };

/* The archive, the sums, a full disk; then each account with what it needs and what to do. Reads
 * the refused and vanished UIDLs of those. */
int status_print_text(struct run *run, const struct status *s, enum status_which which,
	struct fault *f) MUST_CHECK;
/* A line for each account, and the summary. */
void status_print_json(struct run *run, const struct status *s, enum status_which which);
/* Shows it as text on the terminal, again every second, until Ctrl-C. */
int status_watch(struct run *run, const struct report_terms *terms, enum status_which which,
	struct fault *f) MUST_CHECK;
