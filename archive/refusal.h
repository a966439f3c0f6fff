/* Why a message that a server lists is not archived, and when it is tried again. */
#pragma once

#include "archive/moment.h"

/* For what LIST did not say. */
#define SIZE_UNKNOWN UINT64_MAX

enum refusal {
	REFUSAL_TOO_LARGE = 1, /* beyond max-message-size */
	REFUSAL_RETR_FAILED,   /* -ERR to RETR */
	REFUSAL_TRUNCATED,     /* the session broke inside this message, again and again */
	REFUSAL_FRAMING,       /* its end is not to be told (dots not doubled), even alone */
	REFUSAL_UNKNOWN	       /* read from a ledger that a later version wrote; never written */
};
/* "too-large", "retr-failed", "truncated", "framing", "unknown": the words of ledger and JSON. */
const char *refusal_word(enum refusal r);
/* 0, or REFUSAL_OTHER when it is none of these words. */
enum { REFUSAL_OTHER = 1 };
int refusal_parse(struct slice word, enum refusal *ret);

/* When the next try of a message that was refused `tries` times is due: 15 minutes doubled with
 * each try, a week at most. */
moment_ms refusal_next_try(moment_ms refused, uint32_t tries);
