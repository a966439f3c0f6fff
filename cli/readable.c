#include "cli/readable.h"

/* A run's first lines are shown: a short one, as of a signature, is shown whole. */
enum { SHOWN_LINES = 12, LEAST_WIDTH = 56, MOST_WIDTH = 78 };

static bool is_base64(struct slice line)
{
	if (line.len < LEAST_WIDTH || line.len > MOST_WIDTH)
		return false;
	for (size_t i = 0; i < line.len; i++) {
		uint8_t c = line.data[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    c == '+' || c == '/'))
			return false;
	}
	return true;
}

static void end_run(struct readable *r)
{
	if (r->lines > SHOWN_LINES) {
		char text[TEXT_NUMBER];

		out_format(r->out, "[%s more %s of base64; --raw has them]\n",
			text_count(r->lines - SHOWN_LINES, text),
			plural(r->lines - SHOWN_LINES, "line", "lines"));
	}
	r->lines = 0;
	r->width = 0;
}

/* Everything but tabs, which stay, is escaped. */
static void put_line(struct readable *r, struct slice line)
{
	while (line.len > 0) {
		const uint8_t *tab = memchr(line.data, '\t', line.len);
		size_t n = tab ? (size_t)(tab - line.data) : line.len;

		out_escaped(r->out, slice_of(line.data, n));
		if (tab)
			out_format(r->out, "\t");
		n += tab ? 1 : 0;
		line = slice_of(line.data + n, line.len - n);
	}
}

/* Lines of one width belong together. */
static bool is_hidden(struct readable *r, struct slice line)
{
	if (r->lines > 0 && line.len != r->width)
		end_run(r);
	if (r->all || !is_base64(line))
		return false;
	r->width = line.len;
	return ++r->lines > SHOWN_LINES;
}

void readable_put(struct readable *r, struct slice bytes)
{
	while (bytes.len > 0 && !out_is_over(r->out)) {
		const uint8_t *lf = memchr(bytes.data, '\n', bytes.len);
		size_t len = lf ? (size_t)(lf - bytes.data) : bytes.len;
		size_t whole = lf ? len + 1 : len;

		if (lf && len > 0 && bytes.data[len - 1] == '\r')
			len--;
		if (!is_hidden(r, slice_of(bytes.data, len))) {
			put_line(r, slice_of(bytes.data, len));
			if (lf)
				out_format(r->out, "\n");
		}
		bytes = slice_of(bytes.data + whole, bytes.len - whole);
	}
}

void readable_end(struct readable *r)
{
	end_run(r);
}
