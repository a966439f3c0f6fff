#include "daemon/unstuff.h"

#include <stdbool.h>

/* Where the next byte stands. In DOT and DOT_CR what was read of the line is held back: it may turn
 * out to be the end of the message. */
enum place {
	AT_LINE, /* at the beginning of a line */
	IN_LINE,
	AFTER_CR, /* in a line, the last byte was CR; not with LINE_ENDS_LF */
	AFTER_DOT,
	AFTER_DOT_CR
};

static const uint8_t CR[1] = {'\r'};

void unstuff_init(struct unstuff *u, enum line_ends ends)
{
	*u = (struct unstuff){.ends = ends, .state = AT_LINE};
}

/* Moves the bytes from..to down to out, which lies before them or is where they are. */
static uint8_t *keep(uint8_t *out, const uint8_t *from, const uint8_t *to)
{
	size_t n = (size_t)(to - from);

	if (out != from)
		memmove(out, from, n);
	return out + n;
}

/* Goes on to the beginning of the next line that could need a look: the first byte behind a LF that
 * is a dot or has not been received. */
static const uint8_t *skip_lines(struct unstuff *u, const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf) {
			u->state =
				end[-1] == '\r' && u->ends == LINE_ENDS_CRLF ? AFTER_CR : IN_LINE;
			return end;
		}
		if (lf + 1 == end || lf[1] == '.') {
			bool after_cr = lf > p ? lf[-1] == '\r' : u->state == AFTER_CR;
			u->state = after_cr || u->ends == LINE_ENDS_LF ? AT_LINE : IN_LINE;
			return lf + 1;
		}
		u->state = IN_LINE;
		p = lf + 1;
	}
	return p;
}

/* Behind a dot that began a line: how many bytes at p make that line the last one, 0 when they do
 * not. */
static size_t last_line(struct unstuff *u, const uint8_t *p, const uint8_t *end)
{
	if (u->ends == LINE_ENDS_LF)
		return *p == '\n' ? 1 : 0;
	return end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

int unstuff_feed(
	struct unstuff *u, uint8_t *data, size_t len, size_t *ret_used, struct slice *ret_bytes)
{
	const uint8_t *p = data, *end = data + len, *from = data;
	uint8_t *out = data;
	size_t last = 0;

	if (len > 0 && u->state == AFTER_DOT_CR) {
		bool ended = *p == '\n';
		u->state = AFTER_CR;
		*ret_used = ended ? 1 : 0;
		*ret_bytes = ended ? slice_of(data, 0) : slice_of(CR, 1);
		return ended ? UNSTUFF_END : UNSTUFF_MORE;
	}
	while (p < end && last == 0) {
		if (u->state == AT_LINE && *p == '.') {
			out = keep(out, from, p);
			from = ++p;
			u->state = AFTER_DOT;
		} else if (u->state == AFTER_DOT && (last = last_line(u, p, end)) > 0) {
			from = p += last;
		} else if (u->state == AFTER_DOT && *p == '\r' && p + 1 == end &&
			   u->ends == LINE_ENDS_CRLF) {
			from = ++p;
			u->state = AFTER_DOT_CR;
		} else {
			if (u->state != AFTER_CR)
				u->state = IN_LINE;
			p = skip_lines(u, p, end);
		}
	}
	out = keep(out, from, p);
	*ret_used = (size_t)(p - data);
	*ret_bytes = slice_of(data, (size_t)(out - data));
	return last > 0 ? UNSTUFF_END : UNSTUFF_MORE;
}
