#include "archive/escape.h"

#include <stdio.h>

size_t utf8_next(struct slice bytes, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	if (bytes.len == 0)
		return 0;
	uint8_t first = bytes.data[0];
	size_t len = first < 0x80	      ? 1
		     : (first & 0xe0) == 0xc0 ? 2
		     : (first & 0xf0) == 0xe0 ? 3
		     : (first & 0xf8) == 0xf0 ? 4
					      : 0;
	if (len == 0 || len > bytes.len)
		return 0;
	uint32_t c = len == 1 ? first : first & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((bytes.data[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (bytes.data[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

/* What a terminal acts on, or what makes a reader see other text than is there. */
static bool is_printable(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} unsafe[] = {
		{0x0000, 0x001f},
		{0x007f, 0x009f},
		{0x00ad, 0x00ad},
		{0x034f, 0x034f},
		{0x061c, 0x061c},
		{0x115f, 0x1160},
		{0x17b4, 0x17b5},
		{0x180b, 0x180f},
		{0x200b, 0x200f},
		{0x2028, 0x202e},
		{0x2060, 0x206f},
		{0x3164, 0x3164},
		{0xe000, 0xf8ff},
		{0xfdd0, 0xfdef},
		{0xfe00, 0xfe0f},
		{0xfeff, 0xfeff},
		{0xffa0, 0xffa0},
		{0xfff0, 0xffff},
		{0xe0000, 0x10ffff},
	};

	for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++) {
		if (c >= unsafe[i].from && c <= unsafe[i].to)
			return false;
	}
	return true;
}

/* Escapes what stands first in *bytes into out and moves *bytes on; returns the length of out.
 * backslash: what becomes of one. */
static size_t escape_one(struct slice *bytes, const char *backslash, char out[static 32])
{
	uint32_t c = 0;
	size_t len = utf8_next(*bytes, &c), used = 0;

	if (len > 0 && is_printable(c) && c != '\\') {
		memcpy(out, bytes->data, len);
		used = len;
	} else if (len > 0 && c == '\\') {
		used = strlen(backslash);
		memcpy(out, backslash, used);
	} else {
		len = len ? len : 1;
		for (size_t i = 0; i < len; i++)
			used += (size_t)snprintf(out + used, 32 - used, "\\x%02x", bytes->data[i]);
	}
	bytes->data += len;
	bytes->len -= len;
	return used;
}

static const char DOUBLED[] = "\\\\";

int escape_append(struct buffer *to, struct slice bytes, struct fault *f)
{
	char out[32];

	while (bytes.len > 0) {
		size_t n = escape_one(&bytes, DOUBLED, out);

		if (buffer_append(to, out, n, f) < 0)
			return -1;
	}
	return 0;
}

static const char *escape_cut(struct slice bytes, const char *backslash, char *ret, size_t size)
{
	char out[32];
	size_t used = 0, whole = 0; /* whole: the longest beginning that leaves room for "..." */

	while (bytes.len > 0) {
		size_t n = escape_one(&bytes, backslash, out);

		if (used + n >= size) {
			memcpy(ret + whole, "...", 4);
			return ret;
		}
		memcpy(ret + used, out, n);
		used += n;
		if (used + 4 <= size)
			whole = used;
	}
	ret[used] = '\0';
	return ret;
}

const char *escape_text(struct slice bytes, char *ret, size_t size)
{
	return escape_cut(bytes, DOUBLED, ret, size);
}

const char *escape_again(struct slice bytes, char *ret, size_t size)
{
	return escape_cut(bytes, "\\", ret, size);
}
