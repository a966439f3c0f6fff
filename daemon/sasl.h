/* The client's side of one SASL exchange, without I/O and without base64: libgsasl for SCRAM,
 * CRAM-MD5, PLAIN, LOGIN, EXTERNAL and GSSAPI; OAUTHBEARER (RFC 7628) and XOAUTH2 are ours. */
#pragma once

#include "daemon/account.h"
#include "daemon/secret.h"

struct sasl;

/* account and secret (may be NULL) are borrowed until sasl_free(). FAULT_USAGE, scope account: the
 * mechanism cannot carry this user or secret; FAULT_SYSTEM: libgsasl here lacks it. */
int sasl_new(const char *mechanism, const struct account *account, const struct secret *secret,
	struct sasl **ret, struct fault *f) MUST_CHECK;
/* Wipes libgsasl's copies of the secret, as far as it shows them. Returns NULL. */
struct sasl *sasl_free(struct sasl *s);
void sasl_freep(struct sasl **s);

enum { SASL_CANCEL = 1 };
/* One challenge; appends the response, which may be empty, to to: reserve room before, or the
 * secret is left behind where the storage moves. SASL_CANCEL: the server says in its challenge that
 * it refuses; answer "*" and wait for -ERR. FAULT_PROTOCOL, scope account: the challenge is
 * nonsense, or does not prove that the server knows the password. */
int sasl_step(
	struct sasl *s, struct slice challenge, struct buffer *to, struct fault *f) MUST_CHECK;
/* Whether the server may now say +OK: the exchange is whole and, with SCRAM, the server has proven
 * itself. */
bool sasl_is_complete(const struct sasl *s);
/* What the server said in a challenge about why it refuses, escaped; "" when nothing. */
const char *sasl_refusal(const struct sasl *s);
