/* What an IMAP server said before the login, while libcurl had the connection: greeting,
 * CAPABILITY, and with STARTTLS its answer and CAPABILITY once more (RFC 3501 sections 7.1, 6.1.1,
 * 6.2.1). No I/O: libcurl hands in every line. Its counterpart for POP3 is daemon/preamble.h. */
#pragma once

#include "archive/bytes.h"
#include "daemon/imap_reply.h"
#include "daemon/preamble.h"

enum imap_preamble_state {
	IMAP_PREAMBLE_GREETING,
	IMAP_PREAMBLE_CAPABILITY, /* its lines are to come, or its reply */
	IMAP_PREAMBLE_STARTTLS, /* a whole CAPABILITY was there; what comes next answers STARTTLS */
	IMAP_PREAMBLE_SECURE_CAPABILITY,
	IMAP_PREAMBLE_END
};

struct imap_preamble {
	enum imap_preamble_state state;
	bool preauth; /* "* PREAUTH": logged in already, as whoever the server takes us for */
	struct imap_capabilities
		capabilities; /* the last; what came before STARTTLS is forgotten */
	uint32_t lines;
	char refusal[PREAMBLE_GREETING]; /* BYE in place of a greeting, NO to STARTTLS; raw */
};

void imap_preamble_init(struct imap_preamble *p);
/* One line with its end. FAULT_PROTOCOL: no IMAP server; FAULT_LIMIT: it has too much to say. */
int imap_preamble_add_line(struct imap_preamble *p, struct slice line, struct fault *f) MUST_CHECK;
