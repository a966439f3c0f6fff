/* Polls accounts, several at once: one event loop for the network, one writer thread that commits.
 * Events are returned, not called back.
 *
 * Either work on what was added until all is done: poller_next(). Or have it beside other things in
 * a loop that does not end:
 *
 *	for (;;) {
 *		poller_turn(p, &f);
 *		while (poller_take(p, &event))
 *			…
 *		poller_wait(p, descriptors, n, timeout_ms, &f);
 *	} */
#pragma once

#include "archive/health.h"
#include "archive/maildrop.h"
#include "daemon/account.h"
#include "daemon/hindrance.h"
#include "daemon/secret.h"

#include <poll.h>

struct poller_options {
	const char *archive_folder; /* of an existing archive */
	const char *cache_dir;	    /* or NULL */
	uint32_t max_sessions;	    /* 0: LIMIT_SESSIONS */
	uint32_t max_sessions_per_server;
};

/* One poll of one account, until its POLLER_DONE was taken. */
struct poll;

enum poller_event_kind {
	POLLER_SECRET,	 /* its turn has come: answer with poller_give() or poller_refuse() */
	POLLER_PROGRESS, /* at most a few a second for an account */
	POLLER_NOTICE,	 /* text: what a person should know; the account goes on */
	POLLER_DONE	 /* the account's poll has ended, well or not */
};

struct poller_event {
	enum poller_event_kind kind;
	struct poll *poll;	       /* NULL: a notice of the archive */
	void *owner;		       /* as poller_add() was given it */
	const struct account *account; /* NULL: a notice of the archive */
	char text[FAULT_TEXT_MAX];     /* NOTICE: safe to print */

	/* PROGRESS and DONE */
	uint64_t to_fetch, to_fetch_bytes; /* as announced by the server */
	uint64_t fetched, fetched_bytes;

	/* DONE */
	struct sums sums; /* the state now */
	uint64_t new_messages, duplicates, new_bytes;
	uint64_t sessions; /* connections made */
	int64_t elapsed_ms, retrieve_ms;
	struct fault fault; /* code FAULT_NONE: all went well */
	enum hindrance hindrance;
	uint64_t login_delay_s; /* what the server's LOGIN-DELAY says; 0: nothing */
};

struct poller;
int poller_open(
	const struct poller_options *options, struct poller **ret, struct fault *f) MUST_CHECK;
struct poller *poller_close(struct poller *p);
void poller_closep(struct poller **p);
/* 0: the default. Who polls already goes on. */
void poller_set_caps(struct poller *p, uint32_t max_sessions, uint32_t max_sessions_per_server);

/* Queues one poll. account is borrowed until its POLLER_DONE, and so is *ret (may be NULL). */
int poller_add(struct poller *p, const struct account *account, void *owner, struct poll **ret,
	struct fault *f) MUST_CHECK;
/* The answers to POLLER_SECRET, at any time before its POLLER_DONE. secret is taken over. */
void poller_give(struct poller *p, struct poll *one, struct secret secret);
void poller_refuse(struct poller *p, struct poll *one, const struct fault *f);
/* Ends one poll: what has arrived whole is committed, POLLER_DONE follows with this fault. */
void poller_cancel(struct poller *p, struct poll *one, const struct fault *why);
/* That no poll is under way or waits. */
bool poller_is_idle(const struct poller *p);
/* How many are under way. */
uint32_t poller_active(const struct poller *p);

/* Has the archive remember how an account's polls go (archive/health.h). Copied. *ret_ticket: it is
 * remembered once poller_remembered() has come so far. */
int poller_put_health(
	struct poller *p, const struct health *h, uint64_t *ret_ticket, struct fault *f) MUST_CHECK;
uint64_t poller_remembered(const struct poller *p);
/* The poller's own view of the archive, for reading; borrowed. */
struct store *poller_store(struct poller *p);

/* One turn, without waiting. <0: the archive's failure, of FAULT_WRITE among others; nothing more
 * will be committed. */
int poller_turn(struct poller *p, struct fault *f) MUST_CHECK;
enum { POLLER_EVENT = 1 };
/* POLLER_EVENT, or 0: none now. A POLLER_DONE ends what is borrowed for its poll. */
int poller_take(struct poller *p, struct poller_event *ret) MUST_CHECK;
/* Until there is something to do for a turn, one of extra's descriptors is ready (network_wait()),
 * or timeout_ms have passed. */
int poller_wait(struct poller *p, struct pollfd *extra, size_t n, int timeout_ms,
	struct fault *f) MUST_CHECK;

/* Works until there is an event. POLLER_EVENT, or 0 when all that was added is done; <0 as
 * poller_turn(). */
int poller_next(struct poller *p, struct poller_event *ret, struct fault *f) MUST_CHECK;

/* What has arrived whole is committed, sessions are dropped, each account ends with
 * FAULT_INTERRUPT. May be called from a signal handler. */
void poller_stop(struct poller *p);
