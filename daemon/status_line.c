#include "daemon/status_line.h"

#include "daemon/reply.h"

enum status_indicator status_indicator(struct slice line)
{
	struct reply r;

	if (reply_parse(line, &r) == 0)
		return r.status == REPLY_OK ? STATUS_OK : STATUS_ERR;
	if (line.len > 0 && line.data[0] == '+' && (line.len == 1 || line.data[1] == ' '))
		return STATUS_CONTINUE;
	return STATUS_OTHER;
}

struct slice status_text(struct slice line)
{
	const uint8_t *space = line.len ? memchr(line.data, ' ', line.len) : NULL;
	size_t n = space ? (size_t)(space - line.data) + 1 : line.len;

	return slice_of(line.data + n, line.len - n);
}
