/* The inside of struct login: for login.c and login_refusal.c. */
#pragma once

#include "daemon/login.h"
#include "daemon/login_exchange.h"
#include "daemon/login_wire.h"

/* START → (CAPA → CAPA_LISTING →) (UTF8 →) one mechanism after another, while nothing secret was
 * sent: AUTH → EXCHANGE …, APOP, USER → PASS → SETTLED → SETTLED_LISTING → FINISHED. SETTLED has
 * asked for the capabilities that count. */
enum state {
	START,
	CAPA,
	CAPA_LISTING,
	UTF8,
	AUTH,
	EXCHANGE,
	APOP,
	USER,
	PASS,
	SETTLED,
	SETTLED_LISTING,
	FINISHED,
	N_STATES
};

struct login {
	enum state state;
	const struct preamble *preamble;
	struct capabilities capabilities; /* of the AUTHORIZATION state */
	struct login_exchange exchange;
	struct login_wire wire;
	const struct mechanism *refused; /* until the next line */
	enum reply_code code;
	struct login_result result;
};

/* login_refusal.c: what the server's refusals mean, in words for a person: what went wrong, and
 * what to do next. The first two yield -1. */

/* No answer of POP3 to this command. */
int login_unexpected(struct slice line, const char *command, struct fault *f);
/* -ERR to what logs in. Only what says so is a wrong password (RFC 2449 section 8, RFC 3206). */
int login_refused_by(struct login *l, struct slice line, struct fault *f);
enum reply_code login_code_of(struct slice line);
bool login_is_about_the_maildrop(enum reply_code code);
