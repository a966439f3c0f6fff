/* Base64 as SASL lines carry it (RFC 4648 section 4): padded, without line breaks. */
#pragma once

#include "archive/bytes.h"

/* Appends. FAULT_LIMIT, FAULT_MEMORY. Storage that must not move in memory is reserved before. */
int base64_encode(struct buffer *to, struct slice bytes, struct fault *f) MUST_CHECK;
enum { BASE64_INVALID = 1 };
/* Appends. BASE64_INVALID: not base64, to is unchanged. */
int base64_decode(struct buffer *to, struct slice text, struct fault *f) MUST_CHECK;
