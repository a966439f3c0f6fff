/* The one way from bytes that came from outside to a terminal, a log or an error text. */
#pragma once

#include "archive/bytes.h"

/* Appends bytes so that they are safe to print: well-formed UTF-8 of printable characters stays;
 * C0 and C1 controls, DEL, malformed UTF-8, line and paragraph separators, and the characters that
 * reorder or hide text (bidirectional controls, zero-width ones, U+FEFF, tags, variation fillers)
 * become \xNN for each byte; a backslash becomes \\. */
int escape_append(struct buffer *to, struct slice bytes, struct fault *f) MUST_CHECK;

/* The same into a fixed text, cut with "..." where it does not fit; size at least 4. Returns ret,
 * for use as a printf argument. */
const char *escape_text(struct slice bytes, char *ret, size_t size);
/* The same for a text whose parts from outside are escaped already: a backslash stays as it is, so
 * that what escape_text() gave stays the same, and anything else is still safe to print. */
const char *escape_again(struct slice bytes, char *ret, size_t size);

/* Length of the well-formed UTF-8 character at the start of bytes, its code point in *ret; 0 when
 * it is not well-formed (overlong, surrogate, beyond U+10FFFF, cut short). */
size_t utf8_next(struct slice bytes, uint32_t *ret);
