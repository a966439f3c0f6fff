/* Polls accounts, several at once: one event loop for the network, one writer thread that commits.
 * Events are returned, not called back. */
#pragma once

#include "archive/maildrop.h"
#include "daemon/account.h"
#include "daemon/hindrance.h"
#include "daemon/secret.h"

struct poller_options {
	const char *archive_folder; /* of an existing archive */
	const char *cache_dir;	    /* or NULL */
	uint32_t max_sessions;	    /* 0: LIMIT_SESSIONS */
	uint32_t max_sessions_per_server;
};

enum poller_event_kind {
	POLLER_PROGRESS, /* at most a few a second for an account */
	POLLER_NOTICE,	 /* text: what a person should know; the account goes on */
	POLLER_DONE	 /* the account's poll has ended, well or not */
};

struct poller_event {
	enum poller_event_kind kind;
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

/* Queues one poll. account and secret are borrowed until its POLLER_DONE. */
int poller_add(struct poller *p, const struct account *account, const struct secret *secret,
	struct fault *f) MUST_CHECK;

/* Works until there is an event. POLLER_EVENT, or 0 when all that was added is done. <0: the
 * archive's failure, of FAULT_WRITE among others; nothing more will be committed. */
enum { POLLER_EVENT = 1 };
int poller_next(struct poller *p, struct poller_event *ret, struct fault *f) MUST_CHECK;

/* What has arrived whole is committed, sessions are dropped, each account ends with
 * FAULT_INTERRUPT. May be called from a signal handler. */
void poller_stop(struct poller *p);
