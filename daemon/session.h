/* One connection to one maildrop, from connecting to QUIT: login, listing, plan, fetching what is
 * not known, handing it to the intake, and QUIT only when all that was retrieved is durable
 * (otherwise the connection is dropped, so that the server never enters its UPDATE state).
 *
 * Several sessions in a row make a poll (daemon/poll.h): what one learns about messages that break
 * it, the next one needs. */
#pragma once

#include "daemon/hindrance.h"
#include "daemon/intake.h"
#include "daemon/plan.h"
#include "daemon/secret.h"
#include "daemon/trouble.h"

/* What a session works with; borrowed, outlives it. */
struct session_tools {
	struct network *network;
	struct intake *intake;
	struct store *store; /* for reading */
	struct spool_pool *spools;
};

struct session_counts {
	uint64_t to_fetch, to_fetch_bytes;
	uint64_t fetched, fetched_bytes;
	uint64_t new_messages, duplicates, new_bytes;
	uint64_t settled; /* items that became durable: what makes a broken session worth another */
	int64_t retrieve_ms;
};

struct session;
/* Begins to connect. maildrop, trouble and account are borrowed. */
int session_new(const struct session_tools *tools, const struct account *account,
	const struct secret *secret, const struct maildrop *maildrop, struct trouble *trouble,
	struct session **ret, struct fault *f) MUST_CHECK;
/* Drops the connection where there still is one. Before its end (session_step() said 0) items of it
 * may be with the intake, and name it to session_settle(): then only where nobody takes them in any
 * more. */
struct session *session_free(struct session *s);

/* Goes on as far as it can without waiting. SESSION_GOING: wait for the network or the intake;
 * SESSION_NOTICE: *ret_notice (FAULT_TEXT_MAX bytes) is something a person should know, call again;
 * 0: it has ended, with session_fault(). */
enum { SESSION_GOING = 1, SESSION_NOTICE = 2 };
int session_step(struct session *s, char *ret_notice);
/* Milliseconds until it must be stepped in any case. */
int session_timeout(const struct session *s);
/* Whether stepping it now can do anything: as of the last network_wait(), and what was settled. */
bool session_is_due(const struct session *s);
/* An item of this session that is durable (not freed here). */
void session_settle(struct session *s, const struct item *item);
/* Ends it now: SESSION_GOING until what was handed in is durable. */
void session_stop(struct session *s, const struct fault *why);

/* After the end: code FAULT_NONE when all went well. */
const struct fault *session_fault(const struct session *s);
enum hindrance session_hindrance(const struct session *s);
/* What the server's LOGIN-DELAY says (RFC 2449 section 6.5), in seconds; 0: nothing. */
uint64_t session_login_delay(const struct session *s);
/* EXPIRE 0 (RFC 2449 section 6.7): what was fetched is gone, or not shown any more. */
bool session_hides_fetched(const struct session *s);
/* UIDLs whose mail is kept and that were not listed; 0 before there was a listing. */
uint64_t session_unlisted(const struct session *s);
const struct session_counts *session_counts(const struct session *s);
/* The sums as this session knows them; false before there was a listing. */
bool session_sums(const struct session *s, struct sums *ret);
