/* The text exposition format 0.0.4, prometheus.io/docs/instrumenting/exposition_formats: for each
 * metric HELP, TYPE, and then all its samples in one piece. */
#include "daemon/metrics.h"

#include "archive/escape.h"
#include "archive/file.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const states[] = {
	[SCHEDULE_WELL] = "well",
	[SCHEDULE_FAILING] = "failing",
	[SCHEDULE_ATTENTION] = "attention",
};

static const char *const outcomes[] = {
	[HINDRANCE_NONE] = "well",
	[HINDRANCE_PASSING] = "passing",
	[HINDRANCE_LOGIN] = "login",
	[HINDRANCE_IN_USE] = "in_use",
	[HINDRANCE_TOO_SOON] = "too_soon",
	[HINDRANCE_PERSON] = "person",
	[HINDRANCE_STOPPED] = "stopped",
};

enum { STATES = sizeof states / sizeof *states, OUTCOMES = sizeof outcomes / sizeof *outcomes };

/* What goes on while all is well; the first failure stays. */
struct writing {
	struct buffer *to;
	struct fault *f;
	const char *archive; /* escaped */
	int failed;	     /* 0, or -1 */
};

static void head(struct writing *w, const char *name, const char *type, const char *help)
{
	if (w->failed == 0)
		w->failed = buffer_append_format(w->to, w->f,
			"# HELP popkeep_%s %s\n# TYPE popkeep_%s %s\n", name, help, name, type);
}

/* key NULL: no label but `archive`. Values that come from outside are escaped. */
static void sample(
	struct writing *w, const char *name, const char *key, const char *value, uint64_t n)
{
	if (w->failed < 0)
		return;
	if (key)
		w->failed = buffer_append_format(w->to, w->f,
			"popkeep_%s{archive=\"%s\",%s=\"%s\"} %" PRIu64 "\n", name, w->archive, key,
			value, n);
	else
		w->failed = buffer_append_format(w->to, w->f,
			"popkeep_%s{archive=\"%s\"} %" PRIu64 "\n", name, w->archive, n);
}

static void one(struct writing *w, const char *name, const char *type, const char *help, uint64_t n)
{
	head(w, name, type, help);
	sample(w, name, NULL, NULL, n);
}

/* A label's value: UTF-8 in which \, " and LF are escaped. What is not printable becomes \xNN, and
 * its backslash two. */
static int escape_label(const char *value, struct buffer *to, struct fault *f)
{
	struct buffer printable CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);

	if (escape_append(&printable, slice_text(value), f) < 0)
		return -1;
	for (size_t i = 0; i < printable.len; i++) {
		uint8_t c = printable.data[i];

		if ((c == '\\' || c == '"') && buffer_append(to, "\\", 1, f) < 0)
			return -1;
		if (buffer_append(to, &c, 1, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Accounts --------------------------------------------------------------------------- */

enum figure {
	FIGURE_LISTED,
	FIGURE_ARCHIVED,
	FIGURE_PENDING,
	FIGURE_REFUSED,
	FIGURE_VANISHED,
	FIGURE_FAILURES,
	FIGURE_STATE,
	FIGURES
};

static const struct {
	const char *name, *help;
} figures[FIGURES] = {
	[FIGURE_LISTED] = {"account_listed", "UIDLs that the server lists."},
	[FIGURE_ARCHIVED] = {"account_archived", "Listed UIDLs whose message is kept."},
	[FIGURE_PENDING] = {"account_pending", "Listed UIDLs that are still to be fetched."},
	[FIGURE_REFUSED] = {"account_refused", "Listed UIDLs that cannot be archived."},
	[FIGURE_VANISHED] = {"account_vanished",
		"UIDLs that went before they were archived, not acknowledged."},
	[FIGURE_FAILURES] = {"account_failures", "Failed polls in a row."},
	[FIGURE_STATE] = {"account_state", "0 well, 1 failing, 2 needs attention."},
};

static uint64_t figure_of(const struct metrics_account *a, enum figure figure)
{
	switch (figure) {
	case FIGURE_LISTED:
		return a->sums.listed;
	case FIGURE_ARCHIVED:
		return a->sums.archived;
	case FIGURE_PENDING:
		return a->sums.pending;
	case FIGURE_REFUSED:
		return a->sums.refused;
	case FIGURE_VANISHED:
		return a->sums.vanished;
	case FIGURE_FAILURES:
		return a->failures;
	case FIGURE_STATE:
		return a->state;
	case FIGURES:
		break;
	}
	return 0;
}

/* Names of accounts need no escaping: account_name_is_valid(). */
static void write_accounts(struct writing *w, const struct metrics *m)
{
	uint64_t in_state[STATES] = {0};

	for (size_t i = 0; i < m->accounts_n; i++)
		in_state[m->accounts[i].state]++;
	head(w, "accounts", "gauge", "Configured accounts by their state.");
	for (size_t i = 0; i < STATES; i++)
		sample(w, "accounts", "state", states[i], in_state[i]);
	for (size_t k = 0; k < FIGURES && m->accounts_n > 0; k++) {
		head(w, figures[k].name, "gauge", figures[k].help);
		for (size_t i = 0; i < m->accounts_n; i++)
			sample(w, figures[k].name, "account", m->accounts[i].name,
				figure_of(&m->accounts[i], (enum figure)k));
	}
}

static void write_successes(struct writing *w, const struct metrics *m)
{
	static const char name[] = "account_last_success_timestamp_seconds";
	size_t written = 0;

	for (size_t i = 0; i < m->accounts_n; i++) {
		const struct metrics_account *a = &m->accounts[i];

		if (a->succeeded <= 0)
			continue;
		if (written++ == 0)
			head(w, name, "gauge", "When the last poll that went well ended.");
		sample(w, name, "account", a->name, (uint64_t)a->succeeded / 1000);
	}
}

/* ---- The service ------------------------------------------------------------------------ */

static void write_service(struct writing *w, const struct metrics *m)
{
	one(w, "up", "gauge", "1 while the service runs.", 1);
	head(w, "build_info", "gauge", "The version that runs.");
	sample(w, "build_info", "version", POPKEEP_VERSION, 1);
	one(w, "fetched_messages_total", "counter", "Messages fetched since the service started.",
		m->fetched_messages);
	one(w, "fetched_bytes_total", "counter", "Bytes of mail fetched since the service started.",
		m->fetched_bytes);
	head(w, "polls_total", "counter", "Polls that ended since the service started.");
	for (size_t i = 0; i < OUTCOMES; i++)
		sample(w, "polls_total", "outcome", outcomes[i], m->polls[i]);
	one(w, "sessions", "gauge", "POP3 sessions that are open.", m->sessions);
	one(w, "disk_free_bytes", "gauge", "Room on the archive's file system.",
		m->disk_free_bytes);
	one(w, "disk_full", "gauge", "1 while polling stops because min-free is reached.",
		m->disk_full == METRICS_YES);
	one(w, "config_broken", "gauge",
		"1 while the configuration on disk is broken and the one before it in force.",
		m->config_broken == METRICS_YES);
}

static void write_moment(struct writing *w, const char *name, const char *help, moment_ms t)
{
	if (t > 0)
		one(w, name, "gauge", help, (uint64_t)t / 1000);
}

static void write_upkeep(struct writing *w, const struct metrics *m)
{
	one(w, "unsealed_segments", "gauge", "Segments with mail that are not sealed.",
		m->unsealed_segments);
	one(w, "unsealed_messages", "gauge", "Messages in them.", m->unsealed_messages);
	one(w, "unsealed_bytes", "gauge", "Bytes of mail in them.", m->unsealed_bytes);
	one(w, "sealed_segments_total", "counter", "Segments sealed since the service started.",
		m->sealed_segments);
	one(w, "seal_failures_total", "counter",
		"Times that sealing failed since the service started.", m->seal_failures);
	one(w, "seal_command_failures_total", "counter",
		"Times that the seal-command failed since the service started.",
		m->command_failures);
	one(w, "seal_failing", "gauge", "1 while sealing has failed since it went well last.",
		m->seal_failing == METRICS_YES);
	one(w, "seal_command_failing", "gauge",
		"1 while the seal-command has failed since it went well last.",
		m->command_failing == METRICS_YES);
	one(w, "not_indexed_messages", "gauge", "Messages that the index does not have yet.",
		m->not_indexed);
	one(w, "index_failures_total", "counter",
		"Times that indexing failed since the service started.", m->index_failures);
	one(w, "index_failing", "gauge", "1 while indexing has failed since it went well last.",
		m->index_failing == METRICS_YES);
	write_moment(w, "seal_last_success_timestamp_seconds", "When sealing went well last.",
		m->seal_succeeded);
	write_moment(w, "verify_last_success_timestamp_seconds",
		"When the whole archive was verified last.", m->verify_succeeded);
}

int metrics_format(const struct metrics *m, struct buffer *to, struct fault *f)
{
	struct buffer archive CLEANUP(buffer_deinit) = buffer_make(LIMIT_METRICS);

	if (escape_label(m->archive, &archive, f) < 0)
		return -1;
	const char *label = buffer_text(&archive);
	if (!label)
		return fault_memory(f);
	struct writing w = {.to = to, .f = f, .archive = label};

	write_service(&w, m);
	write_upkeep(&w, m);
	write_accounts(&w, m);
	write_successes(&w, m);
	return w.failed;
}

/* ---- The file --------------------------------------------------------------------------- */

/* The collector reads *.prom only. */
static const char temporary_end[] = ".new";

/* No sync: after a crash of the machine the service writes it again, and what it said before is
 * worth nothing. rename() alone makes sure that a reader sees one text or the other. */
int metrics_write(const char *path, struct slice text, struct fault *f)
{
	char *temporary CLEANUP(freep) = NULL;

	if (asprintf(&temporary, "%s%s", path, temporary_end) < 0) {
		temporary = NULL;
		return fault_memory(f);
	}
	/* Left over by one that was killed, or somebody's trap: made anew in any case. */
	(void)unlink(temporary);
	int fd CLEANUP(fd_closep) =
		open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "%s", temporary);
	/* node_exporter runs as somebody else; the umask may hide it from them. */
	if (fchmod(fd, 0644) < 0 || file_write_at(fd, text, 0) < 0 || rename(temporary, path) < 0) {
		int error = errno;

		(void)unlink(temporary);
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, error, "%s", path);
	}
	return 0;
}

void metrics_remove(const char *path)
{
	(void)unlink(path);
}
