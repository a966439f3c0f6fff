/* The headers of zstd's frames and blocks (RFC 8878 section 3.1.1), without decoding: a flipped bit
 * in a frame's header can change nothing that a decoder gives, and is damage all the same. */
#pragma once

#include "archive/bytes.h"

/* The header of every frame in an open segment, behind its magic number: content checksum, no size,
 * no dictionary; a window of 2^19 bytes. FORMAT.md, "Segments". */
enum { OPEN_FRAME_DESCRIPTOR = 0x04, OPEN_FRAME_WINDOW_LOG = 19 };

struct frame_headers {
	uint64_t offset; /* where to begin, then where it ended: behind the frame looked at last */
	uint64_t from;	 /* FRAME_ODD: the frame that is not as it should be */
	uint64_t frames; /* looked at */
};

/* Passes over frames from h->offset to `end`. FRAME_ODD: the header of one is not as in each open
 * segment; go on with the same h. 0: at the end, or where blocks do not follow each other as they
 * should, which is for a decoder to tell. */
enum { FRAME_ODD = 1 };
int frame_headers_check(int fd, uint64_t end, struct frame_headers *h, struct fault *f) MUST_CHECK;
