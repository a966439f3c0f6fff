#include "archive/header.h"

#include "archive/encoded_word.h"
#include "archive/limits.h"

#include <strings.h>

static const char *const names[HEADER_FIELDS] = {
	[HEADER_FROM] = "From",
	[HEADER_TO] = "To",
	[HEADER_CC] = "Cc",
	[HEADER_DATE] = "Date",
	[HEADER_SUBJECT] = "Subject",
	[HEADER_CONTENT_TYPE] = "Content-Type",
	[HEADER_TRANSFER_ENCODING] = "Content-Transfer-Encoding",
};

const char *header_name(enum header_field field)
{
	return names[field];
}

/* The line at the beginning of rest without its end; rest moves behind it. */
static struct slice take_line(struct slice *rest)
{
	const uint8_t *lf = memchr(rest->data, '\n', rest->len);
	size_t len = lf ? (size_t)(lf - rest->data) : rest->len;
	size_t whole = lf ? len + 1 : len;
	struct slice line = {rest->data, len};

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	*rest = slice_of(rest->data + whole, rest->len - whole);
	return line;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Which of the fields the line begins, with its value in *ret; HEADER_FIELDS: none of them. */
static enum header_field field_of(struct slice line, struct slice *ret)
{
	const uint8_t *colon = line.len ? memchr(line.data, ':', line.len) : NULL;

	if (!colon)
		return HEADER_FIELDS;
	size_t len = (size_t)(colon - line.data);
	*ret = slice_of(colon + 1, line.len - len - 1);
	while (len > 0 && is_blank(line.data[len - 1])) /* RFC 5322 section 4.5 */
		len--;
	for (enum header_field i = 0; i < HEADER_FIELDS; i++) {
		if (strlen(names[i]) == len &&
			strncasecmp(names[i], (const char *)line.data, len) == 0)
			return i;
	}
	return HEADER_FIELDS;
}

static struct slice trim(struct slice text)
{
	while (text.len > 0 && is_blank(text.data[0]))
		text = slice_of(text.data + 1, text.len - 1);
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* As much of the piece as still fits. */
static int append_capped(struct buffer *to, struct slice piece, struct fault *f)
{
	size_t room = LIMIT_HEADER_FIELD - to->len;

	return buffer_append(to, piece.data, piece.len < room ? piece.len : room, f);
}

/* The value that begins with `first` and goes on in folded lines (RFC 5322 section 2.2.3). */
static int read_field(struct slice first, struct slice *rest, struct buffer *to, struct fault *f)
{
	struct buffer raw CLEANUP(buffer_deinit) = buffer_make(LIMIT_HEADER_FIELD);

	if (append_capped(&raw, first, f) < 0)
		return -1;
	while (rest->len > 0 && is_blank(rest->data[0])) {
		if (append_capped(&raw, take_line(rest), f) < 0)
			return -1;
	}
	return header_decode(trim(buffer_slice(&raw)), to, f);
}

/* Whether a first line is none of a header, nor the separator that mbox leaves before one. */
static bool is_text(struct slice line)
{
	return !memchr(line.data, ':', line.len) &&
	       (line.len < 5 || memcmp(line.data, "From ", 5) != 0);
}

int header_read(struct slice message, struct header *ret, struct fault *f)
{
	struct slice rest = message;
	bool seen[HEADER_FIELDS] = {false};

	for (int i = 0; i < HEADER_FIELDS; i++) {
		ret->field[i].max = HEADER_FIELD_MAX;
		buffer_clear(&ret->field[i]);
	}
	while (rest.len > 0) {
		struct slice value, line = take_line(&rest);

		if (line.len == 0)
			break;
		if (line.data == message.data && is_text(line)) {
			rest = message; /* no header at all */
			break;
		}
		enum header_field field =
			is_blank(line.data[0]) ? HEADER_FIELDS : field_of(line, &value);
		if (field == HEADER_FIELDS || seen[field])
			continue;
		seen[field] = true;
		if (read_field(value, &rest, &ret->field[field], f) < 0)
			return -1;
	}
	ret->body = message.len - rest.len;
	return 0;
}

void header_deinit(struct header *h)
{
	for (int i = 0; i < HEADER_FIELDS; i++)
		buffer_deinit(&h->field[i]);
}

/* Blanks between two encoded words do not count (RFC 2047 section 6.2). */
static size_t blanks_before_word(struct slice text, size_t at)
{
	size_t end = at;

	while (end < text.len && is_blank(text.data[end]))
		end++;
	if (end + 2 <= text.len && memcmp(text.data + end, "=?", 2) == 0)
		return end - at;
	return 0;
}

int header_decode(struct slice text, struct buffer *to, struct fault *f)
{
	return header_decode_with(NULL, text, to, f);
}

int header_decode_with(
	struct charsets *charsets, struct slice text, struct buffer *to, struct fault *f)
{
	struct word_decoder decoder CLEANUP(word_decoder_deinit) = {.charsets = charsets};
	size_t at = 0;

	while (at < text.len) {
		struct encoded_word word;
		struct slice rest = slice_of(text.data + at, text.len - at);
		size_t len = encoded_word_parse(rest, &word);

		if (len > 0) {
			if (word_decoder_add(&decoder, &word, to, f) < 0)
				return -1;
			at += len;
			size_t blanks = blanks_before_word(text, at);
			struct slice next =
				slice_of(text.data + at + blanks, text.len - at - blanks);
			if (blanks && encoded_word_parse(next, &word) > 0)
				at += blanks;
			continue;
		}
		/* Bytes as they are, up to what may be a word. */
		const uint8_t *more =
			rest.len > 1 ? memchr(rest.data + 1, '=', rest.len - 1) : NULL;
		size_t n = more ? (size_t)(more - rest.data) : rest.len;
		if (word_decoder_flush(&decoder, to, f) < 0 ||
			decoded_append(to, slice_of(rest.data, n), f) < 0)
			return -1;
		at += n;
	}
	return word_decoder_flush(&decoder, to, f);
}
