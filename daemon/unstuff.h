/* Byte-stuffing of multi-line responses undone (RFC 1939 section 3), in place and at the speed of
 * memchr. No I/O, no allocation, 8 bytes of state; may be fed with any split.
 *
 * A line begins at the start of the message and after CRLF, nowhere else: a bare LF or CR is a byte
 * like any other, and so are NUL and those above 0x7f. Of a line that begins with a dot, the dot
 * goes; a line that is a dot alone, with CRLF before and after it (before: or the start), ends the
 * message. The CRLF before that dot belongs to the message. With LINE_ENDS_LF read LF for CRLF. */
#pragma once

#include "archive/bytes.h"

enum line_ends {
	LINE_ENDS_CRLF,
	LINE_ENDS_LF /* for a server that ends every line with LF alone */
};

struct unstuff {
	enum line_ends ends;
	int state; /* enum place in unstuff.c: where in a line the next byte stands */
};

void unstuff_init(struct unstuff *u, enum line_ends ends);

/* Takes *ret_used of the len bytes at data and gives the message's bytes among them in *ret_bytes:
 * within data, which is overwritten, or a constant; valid as long as data is; may be empty.
 * UNSTUFF_MORE: call again with what is left of data, or with what comes after it.
 * UNSTUFF_END: the message ends with *ret_bytes; what lies behind *ret_used is not its own. Call
 * unstuff_init() before the next message. */
enum { UNSTUFF_MORE = 0, UNSTUFF_END = 1 };
int unstuff_feed(
	struct unstuff *u, uint8_t *data, size_t len, size_t *ret_used, struct slice *ret_bytes);
