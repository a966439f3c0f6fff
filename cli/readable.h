/* The text of a message for people: line by line, escaped, so that nothing in it can drive a
 * terminal. As long as parts are not decoded, long runs of base64 are told of instead of shown. */
#pragma once

#include "archive/bytes.h"
#include "cli/output.h"

enum { READABLE_PIECE = 64 * 1024 };

/* Zero-initialise but for out. */
struct readable {
	struct output *out;
	bool all;	/* nothing is hidden */
	size_t width;	/* of the base64 lines in a row that are being passed over */
	uint64_t lines; /* how many there were */
};

/* The next bytes, which end with a line unless it is longer than READABLE_PIECE or the last one. */
void readable_put(struct readable *r, struct slice bytes);
/* Nothing more comes. */
void readable_end(struct readable *r);
