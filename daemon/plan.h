/* What a listing means: a sorted merge of it with what is known of the maildrop.
 *
 * One UIDL, n messages listed under it, k kept (the sum of their copies). Normally n = k = 1. UIDLs
 * get reused, and some servers give one to several messages, so that multisets of
 * (UIDL, announced size) are compared:
 *
 *  - A listed message is accounted for by a kept one of the same announced size, or, where sizes
 *    say nothing (SIZES_UNRELIABLE, or a SIZE_UNKNOWN among them), by any; one by one.
 *  - Of the others, each refusal known of the UIDL takes one (of its size, if there is one): it
 *    stays refused, and is fetched again once it is due, accepted or not: servers get mended.
 *  - Of the others, those beyond max_message_size are to be refused now: too_large.
 *  - If any are left, they are new: fetched, and with them those that a kept one accounted for:
 *    only their digests tell which is which. (Where sizes say nothing, those are also fetched with
 *    a retry and when another one is too large, for the same reason.)
 *
 * What is beyond max_message_size is never fetched, whatever is due. A message refused as too large
 * is due at once when its announced size has come within max_message_size, but that only once
 * (tries is 1): a server that announces less than it sends is not asked again at every poll.
 *
 * So listed = archived + pending + refused always. A UIDL that is pending or refused (not accepted)
 * vanishes when it is not listed any more, or when all that is listed of it is accounted for by
 * kept messages and none has its size; it is pending again when it is listed again. It is counted
 * as vanished until somebody accepts it. So a UIDL must
 * not stay pending in the catalog when what was fetched under it proves to be known
 * (OUTCOME_KNOWN).
 *
 * Memory: 1 byte for each entry, 4 for each one in a list, and the UIDLs that vanished. */
#pragma once

#include "archive/known.h"
#include "archive/maildrop.h"
#include "daemon/listing.h"

/* Where the known rows come from, in known_next()'s order: next() as known_next();
 * the order of sizes within one UIDL does not matter. */
struct known_source {
	int (*next)(void *context, struct known *ret, struct fault *f);
	void *context;
};
/* Of an open cursor, borrowed. */
struct known_source known_source_of(struct known_cursor *cursor);

enum sizes { SIZES_COMPARED, SIZES_UNRELIABLE };

struct plan_terms {
	moment_ms now;
	uint64_t max_message_size;
	enum sizes sizes; /* SIZES_UNRELIABLE: struct maildrop says so */
};

enum verdict {
	VERDICT_ARCHIVED, /* kept: nothing to do */
	VERDICT_NEW,	  /* fetch: not seen before, or still pending */
	VERDICT_AGAIN,	  /* fetch: kept messages have this UIDL, but this may be another one */
	VERDICT_RETRY,	  /* fetch: was refused, and is due */
	VERDICT_REFUSED,  /* was refused, and is not due */
	VERDICT_TOO_LARGE /* to be refused now */
};

/* As what an entry counts in the sums. */
enum counted { COUNTED_ARCHIVED, COUNTED_PENDING, COUNTED_REFUSED };

struct gone {
	uint64_t listed_size;
	uint32_t uidl_at; /* in plan.gone_uidls */
	uint16_t uidl_len;
};

/* A list of entries: indices into listing.entries. */
struct entry_list {
	uint32_t *at;
	size_t n, room;
};

/* Embedded. Belongs to one listing and goes before it. */
struct plan {
	struct sums sums; /* VERDICT_TOO_LARGE counts as refused: commit those refusals too */

	struct entry_list fetch;     /* NEW, AGAIN, RETRY, by message number */
	uint64_t fetch_bytes;	     /* announced */
	struct entry_list too_large; /* by message number */
	/* UIDLs that become pending: one entry for each, by UIDL. Those known as pending are not
	 * here; those that had vanished are. */
	struct entry_list pending;
	struct gone *vanished; /* UIDLs that vanish, once each, by UIDL */
	size_t vanished_n, vanished_room;
	struct buffer gone_uidls;

	bool renumbered;   /* mail is kept, and none of the UIDLs listed is known */
	uint64_t repeated; /* entries that share their UIDL with another one */
	uint64_t unlisted; /* UIDLs with kept mail that are not listed */

	uint8_t *marks; /* one for each entry: use the functions below */
};

void plan_init(struct plan *p);
void plan_deinit(struct plan *p);

/* l must be sorted. Reads known to its end. FAULT_MEMORY, and what known's next() gives. More than
 * LIMIT_LISTED_UIDLS of UIDLs that vanish: the rest of them waits for the next listing. */
int plan_make(struct plan *p, const struct listing *l, struct known_source known,
	const struct plan_terms *terms, struct fault *f) MUST_CHECK;

enum verdict plan_verdict(const struct plan *p, size_t entry);
enum counted plan_counted(const struct plan *p, size_t entry);
/* Of VERDICT_RETRY and VERDICT_REFUSED: why it was refused; otherwise 0. */
enum refusal plan_refusal(const struct plan *p, size_t entry);

/* The entry is durable in the archive, or its refusal is: the sums follow. */
void plan_set_archived(struct plan *p, size_t entry);
void plan_set_refused(struct plan *p, size_t entry);

static inline struct slice plan_gone_uidl(const struct plan *p, const struct gone *g)
{
	return slice_of(p->gone_uidls.data + g->uidl_at, g->uidl_len);
}
