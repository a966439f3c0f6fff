/* One line of the ledger: an event, as `key=value` fields separated by single spaces, in canonical
 * percent-encoding: bytes 0x21 to 0x7e except % stand for themselves, every other byte is %XX with
 * upper-case digits. First v=1, then event= and t=. Readers ignore keys they do not know. */
#pragma once

#include "archive/digest.h"
#include "archive/maildrop.h"
#include "archive/refusal.h"

enum event_kind {
	EVENT_UNKNOWN, /* of a later version: a leaf like any other, without effect here */
	EVENT_BEGIN,   /* first line of a ledger file */
	EVENT_ACCOUNT,
	EVENT_KEEP,
	EVENT_SEE,
	EVENT_REFUSE,
	EVENT_ACCEPT,
	EVENT_VANISH,
	EVENT_POLL,
	EVENT_SEAL,
	EVENT_LOST,
	EVENT_EXPORT,
	EVENT_RESTORE,
	EVENT_COMMIT
};

/* Whether lines of this kind carry a maildrop's number. */
static inline bool event_has_maildrop(enum event_kind kind)
{
	return kind >= EVENT_ACCOUNT && kind <= EVENT_POLL;
}

/* reason of an ACCEPT: not a refusal, but what had vanished; the line says `vanished`. */
#define ACCEPT_VANISHED ((enum refusal)0)

struct event {
	enum event_kind kind;
	moment_ms t;
	uint64_t maildrop;		 /* ACCOUNT to POLL */
	struct slice name, server, user; /* ACCOUNT */
	struct slice uidl;		 /* KEEP, SEE, REFUSE, ACCEPT, VANISH */
	bool filed;			 /* KEEP, SEE: an import knew what follows */
	struct slice folder, flags;	 /* as struct filing says (find.h) */
	moment_ms received;		 /* 0: not known */
	struct digest digest; /* KEEP, SEE, LOST; SEAL: of the file; EXPORT: of the manifest */
	uint64_t size;	      /* KEEP: bytes of mail; SEAL: of the file; COMMIT: leaves before this
			       * line */
	uint64_t listed;      /* KEEP, SEE, REFUSE: what LIST said; SIZE_UNKNOWN. Written only
			       * where it differs from the message's size */
	uint64_t copy;	      /* KEEP, SEE: 1 (not written), or which of equal ones */
	struct slice class_, source; /* KEEP; SEAL: class_ */
	enum refusal reason;	     /* REFUSE, ACCEPT; ACCEPT_VANISHED */
	uint64_t tries;		     /* REFUSE */
	struct slice text;	     /* REFUSE: what the server said; ACCEPT, LOST: why */
	struct sums sums;	     /* POLL */
	uint64_t segment;	     /* SEAL: its number */
	uint64_t messages, bytes;    /* of mail: SEAL: in it; EXPORT, RESTORE: there now */
	uint64_t failed;	     /* EXPORT, RESTORE: messages that are not */
	struct slice query, target;  /* EXPORT, RESTORE */
	struct slice format;	     /* EXPORT */
	struct slice replaces;	     /* SEAL: for event_replaced() */
	struct digest root;	     /* COMMIT: of the tree; BEGIN: SHA-256 of the file before */
	uint64_t leaf;		     /* BEGIN: its own number */
	struct slice archive;	     /* BEGIN: archive id */
};

/* Appends the line with its LF. FAULT_LIMIT beyond LIMIT_LEDGER_LINE. */
int event_format(const struct event *e, struct buffer *to, struct fault *f) MUST_CHECK;

/* Reads a line without its LF. The slices of *ret point into scratch (cleared first). EVENT_BAD:
 * not a well-formed line of v=1, or one without a field that its event must have; nothing is set.
 */
enum { EVENT_BAD = 1 };
int event_parse(
	struct slice line, struct buffer *scratch, struct event *ret, struct fault *f) MUST_CHECK;

/* The next of the numbers in SEAL's `replaces`: those of the segments that it replaces, rising,
 * each less than its own; at most LIMIT_REPACK_SOURCES. False at the end. Of an event that
 * event_parse() gave, nothing else can come. */
bool event_replaced(struct slice *replaces, uint64_t *ret);
/* Appends one. */
int event_add_replaced(struct buffer *replaces, uint64_t number, struct fault *f) MUST_CHECK;

/* ---- For those who show lines as they are (`popkeep log`) ----------------------------------- */

/* The next field of a line: key, and value percent-decoded into scratch (appended). FIELD_ONE, 0
 * at the end, or EVENT_BAD as FIELD_BAD. */
enum { FIELD_ONE = 1, FIELD_BAD = 2 };
int field_next(struct slice *line, struct slice *ret_key, struct buffer *scratch,
	struct slice *ret_value, struct fault *f) MUST_CHECK;
