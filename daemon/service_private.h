/* What the files of the service share: service.c the loop, service_jobs.c one account's polls,
 * service_reload.c the configuration, service_control.c those that ask, service_report.c those that
 * are told, service_upkeep.c sealing. */
#pragma once

#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/agenda.h"
#include "daemon/control.h"
#include "daemon/log.h"
#include "daemon/poller.h"
#include "daemon/room.h"
#include "daemon/schedule.h"
#include "daemon/service.h"

#include <sys/queue.h>

/* A configuration, for as long as it is in force or a poll borrows an account of it. */
struct loaded {
	struct config *config;
	size_t users;
};

/* A client that waits for a poll of a job. */
struct listener {
	uint64_t client;
	bool armed; /* the poll under way is the one it waits for, not the next one */
	struct listener *next;
};

/* A client that was told all, and whose end follows when the archive remembers it too: it may look
 * there next. */
struct ending {
	uint64_t client; /* 0: nobody */
	uint64_t ticket; /* poller_remembered() */
};

/* One configured account. */
struct job {
	struct agenda_entry due; /* first: the agenda gives back pointers to it */
	char name[LIMIT_ACCOUNT_NAME + 1];
	const struct account *account; /* NULL: not configured any more; goes when its poll ends */
	struct schedule schedule;
	moment_ms since;     /* schedule.state is what it is since; 0: not known */
	moment_ms tried;     /* the last poll */
	moment_ms next;	     /* when it is due, for people; 0: not known */
	moment_ms succeeded; /* the last poll that went well */
	struct sums sums;
	enum fault_code code; /* of the last poll */
	enum hindrance hindrance;
	char *text;	  /* of the last poll's failure; NULL */
	bool is_repeated; /* text is that of the poll before, too */
	char *noticed;	  /* the last notice that was logged */
	bool has_health;  /* the archive holds a row of it */
	bool alerted;	  /* somebody was told that it fails */

	/* While it is polled */
	struct poll *poll;	/* NULL: it is not */
	struct loaded *loaded;	/* of the account that is polled */
	uint64_t tag;		/* of the secret that was asked for; 0: none yet: it is queued */
	TAILQ_ENTRY(job) asked; /* while the secret is awaited */
	bool awaits_secret;
	uint64_t to_fetch, to_fetch_bytes, fetched, fetched_bytes;
	bool again; /* somebody asked while it was under way */
	struct listener *listeners;
};

enum upkeep_troubles { TROUBLE_SEAL, TROUBLE_COMMAND, TROUBLE_INDEX, UPKEEP_TROUBLES };
enum { UPKEEP_TEXT = 512 }; /* as much as the archive remembers */

/* Sealing, handing files to the seal-command, indexing. */
struct service_upkeep {
	bool runs, notes; /* the runner's child does; only to note that one died */
	int64_t look_at;
	unsigned wish;	       /* of the one that runs */
	int64_t look_at_index; /* how much came, now and then */
	int64_t index_at;      /* not before */
	uint64_t seen;	       /* messages, when that was looked at last */
	bool indexed;	       /* thoroughly, since the service began */
	struct upkeep_trouble {
		char text[UPKEEP_TEXT]; /* ""; none */
		int64_t retry_at;
		unsigned failures; /* in a row, as long as this service runs */
		bool alerted;
	} trouble[UPKEEP_TROUBLES];
	uint64_t sealed, failures[UPKEEP_TROUBLES];
	char sandbox[FAULT_TEXT_MAX]; /* of popkeep-worker; "": not known yet */
};

struct service {
	struct service_options options;
	struct loaded *loaded; /* in force */
	struct job **jobs;     /* by name */
	size_t jobs_n;
	struct agenda agenda;
	struct poller *poller;
	int signals; /* signalfd */
	bool stopping;
	int64_t stop_deadline;
	uint64_t tags;
	TAILQ_HEAD(, job) asked; /* as many as polls are under way at most */

	struct room room;
	char disk[FAULT_TEXT_MAX]; /* why nothing is polled; "" */
	struct service_upkeep upkeep;
	char config_error[FAULT_TEXT_MAX]; /* of the last reload; "" */
	moment_ms started;
	uint64_t fetched_messages, fetched_bytes, polls[HINDRANCE_STOPPED + 1];
	int64_t metrics_at, watchdog_at, told_at, tick_at; /* next */
	int64_t watchdog_ms;
	char told[FAULT_TEXT_MAX + 256]; /* to the service manager */
	uint64_t ticket;		 /* of the last health that was put */
	struct ending endings[LIMIT_CONTROL_CLIENTS];
	bool changed; /* something the metrics show, since they were written */
};

static inline const struct config *service_config(const struct service *s)
{
	return s->loaded->config;
}

/* ---- service_jobs.c -------------------------------------------------------------------------- */

/* A job of its own, not yet among the others and not yet due. */
struct job *job_new(const struct account *account, struct fault *f);
struct job *job_free(struct job *job);
/* Puts it where jobs are due in delay_ms. */
int job_wait(struct service *s, struct job *job, int64_t delay_ms, struct fault *f) MUST_CHECK;
/* Polls it now; nothing happens where that is under way. */
int job_start(struct service *s, struct job *job, struct fault *f) MUST_CHECK;
/* Ends its poll where one is under way. */
void job_cancel(struct service *s, struct job *job, const char *why);
enum control_activity job_activity(const struct service *s, const struct job *job);

/* All that are due. */
int service_begin_due(struct service *s, struct fault *f) MUST_CHECK;
int service_take_events(struct service *s, struct fault *f) MUST_CHECK;
void service_take_secret(struct service *s, struct runner_answer *answer);
/* What the archive remembers of the accounts. */
int service_remember(struct service *s, struct fault *f) MUST_CHECK;

/* ---- service_reload.c ------------------------------------------------------------------------ */

/* NULL: there is none. */
struct job *service_job(const struct service *s, const char *name);
/* The first configuration; taken over. */
int service_load(struct service *s, struct config *config, struct fault *f) MUST_CHECK;
/* Reads the configuration again. <0: out of memory. A broken configuration is no failure of the
 * service: the old one stays in force, and s->config_error says why. */
int service_reload(struct service *s, struct fault *f) MUST_CHECK;
/* What the runner says of the same. */
void service_reloaded(struct service *s, const struct fault *outcome);
void loaded_release(struct service *s, struct loaded *l);

/* ---- service_control.c ----------------------------------------------------------------------- */

int service_take_requests(struct service *s, struct fault *f) MUST_CHECK;
void service_send_endings(struct service *s);
/* Tells those that wait for this job's poll. */
void service_tell_event(struct service *s, struct job *job, const struct poller_event *e);
/* The poll they waited for has ended. */
void service_dismiss(struct service *s, struct job *job);
void service_arm_listeners(struct job *job);
/* Those that wait for its next poll: there is none while the disk is full. */
void service_turn_away(struct service *s, struct job *job);

/* ---- service_upkeep.c ------------------------------------------------------------------------ */

/* How it went before this service began. */
int service_recall_upkeep(struct service *s, struct fault *f) MUST_CHECK;
/* Has it done where something is due; now and then. */
void service_look_at_upkeep(struct service *s, int64_t now);
/* What failed is tried again now: somebody may have mended it. */
void service_retry_upkeep(struct service *s);
void service_stop_upkeep(struct service *s);
struct metrics;
void service_measure_upkeep(const struct service *s, struct metrics *to);
/* a is a RUNNER_UPKEEP. FAULT_WRITE: the archive could not be written. */
int service_take_upkeep(
	struct service *s, const struct runner_answer *a, struct fault *f) MUST_CHECK;

/* ---- service_report.c ------------------------------------------------------------------------ */

struct counted_jobs {
	uint64_t failing, attention;
};
struct counted_jobs service_count(const struct service *s);
/* The state changed, or the last poll did not go well: archive, log and alert-command. */
void service_report_job(struct service *s, struct job *job, enum schedule_state before,
	const struct poller_event *e);
/* Of a job whose health was restored: who was told by the service before this one is to hear of the
 * end too. */
void service_recall_alert(struct job *job);
void service_alert(
	struct service *s, enum alert_event event, const struct job *job, const char *text);
/* A file that stays would say that the service is up. */
void service_remove_metrics(const struct service *s);
/* Looks at the room on disk, the metrics and the service manager. */
void service_tick(struct service *s);
/* The monotonic time of the next tick. */
int64_t service_next_tick(const struct service *s);
