/* What a restore into an IMAP mailbox has to bring: each message once for each folder it goes to,
 * some 28 bytes for one, so that a million fit into memory. Whatever else is needed is looked up
 * again when it is sent. No I/O. */
#pragma once

#include "archive/bytes.h"
#include "archive/find.h"

enum item_state {
	ITEM_TODO,	/* to be sent */
	ITEM_CANDIDATE, /* a message of its size and Message-ID is there (uid): to be compared */
	ITEM_DOUBT,	/* was sent, and no answer came */
	ITEM_SENDING,	/* in this run's hands */
	ITEM_DONE,	/* is there, under uid (0: the server did not say) */
	ITEM_GONE,	/* was brought by an earlier run and taken away there since: stays away */
	ITEM_DAMAGED,	/* cannot be read */
	ITEM_REFUSED	/* the server did not take it, or cannot: it was said why */
};

enum {
	ITEM_WIRE = 1,	   /* size is that of what is sent, line ends made CRLF */
	ITEM_SEEN = 2,	   /* its uid was in the last listing */
	ITEM_CHANGED = 4,  /* there with other bytes than were sent: that server changes mail */
	ITEM_EARLIER = 8,  /* the journal has it: an earlier run brought it */
	ITEM_INDEXED = 16, /* message_id is known */
	ITEM_FOUND = 32,   /* was there, brought by somebody else */
	ITEM_NAMED = 64,   /* it was said why it is not there */
	ITEM_DOUBTED = 128 /* was in doubt: what the server made of it counts as well */
};

enum { ITEM_ID_BITS = 40, ITEM_SIZE_BITS = 34 };

struct item {
	uint64_t key; /* the number of the message's keep line, above it 24 bits of its digest */
	uint32_t size_low;
	uint32_t uid;
	uint32_t message_id; /* message_id_hash(); 0: not known */
	unsigned folder : 14;
	unsigned size_high : 2;
	unsigned state : 4; /* enum item_state */
	unsigned flags : 8;
	unsigned tries : 2;
	unsigned compared : 1; /* its bytes at the target were looked at */
};

static inline uint64_t item_id(const struct item *i)
{
	return i->key & ((UINT64_C(1) << ITEM_ID_BITS) - 1);
}
/* digest: journal_digest() of the message. */
static inline uint64_t item_key(uint64_t id, uint64_t digest)
{
	return (digest >> ITEM_ID_BITS) << ITEM_ID_BITS |
	       (id & ((UINT64_C(1) << ITEM_ID_BITS) - 1));
}
/* What it has of journal_digest(): the lower bits are 0. */
static inline uint64_t item_digest(const struct item *i)
{
	return i->key >> ITEM_ID_BITS << ITEM_ID_BITS;
}
static inline uint64_t item_size(const struct item *i)
{
	return (uint64_t)i->size_high << 32 | i->size_low;
}
/* Larger ones than ITEM_SIZE_BITS can say count as the largest. */
static inline void item_set_size(struct item *i, uint64_t size)
{
	uint64_t most = (UINT64_C(1) << ITEM_SIZE_BITS) - 1;

	size = size < most ? size : most;
	i->size_low = (uint32_t)size;
	i->size_high = (unsigned)(size >> 32) & 3;
}

struct item_folder {
	char *path;			 /* UTF-8, "/" between levels */
	char *name;			 /* as the server spells it; NULL: not known yet */
	uint32_t uid_validity, uid_next; /* when it was looked at first in this run */
	uint32_t journal;		 /* its number there */
	uint32_t validity_before;	 /* of the journal's last run; 0: none */
	uint32_t next_before;		 /* the least UIDNEXT that an unanswered intent rests on */
	uint64_t messages, bytes;	 /* wanted in it */
	uint64_t there;			 /* of them before this run */
	uint64_t sent, sent_bytes;	 /* by this run */
	uint64_t failed;		 /* not there in the end */
	bool created;			 /* by this run; in a dry run: would be */
	bool ready;			 /* it was looked at, and is there */
	bool closed;			 /* the server takes nothing into it: `why` */
	bool keywords;			 /* flags of one's own are kept */
	char *why;
};

struct items {
	struct item *all; /* those of a message side by side, in the order in which they lie */
	size_t n, size;
	uint32_t *by_id; /* indices of the first of each message, by id; items_sort() */
	uint32_t *by_message_id, *by_uid; /* indices, by folder and that */
	size_t messages;
	struct item_folder *folders;
	size_t folders_n;
	uint64_t bytes;
};

void items_deinit(struct items *t);

/* The number of a folder, made where it is new. FAULT_LIMIT: LIMIT_RESTORE_FOLDERS. */
int items_folder(struct items *t, const char *path, unsigned *ret, struct fault *f) MUST_CHECK;
/* FAULT_LIMIT: LIMIT_RESTORE_MESSAGES. */
int items_add(struct items *t, const struct item *item, struct fault *f) MUST_CHECK;
/* After the last was added. */
int items_sort(struct items *t, struct fault *f) MUST_CHECK;
/* The first of this message; those of its other folders follow. NULL: none. */
struct item *items_first(struct items *t, uint64_t id);
/* The next of the same message, or NULL. */
struct item *items_next(struct items *t, struct item *i);
/* That of a message in a folder, or NULL. */
struct item *items_find(struct items *t, uint64_t id, unsigned folder);

/* Sorts by_message_id (and the lower half of the size), and by_uid. */
void items_order(struct items *t);
/* A key of the first. */
static inline uint64_t items_key(uint32_t message_id, uint64_t size)
{
	return (uint64_t)message_id << 32 | (uint32_t)size;
}
enum items_order { BY_MESSAGE_ID, BY_UID };
/* Those of a folder whose key of that order is in [low, high]: indices, and how many they are. */
const uint32_t *items_range(const struct items *t, enum items_order order, unsigned folder,
	uint64_t low, uint64_t high, size_t *ret_n);

size_t items_count(const struct items *t, enum item_state state);
