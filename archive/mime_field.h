/* Content-Type, Content-Disposition and their like (RFC 2045 section 5.1), read leniently from any
 * bytes: unfolded, as the header has them. */
#pragma once

#include "archive/charset.h"

/* What stands before the first parameter, "multipart/mixed", in lower case and cut where it is too
 * long; "" where there is nothing. */
enum { MIME_VALUE = 64 };
void mime_value(struct slice field, char ret[static MIME_VALUE]);

/* Appends the value of the parameter, as UTF-8 as far as it says the truth: in one piece or in
 * several, in a charset (RFC 2231), quoted or not; encoded words (RFC 2047 does not allow them
 * there, and many write them) are decoded. As much as fits to->max. MIME_NONE: there is none of
 * this name, or it is empty. FAULT_MEMORY. */
enum { MIME_NONE = 1 };
int mime_parameter(struct charsets *charsets, struct slice field, const char *name,
	struct buffer *to, struct fault *f) MUST_CHECK;
/* The bytes as they are, for a boundary: the first one of this name, quotes and backslashes taken
 * away. */
int mime_bytes(struct slice field, const char *name, struct buffer *to, struct fault *f) MUST_CHECK;
