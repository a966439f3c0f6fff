/* What a person wants to see of a message's header, read from any bytes: the first occurrence of a
 * few fields in the first header block, unfolded, with RFC 2047 encoded words decoded. What is
 * malformed stays as it stands there. The result is for archive/escape.h before it is shown: it is
 * UTF-8 only where the message said the truth about its charsets. Nothing is ever decided by it. */
#pragma once

#include "archive/bytes.h"
#include "archive/limits.h"

enum header_field {
	HEADER_FROM,
	HEADER_TO,
	HEADER_CC,
	HEADER_DATE,
	HEADER_SUBJECT,
	HEADER_CONTENT_TYPE,
	HEADER_TRANSFER_ENCODING,
	HEADER_FIELDS
};

/* "From" */
const char *header_name(enum header_field field);

/* Zero-initialise; header_read() may be used again on it. */
struct header {
	struct buffer field[HEADER_FIELDS]; /* empty where there is none */
	size_t body;			    /* where the header ends: behind the empty line */
};

/* At most LIMIT_HEADER_FIELD bytes of each field are looked at; message may be only the beginning
 * of one. Fails for want of memory only. */
int header_read(struct slice message, struct header *ret, struct fault *f) MUST_CHECK;
void header_deinit(struct header *h);

/* RFC 2047: appends text with its encoded words decoded. */
int header_decode(struct slice text, struct buffer *to, struct fault *f) MUST_CHECK;
/* The same for who can open no charset any more (charset.h). */
struct charsets;
int header_decode_with(struct charsets *charsets, struct slice text, struct buffer *to,
	struct fault *f) MUST_CHECK;
