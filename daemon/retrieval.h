/* The fetching part of a session: RETR in a window, each message into a spool and on to the intake,
 * refusals of those that cannot be had. */
#pragma once

#include "archive/batch.h"
#include "daemon/window.h"

struct session;

/* Embedded in struct session. */
struct retrieval {
	struct window window;
	int64_t began;	 /* monotonic_ms() */
	uint32_t *order; /* entries of the listing: those fetched in the window, then those alone */
	size_t n, alone_from;	/* how many, and where those alone begin */
	size_t sent, done;	/* commands queued; messages that ended */
	uint32_t system_errors; /* in a row: RETRs that failed by the server's own fault */
	bool closing;		/* the NOOP behind the last RETR is queued */
	bool refused;		/* the message that ends the session is refused already */
	struct repeat *repeat;	/* digests of messages that share their UIDL */
	size_t repeats;
};
void retrieval_deinit(struct retrieval *r);

/* After the plan: refuses what is too large, orders the rest. */
int retrieval_begin(struct session *s, struct fault *f) MUST_CHECK;
/* An item is durable. */
void retrieval_settle(struct session *s, const struct item *item);
/* The session breaks: what was arriving, or was out of step, is noted in s->trouble. */
void retrieval_note_break(struct session *s);
