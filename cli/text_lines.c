#include "cli/text_lines.h"

#include <errno.h>

enum { STEP = 64 * 1024 };

/* Tells the whole lines in b, which begin at *end, and leaves the rest in it. */
static int tell_lines(
	struct buffer *b, uint64_t *end, text_lines_reader *read, void *context, struct fault *f)
{
	struct slice rest = buffer_slice(b);
	const uint8_t *lf;
	int r = 0;

	while (r == 0 && rest.len > 0 && (lf = memchr(rest.data, '\n', rest.len))) {
		size_t len = (size_t)(lf - rest.data);

		r = read(context, slice_of(rest.data, len), *end, f);
		if (r == 0)
			*end += len + 1;
		rest = slice_of(lf + 1, rest.len - len - 1);
	}
	memmove(b->data, rest.data, rest.len);
	b->len = rest.len;
	return r;
}

int text_lines(int fd, const char *shown, size_t most, text_lines_reader *read, void *context,
	uint64_t *ret_end, struct fault *f)
{
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(most + STEP);
	uint64_t at = 0;
	int r;

	*ret_end = 0;
	for (;;) {
		if (buffer_reserve(&b, STEP, f) < 0)
			return -1;
		ssize_t n = pread(fd, b.data + b.len, STEP, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(
				f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read %s", shown);
		if (n == 0)
			return 0;
		at += (uint64_t)n;
		b.len += (size_t)n;
		r = tell_lines(&b, ret_end, read, context, f);
		if (r != 0)
			return r;
		if (b.len > most)
			return TEXT_LINES_LONG;
	}
}
