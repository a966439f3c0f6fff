#include "archive/encoded_word.h"

#include "archive/escape.h"

#include <errno.h>
#include <strings.h>

/* ---- Taking apart -------------------------------------------------------------------------- */

/* RFC 2047 says token; this much is what charset names are made of. No slash: iconv_open() reads
 * orders behind it. */
static bool is_charset_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.' || c == ':' || c == '+';
}

/* Where c stands among the first bytes, in which a charset and a language must end; otherwise
 * text.len. */
static size_t find_byte(struct slice text, size_t from, char c)
{
	size_t n = text.len < 2 * CHARSET_NAME_MAX ? text.len : 2 * CHARSET_NAME_MAX;
	const uint8_t *at = from < n ? memchr(text.data + from, c, n - from) : NULL;

	return at ? (size_t)(at - text.data) : text.len;
}

/* Encoded text has no blank and no question mark (section 2), but blanks are common in Q. */
static bool is_text_byte(uint8_t c)
{
	return c != '?' && c != '\0' && c < 0x80;
}

size_t encoded_word_parse(struct slice text, struct encoded_word *ret)
{
	if (text.len < 8 || memcmp(text.data, "=?", 2) != 0)
		return 0;
	size_t end = find_byte(text, 2, '?'), star = find_byte(text, 2, '*');
	size_t name = (star < end ? star : end) - 2;
	if (name == 0 || name > CHARSET_NAME_MAX || end + 3 >= text.len ||
		text.data[end + 2] != '?')
		return 0;
	for (size_t i = 2; i < 2 + name; i++) {
		if (!is_charset_char(text.data[i]))
			return 0;
	}
	uint8_t encoding = text.data[end + 1] & 0xdf;
	if (encoding != 'B' && encoding != 'Q')
		return 0;
	size_t from = end + 3, to = from;
	while (to < text.len && is_text_byte(text.data[to]))
		to++;
	if (to + 1 >= text.len || text.data[to] != '?' || text.data[to + 1] != '=')
		return 0;
	ret->charset = slice_of(text.data + 2, name);
	ret->encoding = (char)encoding;
	ret->text = slice_of(text.data + from, to - from);
	return to + 2;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c &= 0xdf;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int decode_q(struct slice text, struct buffer *to, struct fault *f)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];
		int high = c == '=' && i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
		int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;

		if (low >= 0) {
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		if (buffer_append(to, &c, 1, f) < 0)
			return -1;
	}
	return 0;
}

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padding and strange bytes are passed over; bits that make no byte are dropped. */
static int decode_b(struct slice text, struct buffer *to, struct fault *f)
{
	uint32_t bits = 0;
	int n = 0;

	for (size_t i = 0; i < text.len; i++) {
		int value = base64_value(text.data[i]);

		if (value < 0)
			continue;
		bits = (bits << 6 | (uint32_t)value) & 0xffffff;
		n += 6;
		if (n >= 8) {
			uint8_t byte = (uint8_t)(bits >> (n - 8));

			n -= 8;
			if (buffer_append(to, &byte, 1, f) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- Charsets ------------------------------------------------------------------------------ */

int decoded_append(struct buffer *to, struct slice bytes, struct fault *f)
{
	size_t room = to->max - to->len;

	return buffer_append(to, bytes.data, bytes.len < room ? bytes.len : room, f);
}

static int append_char(struct buffer *to, uint32_t c, struct fault *f)
{
	uint8_t out[3];
	size_t len;

	if (c < 0x80) {
		out[0] = (uint8_t)c;
		len = 1;
	} else if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		len = 2;
	} else {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		len = 3;
	}
	return decoded_append(to, slice_of(out, len), f);
}

/* ISO-8859-1 as well: nobody who says so means the C1 controls, many mean these. */
static int decode_windows_1252(struct slice bytes, struct buffer *to, struct fault *f)
{
	static const uint16_t high[32] = {0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020,
		0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f, 0x90, 0x2018,
		0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
		0x0153, 0x9d, 0x017e, 0x0178};

	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t c = bytes.data[i];

		if (append_char(to, c >= 0x80 && c < 0xa0 ? high[c - 0x80] : c, f) < 0)
			return -1;
	}
	return 0;
}

/* A byte that its charset does not have becomes U+FFFD. */
static int decode_iconv(iconv_t converter, struct slice bytes, struct buffer *to, struct fault *f)
{
	struct buffer copy CLEANUP(buffer_deinit) = buffer_make(HEADER_FIELD_MAX);

	if (!iconv_is_open(converter))
		return decoded_append(to, bytes, f);
	if (buffer_append(&copy, bytes.data, bytes.len, f) < 0)
		return -1;
	char *in = (char *)copy.data;
	size_t left = copy.len;
	while (left > 0 && to->len < to->max) {
		char piece[256], *out = piece;
		size_t room = sizeof piece;
		size_t r = iconv(converter, &in, &left, &out, &room);
		int error = r == (size_t)-1 ? errno : 0;

		if (decoded_append(to, slice_of(piece, sizeof piece - room), f) < 0)
			return -1;
		if (error == 0 || error == E2BIG)
			continue;
		if (append_char(to, 0xfffd, f) < 0)
			return -1;
		in++;
		left--;
	}
	return 0;
}

static bool is_one_of(const char *charset, const char *const *list)
{
	for (; *list; list++) {
		if (strcasecmp(charset, *list) == 0)
			return true;
	}
	return false;
}

int charset_decode(struct charsets *charsets, const char *charset, struct slice bytes,
	struct buffer *to, struct fault *f)
{
	static const char *const utf8[] = {"UTF-8", "UTF8", "US-ASCII", "ASCII", NULL};
	static const char *const western[] = {
		"ISO-8859-1", "ISO8859-1", "ISO_8859-1", "LATIN1", "WINDOWS-1252", "CP1252", NULL};

	if (is_one_of(charset, utf8))
		return decoded_append(to, bytes, f);
	if (is_one_of(charset, western))
		return decode_windows_1252(bytes, to, f);
	if (charsets)
		return decode_iconv(charsets_find(charsets, charset), bytes, to, f);
	iconv_t converter CLEANUP(iconv_closep) = iconv_open("UTF-8", charset);
	return decode_iconv(converter, bytes, to, f);
}

/* ---- Words that follow each other ---------------------------------------------------------- */

int word_decoder_flush(struct word_decoder *d, struct buffer *to, struct fault *f)
{
	if (d->pending.len == 0)
		return 0;
	int r = charset_decode(d->charsets, d->charset, buffer_slice(&d->pending), to, f);
	buffer_clear(&d->pending);
	return r;
}

int word_decoder_add(
	struct word_decoder *d, const struct encoded_word *word, struct buffer *to, struct fault *f)
{
	char charset[CHARSET_NAME_MAX + 1] = {0};

	d->pending.max = HEADER_FIELD_MAX;
	memcpy(charset, word->charset.data, word->charset.len);
	if (strcasecmp(charset, d->charset) != 0 && word_decoder_flush(d, to, f) < 0)
		return -1;
	memcpy(d->charset, charset, sizeof charset);
	return word->encoding == 'B' ? decode_b(word->text, &d->pending, f)
				     : decode_q(word->text, &d->pending, f);
}

void word_decoder_deinit(struct word_decoder *d)
{
	buffer_deinit(&d->pending);
}
