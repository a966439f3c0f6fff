/* IMAP from the authenticated state on (RFC 3501, 9051), as far as putting mail into mailboxes and
 * looking at what is there needs it: a state machine without I/O, without clock, without policy,
 * as daemon/pop3.h is for POP3. The driver (daemon/imap_session.h) moves bytes and watches the
 * time; its owner chooses commands.
 *
 *	imap_command(i, &(struct imap_order){.kind = IMAP_SELECT, .mailbox = "INBOX"}, f);
 *	for (;;) {
 *		struct imap_event e;
 *		int r = imap_next(i, &e, f);
 *		if (r < 0)
 *			break;			(the session is dead: drop the connection)
 *		if (r == IMAP_EVENT) {
 *			...			(what e points to is borrowed until the next call)
 *			continue;
 *		}
 *		struct slice out = imap_output(i);
 *		if (out.len)
 *			imap_sent(i, send(fd, out.data, out.len));
 *		wait until fd is readable (or writable, while imap_output(i).len)
 *		size_t room;
 *		uint8_t *at = imap_space(i, &room);
 *		n = recv(fd, at, room);
 *		if (n == 0)
 *			imap_closed(i, f);
 *		imap_received(i, n);
 *	}
 *
 * Every command ends with one IMAP_REPLY that carries its cookie, in whatever order the server
 * answers (Dovecot changes the order of FETCHes in flight); before it come, as often as need be:
 *	LIST		IMAP_LISTED
 *	NAMESPACE	IMAP_LISTED: prefix and delimiter of the first personal one
 *	STATUS		IMAP_STATUS_DATA
 *	SELECT, EXAMINE	(nothing: see imap_selected())
 *	FETCH_LIST	IMAP_MESSAGE
 *	FETCH_BODY	IMAP_BODY ... IMAP_BODY_END
 *	APPEND		IMAP_WANT_BYTES, answered with imap_give(), until all of it was given
 * A connection that ends leaves the commands without a reply in doubt: a message may be in the
 * mailbox and its reply lost.
 *
 * Literals: with LITERAL+, and with LITERAL- up to 4096 bytes (RFC 7888), APPENDs are pipelined;
 * with neither each waits for the server's word. A server that refuses an APPEND while its literal
 * is on its way is fed the rest all the same, as RFC 7888 section 4 has it: bytes are wanted of a
 * message after its reply. Nothing of a message is ever sent where the server did not ask for it or
 * promise to take it: its bytes would be commands.
 *
 * With MULTIAPPEND (RFC 3502) APPENDs to one mailbox that are queued together share a command,
 *which arrives as a whole or not at all; each gets its own reply. Where such a command is refused
 *for what one of its messages may be the reason for, each is sent again alone: its bytes are wanted
 * from offset 0 again, so an owner keeps them until the reply.
 *
 * Memory: some 200 KiB, and 160 bytes and the text for each command queued or in flight. */
#pragma once

#include "archive/bytes.h"
#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/imap_reply.h"

enum imap_kind {
	IMAP_CAPABILITY,
	IMAP_NOOP,
	IMAP_NAMESPACE,	 /* RFC 2342; where the server has it */
	IMAP_LIST,	 /* mailbox: a pattern; "" asks for the delimiter alone */
	IMAP_STATUS,	 /* mailbox; MESSAGES UIDNEXT UIDVALIDITY */
	IMAP_CREATE,	 /* mailbox */
	IMAP_SUBSCRIBE,	 /* mailbox */
	IMAP_SELECT,	 /* mailbox */
	IMAP_EXAMINE,	 /* mailbox; changes nothing */
	IMAP_APPEND,	 /* mailbox, flags, received, size */
	IMAP_FETCH_LIST, /* first, last: UID RFC822.SIZE INTERNALDATE FLAGS and the Message-ID */
	IMAP_FETCH_BODY, /* first: all bytes of one message, without \Seen */
	IMAP_LOGOUT	 /* nothing may follow; waits for the replies to all before it */
};

/* The unset fields may stay 0. What it points to is copied. */
struct imap_order {
	enum imap_kind kind;
	uint64_t cookie;     /* the owner's; comes back in each event of this command */
	const char *mailbox; /* as the server spells it: printable ASCII (daemon/imap_name.h) */
	const char *flags;   /* "\Seen $Forwarded", separated by spaces; NULL or "": none */
	bool has_received;   /* received is INTERNALDATE; else the server takes now */
	moment_ms received;
	uint64_t size;	      /* of the message, exactly */
	uint32_t first, last; /* UIDs, inclusive; last UINT32_MAX: "*", which shows the last message
				 even where its UID is below first */
};

enum imap_event_kind {
	IMAP_UP,	 /* from daemon/imap_session.h alone: logged in, commands may come */
	IMAP_WANT_BYTES, /* imap_give() takes up to room bytes of this APPEND, from offset on; comes
			    again until it was given some */
	IMAP_LISTED,
	IMAP_STATUS_DATA,
	IMAP_MESSAGE,
	IMAP_BODY,     /* the next bytes of a message, never none; offset: how many before */
	IMAP_BODY_END, /* message.uid; offset: its size. What was not there has neither */
	IMAP_NOTICE,   /* [ALERT]: reply.text must be shown to a person (RFC 3501 section 7.1) */
	IMAP_REPLY     /* the end of a command */
};

struct imap_listed {
	struct slice name;	      /* as the server spells it, raw */
	char delimiter;		      /* of its hierarchy; 0: it has none */
	bool no_select, no_inferiors; /* no mailbox but a name above some; none may be below */
};

struct imap_status {
	struct slice name;
	uint64_t messages;
	uint32_t uid_next, uid_validity; /* 0: not told */
};

struct imap_message {
	uint32_t uid;
	uint64_t size; /* RFC822.SIZE: a hint */
	bool has_received;
	moment_ms received;	 /* INTERNALDATE */
	struct slice flags;	 /* "\Seen $Forwarded", raw, without parentheses */
	struct slice message_id; /* what stands between < and >, else the whole value, unfolded and
				    trimmed, at most LIMIT_IMAP_LITERAL of it; empty: none */
};

struct imap_event {
	enum imap_event_kind kind;
	enum imap_kind command;
	uint64_t cookie;
	struct imap_reply reply;     /* REPLY, NOTICE */
	struct imap_listed listed;   /* LISTED */
	struct imap_status status;   /* STATUS_DATA */
	struct imap_message message; /* MESSAGE, BODY_END */
	struct slice bytes;	     /* BODY */
	uint64_t offset;	     /* WANT_BYTES, BODY, BODY_END */
	size_t room;		     /* WANT_BYTES */
	bool unasked; /* REPLY to an APPEND: its bytes were not asked for, and will not be */
};

struct imap;

/* capabilities: as after the login; copied. NULL when out of memory. */
struct imap *imap_new(const struct imap_capabilities *capabilities, struct fault *f);
struct imap *imap_free(struct imap *i);
void imap_freep(struct imap **i);

/* Queues a command behind those queued before, all in flight at once.
 * FAULT_USAGE, scope message: mailbox or flags hold what IMAP cannot carry; FAULT_LIMIT, scope
 * message: the size is beyond the server's APPENDLIMIT (RFC 7889), or, scope session,
 * LIMIT_IMAP_COMMANDS are queued already. Nothing is queued then. */
int imap_command(struct imap *i, const struct imap_order *order, struct fault *f) MUST_CHECK;
/* Whether another APPEND keeps within what should be in flight: LIMIT_IMAP_WINDOW commands and
 * LIMIT_IMAP_WINDOW_BYTES of mail without reply. Always true where nothing is. */
bool imap_has_room(const struct imap *i);

/* After IMAP_WANT_BYTES: the next bytes of that message, copied; more than room (or than the
 * message has left) are not taken. Returns how many were: at least 1 of what is not empty. */
size_t imap_give(struct imap *i, struct slice bytes);

/* What is to be sent next; empty when there is nothing, or bytes are wanted first. The same bytes
 * first until imap_sent(), as TLS wants it; they may lie elsewhere and have more behind them. */
struct slice imap_output(struct imap *i);
void imap_sent(struct imap *i, size_t n);

/* As pop3_space() and pop3_received(): only after imap_next() returned 0, then never without room.
 */
uint8_t *imap_space(struct imap *i, size_t *ret_room);
void imap_received(struct imap *i, size_t n);

/* IMAP_EVENT: *ret is one. 0: all that was received is used up and the output is filled as far as
 * may be; send and receive. <0: the server said BYE, is out of step, broke IMAP or a cap; the same
 * fault every time from then on. FAULT_PROTOCOL, FAULT_LIMIT, scope session. */
enum { IMAP_EVENT = 1 };
int imap_next(struct imap *i, struct imap_event *ret, struct fault *f) MUST_CHECK;
/* How it ended, where the server said so (BYE). */
const struct imap_end *imap_end(const struct imap *i);

/* The server closed the connection, after all events were taken: 0 when nothing was outstanding,
 * or LOGOUT alone; otherwise FAULT_PROTOCOL. */
int imap_closed(struct imap *i, struct fault *f) MUST_CHECK;

/* Commands whose reply was not taken yet. */
size_t imap_outstanding(const struct imap *i);
/* A reply, or a part of one, is to come, or the server is to take bytes: the deadline runs. */
bool imap_is_waiting(const struct imap *i);

/* The mailbox of the last SELECT or EXAMINE that was answered with OK; kept up to date. */
struct imap_selected {
	uint64_t exists;
	uint32_t uid_validity, uid_next; /* 0: not told */
	bool read_only;
	bool keywords_known, keywords_any;	/* PERMANENTFLAGS was told; has "\*" */
	char permanent_flags[LIMIT_IMAP_FLAGS]; /* "\Seen \Draft Junk", raw; "" none */
};
const struct imap_selected *imap_selected(const struct imap *i);
/* As the last CAPABILITY said, asked or not. */
const struct imap_capabilities *imap_capabilities(const struct imap *i);
