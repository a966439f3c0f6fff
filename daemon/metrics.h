/* What Prometheus sees: a text file for the textfile collector of node_exporter. Every metric has
 * the label `archive`, so that the files of several services go together. */
#pragma once

#include "archive/bytes.h"
#include "archive/maildrop.h"
#include "daemon/hindrance.h"
#include "daemon/schedule.h"

struct metrics_account {
	const char *name;
	enum schedule_state state;
	struct sums sums;
	moment_ms succeeded; /* last poll that went well; 0: none, and nothing is written */
	uint64_t failures;   /* in a row */
};

enum metrics_flag { METRICS_NO, METRICS_YES };

/* All borrowed. */
struct metrics {
	const char *archive; /* the folder */
	const struct metrics_account *accounts;
	size_t accounts_n;
	/* Since the service's start: */
	uint64_t fetched_messages, fetched_bytes;
	uint64_t polls[HINDRANCE_STOPPED + 1]; /* that ended so */
	/* Now: */
	uint64_t sessions, disk_free_bytes;
	enum metrics_flag disk_full, config_broken;
	/* Sealing: since the service's start, then now */
	uint64_t sealed_segments, seal_failures, command_failures;
	uint64_t unsealed_segments, unsealed_messages, unsealed_bytes;
	moment_ms seal_succeeded, verify_succeeded; /* 0: never, and nothing is written */
	enum metrics_flag seal_failing, command_failing;
	/* The index */
	uint64_t index_failures, not_indexed;
	enum metrics_flag index_failing;
};

/* Appends the exposition format 0.0.4. FAULT_LIMIT, FAULT_MEMORY. */
int metrics_format(const struct metrics *m, struct buffer *to, struct fault *f) MUST_CHECK;
/* Puts the text in place of path's file, mode 0644, at once or not at all. FAULT_SYSTEM. */
int metrics_write(const char *path, struct slice text, struct fault *f) MUST_CHECK;
/* The service ends: a file that stays would say it is up. */
void metrics_remove(const char *path);
