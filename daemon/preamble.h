/* What the server said before the login, while libcurl had the connection: greeting, CAPA, and with
 * STLS its answer and CAPA once more (RFC 1939, 2449, 2595). No I/O: libcurl hands in every line.
 */
#pragma once

#include "archive/bytes.h"
#include "daemon/capability.h"

enum { PREAMBLE_GREETING = 1024 };

enum preamble_state {
	PREAMBLE_WANT_GREETING,
	PREAMBLE_IN_CAPA,   /* its status line is to come, or lines of it */
	PREAMBLE_WANT_STLS, /* a whole CAPA was there; what comes next answers STLS */
	PREAMBLE_IN_SECURE_CAPA,
	PREAMBLE_END
};

struct preamble {
	enum preamble_state state;
	bool in_listing;		  /* CAPA's status line was +OK */
	char greeting[PREAMBLE_GREETING]; /* raw, NUL-terminated, without the line's end */
	struct capabilities capabilities; /* of the last CAPA; what came before STLS is forgotten */
	bool lf_only;			  /* so far every line ended with LF alone */
	uint32_t lines;
	char refusal[PREAMBLE_GREETING]; /* -ERR in place of a greeting or to STLS, raw */
};

void preamble_init(struct preamble *p);
static inline bool preamble_has_capabilities(const struct preamble *p)
{
	return p->state == PREAMBLE_WANT_STLS || p->state == PREAMBLE_END;
}
/* One line with its end. FAULT_PROTOCOL: no POP3 server, or one that speaks out of turn;
 * FAULT_LIMIT: it has too much to say. */
int preamble_add_line(struct preamble *p, struct slice line, struct fault *f) MUST_CHECK;

/* The APOP timestamp "<…@…>" in the greeting (RFC 1939 section 7), borrowed from p; empty when
 * there is none. Only printable ASCII counts: other bytes serve attacks on MD5 (CVE-2007-1558). */
struct slice preamble_apop_banner(const struct preamble *p);
