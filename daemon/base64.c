#include "daemon/base64.h"

#include <limits.h>
#include <openssl/evp.h>

int base64_encode(struct buffer *to, struct slice bytes, struct fault *f)
{
	if (bytes.len > INT_MAX / 2)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0, "too long for base64");
	size_t len = (bytes.len + 2) / 3 * 4;
	if (buffer_reserve(to, len + 1, f) < 0) /* OpenSSL writes a NUL behind it */
		return -1;
	(void)EVP_EncodeBlock(to->data + to->len, bytes.data, (int)bytes.len);
	to->len += len;
	return 0;
}

/* OpenSSL takes spaces and line breaks around it and padding anywhere; SASL does not. */
static bool is_base64(struct slice text, size_t *ret_padding)
{
	size_t padding = 0;

	while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text.len - padding; i++) {
		uint8_t c = text.data[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    c == '+' || c == '/'))
			return false;
	}
	*ret_padding = padding;
	return text.len % 4 == 0 && text.len <= INT_MAX / 2;
}

int base64_decode(struct buffer *to, struct slice text, struct fault *f)
{
	size_t padding = 0;

	if (!is_base64(text, &padding))
		return BASE64_INVALID;
	if (text.len == 0)
		return 0;
	if (buffer_reserve(to, text.len / 4 * 3, f) < 0)
		return -1;
	int n = EVP_DecodeBlock(to->data + to->len, text.data, (int)text.len);
	if (n < 0 || (size_t)n < padding)
		return BASE64_INVALID;
	to->len += (size_t)n - padding;
	return 0;
}
