/* What an export has beside its manifest: SHA256SUMS, as `sha256sum -c` reads it, and summary.txt
 * for people. */
#pragma once

#include "cli/export_format.h"

/* "HEX  NAME", and its LF; a name with a backslash or a line's end as sha256sum escapes it. */
int export_sums_line(
	struct buffer *to, const struct digest *d, const char *name, struct fault *f) MUST_CHECK;

struct export_summary {
	const struct export_job *job;
	const char *format;
	const struct export_totals *totals;
	const struct export_left *left; /* NULL: not known, as of a volume before the last */
	const struct digest *manifest;	/* NULL */
	const char *manifest_name, *sums_name;
	const char *volume; /* the file that this is the summary of, when it is one of several;
			     * NULL */
	uint64_t volumes;   /* how many files there are; 0: they are the messages */
};
int export_summary_text(
	const struct export_summary *s, struct buffer *to, struct fault *f) MUST_CHECK;
enum { EXPORT_SUMMARY_MAX = 16 * 1024 };
