/* The two SASL mechanisms that carry an OAuth 2 bearer token: OAUTHBEARER (RFC 7628) and Google's
 * older XOAUTH2, which Microsoft has too. One message, and where it is refused one challenge with a
 * JSON text that must be answered before the server says -ERR. */
#pragma once

#include "daemon/account.h"
#include "daemon/secret.h"

/* The first message. FAULT_USAGE, scope account: the token is none (RFC 6750 section 2.1), or the
 * user name holds a control character. */
int bearer_oauthbearer(struct buffer *to, const struct account *account, const struct secret *token,
	struct fault *f) MUST_CHECK;
int bearer_xoauth2(struct buffer *to, const struct account *account, const struct secret *token,
	struct fault *f) MUST_CHECK;

/* What to tell a person of the server's JSON text: "status 401", or all of it, escaped. */
const char *bearer_refusal(struct slice json, char *ret, size_t size);
