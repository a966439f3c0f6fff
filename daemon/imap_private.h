/* The inside of struct imap: for imap*.c. */
#pragma once

#include "daemon/imap.h"
#include "daemon/imap_token.h"

enum { IMAP_BUFFER = LIMIT_RECEIVE };

/* What the next byte from the server is part of. */
enum imap_state {
	IMAP_IN_LINE,	 /* a response, or a part of one behind a literal */
	IMAP_IN_LITERAL, /* a literal: kept in the response, the rest passed over */
	IMAP_IN_BODY,	 /* a message, on its way to the owner */
	IMAP_DEAD	 /* fault says why */
};

/* How far the output of an APPEND is. */
enum imap_phase {
	IMAP_TEXT,    /* its command line is not formatted whole */
	IMAP_ASKING,  /* {n}: waits for "+" */
	IMAP_FEEDING, /* bytes of the message are wanted */
	IMAP_CLOSING, /* the line's end is missing */
	IMAP_WRITTEN  /* in the output, or sent */
};

struct imap_command {
	enum imap_kind kind;
	enum imap_phase phase;
	bool answered;
	bool asks;     /* a literal that waits for "+" */
	bool has_body; /* FETCH_BODY: one has come */
	bool begun;    /* its text is on its way */
	bool alone;    /* in no batch: one with it was refused */
	uint64_t cookie;
	uint32_t first, last;	/* UIDs */
	uint64_t size, fed;	/* of the message, and what was given of it */
	uint64_t leader;	/* the first of its batch (MULTIAPPEND, RFC 3502), or itself */
	uint32_t members;	/* of a leader: in the batch, which stand behind one another */
	uint64_t line_end, end; /* in the stream of all output; known as phase goes on */
	char *text;		/* the command line with its end, without tag */
	size_t text_len, text_at;
	size_t member_at; /* of an APPEND's text: behind the mailbox */
};

struct imap {
	enum imap_state state;
	struct imap_capabilities capabilities;
	struct imap_selected selected, selecting;

	uint8_t *in;
	size_t in_begin, in_end;
	struct buffer line;		/* the response so far */
	size_t tail;			/* where the text behind its last literal begins */
	bool line_is_over;		/* its event was given; the next byte begins another */
	size_t text_bytes;		/* of it without literals */
	unsigned literals;		/* in it */
	uint64_t literal;		/* bytes that are still to come */
	uint64_t kept;			/* of them kept */
	uint64_t body;			/* bytes of the message that came */
	struct imap_command *streaming; /* whose message came in this response */
	bool end_due;			/* an IMAP_BODY_END without bytes of the server's */
	struct imap_event end;
	uint64_t unasked; /* responses since the last reply */

	/* Counts since the start; the ring holds those from oldest to queued. */
	struct imap_command *ring;
	size_t ring_size; /* a power of two, or 0 */
	uint64_t oldest, formatting, queued;
	size_t outstanding; /* not answered */
	size_t appends;	    /* likewise */
	uint64_t append_bytes;
	bool logout;
	bool batch_open; /* its line has no end yet */
	uint64_t batch;	 /* its leader */
	uint64_t batch_bytes;
	struct imap_reply due; /* to members of a batch that were not told yet */
	uint64_t due_at;
	uint32_t due_n, due_of; /* how many are left, and how many there were */

	uint8_t *out;
	size_t out_begin, out_end;
	uint64_t written, sent; /* of the stream */

	struct imap_end how;
	struct fault fault;
};

static inline struct imap_command *imap_at(const struct imap *i, uint64_t count)
{
	return &i->ring[count & (i->ring_size - 1)];
}

/* imap_command.c. Checks an order and makes the command's line; text is the caller's. */
int imap_command_text(const struct imap *i, const struct imap_order *o, struct imap_command *ret,
	struct fault *f) MUST_CHECK;

/* imap_output.c. Fills the output; IMAP_EVENT: bytes are wanted. */
int imap_fill(struct imap *i, struct imap_event *ret) MUST_CHECK;
/* "+" came. False: nothing waits for it. */
bool imap_grant(struct imap *i);
/* A reply came for c: whether the output goes on behind it. */
void imap_answer(struct imap *i, struct imap_command *c);

/* imap.c. An APPEND of a batch that was refused is sent again, alone, behind all that is queued. */
int imap_retry(struct imap *i, uint64_t index, struct fault *f) MUST_CHECK;

/* imap_data.c. A response is there: IMAP_EVENT, 0 it is nothing for the owner, <0 with the fault of
 * imap_die(). */
int imap_respond(struct imap *i, struct imap_event *ret, struct fault *f) MUST_CHECK;
/* Whose message the response so far, a FETCH up to "BODY[] ", brings; NULL: nobody asked for it. By
 * its UID, where it was told already: servers may send the replies to several commands after what
 * all of them brought. */
struct imap_command *imap_asker(struct imap *i);
/* The oldest that was sent and not answered, of these kinds; NULL: none. */
struct imap_command *imap_waiting(const struct imap *i, enum imap_kind a, enum imap_kind b);

/* The session is over with the fault that was just set. Yields -1. */
int imap_die(struct imap *i, struct fault *f);
