/* APOP, RFC 1939 section 7: the MD5 of the banner's timestamp and the secret, in hex. Weak: only
 * forced, or where nothing better keeps the password from going out in clear. */
#pragma once

#include "archive/bytes.h"

enum { APOP_HEX = 32 };

/* FAULT_SYSTEM where OpenSSL has no MD5 (FIPS mode). */
int apop_digest(struct slice banner, struct slice secret, char ret[static APOP_HEX + 1],
	struct fault *f) MUST_CHECK;
