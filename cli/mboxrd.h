/* A message as it stands in an mboxrd file: "From SENDER DATE", the message with ">" put before
 * each line that begins with "From " behind any number of ">", an empty line. Line ends are LF, as
 * everywhere in mbox: CRLF becomes LF. A message that has an LF without CR cannot be had back from
 * that, so it keeps its line ends as they are (MBOXRD_KEPT).
 *
 * The way back, exactly: without the first line and the last LF; one ">" less where a line begins
 * with ">", any more of them, and "From "; with MBOXRD_CRLF each LF is CRLF again; cut to the
 * message's size (a last line without end was given one).
 *
 * No I/O: bytes in, bytes out, in pieces of any size. */
#pragma once

#include "archive/moment.h"

#include <stdbool.h>
#include <sys/types.h>

enum mboxrd_ends { MBOXRD_CRLF, MBOXRD_KEPT };
enum { MBOXRD_FIRST_LINE = 400, MBOXRD_BARE_LF = 1 };

/* Embedded. */
struct mboxrd {
	moment_ms archived;
	enum mboxrd_ends ends;
	enum { MBOXRD_IN_FIRST, MBOXRD_LINE_BEGINS, MBOXRD_IN_LINE } state;
	uint8_t first[MBOXRD_FIRST_LINE]; /* of the first line, which may name the sender */
	size_t first_len;
	size_t matched; /* of "From ", not written yet */
	bool cr;	/* held back until it is known what follows */
	bool open;	/* the last line has no end yet */
};

void mboxrd_begin(struct mboxrd *m, moment_ms archived, enum mboxrd_ends ends);
/* Appends to out: at most what came, a fifth of it, and 1 KiB. MBOXRD_BARE_LF, with MBOXRD_CRLF
 * only: begin again with MBOXRD_KEPT. */
int mboxrd_add(
	struct mboxrd *m, struct slice bytes, struct buffer *out, struct fault *f) MUST_CHECK;
int mboxrd_end(struct mboxrd *m, struct buffer *out, struct fault *f) MUST_CHECK;

/* The way back: bytes of one message as it stands in the file, its first line and the empty one
 * behind it included. Embedded; what it gives goes to a sink in pieces. */
typedef int mboxrd_sink(void *context, struct slice bytes, struct fault *f);
struct mboxrd_back {
	enum mboxrd_ends ends;
	uint64_t left; /* bytes of the message that are to come */
	uint64_t more; /* bytes behind it */
	mboxrd_sink *sink;
	void *context;
	enum { BACK_FIRST, BACK_LINE_BEGINS, BACK_IN_LINE } state;
	uint64_t brackets; /* at the line's beginning, not given yet */
	size_t matched;	   /* likewise, of "From " */
};
void mboxrd_back_begin(struct mboxrd_back *b, enum mboxrd_ends ends, uint64_t size,
	mboxrd_sink *sink, void *context);
int mboxrd_back_add(struct mboxrd_back *b, struct slice bytes, struct fault *f) MUST_CHECK;
/* 0, or MBOXRD_OTHER: there were fewer bytes, or more than a message has. */
enum { MBOXRD_OTHER = 2 };
int mboxrd_back_end(struct mboxrd_back *b, struct fault *f) MUST_CHECK;
