#include "archive/digest.h"

#include <assert.h>
#include <openssl/evp.h>

struct hasher {
	EVP_MD_CTX *context;
	EVP_MD *sha256; /* fetched once: an implicit fetch for each message costs more than hashing
			   it */
};

int hasher_new(struct hasher **ret, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = calloc(1, sizeof *h);

	if (!h)
		return fault_memory(f);
	h->context = EVP_MD_CTX_new();
	h->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!h->context || !h->sha256 || EVP_DigestInit_ex2(h->context, h->sha256, NULL) != 1)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "OpenSSL gives no SHA-256");
	*ret = TAKE(h);
	return 0;
}

struct hasher *hasher_free(struct hasher *h)
{
	if (!h)
		return NULL;
	EVP_MD_CTX_free(h->context);
	EVP_MD_free(h->sha256);
	free(h);
	return NULL;
}

void hasher_freep(struct hasher **h)
{
	*h = hasher_free(*h);
}

/* After a good init SHA-256 cannot fail in OpenSSL 3, but for the hundred bytes that it allocates
 * to begin again; a digest that silently is not one must not exist, so this ends the program, which
 * the archive survives at any moment. */
static void must(int result)
{
	assert(result == 1);
}

void hasher_add(struct hasher *h, const void *data, size_t len)
{
	must(EVP_DigestUpdate(h->context, data, len));
}

void hasher_end(struct hasher *h, struct digest *ret)
{
	unsigned int len = 0;

	must(EVP_DigestFinal_ex(h->context, ret->byte, &len));
	assert(len == DIGEST_LEN);
	must(EVP_DigestInit_ex2(h->context, h->sha256, NULL));
}

void digest_hex(const struct digest *d, char ret[static DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST_LEN; i++) {
		ret[2 * i] = digits[d->byte[i] >> 4];
		ret[2 * i + 1] = digits[d->byte[i] & 15];
	}
	ret[DIGEST_HEX] = '\0';
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int digest_parse(struct slice text, struct digest *ret)
{
	struct digest d;

	if (text.len != DIGEST_HEX)
		return 1;
	for (size_t i = 0; i < DIGEST_LEN; i++) {
		int high = nibble(text.data[2 * i]), low = nibble(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return 1;
		d.byte[i] = (uint8_t)(high << 4 | low);
	}
	*ret = d;
	return 0;
}
