/* A file in one of the formats called mbox, taken apart into its messages, byte for byte.
 *
 * In all of them a message stands behind a line "From SENDER DATE" (cli/mbox_from.h) and before an
 * empty line, which is the format's and not the message's. What they do not agree about is a line
 * of a message that begins with "From " itself:
 *
 *   mboxo    it gets a ">" put before it. A line that began with ">From " already looks the same
 *            now: nobody can tell which it was. It is taken for the former, except in a header,
 *            where ">From " is what UUCP has left and no writer quotes.
 *   mboxrd   it gets a ">", and so do those that begin with ">From ", ">>From " and so on. Nothing
 *            is lost: one ">" less is what it was.
 *   mboxcl   as mboxo, and the field Content-Length says how many bytes the body has.
 *   mboxcl2  the field alone; nothing is quoted.
 *
 * Where a message ends:
 *   - An empty line, and behind it a "From " line with a date: there, whatever follows.
 *   - A "From " line with a date, without the empty line: there, if the line that follows begins as
 *     a field of a header does ("Name:"). A second "From " line right behind the first is another
 *     one for the same message.
 *   - In mboxcl and mboxcl2 where Content-Length says, whatever the body holds, if that is right:
 *     the body ends with a line or is followed by an end of line, and then such a "From " line or
 *     the end of the file comes. A wrong one means nothing, and the rules above hold.
 *   - In a file whose first "From " line has no date, as few write it: a "From " line behind an
 *     empty line, before a field of a header.
 *   - Every other line that begins with "From " is text. They are counted.
 * Line ends are LF or CRLF, and stay as they are. A byte order mark, empty lines before a message
 * and the end of line behind one are nobody's; what else stands before the first message is junk.
 *
 * No I/O, and no memory: the caller shows a window of what comes next and is told how much of it
 * was taken. Every byte is in exactly one event. */
#pragma once

#include "archive/bytes.h"
#include "archive/limits.h"

#include <stdbool.h>

/* MBOX_ANY: not known yet. Lengths are followed where they are right, and nothing is unquoted. */
enum mbox_dialect { MBOX_ANY, MBOX_O, MBOX_RD, MBOX_CL, MBOX_CL2 };

enum mbox_event_kind {
	MBOX_MORE,  /* show a longer window; never when it has LIMIT_MBOX_WINDOW bytes, or is whole
		     */
	MBOX_ASK,   /* give the `wanted` bytes from `offset` on to mbox_parser_answer() */
	MBOX_GAP,   /* `bytes` are the format's, and none that anybody misses */
	MBOX_JUNK,  /* `bytes` belong to no message */
	MBOX_BEGIN, /* a message: its "From " line */
	MBOX_BYTES, /* `bytes` of it; can be empty */
	MBOX_END,   /* of it */
	MBOX_DONE   /* the window is empty, and was whole */
};

/* Slices lie in the window. */
struct mbox_event {
	enum mbox_event_kind kind;
	size_t taken; /* of the window, at its beginning */
	struct slice bytes;
	uint64_t offset; /* in the file: of what was taken, or ASK */
	size_t wanted;	 /* ASK */
	/* BEGIN, both without their line's end: the "From " line; and what comes behind it up to
	 * the empty line, or LIMIT_HEADER_BYTES of it. It comes again as MBOX_BYTES. */
	struct slice from, header;
	/* END of the last one: so many bytes less than Content-Length said. 0: it said nothing. */
	uint64_t missing;
};

struct mbox_counts {
	uint64_t messages;
	uint64_t from_text;    /* lines of text that begin with "From " */
	uint64_t from_dated;   /* of them, with a date and no header behind it */
	uint64_t from_first;   /* where the first of them stands */
	uint64_t from_counted; /* likewise, inside of a right Content-Length */
	uint64_t quoted;       /* lines that begin with ">From " */
	uint64_t quoted_more;  /* and with ">>From " and so on */
	uint64_t unquoted;     /* of these lines, given without a ">" */
	uint64_t no_blank;     /* messages without the empty line before the next */
	uint64_t doubled;      /* "From " lines with another one right behind them */
	uint64_t length_right; /* messages by their Content-Length */
	uint64_t length_wrong;
	uint64_t length_unknown; /* too far away, and nobody answered */
	uint64_t junk;		 /* bytes */
	uint64_t unended;	 /* the last line of the file has no end */
};

enum mbox_lookup {
	MBOX_CANNOT_ASK, /* what comes cannot be seen before its turn: never MBOX_ASK */
	MBOX_CAN_ASK
};

/* Embedded. */
struct mbox_parser {
	enum mbox_dialect dialect;
	enum mbox_lookup lookup;
	enum {
		MBOX_AT_START, /* of the file */
		MBOX_BETWEEN,  /* messages */
		MBOX_IN_JUNK,
		MBOX_AT_FROM,	    /* the window begins with a "From " line */
		MBOX_IN_MESSAGE,    /* whose end is looked for */
		MBOX_IN_COUNTED,    /* whose end is known */
		MBOX_BEHIND_COUNTED /* and reached */
	} state;
	uint64_t offset;      /* of the window in the file */
	uint64_t header_end;  /* of the message */
	uint64_t counted_end; /* where Content-Length says that the message ends; 0: it has none */
	enum { MBOX_UNASKED, MBOX_RIGHT, MBOX_WRONG, MBOX_UNKNOWN } length;
	bool line_begins; /* at the window's beginning */
	bool undated;	  /* the file's first "From " line has no date */
	bool in_quotes;	  /* there was another ">" right before the one that it begins with */
	struct mbox_counts counts;
};

enum mbox_place { MBOX_FILE_BEGINS, MBOX_SOMEWHERE };

/* offset: where the first window begins. MBOX_SOMEWHERE: what comes before the next message that
 * begins is junk. */
void mbox_parser_begin(struct mbox_parser *p, enum mbox_dialect dialect, enum mbox_lookup lookup,
	enum mbox_place place, uint64_t offset);

enum mbox_window {
	MBOX_PART, /* more comes behind it */
	MBOX_WHOLE /* it is all that is left */
};
/* The window begins with what the last one left. */
void mbox_parser_step(struct mbox_parser *p, struct slice window, enum mbox_window extent,
	struct mbox_event *ret);

/* Behind MBOX_ASK: the bytes, fewer where the file ends; MBOX_NO_ANSWER: they cannot be had. */
enum mbox_answer { MBOX_ANSWER, MBOX_NO_ANSWER };
void mbox_parser_answer(struct mbox_parser *p, enum mbox_answer kind, struct slice bytes);
