/* The fetching part of a session: RETR in a window, each message into a spool and on to the intake,
 * refusals of those that cannot be had.
 *
 * A server that does not double dots cuts a message at a line that is a dot alone; where the next
 * line begins with "+OK" or "-ERR", it passes for the reply to the next command, and all replies
 * after it are taken for those to other commands. Such a message has fewer octets than announced.
 * So a short one is doubted: nothing that is in flight behind it is believed, it all is fetched
 * again, and the doubted one alone and last. What is fetched alone is handed in when two NOOPs sent
 * one after the other have been answered: the rest of a cut message is no answer to them.
 *
 * A reply too many, which answers nothing, shifts what follows. An +OK makes the true reply the
 * first line of the message: one that begins like a reply and has not the octets announced is
 * doubted, and breaks the session where it is fetched alone. After an -ERR each body may be that of
 * the message before: from then on a message is doubted that is longer than announced, too. */
#pragma once

#include "archive/batch.h"
#include "daemon/window.h"

struct session;

/* Embedded in struct session. */
struct retrieval {
	struct window window;
	int64_t began;	 /* monotonic_ms() */
	uint32_t *order; /* entries of the listing: those fetched in the window, then those alone */
	size_t n, alone_from; /* how many, and where those alone begin */
	size_t sent, done;    /* commands queued; messages that ended */
	size_t too_large;     /* of plan.too_large: refused so far */
	uint32_t probes;      /* NOOPs answered since the last RETR was queued */
	bool probing;	      /* one is to be answered */
	bool held;	      /* the message fetched alone has ended; NOOPs are to confirm it */
	bool draining;	      /* after a doubt: what is in flight is passed over */
	bool refused;	      /* the message that ends the session is refused already */
	bool shifted;	      /* a RETR was refused, unless that -ERR was nobody's */
	uint8_t first[4];     /* bytes of the message that arrives */
	size_t first_n;
	uint32_t doubted;	/* entry; while draining */
	size_t drain_to;	/* where to go on then */
	uint32_t system_errors; /* in a row: RETRs that failed by the server's own fault */
	struct repeat *repeat;	/* digests of messages that share their UIDL */
	size_t repeats;
};
void retrieval_deinit(struct retrieval *r);

/* After the plan: refuses what is too large, orders the rest. */
int retrieval_begin(struct session *s, struct fault *f) MUST_CHECK;
/* An item is durable. */
void retrieval_settle(struct session *s, const struct item *item);
/* retrieval_break.c. The session breaks: what was arriving, or was out of step, is noted in
 * s->trouble. */
void retrieval_note_break(struct session *s);
