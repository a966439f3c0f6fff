/* A message in pieces, as a sealed segment holds it: FORMAT.md, "A recipe". Text, parsed with every
 * number capped and every sum checked before a byte is allocated or given out. */
#pragma once

#include "archive/digest.h"
#include "archive/limits.h"

enum piece_kind { PIECE_LITERAL = 1, PIECE_RAW, PIECE_BASE64 };
enum piece_eol { PIECE_CRLF = 1, PIECE_LF };

struct piece {
	enum piece_kind kind;
	uint64_t size; /* bytes of the message that it makes */
	/* RAW, BASE64 */
	struct digest part;
	uint64_t part_size;
	uint64_t frame_offset, entry_offset; /* where entry part/<digest> lies, in this file */
	/* BASE64 */
	uint32_t line; /* characters; 0: one line */
	enum piece_eol eol;
};

/* Bytes that part_size bytes make in base64 with such lines; no line end behind the last. False:
 * it would overflow. */
bool piece_encoded_size(
	uint64_t part_size, uint32_t line, enum piece_eol eol, uint64_t *ret) MUST_CHECK;

struct recipe {
	uint64_t size; /* of the message */
	struct piece piece[LIMIT_RECIPE_PIECES];
	size_t pieces;
	uint64_t literal_bytes; /* all of them */
	size_t header_len;	/* where the literal bytes begin in the entry */
};

/* Appends the text up to and with the empty line; the caller appends the literal bytes. Sets
 * header_len. FAULT_LIMIT, FAULT_MEMORY. */
int recipe_format(struct recipe *r, struct buffer *to, struct fault *f) MUST_CHECK;

/* Reads an entry's bytes, header and literal bytes; size: of the message, as the caller knows it.
 * FAULT_DAMAGE: it is no recipe, or not one of a message of this size. What it says of places is
 * not checked. */
int recipe_parse(struct slice entry, uint64_t size, struct recipe *ret, struct fault *f) MUST_CHECK;
/* The same of its beginning, with at least all of the text, when it is entry_size bytes in all. */
int recipe_parse_head(struct slice head, uint64_t entry_size, uint64_t size, struct recipe *ret,
	struct fault *f) MUST_CHECK;
/* What the beginning of an entry says of the message's size. FAULT_DAMAGE. */
int recipe_size(struct slice head, uint64_t *ret, struct fault *f) MUST_CHECK;

/* ---- base64, streaming ----------------------------------------------------------------------- */

/* Encodes a part that comes in pieces of any size. Embedded; base64_lines_init() first. */
struct base64_lines {
	uint32_t line;
	enum piece_eol eol;
	uint64_t column; /* characters in the line so far */
	uint8_t left[2]; /* bytes that are not encoded yet */
	size_t left_n;
};
void base64_lines_init(struct base64_lines *b, uint32_t line, enum piece_eol eol);
/* Appends what can be said by now; with base64_lines_end() the rest and the padding. FAULT_LIMIT
 * beyond to->max, FAULT_MEMORY. */
int base64_lines_add(
	struct base64_lines *b, struct slice bytes, struct buffer *to, struct fault *f) MUST_CHECK;
int base64_lines_end(struct base64_lines *b, struct buffer *to, struct fault *f) MUST_CHECK;
