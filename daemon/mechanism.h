/* The ways to log in, and which of them an account may use with what a server offers. */
#pragma once

#include "daemon/account.h"
#include "daemon/capability.h"
#include "daemon/connection.h"

enum mechanism_kind { MECHANISM_SASL, MECHANISM_APOP, MECHANISM_USER };

enum {
	MECHANISM_CLEAR = 1,  /* the secret crosses the wire as it is */
	MECHANISM_TOKEN = 2,  /* for token-command; the others are for passwords */
	MECHANISM_FORCED = 4, /* only where `auth` names it */
	MECHANISM_NO_SECRET = 8,
	MECHANISM_CLIENT_FIRST = 16, /* the first challenge says nothing */
	MECHANISM_AUTHZID = 32 /* carries account->authzid; the others are no choice with one */
};

struct mechanism {
	const char *name;
	enum mechanism_kind kind;
	unsigned flags;
};

struct mechanism_terms {
	const struct account *account;
	const struct capabilities *capabilities;
	enum connection_channel channel;
	struct slice apop_banner; /* may be empty */
};

/* NULL: unknown. */
const struct mechanism *mechanism_named(const char *name);

/* The strongest that may be used, or with after the next weaker one; NULL when there is none. The
 * one that `auth` forces, where the server offers it or does not tell, is the only one.
 * Never one that shows the secret without TLS, unless tls = "none" was written. */
const struct mechanism *mechanism_next(
	const struct mechanism *after, const struct mechanism_terms *terms);

/* "SCRAM-SHA-1, PLAIN, USER": what the server offers, as text; "nothing". Returns ret. */
const char *mechanism_offers(const struct mechanism_terms *terms, char *ret, size_t size);
