/* What is committed together. A batch is collected without any lock; store_commit() makes it
 * durable as a whole and only then returns: until then nothing of it happened. */
#pragma once

#include "archive/health.h"
#include "archive/maildrop.h"
#include "archive/refusal.h"
#include "archive/spool.h"

enum item_kind {
	ITEM_MESSAGE, /* bytes that came under a UIDL */
	ITEM_REFUSAL, /* a UIDL that could not be archived */
	ITEM_LISTING, /* what a complete listing showed, or the sums at the end of a poll */
	ITEM_ACCOUNT, /* a maildrop's name, server and user: for store_maildrop() */
	ITEM_ACCEPT,  /* somebody acknowledges a refused or vanished UIDL: for accept.h */
	ITEM_HEALTH,  /* how an account's polls go: item_new_health() */
	ITEM_RECORD   /* that messages were given out: for record.h */
};

enum item_outcome {
	OUTCOME_NONE,
	OUTCOME_KEPT,	  /* new bytes: `keep` */
	OUTCOME_SEEN,	  /* bytes kept already, new under this maildrop and UIDL: `see` */
	OUTCOME_KNOWN,	  /* bytes and UIDL known already: nothing was written */
	OUTCOME_ACCEPTED, /* `accept` */
	OUTCOME_ALREADY,  /* somebody accepted it before: nothing was written */
	OUTCOME_NOTHING	  /* the UIDL is neither refused nor vanished: nothing was written */
};

/* A UIDL of a listing whose state changes: becomes pending, or is gone. */
struct listed_uidl {
	struct buffer uidl;
	uint64_t listed_size;
};

struct item {
	enum item_kind kind;
	uint64_t maildrop;
	struct buffer uidl;   /* MESSAGE, REFUSAL, ACCEPT; at most LIMIT_UIDL */
	uint64_t listed_size; /* MESSAGE, REFUSAL; SIZE_UNKNOWN */

	/* MESSAGE */
	struct spool *spool; /* finished; owned; freed as soon as it is durable */
	const char *class_;  /* retention class, borrowed, outlives the commit; NULL is "default" */
	uint64_t copy; /* 1, or n for the n-th of the same bytes under the same UIDL in one listing
			*/

	/* MESSAGE that an import brought; uidl as item_import_uidl() makes it */
	bool imported;
	struct buffer folder, flags; /* as struct filing says (find.h); may be empty */
	moment_ms received;	     /* 0: not known */

	/* REFUSAL, ACCEPT */
	enum refusal reason; /* REFUSAL */
	char text[256];	     /* what the server said, escaped; may be empty. ACCEPT: why */

	/* LISTING */
	struct sums sums;
	bool complete; /* this ends a poll: the time is noted */
	/* Arrays, owned; at most LIMIT_LISTING_UIDLS each, more go in another item: what one group
	 * may tell has a cap. */
	struct listed_uidl *pending, *vanished;
	size_t pending_n, vanished_n;

	/* ACCOUNT */
	struct buffer name, server, user;

	/* RECORD; borrowed */
	const struct record *record;

	/* HEALTH; owned */
	struct health *health;

	/* For the caller */
	uint64_t cookie, tag;	   /* untouched */
	enum item_outcome outcome; /* set by store_commit() */
	uint64_t size;		   /* MESSAGE: bytes, set by store_commit() */
	struct item *next;
};

struct item *item_new(enum item_kind kind, uint64_t maildrop, struct fault *f);
/* Sets the UIDL of an imported message, whose spool and folder are set: 32 hex digits of
 * SHA-256(folder NUL digest), so that the same bytes in the same folder are known, however often
 * they are found. */
int item_set_import_uidl(struct item *i, struct fault *f) MUST_CHECK;
struct item *item_free(struct item *i);
void item_freep(struct item **i);

/* Embedded; a list in order of arrival, and what it weighs. */
struct batch {
	struct item *first, **end;
	size_t items;
	uint64_t bytes; /* of mail, and of the ledger's lines about it, roughly */
	int64_t oldest; /* monotonic_ms() of the first item */
};

void batch_init(struct batch *g);
/* Frees what is in it. */
void batch_deinit(struct batch *g);
/* Takes ownership. */
void batch_add(struct batch *g, struct item *i);
/* The first one, owned by the caller now; NULL when empty. */
struct item *batch_take(struct batch *g);
/* Full by bytes, by items or by time (limits.h). */
bool batch_is_due(const struct batch *g, int64_t now_ms);

/* All or nothing, durable on return 0, with each item's outcome set. FAULT_WRITE: nothing of the
 * group happened as far as this process can tell; the handle is dead, every later call gives the
 * same fault, and the process should end with exit 74. FAULT_BUSY: not our turn in LIMIT_LOCK_MS;
 * may be tried again. FAULT_DAMAGE: the archive does not fit together. */
int store_commit(struct store *s, struct batch *g, struct fault *f) MUST_CHECK;
