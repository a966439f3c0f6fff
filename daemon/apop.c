#include "daemon/apop.h"

#include <openssl/evp.h>

static void context_freep(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

int apop_digest(
	struct slice banner, struct slice secret, char ret[static APOP_HEX + 1], struct fault *f)
{
	static const char digits[] = "0123456789abcdef";
	EVP_MD_CTX *context CLEANUP(context_freep) = EVP_MD_CTX_new();
	unsigned char md5[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (!context)
		return fault_memory(f);
	if (EVP_DigestInit_ex2(context, EVP_md5(), NULL) != 1 ||
		EVP_DigestUpdate(context, banner.data, banner.len) != 1 ||
		EVP_DigestUpdate(context, secret.data, secret.len) != 1 ||
		EVP_DigestFinal_ex(context, md5, &len) != 1 || len != APOP_HEX / 2)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ACCOUNT, 0,
			"OpenSSL gives no MD5, which APOP needs");
	for (size_t i = 0; i < len; i++) {
		ret[2 * i] = digits[md5[i] >> 4];
		ret[2 * i + 1] = digits[md5[i] & 15];
	}
	ret[APOP_HEX] = '\0';
	return 0;
}
