/* From the connection being up to the TRANSACTION state: picks a mechanism, logs in, asks for the
 * capabilities that count. A state machine without I/O: feed it what the server sends, send what it
 * gives, step it.
 *
 *	login_new(account, secret, connection_preamble(c), connection_channel(c), &l, &f);
 *	while ((r = login_step(l, &f)) > 0) {
 *		if (r == LOGIN_WANT_WRITE) {
 *			connection_send(c, login_output(l), &n, &f);
 *			login_sent(l, n);
 *		} else {
 *			connection_receive(c, buf, size, &n, &f);
 *			login_input(l, slice_of(buf, n), &f);
 *		}
 *	}
 *	…LOGIN_DONE: go on with POP3 and *login_result(l); <0: drop the connection, f says why
 *	l = login_free(l);
 *
 * Nothing is ever sent before the answer to the last line is there (servers lose what comes
 * together with PASS), so at LOGIN_DONE no byte of the server is left over. */
#pragma once

#include "daemon/account.h"
#include "daemon/capability.h"
#include "daemon/connection.h"
#include "daemon/mechanism.h"
#include "daemon/preamble.h"
#include "daemon/reply.h"
#include "daemon/secret.h"

struct login;

/* account, secret and preamble are borrowed until login_free(). secret may be NULL where the
 * mechanism forced by account->auth needs none (EXTERNAL, GSSAPI). preamble may be NULL: then CAPA
 * is asked first, as it is where the preamble's answer is not the one under TLS.
 * FAULT_USAGE, scope account: auth names no mechanism that we know; user or secret are empty or
 * hold CR, LF or NUL. */
int login_new(const struct account *account, const struct secret *secret,
	const struct preamble *preamble, enum connection_channel channel, struct login **ret,
	struct fault *f) MUST_CHECK;
/* Wipes what it holds of the secret. Returns NULL. */
struct login *login_free(struct login *l);
void login_freep(struct login **l);

enum { LOGIN_DONE = 0, LOGIN_WANT_READ = 1, LOGIN_WANT_WRITE = 2 };
/* Goes on as far as it can. WANT_READ: nothing to send, more input is needed; WANT_WRITE: output is
 * there (input is not expected before it is sent). Failures, all of which end the connection:
 * FAULT_LOGIN, scope account: user, password or token refused, in the server's words, or the server
 * offers nothing that the account may use;
 * FAULT_PROTOCOL, scope account: maildrop in use, login delay, the server's own trouble, or a
 * server that says +OK without proving that it knows the password (SCRAM); login_response_code()
 * tells them apart; FAULT_PROTOCOL or FAULT_LIMIT, scope session: not POP3. */
int login_step(struct login *l, struct fault *f) MUST_CHECK;

/* What the server sent; copied. FAULT_PROTOCOL: more than a login can have to say. */
int login_input(struct login *l, struct slice bytes, struct fault *f) MUST_CHECK;
/* What is to be sent; the same bytes again until login_sent() takes some off. */
struct slice login_output(const struct login *l);
void login_sent(struct login *l, size_t n);

/* What the server refused, where it has not answered a word to the next mechanism since: one that
 * hangs up after a refusal (solid-pop3d after APOP) can be asked for the next in a new connection.
 * NULL: nothing of that kind. */
const struct mechanism *login_refused(const struct login *l);
/* Before the first login_step(): begins with what comes after refused. */
void login_begin_after(struct login *l, const struct mechanism *refused);

/* Of the server's refusal, after a failed login_step(); REPLY_CODE_NONE where it gave none. */
enum reply_code login_response_code(const struct login *l);

struct login_result {
	struct capabilities capabilities; /* of the TRANSACTION state; !known: the server has no
					     CAPA */
	char mechanism[CAPABILITIES_SASL_NAME]; /* "SCRAM-SHA-256", "APOP", "USER" */
	bool lf_only; /* every line so far, greeting included, ended with LF alone: the server
			 needs the lenient mode */
};
/* After LOGIN_DONE. */
const struct login_result *login_result(const struct login *l);
