/* POP3 from the TRANSACTION state on (RFC 1939 section 5, 2449): a state machine without I/O,
 * without clock, without policy. The driver moves bytes, chooses commands, watches the time; the
 * engine frames replies, matches them with the commands in order, and undoes byte-stuffing in
 * place.
 *
 *	pop3_command(p, POP3_UIDL, 0, f);
 *	pop3_command(p, POP3_LIST, 0, f);
 *	for (;;) {
 *		struct pop3_event e;
 *		int r = pop3_next(p, &e, f);
 *		if (r < 0)
 *			break;			(the session is dead: close without QUIT)
 *		if (r == POP3_EVENT) {
 *			...			(e.text, e.bytes are borrowed until the next call)
 *			continue;
 *		}
 *		struct slice out = pop3_output(p);
 *		if (out.len)
 *			pop3_sent(p, send(fd, out.data, out.len));
 *		wait until fd is readable (or writable, while pop3_output(p).len)
 *		size_t room;
 *		uint8_t *at = pop3_space(p, &room);
 *		n = recv(fd, at, room);
 *		if (n == 0)
 *			pop3_closed(p, f);	(says what broke off; 0 after QUIT)
 *		pop3_received(p, n);
 *	}
 *
 * What a message's events look like, POP3_DATA as often as need be, an empty message without any:
 *	POP3_REPLY ok  POP3_DATA ...  POP3_MESSAGE_END		or	POP3_REPLY not ok
 * and of CAPA, UIDL and LIST:
 *	POP3_REPLY ok  POP3_LINE ...  POP3_END			or	POP3_REPLY not ok
 *
 * Confirmation: that "CRLF.CRLF" was a message's end and not a line of it which a server forgot to
 * stuff shows in what follows: the reply to the next command. So POP3_MESSAGE_END comes when that
 * reply has begun, with "+OK" or "-ERR", and that command had been sent whole before; the driver
 * sees to it that there always is a next command (a NOOP behind the last RETR). Where something
 * else follows, the session is out of step, and the message is pop3_suspect(), never complete: to
 * be fetched again alone (window 1: the next command only after its end, see pop3_unconfirmed()),
 * which tells for sure.
 *
 * Memory: one buffer of POP3_BUFFER bytes, and 8 bytes for each command queued or in flight. */
#pragma once

#include "archive/limits.h"
#include "daemon/reply.h"
#include "daemon/unstuff.h"

#include <stdbool.h>

enum { POP3_BUFFER = LIMIT_RECEIVE };

enum pop3_kind { POP3_CAPA, POP3_STAT, POP3_UIDL, POP3_LIST, POP3_RETR, POP3_NOOP, POP3_QUIT };

enum pop3_event_kind {
	POP3_REPLY,	 /* a status line: reply */
	POP3_LINE,	 /* a line of CAPA, UIDL or LIST in bytes: unstuffed, without line end */
	POP3_END,	 /* the end of those lines; octets: how many there were */
	POP3_DATA,	 /* the next bytes of the message; octets: of this message so far */
	POP3_MESSAGE_END /* the message is complete and confirmed; octets: its size */
};

struct pop3_event {
	enum pop3_event_kind kind;
	enum pop3_kind command; /* whose reply this is (part of) */
	uint32_t number;	/* of the message, for RETR; otherwise 0 */
	struct reply reply;	/* REPLY; its text is borrowed until the next call */
	struct slice bytes;	/* LINE, DATA; borrowed until the next call, never empty for DATA */
	uint64_t octets;
};

struct pop3;

/* ends: LINE_ENDS_LF when the driver saw every line until now end with LF alone. Status lines and
 * lines of listings may end with either in both modes. NULL when out of memory. */
struct pop3 *pop3_new(enum line_ends ends, struct fault *f);
struct pop3 *pop3_free(struct pop3 *p);
void pop3_freep(struct pop3 **p);

/* Queues a command behind those queued before, all in flight at once: how many is the driver's to
 * say (daemon/window.h). number: the message for RETR, otherwise 0. Nothing may follow QUIT.
 * FAULT_LIMIT: more than LIMIT_COMMANDS queued and in flight. */
int pop3_command(struct pop3 *p, enum pop3_kind kind, uint32_t number, struct fault *f) MUST_CHECK;

/* What is to be sent next, at most a few KiB; empty when there is nothing. The same slice again
 * until pop3_sent(), as TLS wants it. pop3_sent(): the first n bytes of it are on their way. */
struct slice pop3_output(struct pop3 *p);
void pop3_sent(struct pop3 *p, size_t n);

/* Where to receive: only after pop3_next() returned 0, then never without room. *ret_room: how
 * much. pop3_received(): n bytes of it have been filled. */
uint8_t *pop3_space(struct pop3 *p, size_t *ret_room);
void pop3_received(struct pop3 *p, size_t n);

/* POP3_EVENT: *ret is one. 0: all that was received is used up; send and receive. <0: the server is
 * out of step, broke POP3 or a cap; the same fault every time from then on. FAULT_PROTOCOL, and
 * FAULT_LIMIT for more lines than LIMIT_CAPA_LINES or LIMIT_LISTED; SCOPE_SESSION. */
enum { POP3_EVENT = 1 };
int pop3_next(struct pop3 *p, struct pop3_event *ret, struct fault *f) MUST_CHECK;

/* The server closed the connection, after all events have been taken: 0 when nothing was
 * outstanding, or QUIT alone; otherwise FAULT_PROTOCOL that names what broke off. */
int pop3_closed(struct pop3 *p, struct fault *f) MUST_CHECK;

/* Commands whose reply has not been taken whole yet, queued or sent. */
size_t pop3_outstanding(const struct pop3 *p);
/* The message that has ended but for its confirmation, 0 none. */
uint32_t pop3_unconfirmed(const struct pop3 *p);
/* The message in whose bytes the session stands (also: broke off), 0 none. */
uint32_t pop3_receiving(const struct pop3 *p);
/* After FAULT_PROTOCOL: the message whose end was not one, as far as that is known; otherwise 0. */
uint32_t pop3_suspect(const struct pop3 *p);
/* A reply, or a part of one, is to come: the driver's deadline runs. */
bool pop3_is_waiting(const struct pop3 *p);
