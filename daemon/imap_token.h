/* The words of an IMAP response (RFC 3501 section 9) that has arrived whole. A literal in it is a
 * NUL (which no response has otherwise), its kept length in four bytes, little-endian, and its
 * bytes. Everything is changed in place; what is malformed yields false and leaves the rest unread.
 */
#pragma once

#include "archive/bytes.h"

#include <stdbool.h>

enum { IMAP_LITERAL_HEAD = 5 };

struct imap_cursor {
	uint8_t *at, *end;
};

/* Takes c, and the spaces behind it. */
bool imap_take_char(struct imap_cursor *c, char wanted);
/* An atom: up to a space or a parenthesis; the spaces behind it go. A "[…]" within is taken whole,
 * parentheses and spaces too: BODY[HEADER.FIELDS (MESSAGE-ID)]. Empty at the end. */
struct slice imap_take_atom(struct imap_cursor *c);
bool imap_take_number(struct imap_cursor *c, uint64_t *ret);
/* An astring or nstring: atom, quoted string (undone) or literal. *ret_nil: it was NIL, and empty.
 */
bool imap_take_string(struct imap_cursor *c, struct slice *ret, bool *ret_nil);
/* What stands in the parentheses at the cursor, raw. */
bool imap_take_list(struct imap_cursor *c, struct slice *ret);
/* Any value, lists with all that is in them: LIMIT_IMAP_DEPTH deep. */
bool imap_skip_value(struct imap_cursor *c);

/* Whether word is name, in any case. */
bool imap_is(struct slice word, const char *name);
