#include "archive/plain_text.h"

#include "archive/escape.h"

enum { DEL = 0x7f, FIRST_C1 = 0x80, LAST_C1 = 0x9f };

static bool is_control(uint32_t c)
{
	return c < ' ' || (c >= DEL && c <= LAST_C1);
}

static struct slice trim(struct slice text)
{
	while (text.len > 0 && text.data[0] <= ' ')
		text = slice_of(text.data + 1, text.len - 1);
	while (text.len > 0 && text.data[text.len - 1] <= ' ')
		text.len--;
	return text;
}

/* Characters that stay as they are, from the beginning of text on: most of all mail is these. */
static size_t printable_ascii(struct slice text)
{
	size_t n = 0;

	while (n < text.len && text.data[n] >= ' ' && text.data[n] < DEL)
		n++;
	return n;
}

int plain_append(struct buffer *to, struct slice text, size_t most, struct fault *f)
{
	static const char replacement[] = "\xef\xbf\xbd";

	for (text = trim(text); text.len > 0 && most > 0;) {
		struct slice piece = {text.data, printable_ascii(text)};
		size_t taken = piece.len < most ? piece.len : most;
		uint32_t c;

		piece.len = taken;
		if (taken == 0) {
			taken = utf8_next(text, &c);
			piece.len = taken;
			if (taken == 0) {
				piece = slice_of(replacement, sizeof replacement - 1);
				taken = 1;
			} else if (is_control(c)) {
				piece = slice_text(" ");
			}
		}
		if (piece.len > most)
			break;
		if (buffer_append(to, piece.data, piece.len, f) < 0)
			return -1;
		most -= piece.len;
		text = slice_of(text.data + taken, text.len - taken);
	}
	return 0;
}

bool plain_is(struct slice text, enum plain_shape shape)
{
	while (text.len > 0) {
		size_t n = printable_ascii(text);
		uint32_t c;

		if (n == 0) {
			n = utf8_next(text, &c);
			if (n == 0 || (is_control(c) && (c != '\n' || shape != PLAIN_LINES)))
				return false;
		}
		text = slice_of(text.data + n, text.len - n);
	}
	return true;
}
