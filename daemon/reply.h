/* A status line (RFC 1939 section 3) and its extended response code (RFC 2449 section 8, 3206). */
#pragma once

#include "archive/bytes.h"

enum reply_status { REPLY_OK, REPLY_ERR };

enum reply_code {
	REPLY_CODE_NONE,
	REPLY_CODE_IN_USE,	/* RFC 2449: somebody, perhaps our last session, has the maildrop */
	REPLY_CODE_LOGIN_DELAY, /* RFC 2449: too soon after the last login */
	REPLY_CODE_SYS_TEMP,	/* RFC 3206: try again later */
	REPLY_CODE_SYS_PERM,	/* RFC 3206: a person has to do something at the server */
	REPLY_CODE_AUTH,	/* RFC 3206: the credentials are wrong */
	REPLY_CODE_OTHER	/* one that we do not know */
};

struct reply {
	enum reply_status status;
	enum reply_code code; /* case does not matter; levels behind a known code are passed over */
	struct slice text;    /* what follows status and code; borrowed from the line, unescaped */
};

/* line: without its line end. REPLY_MALFORMED: begins neither with "+OK" nor with "-ERR" ("+ " of
 * RFC 5034 is none either); *ret is untouched. */
enum { REPLY_MALFORMED = 1 };
int reply_parse(struct slice line, struct reply *ret) MUST_CHECK;

/* The text of a good reply to STAT (RFC 1939 section 5), "n octets". REPLY_MALFORMED: not that;
 * outputs untouched. Octets that are no number are UINT64_MAX. */
int reply_stat(const struct reply *r, uint64_t *ret_messages, uint64_t *ret_octets) MUST_CHECK;
