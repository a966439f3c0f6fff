#include "daemon/response_code.h"

#include <strings.h>

static bool begins(struct slice line, const char *word)
{
	size_t n = strlen(word);

	return line.len >= n && memcmp(line.data, word, n) == 0 &&
	       (line.len == n || line.data[n] == ' ');
}

enum status_indicator status_indicator(struct slice line)
{
	if (begins(line, "+OK"))
		return STATUS_OK;
	if (begins(line, "-ERR"))
		return STATUS_ERR;
	if (begins(line, "+"))
		return STATUS_CONTINUE;
	return STATUS_OTHER;
}

static struct slice behind(struct slice s, size_t n)
{
	return slice_of(s.data + n, s.len - n);
}

struct slice status_text(struct slice line)
{
	const uint8_t *space = line.len ? memchr(line.data, ' ', line.len) : NULL;

	return space ? behind(line, (size_t)(space - line.data) + 1) : slice_of(line.data, 0);
}

/* Whether code is name or a level below it. */
static bool is_code(struct slice code, const char *name)
{
	size_t n = strlen(name);

	return code.len >= n && strncasecmp((const char *)code.data, name, n) == 0 &&
	       (code.len == n || code.data[n] == '/');
}

enum response_code response_code(struct slice line)
{
	static const struct {
		const char *name;
		enum response_code code;
	} known[] = {
		{"AUTH", RESPONSE_AUTH},
		{"IN-USE", RESPONSE_IN_USE},
		{"LOGIN-DELAY", RESPONSE_LOGIN_DELAY},
		{"SYS/TEMP", RESPONSE_SYS_TEMP},
		{"SYS/PERM", RESPONSE_SYS_PERM},
	};
	struct slice text = status_text(line);

	if (text.len == 0 || text.data[0] != '[')
		return RESPONSE_NONE;
	const uint8_t *end = memchr(text.data, ']', text.len);
	if (!end)
		return RESPONSE_NONE;
	struct slice code = slice_of(text.data + 1, (size_t)(end - text.data) - 1);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (is_code(code, known[i].name))
			return known[i].code;
	}
	return RESPONSE_OTHER;
}
