#include "cli/export_summary.h"

#include "archive/escape.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <time.h>

/* ---- SHA256SUMS -------------------------------------------------------------------------------
 */

int export_sums_line(struct buffer *to, const struct digest *d, const char *name, struct fault *f)
{
	char hex[DIGEST_HEX + 1];
	bool escaped = strpbrk(name, "\\\n\r");

	digest_hex(d, hex);
	if (buffer_append_format(to, f, "%s%s  ", escaped ? "\\" : "", hex) < 0)
		return -1;
	for (const char *c = name; *c; c++) {
		const char *shown = *c == '\\'	 ? "\\\\"
				    : *c == '\n' ? "\\n"
				    : *c == '\r' ? "\\r"
						 : NULL;

		if (shown ? buffer_append_text(to, shown, f) < 0 : buffer_append(to, c, 1, f) < 0)
			return -1;
	}
	return buffer_append_text(to, "\n", f);
}

/* ---- The summary ------------------------------------------------------------------------------
 */

/* "2026-11-21 20:34:56 +0100", in the zone that the summary names. */
static void format_time(const struct export_job *job, moment_ms t, char *ret, size_t size)
{
	time_t seconds = (time_t)(t / 1000);
	struct tm tm;

	ret[0] = '\0';
	if (export_zone(job) == DATE_UTC ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm))
		(void)strftime(ret, size, "%Y-%m-%d %H:%M:%S %z", &tm);
}

static int add_field(struct buffer *to, const char *name, struct slice text, struct fault *f)
{
	if (buffer_append_format(to, f, "%-14s", name) < 0 || escape_append(to, text, f) < 0)
		return -1;
	return buffer_append_text(to, "\n", f);
}

static int add_who(struct buffer *to, struct fault *f)
{
	char host[256] = "", text[600];
	const struct passwd *user = getpwuid(getuid());
	const char *caller = getenv("SUDO_USER");

	(void)gethostname(host, sizeof host - 1);
	(void)snprintf(text, sizeof text, "%.64s@%.255s%s%.64s%s", user ? user->pw_name : "?", host,
		caller ? " (sudo: " : "", caller ? caller : "", caller ? ")" : "");
	return add_field(to, "By:", slice_text(text), f);
}

static int add_when(const struct export_summary *s, struct buffer *to, struct fault *f)
{
	char now[64], oldest[64], newest[64], zone[32] = "UTC";
	time_t seconds = time(NULL);
	struct tm tm;

	if (export_zone(s->job) == DATE_LOCAL && localtime_r(&seconds, &tm))
		(void)strftime(zone, sizeof zone, "%Z", &tm);
	format_time(s->job, moment_now(), now, sizeof now);
	if (add_field(to, "When:", slice_text(now), f) < 0 ||
		add_field(to, "Time zone:", slice_text(zone), f) < 0)
		return -1;
	if (s->totals->oldest == 0)
		return 0;
	format_time(s->job, s->totals->oldest, oldest, sizeof oldest);
	format_time(s->job, s->totals->newest, newest, sizeof newest);
	return buffer_append_format(to, f, "%-14s%s to %s\n", "Archived:", oldest, newest);
}

static int add_counts(const struct export_summary *s, struct buffer *to, struct fault *f)
{
	char n[TEXT_NUMBER], size[TEXT_NUMBER];

	if (buffer_append_format(to, f, "%-14s%s\n%-14s%" PRIu64 " bytes (%s)\n",
		    "Messages:", text_count(s->totals->messages, n), "Size:", s->totals->bytes,
		    text_size(s->totals->bytes, size)) < 0)
		return -1;
	if (s->left && buffer_append_format(to, f,
			       "%-14s%" PRIu64 " damaged in the archive, %" PRIu64
			       " could not be written\n",
			       "Not exported:", s->left->damaged, s->left->failed) < 0)
		return -1;
	if (s->left && s->left->unindexed &&
		buffer_append_format(to, f,
			"%-14s%" PRIu64 " left out by --accept-unindexed: it is not known whether "
			"the query means them\n",
			"Not indexed:", s->left->unindexed) < 0)
		return -1;
	if (s->volumes &&
		buffer_append_format(to, f, "%-14s%" PRIu64 "\n", "Files:", s->volumes) < 0)
		return -1;
	return s->volume ? add_field(to, "This file:", slice_text(s->volume), f) : 0;
}

int export_summary_text(const struct export_summary *s, struct buffer *to, struct fault *f)
{
	const struct export_job *job = s->job;
	char hex[DIGEST_HEX + 1];

	if (buffer_append_text(to, "Mail exported by popkeep " POPKEEP_VERSION "\n\n", f) < 0 ||
		add_field(to, "Query:", slice_text(job->query[0] ? job->query : "(all messages)"),
			f) < 0 ||
		add_field(to, "Archive:", slice_text(job->archive), f) < 0 ||
		add_field(to, "Archive id:", slice_text(job->archive_id), f) < 0 ||
		add_field(to, "Format:", slice_text(s->format), f) < 0 || add_who(to, f) < 0 ||
		add_when(s, to, f) < 0 || add_counts(s, to, f) < 0)
		return -1;
	if (s->manifest) {
		digest_hex(s->manifest, hex);
		if (buffer_append_format(
			    to, f, "%-14s%s (SHA-256 of the manifest)\n", "Manifest:", hex) < 0)
			return -1;
	}
	if (buffer_append_text(to, "\nEach message has a line in ", f) < 0 ||
		escape_append(to, slice_text(s->manifest_name), f) < 0 ||
		buffer_append_text(to,
			", with the SHA-256 of its own bytes as they were\n"
			"archived. To check that all is as it was written:\n\n    sha256sum -c '",
			f) < 0 ||
		escape_append(to, slice_text(s->sums_name), f) < 0)
		return -1;
	return buffer_append_text(to, "'\n", f);
}
