/* What of a message can be stored once and apart: runs of base64 lines that encode back to exactly
 * the same bytes, and bodies of MIME parts that are not base64. It works on lines alone: no header
 * is interpreted but the boundary parameter, nesting has no depth, and what cannot be made out
 * stays in the message. For popkeep-worker: who takes mail in never calls it. */
#pragma once

#include "archive/recipe.h"

struct split_span {
	enum piece_kind kind;  /* RAW or BASE64 */
	uint64_t offset, size; /* in the message */
	uint64_t part_size;    /* RAW: size; BASE64: decoded, at least LIMIT_PART_LEAST */
	uint32_t line;	       /* BASE64: as in struct piece */
	enum piece_eol eol;
};

struct split {
	struct split_span span[(LIMIT_RECIPE_PIECES - 1) / 2];
	size_t spans;
};

/* The spans in order, none overlapping; each a BASE64 whose decoded bytes encode back to exactly
 * its bytes (that is tried), or a RAW body of at least LIMIT_PART_LEAST. What comes behind the last
 * that fits is not split, and nothing of a message of more than LIMIT_SPLIT_MESSAGE. Linear in the
 * message's length. scratch: for the trial, max 1 MiB or more. FAULT_MEMORY. */
int split_message(struct slice message, struct buffer *scratch, struct split *ret,
	struct fault *f) MUST_CHECK;

/* The part's bytes of a span, into `to`, which is cleared first. */
int split_decode(struct slice message, const struct split_span *span, struct buffer *to,
	struct fault *f) MUST_CHECK;
