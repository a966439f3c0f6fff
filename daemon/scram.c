#include "daemon/scram.h"

#include "archive/decimal.h"
#include "archive/limits.h"
#include "daemon/base64.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { SALT_MAX = 1024 };

static void free_wiped(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

static int count_of(const char *iterations, int *ret)
{
	struct slice text = slice_text(iterations);
	uint64_t n = 0;

	if (decimal_take(&text, &n) != 0 || text.len > 0 || n < 1 || n > LIMIT_SCRAM_ITERATIONS)
		return SCRAM_DECLINED;
	*ret = (int)n;
	return 0;
}

int scram_salted_password(enum scram_hash hash, const char *password, const char *salt,
	const char *iterations, char ret_hex[static SCRAM_HEX_MAX])
{
	struct buffer bytes CLEANUP(buffer_deinit) = buffer_make(SALT_MAX);
	char *prepared CLEANUP(free_wiped) = NULL;
	unsigned char key[32];
	int len = hash == SCRAM_SHA1 ? 20 : 32, count;
	struct fault ignored;

	if (count_of(iterations, &count) != 0 ||
		base64_decode(&bytes, slice_text(salt), &ignored) != 0 ||
		gsasl_saslprep(password, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) != GSASL_OK)
		return SCRAM_DECLINED;
	if (PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), bytes.data, (int)bytes.len, count,
		    hash == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256(), len, key) != 1)
		return SCRAM_DECLINED;
	for (int i = 0; i < len; i++)
		(void)snprintf(ret_hex + 2 * i, 3, "%02x", key[i]);
	explicit_bzero(key, sizeof key);
	return 0;
}
