/* One poll of one account: its secret, its maildrop's lock, and one session after another until all
 * that the server lists is here or nothing more can be had. Inside the poller only. */
#pragma once

#include "daemon/admission.h"
#include "daemon/poller.h"
#include "daemon/session.h"

enum poll_state {
	POLL_QUEUED,	  /* waits for its place */
	POLL_SECRET,	  /* waits for poll_give() */
	POLL_REGISTERING, /* waits for poll_register() */
	POLL_RUNNING,	  /* a session is under way */
	POLL_PAUSED,	  /* between two sessions */
	POLL_ENDED
};

enum { POLL_TEXTS = 8 };

struct poll {
	struct admission_entry place;
	TAILQ_ENTRY(poll) link; /* the poller's */
	void *owner;
	const struct account *account;
	const struct session_tools *tools;
	enum poll_state state;
	struct secret secret;
	struct maildrop maildrop;
	bool locked;
	struct trouble trouble;
	struct session *session;
	struct session_counts before; /* of the sessions that have ended */
	uint64_t sessions, barren;    /* barren: the last ones, which brought no message */
	int64_t began, resume, progress_at;
	int64_t in_use_ms; /* paused so far for a maildrop that our own dropped session locks */
	bool looks_again;  /* all that was listed is here; is there more? */
	bool stopped;	   /* no session after this one */
	struct sums sums;
	uint64_t login_delay_s;
	enum hindrance hindrance;
	struct fault fault;
	char *told[POLL_TEXTS]; /* notices: sessions of one poll see the same things */
	size_t told_n;
};

int poll_new(const struct session_tools *tools, const struct account *account, void *owner,
	struct poll **ret, struct fault *f) MUST_CHECK;
/* Gives the maildrop's lock back where it still has it. */
struct poll *poll_free(struct poll *one);

/* It has its place: waits for the secret. */
void poll_begin(struct poll *one);
/* The secret is wiped when the poll ends. */
void poll_give(struct poll *one, struct secret secret);
/* What the intake says of the maildrop, taken over. */
void poll_register(struct poll *one, struct maildrop_answer *answer);

/* Goes on as far as it can without waiting; POLL_NOTICE: *ret_notice (FAULT_TEXT_MAX bytes) is to
 * be told, call again. Else see its state. */
enum { POLL_NOTICE = 1 };
int poll_step(struct poll *one, char *ret_notice) MUST_CHECK;
/* Whether a step can do anything now; and milliseconds until it can in any case. */
bool poll_is_due(const struct poll *one);
int poll_timeout(const struct poll *one);

/* Ends it: at once, or when what was handed to the intake is durable. */
void poll_stop(struct poll *one, const struct fault *why);
/* Ends it now, before there was a session. */
void poll_end(struct poll *one, const struct fault *why, enum hindrance hindrance);

void poll_fill_counts(const struct poll *one, struct poller_event *e);
