/* From mboxrd to the message's own bytes: mboxrd.h says how. */
#include "cli/mboxrd.h"

static const char FROM[] = "From ";
enum {
	FROM_LEN = sizeof FROM - 1,
	BEHIND_MOST = 4
}; /* the line end that it may have been given,
    * and the empty line, as CRLF */

void mboxrd_back_begin(struct mboxrd_back *b, enum mboxrd_ends ends, uint64_t size,
	mboxrd_sink *sink, void *context)
{
	*b = (struct mboxrd_back){
		.ends = ends, .left = size, .sink = sink, .context = context, .state = BACK_FIRST};
}

/* What goes beyond the message's size is only counted. */
static int give(struct mboxrd_back *b, const void *data, size_t len, struct fault *f)
{
	size_t n = len < b->left ? len : (size_t)b->left;

	b->left -= n;
	b->more += len - n;
	return n ? b->sink(b->context, slice_of(data, n), f) : 0;
}

/* The brackets and the part of "From " that were held back. */
static int give_held(struct mboxrd_back *b, struct fault *f)
{
	char some[256];

	if (b->matched == FROM_LEN && b->brackets > 0)
		b->brackets--;
	memset(some, '>', sizeof some);
	while (b->brackets > 0) {
		size_t n = b->brackets < sizeof some ? (size_t)b->brackets : sizeof some;

		if (give(b, some, n, f) < 0)
			return -1;
		b->brackets -= n;
	}
	size_t matched = b->matched;
	b->matched = 0;
	b->state = BACK_IN_LINE;
	return give(b, FROM, matched, f);
}

/* Returns how many bytes it took; <0 failed. */
static ssize_t line_begins(struct mboxrd_back *b, struct slice in, struct fault *f)
{
	size_t taken = 0;

	while (taken < in.len && b->matched == 0 && in.data[taken] == '>') {
		taken++;
		b->brackets++;
	}
	while (taken < in.len && b->matched < FROM_LEN &&
		in.data[taken] == (uint8_t)FROM[b->matched]) {
		taken++;
		b->matched++;
	}
	if (taken == in.len && b->matched < FROM_LEN)
		return (ssize_t)taken;
	return give_held(b, f) < 0 ? -1 : (ssize_t)taken;
}

static ssize_t in_line(struct mboxrd_back *b, struct slice in, struct fault *f)
{
	const uint8_t *lf = memchr(in.data, '\n', in.len);
	size_t len = lf ? (size_t)(lf - in.data) : in.len;
	bool crlf = b->ends == MBOXRD_CRLF;

	if (give(b, in.data, len, f) < 0)
		return -1;
	if (!lf)
		return (ssize_t)len;
	b->state = BACK_LINE_BEGINS;
	return give(b, crlf ? "\r\n" : "\n", crlf ? 2 : 1, f) < 0 ? -1 : (ssize_t)len + 1;
}

int mboxrd_back_add(struct mboxrd_back *b, struct slice bytes, struct fault *f)
{
	while (bytes.len > 0) {
		ssize_t taken;

		if (b->state == BACK_FIRST) {
			const uint8_t *lf = memchr(bytes.data, '\n', bytes.len);

			taken = lf ? lf - bytes.data + 1 : (ssize_t)bytes.len;
			b->state = lf ? BACK_LINE_BEGINS : BACK_FIRST;
		} else if (b->state == BACK_LINE_BEGINS) {
			taken = line_begins(b, bytes, f);
		} else {
			taken = in_line(b, bytes, f);
		}
		if (taken < 0)
			return -1;
		bytes = slice_of(bytes.data + taken, bytes.len - (size_t)taken);
	}
	return 0;
}

int mboxrd_back_end(struct mboxrd_back *b, struct fault *f)
{
	if (give_held(b, f) < 0)
		return -1;
	return b->left > 0 || b->more > BEHIND_MOST ? MBOXRD_OTHER : 0;
}
