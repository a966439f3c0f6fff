/* The one process of the service that runs commands and opens passwords: a child that is forked
 * before any thread and before the sandbox. It reads the configuration itself and takes nothing
 * from the service but account names and events, so that whoever took over the service can choose
 * neither command nor path.
 *
 *	runner_start(path, archive, &r, &f);
 *	runner_ask(r, "anna", account_place(anna), tag, &f);
 *	for (;;) {
 *		(poll runner_fd(r) for reading)
 *		while ((r = runner_take(r, &answer, &f)) > 0)
 *			...
 *		...<0: it is gone, and the service ends
 *	}
 *	r = runner_stop(r);
 *
 * It goes when the service goes: its socket then says so, and the parent's death is signalled to
 * it. It ignores SIGINT, SIGTERM and SIGHUP. */
#pragma once

#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/secret.h"

struct runner;

/* Forks; this process has no second thread yet, and the calling one lives as long as the service.
 * config_path is a file, no pipe: it is read more than once. archive: what the alert-command
 * finds in POPKEEP_ARCHIVE; NULL: what the configuration says. Returns when the configuration was
 * read: FAULT_USAGE says what is wrong with it. FAULT_SYSTEM, FAULT_MEMORY. */
int runner_start(const char *config_path, const char *archive, struct runner **ret,
	struct fault *f) MUST_CHECK;
/* Password-commands are ended at once; alerts, those that wait too, have LIMIT_RUNNER_STOP_MS.
 * Blocks until the runner is gone, about two times as long at most, and returns NULL. r may be
 * NULL. Needs no more of a sandbox than sockets, poll and waitpid. */
struct runner *runner_stop(struct runner *r);
void runner_stopp(struct runner **r);

/* Readable when runner_take() has something to do. Borrowed. */
int runner_fd(const struct runner *r);

/* These three only note the wish: what the socket does not take now, runner_take() sends later.
 * FAULT_LIMIT: LIMIT_RUNNER_ASKS secrets or LIMIT_RUNNER_QUEUE requests are outstanding;
 * FAULT_MEMORY; FAULT_SYSTEM: the runner is gone. */

/* For the account's secret. One RUNNER_SECRET with this tag answers: commands run side by side,
 * LIMIT_RUNNER_COMMANDS at once, each with LIMIT_SECRET_MS from its own start; files and
 * credentials never wait for them. place: account_place() of the account as it will log in, so that
 * a configuration that was changed between our reading of it and the runner's brings no password to
 * the wrong server; 0: whatever it is. FAULT_USAGE: no name of an account. */
int runner_ask(struct runner *r, const char *account, uint64_t place, uint64_t tag,
	struct fault *f) MUST_CHECK;

enum alert_event {
	ALERT_FAILING,
	ALERT_ATTENTION,
	ALERT_WELL,
	ALERT_DISK_FULL,
	ALERT_DISK_OK,
	ALERT_WRITE_FAILED,
	ALERT_CONFIG_BROKEN,
	ALERT_CONFIG_OK,
	ALERT_SEAL_FAILED,
	ALERT_SEAL_OK,
	ALERT_EVENTS
};

struct alert {
	enum alert_event event;
	const char *account; /* NULL: about all of them */
	const char *text;    /* NULL: none; cut at FAULT_TEXT_MAX. The runner makes it one line of
				printable text; what is escaped already stays as it is */
	moment_ms since;
};

/* Runs the alert-command (popkeep.conf(5)), one at a time, each with LIMIT_ALERT_MS, in this order.
 * No answer when it went well or none is configured, RUNNER_COMPLAINT otherwise. */
int runner_alert(struct runner *r, const struct alert *a, struct fault *f) MUST_CHECK;

/* Reads the configuration again. One RUNNER_RELOADED answers; where that has a fault, the
 * configuration before stays in force. What was asked for before is answered by the old one where
 * its command runs already. */
int runner_reload(struct runner *r, struct fault *f) MUST_CHECK;

/* wish: of enum upkeep_wish (daemon/upkeep.h), joined by |. A process begins with it, by the
 * runner's own configuration; nothing happens while one runs, or with UPKEEP_END where none does.
 * text: of UPKEEP_NOTE; NULL otherwise. RUNNER_UPKEEP answers, several times, the last with
 * NEWS_ENDED. */
int runner_upkeep(struct runner *r, unsigned wish, const char *text, struct fault *f) MUST_CHECK;

enum {
	RUNNER_NOTHING = 0,
	RUNNER_SECRET = 1,
	RUNNER_RELOADED = 2,
	RUNNER_COMPLAINT = 3,
	RUNNER_UPKEEP = 4
};

struct runner_answer {
	uint64_t tag; /* RUNNER_SECRET: as asked. RUNNER_UPKEEP: enum upkeep_news */
	struct secret
		secret;	    /* the taker's, for secret_deinit(); .text NULL where fault says why */
	struct fault fault; /* code FAULT_NONE: it went well. RUNNER_SECRET: FAULT_ACCESS or
			       FAULT_USAGE with the account's name, FAULT_MISSING: the runner's
			       configuration has no such account. RUNNER_RELOADED: as
			       config_load(). RUNNER_UPKEEP: what failed */
	char text[FAULT_TEXT_MAX]; /* RUNNER_COMPLAINT, RUNNER_UPKEEP: for the log, escaped */
};

/* Never blocks. One of the above, and *ret is set; RUNNER_NOTHING: nothing now. FAULT_SYSTEM: the
 * runner is gone. */
int runner_take(struct runner *r, struct runner_answer *ret, struct fault *f) MUST_CHECK;
