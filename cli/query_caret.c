#include "cli/query_caret.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/output.h"

enum {
	INDENT = 2,
	DOTS = 3,
	LEAST = 20 /* columns; less is taken for this many */
};

static int escape_piece(struct buffer *to, struct slice bytes, struct fault *f)
{
	for (size_t i = 0, end; i < bytes.len; i = end + 1) {
		const uint8_t *nul = memchr(bytes.data + i, '\0', bytes.len - i);

		end = nul ? (size_t)(nul - bytes.data) : bytes.len;
		if (escape_append(to, slice_of(bytes.data + i, end - i), f) < 0 ||
			(nul && buffer_append_text(to, " ", f) < 0))
			return -1;
	}
	return 0;
}

/* What of the end of a text fits. */
static struct slice fitting_end(struct slice text, size_t columns)
{
	size_t all = text_width(text), skip = 0;

	while (skip < text.len && all > columns) {
		size_t n = text_fit(slice_of(text.data + skip, text.len - skip), 1);

		/* A character may take two columns. */
		n = n ? n : text_fit(slice_of(text.data + skip, text.len - skip), 2);
		skip += n ? n : 1;
		all = text_width(slice_of(text.data + skip, text.len - skip));
	}
	return slice_of(text.data + skip, text.len - skip);
}

static int append_cut(struct buffer *to, struct slice text, size_t columns, struct fault *f)
{
	if (text_width(text) <= columns)
		return buffer_append(to, text.data, text.len, f);
	size_t n = columns > DOTS ? text_fit(text, columns - DOTS) : 0;
	if (buffer_append(to, text.data, n, f) < 0)
		return -1;
	return buffer_append_text(to, "...", f);
}

/* The columns of what stands in front of the marked, after it was appended. */
static int append_front(
	struct buffer *to, struct slice front, size_t columns, size_t *ret_width, struct fault *f)
{
	bool whole = text_width(front) <= columns;

	if (!whole) {
		front = fitting_end(front, columns - DOTS);
		if (buffer_append_text(to, "...", f) < 0)
			return -1;
	}
	*ret_width = text_width(front) + (whole ? 0 : DOTS);
	return buffer_append(to, front.data, front.len, f);
}

static int add_lines(
	struct buffer *to, const struct slice part[static 3], size_t columns, struct fault *f)
{
	size_t marked = text_width(part[1]), rest = text_width(part[2]), front = 0;
	/* What is in front may have what the rest does not need, and a third at least. */
	size_t used = marked + rest < columns ? marked + rest : columns;
	size_t for_front = columns - used > columns / 3 ? columns - used : columns / 3;

	if (buffer_append_format(to, f, "\n%*s", INDENT, "") < 0 ||
		append_front(to, part[0], for_front, &front, f) < 0)
		return -1;
	size_t left = columns - front, under = marked < left ? marked : left;
	bool is_cut = marked > left;
	if (append_cut(to, part[1], left, f) < 0)
		return -1;
	left -= under;
	if (!is_cut && (left > DOTS || rest <= left) && append_cut(to, part[2], left, f) < 0)
		return -1;
	if (buffer_append_format(to, f, "\n%*s^", (int)(INDENT + front), "") < 0)
		return -1;
	for (size_t i = 1; i < under; i++) {
		if (buffer_append_text(to, "~", f) < 0)
			return -1;
	}
	return 0;
}

int query_caret(struct slice line, size_t at, size_t len, size_t columns, struct buffer *to,
	struct fault *f)
{
	struct buffer text[3] = {
		buffer_make(16 * KIB), buffer_make(16 * KIB), buffer_make(16 * KIB)};
	size_t end = at + len < line.len ? at + len : line.len;
	int r = -1;

	columns = (columns < LEAST ? LEAST : columns) - INDENT;
	at = at < line.len ? at : line.len;
	if (escape_piece(&text[0], slice_of(line.data, at), f) == 0 &&
		escape_piece(&text[1], slice_of(line.data + at, end - at), f) == 0 &&
		escape_piece(&text[2], slice_of(line.data + end, line.len - end), f) == 0) {
		const struct slice part[3] = {
			buffer_slice(&text[0]), buffer_slice(&text[1]), buffer_slice(&text[2])};

		r = add_lines(to, part, columns, f);
	}
	for (size_t i = 0; i < 3; i++)
		buffer_deinit(&text[i]);
	return r;
}
