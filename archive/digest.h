/* SHA-256 (FIPS 180-4) by OpenSSL: a message's identity is the digest of its bytes. */
#pragma once

#include "archive/bytes.h"

enum { DIGEST_LEN = 32, DIGEST_HEX = 64 };

struct digest {
	uint8_t byte[DIGEST_LEN];
};

/* A digest being computed. hasher_new: FAULT_MEMORY. */
struct hasher;
int hasher_new(struct hasher **ret, struct fault *f) MUST_CHECK;
struct hasher *hasher_free(struct hasher *h);
void hasher_freep(struct hasher **h);
void hasher_add(struct hasher *h, const void *data, size_t len);
/* Gives the digest and begins a new one. */
void hasher_end(struct hasher *h, struct digest *ret);

/* 64 lower-case digits and NUL. */
void digest_hex(const struct digest *d, char ret[static DIGEST_HEX + 1]);
/* 0, or 1 when text is not exactly 64 lower-case digits. */
int digest_parse(struct slice text, struct digest *ret);
static inline int digest_compare(const struct digest *a, const struct digest *b)
{
	return memcmp(a->byte, b->byte, DIGEST_LEN);
}
