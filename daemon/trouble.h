/* What the sessions of one poll learn from one another. */
#pragma once

#include "archive/bytes.h"

#include <stdbool.h>

/* Messages that broke a session: those whose end was not one are fetched alone; those that break
 * sessions again are refused. Belongs to the poll. */
struct trouble {
	struct suspect {
		struct buffer uidl;
		uint32_t breaks;
		bool alone;
	} * suspect;
	size_t n;
	/* Messages whose octets were as announced, and those whose were not: what a doubt is worth.
	 */
	uint64_t exact, inexact;
	/* A session broke before it was clear at which of the messages in flight: one at a time. */
	bool serial;
	/* Messages refused since the last that came, because their RETR had no answer. */
	uint32_t unanswered;
};
void trouble_deinit(struct trouble *t);

/* NULL: not among them. Valid until the next trouble_add(). */
struct suspect *trouble_find(struct trouble *t, struct slice uidl);
/* A new one; NULL when there are LIMIT_SUSPECTS, or without memory. */
struct suspect *trouble_add(struct trouble *t, struct slice uidl);
