/* A message as IMAP carries it: every line ends with CRLF (RFC 3501 section 2.2), and there is no
 * NUL (section 9: CHAR8). */
#pragma once

#include "archive/spool.h"

struct wire {
	struct spool *to;
	bool after_cr;
	bool has_nul;	   /* it cannot be carried */
	uint64_t bare_lfs; /* that became CRLF */
};

/* A message_sink (archive/find.h) with a struct wire as context: writes into its spool. */
int wire_add(void *context, struct slice bytes, struct fault *f) MUST_CHECK;
