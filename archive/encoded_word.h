/* RFC 2047 encoded words, "=?charset?B?text?=": taking them apart and turning their bytes into
 * UTF-8. Words of one charset that follow each other are put together before their charset is
 * decoded, because many senders cut a character in two. */
#pragma once

#include "archive/bytes.h"
#include "archive/charset.h"
#include "archive/limits.h"

enum {
	CHARSET_NAME_MAX = 40,
	/* A byte of a decoded word becomes at most three in all but exotic charsets. */
	HEADER_FIELD_MAX = 4 * LIMIT_HEADER_FIELD
};

struct encoded_word {
	struct slice charset; /* without the language of RFC 2231 section 5 */
	char encoding;	      /* 'B' or 'Q' */
	struct slice text;
};

/* The length of the well-formed encoded word that text begins with, or 0. */
size_t encoded_word_parse(struct slice text, struct encoded_word *ret);

/* Zero-initialise. */
struct word_decoder {
	struct charsets *charsets; /* borrowed; NULL: each charset is opened when it is needed */
	char charset[CHARSET_NAME_MAX + 1]; /* of the pending bytes */
	struct buffer pending;
};
int word_decoder_add(struct word_decoder *d, const struct encoded_word *word, struct buffer *to,
	struct fault *f) MUST_CHECK;
/* Decodes what is pending. Where its charset is not known, the bytes stay as they are. */
int word_decoder_flush(struct word_decoder *d, struct buffer *to, struct fault *f) MUST_CHECK;
void word_decoder_deinit(struct word_decoder *d);

/* Appends what still fits to->max. */
int decoded_append(struct buffer *to, struct slice bytes, struct fault *f) MUST_CHECK;

/* Appends bytes of a charset as UTF-8; what it does not have becomes U+FFFD. Where it is not known,
 * the bytes stay as they are. charsets: as above. */
int charset_decode(struct charsets *charsets, const char *charset, struct slice bytes,
	struct buffer *to, struct fault *f) MUST_CHECK;
