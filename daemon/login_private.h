/* The inside of struct login: for login.c and login_refusal.c; and what imap_login.c shares. */
#pragma once

#include "daemon/login.h"
#include "daemon/mechanism.h"
#include "daemon/sasl.h"

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
	const struct account *account;
	const struct secret *secret;
	const struct preamble *preamble;
	struct capabilities capabilities; /* of the AUTHORIZATION state */
	struct mechanism_terms terms;
	const struct mechanism *mechanism;
	const struct mechanism *refused; /* until the next line */
	struct sasl *sasl;
	struct buffer in; /* from in_at on: not looked at */
	size_t in_at;
	struct buffer out; /* holds secrets: reserved once, wiped when sent */
	size_t out_at;
	char sent[FAULT_TEXT_MAX]; /* the last response in base64, as much as matters; wiped */
	enum reply_code code;
	struct login_result result;
};

/* login_refusal.c: what the server's refusals mean, in words for a person: what went wrong, and
 * what to do next. The first three yield -1. */

/* No answer of POP3 to this command. */
int login_unexpected(struct slice line, const char *command, struct fault *f);
/* -ERR to what logs in. Only what says so is a wrong password (RFC 2449 section 8, RFC 3206). */
int login_refused_by(struct login *l, struct slice line, struct fault *f);
int login_nothing_to_use(struct login *l, struct fault *f);
/* Whether account and secret can log in by what auth forces (NULL: anything). FAULT_USAGE. */
int login_check_identity(const struct account *account, const struct secret *secret,
	const struct mechanism *forced, struct fault *f);
/* Buffers that hold secrets: reserved once, because their storage may not move and leave a copy
 * behind. */
void login_buffer_wipe(struct buffer *b);
void login_buffer_deinit(struct buffer *b);

/* A server may say what it was told, to have it in a log, or because it took it for a command: the
 * password, or the base64 that carries it; of a long one the text may hold the beginning alone. */
void login_mask_secret(const struct secret *secret, const char *sent, struct fault *f);
enum reply_code login_code_of(struct slice line);
bool login_is_about_the_maildrop(enum reply_code code);
