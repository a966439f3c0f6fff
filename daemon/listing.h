/* What one session's UIDL and LIST showed (RFC 1939 sections 5 and 7, as servers in the wild have
 * it): message numbers with their UIDL and announced size, kept small. First all lines of UIDL,
 * listing_uidl_end(), then those of LIST, if there are any, then listing_sort().
 *
 * Memory: 24 bytes for each message and its UIDL, at most LIMIT_LISTED and LIMIT_LISTED_UIDLS. */
#pragma once

#include "archive/refusal.h"

struct listed {
	uint64_t size; /* announced by LIST: a hint; SIZE_UNKNOWN */
	uint32_t number;
	uint32_t uidl_at; /* in listing.uidls */
	uint16_t uidl_len;
};

/* Embedded. */
struct listing {
	struct listed *entries;
	size_t n, room;
	struct buffer uidls;
	uint64_t without_uidl; /* messages of LIST that UIDL lacks: they cannot be kept track of */
	uint64_t bytes;	       /* announced, of all that have a UIDL and a size */

	/* While it is being read */
	struct buffer seen;	/* a bit for each message number */
	size_t next;		/* the entry that the next line of LIST is probably about */
	uint32_t first_without; /* one of the messages without UIDL, 0 none */
};

void listing_init(struct listing *l);
void listing_deinit(struct listing *l);

/* A line without its line end: "n uidl", the UIDL any bytes up to LIMIT_UIDL, also none, or with
 * spaces behind its first byte. FAULT_PROTOCOL: malformed, or a number twice or beyond
 * LIMIT_LISTED: this listing cannot be used, and the text names the message. FAULT_LIMIT. */
int listing_add_uidl(struct listing *l, struct slice line, struct fault *f) MUST_CHECK;
void listing_uidl_end(struct listing *l);
/* "n size", more behind it is passed over; a negative size or one beyond 64 bits is unknown. Faults
 * as above. */
int listing_add_size(struct listing *l, struct slice line, struct fault *f) MUST_CHECK;

/* By (uidl, size, number): for daemon/plan.h. */
void listing_sort(struct listing *l);

static inline struct slice listing_uidl(const struct listing *l, const struct listed *e)
{
	/* Empty UIDLs alone take no storage. */
	return e->uidl_len ? slice_of(l->uidls.data + e->uidl_at, e->uidl_len) : slice_text("");
}
