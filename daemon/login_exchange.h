/* What the logins of POP3 and IMAP have in common: who logs in, by which mechanism and which next,
 * and its exchange of challenges and responses in base64. */
#pragma once

#include "daemon/mechanism.h"
#include "daemon/sasl.h"

/* Embedded. */
struct login_exchange {
	const struct account *account;
	const struct secret *secret;
	struct mechanism_terms terms;
	const struct mechanism *mechanism; /* NULL: none was begun */
	struct sasl *sasl;		   /* NULL: the mechanism is none of SASL */
	char sent[FAULT_TEXT_MAX];	   /* the last response, as much as matters; wiped */
};

/* All is borrowed until login_exchange_deinit(); capabilities may still change. secret may be NULL
 * where account->auth forces a mechanism that needs none. FAULT_USAGE, scope account: auth names no
 * mechanism that we know; user, authzid or secret are empty or hold CR, LF or NUL. */
int login_exchange_init(struct login_exchange *e, const struct account *account,
	const struct secret *secret, const struct capabilities *capabilities,
	enum connection_channel channel, struct fault *f) MUST_CHECK;
void login_exchange_deinit(struct login_exchange *e);

/* Begins the next weaker mechanism. FAULT_LOGIN, scope account: there is none (left), in words for
 * a person; as sasl_new(). */
int login_exchange_next(struct login_exchange *e, struct fault *f) MUST_CHECK;
bool login_exchange_has_next(const struct login_exchange *e);

/* Appends the response to a challenge, both in base64; or "*", with which a client gives up after
 * a challenge that refuses. Room must be reserved for it. FAULT_PROTOCOL, scope session: the
 * challenge is not base64; as sasl_step(). */
int login_exchange_respond(struct login_exchange *e, struct slice challenge, struct buffer *to,
	struct fault *f) MUST_CHECK;
/* The server says that we are in. FAULT_PROTOCOL, scope account: too early, it has not proven that
 * it knows the password. */
int login_exchange_end(struct login_exchange *e, struct fault *f) MUST_CHECK;
/* What the server said in a challenge about why it refuses, escaped; "" when nothing. */
const char *login_exchange_refusal(const struct login_exchange *e);

/* A server may say what it was told, to have it in a log, or because it took it for a command: the
 * password, or the base64 that carries it; of a long one the text may hold the beginning alone.
 * Both are masked in the fault's text. */
void login_exchange_mask(const struct login_exchange *e, struct fault *f);
