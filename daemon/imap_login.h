/* From the connection being up to IMAP's authenticated state (RFC 3501 section 6.2, 4959): picks a
 * mechanism, logs in, learns the capabilities that count, and says who we are where the server
 * offers ID (RFC 2971): some open no mailbox before. Without I/O, used as daemon/login.h is:
 * nothing is sent before the last line was answered. */
#pragma once

#include "daemon/connection.h"
#include "daemon/imap_preamble.h"
#include "daemon/login.h"
#include "daemon/login_wire.h"

struct imap_login;

/* account, secret and preamble are borrowed until imap_login_free(); secret may be NULL where
 * account->auth forces a mechanism that needs none. FAULT_USAGE, scope account, as login_new();
 * FAULT_LOGIN, scope account: the server greeted with PREAUTH in clear. */
int imap_login_new(const struct account *account, const struct secret *secret,
	const struct imap_preamble *preamble, enum connection_channel channel,
	struct imap_login **ret, struct fault *f) MUST_CHECK;
/* Wipes what it holds of the secret. Returns NULL. */
struct imap_login *imap_login_free(struct imap_login *l);
void imap_login_freep(struct imap_login **l);

/* LOGIN_DONE, LOGIN_WANT_READ, LOGIN_WANT_WRITE and the faults as of login_step(). */
int imap_login_step(struct imap_login *l, struct fault *f) MUST_CHECK;
/* For login_wire_input(), _output() and _sent(). After LOGIN_DONE login_wire_rest() is what the
 * server said unasked behind the login ("* NO over quota soon"): the engine's to read. */
struct login_wire *imap_login_wire(struct imap_login *l);

/* Of the server's refusal or BYE, after a failed step. */
enum reply_code imap_login_response_code(const struct imap_login *l);

struct imap_login_result {
	struct imap_capabilities capabilities;	/* of the authenticated state */
	char mechanism[CAPABILITIES_SASL_NAME]; /* "SCRAM-SHA-256"; "USER": the LOGIN command; ""
						   after PREAUTH */
};
/* After LOGIN_DONE. */
const struct imap_login_result *imap_login_result(const struct imap_login *l);
