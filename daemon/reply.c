#include "daemon/reply.h"

#include "archive/decimal.h"

#include <stdbool.h>
#include <strings.h>

static const struct {
	const char *text;
	enum reply_code code;
} CODES[] = {
	{"IN-USE", REPLY_CODE_IN_USE},
	{"LOGIN-DELAY", REPLY_CODE_LOGIN_DELAY},
	{"SYS/TEMP", REPLY_CODE_SYS_TEMP},
	{"SYS/PERM", REPLY_CODE_SYS_PERM},
	{"AUTH", REPLY_CODE_AUTH},
};

/* RFC 2449 section 8: a code may have more levels, set off by "/", than a client knows. */
static enum reply_code code_of(struct slice text)
{
	for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++) {
		size_t n = strlen(CODES[i].text);
		if (text.len >= n && strncasecmp((const char *)text.data, CODES[i].text, n) == 0 &&
			(text.len == n || text.data[n] == '/'))
			return CODES[i].code;
	}
	return REPLY_CODE_OTHER;
}

/* A code is printable ASCII between brackets, without a space; what is not one stays text. */
static void take_code(struct reply *r)
{
	struct slice text = r->text;
	size_t n = 1;

	if (text.len < 3 || text.data[0] != '[')
		return;
	while (n < text.len && text.data[n] > ' ' && text.data[n] < 0x7f && text.data[n] != ']')
		n++;
	if (n == 1 || n == text.len || text.data[n] != ']')
		return;
	r->code = code_of(slice_of(text.data + 1, n - 1));
	r->text = slice_of(text.data + n + 1, text.len - n - 1);
	(void)decimal_skip_spaces(&r->text);
}

int reply_parse(struct slice line, struct reply *ret)
{
	bool ok = line.len >= 3 && memcmp(line.data, "+OK", 3) == 0;
	bool err = line.len >= 4 && memcmp(line.data, "-ERR", 4) == 0;

	if (!ok && !err)
		return REPLY_MALFORMED;
	size_t n = ok ? 3 : 4;
	*ret = (struct reply){
		.status = ok ? REPLY_OK : REPLY_ERR, .text = slice_of(line.data + n, line.len - n)};
	(void)decimal_skip_spaces(&ret->text);
	take_code(ret);
	return 0;
}

int reply_stat(const struct reply *r, uint64_t *ret_messages, uint64_t *ret_octets)
{
	struct slice rest = r->text;
	uint64_t messages, octets = UINT64_MAX;

	if (r->status != REPLY_OK || decimal_take(&rest, &messages) != 0)
		return REPLY_MALFORMED;
	(void)decimal_skip_spaces(&rest);
	if (decimal_take(&rest, &octets) != 0)
		octets = UINT64_MAX;
	*ret_messages = messages;
	*ret_octets = octets;
	return 0;
}
