/* One connection to one IMAP account: connecting, login, then the engine of daemon/imap.h; its
 * deadlines too. Several of them share a struct network. What to ask, and whether to connect again
 * after an end, is the owner's to say.
 *
 *	imap_session_new(network, account, secret, &s, f);
 *	for (;;) {
 *		for each session s {
 *			while ((r = imap_session_next(s, &e, f)) == IMAP_EVENT)
 *				act on e: imap_command(imap_session_engine(s), …), imap_give(…)
 *			if (r < 0)
 *				s = imap_session_free(s): *f says why; see imap_session_hindrance()
 *		}
 *		network_wait(network, NULL, 0, least imap_session_timeout(), f);
 *	}
 *
 * The first event is IMAP_UP. After the reply to LOGOUT comes IMAP_SESSION_END. A command that is
 * queued outside of the loop needs another imap_session_next() before the wait. Whoever wants no
 * event now (its own queue is full) does not call: then nothing is read and no deadline counts. */
#pragma once

#include "daemon/account.h"
#include "daemon/connection.h"
#include "daemon/hindrance.h"
#include "daemon/imap.h"
#include "daemon/secret.h"

struct imap_session;

/* Begins to connect; account (its protocol PROTOCOL_IMAP) and secret are borrowed. As
 * connection_new(). */
int imap_session_new(struct network *network, const struct account *account,
	const struct secret *secret, struct imap_session **ret, struct fault *f) MUST_CHECK;
/* Drops the connection where there still is one. Returns NULL. */
struct imap_session *imap_session_free(struct imap_session *s);
void imap_session_freep(struct imap_session **s);

/* IMAP_EVENT: *ret is one. 0: nothing without waiting. IMAP_SESSION_END: LOGOUT was answered.
 * IMAP_SESSION_TURN: much was moved and more is there; first the others' turn, then again, without
 * a wait. <0: over, the same fault every time: FAULT_REACH, FAULT_LOGIN, FAULT_PROTOCOL,
 * FAULT_LIMIT as daemon/connection.h, daemon/imap_login.h and daemon/imap.h have them;
 * FAULT_PROTOCOL too when the server stalls for account->timeout_ms. */
enum { IMAP_SESSION_END = 2, IMAP_SESSION_TURN = 3 };
int imap_session_next(struct imap_session *s, struct imap_event *ret, struct fault *f) MUST_CHECK;
/* Milliseconds until it must be called in any case; at most 1000. */
int imap_session_timeout(const struct imap_session *s);

/* From IMAP_UP on, NULL before. */
struct imap *imap_session_engine(struct imap_session *s);
/* How it logged in, "SCRAM-SHA-256"; from IMAP_UP on. And the TLS, as connection_tls_info(). */
const char *imap_session_mechanism(const struct imap_session *s);
void imap_session_tls(const struct imap_session *s, char ret[static CONNECTION_TLS_TEXT]);

/* After <0: what stood in the way (HINDRANCE_PASSING: try again, slower each time; TOO_SOON,
 * IN_USE: likewise, begin with minutes; LOGIN and PERSON: never by itself), and for how long the
 * server asks to be left alone, 0 where it does not say. */
enum hindrance imap_session_hindrance(const struct imap_session *s);
uint32_t imap_session_wait_ms(const struct imap_session *s);
