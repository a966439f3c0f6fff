#include "archive/mime_field.h"

#include "archive/encoded_word.h"
#include "archive/header.h"
#include "archive/limits.h"

#include <strings.h>

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim(struct slice text)
{
	while (text.len > 0 && is_blank(text.data[0]))
		text = slice_of(text.data + 1, text.len - 1);
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

void mime_value(struct slice field, char ret[static MIME_VALUE])
{
	const uint8_t *end = field.len ? memchr(field.data, ';', field.len) : NULL;
	size_t n = 0;

	if (end)
		field.len = (size_t)(end - field.data);
	field = trim(field);
	for (size_t i = 0; i < field.len && n < MIME_VALUE - 1; i++) {
		uint8_t c = field.data[i];

		if (is_blank(c) || c == '(')
			break;
		ret[n++] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
	}
	ret[n] = '\0';
}

/* ---- Parameters, one after the other --------------------------------------------------------- */

struct parameter {
	struct slice name;  /* "filename*0*" */
	struct slice value; /* between its quotes, or to the semicolon */
	bool quoted;
};

/* Where c stands, or the end. */
static size_t find(struct slice text, size_t from, char c)
{
	const uint8_t *at = from < text.len ? memchr(text.data + from, c, text.len - from) : NULL;

	return at ? (size_t)(at - text.data) : text.len;
}

/* Where the quotation mark stands that ends what begins at from, or the end. */
static size_t find_quote(struct slice text, size_t from)
{
	while (from < text.len && text.data[from] != '"')
		from += text.data[from] == '\\' ? 2 : 1;
	return from < text.len ? from : text.len;
}

/* The next one of rest, which moves behind it; false: there is none. */
static bool next_parameter(struct slice *rest, struct parameter *ret)
{
	while (rest->len > 0 && (is_blank(rest->data[0]) || rest->data[0] == ';'))
		*rest = slice_of(rest->data + 1, rest->len - 1);
	if (rest->len == 0)
		return false;
	size_t equals = find(*rest, 0, '='), end = find(*rest, 0, ';');
	if (equals >= end) { /* a word without a value */
		*ret = (struct parameter){.name = trim(slice_of(rest->data, end))};
		*rest = slice_of(rest->data + end, rest->len - end);
		return true;
	}
	size_t from = equals + 1;
	while (from < rest->len && is_blank(rest->data[from]))
		from++;
	ret->name = trim(slice_of(rest->data, equals));
	ret->quoted = from < rest->len && rest->data[from] == '"';
	size_t to = ret->quoted ? find_quote(*rest, ++from) : find(*rest, from, ';');
	ret->value = slice_of(rest->data + from, to - from);
	if (!ret->quoted)
		ret->value = trim(ret->value);
	end = find(*rest, to, ';');
	*rest = slice_of(rest->data + end, rest->len - end);
	return true;
}

static struct slice parameters(struct slice field)
{
	size_t at = find(field, 0, ';');

	return slice_of(field.data + at, field.len - at);
}

/* How the name of a parameter goes on behind the one that is looked for. */
enum form { FORM_OTHER, FORM_PLAIN, FORM_EXTENDED, FORM_PIECE, FORM_PIECE_EXTENDED };

/* "*", "*3", "*3*", or nothing; the number in *ret_piece. */
static enum form form_of(struct slice name, const char *wanted, unsigned *ret_piece)
{
	size_t n = strlen(wanted), at = n + 1;
	unsigned piece = 0;

	if (name.len < n || strncasecmp((const char *)name.data, wanted, n) != 0)
		return FORM_OTHER;
	if (name.len == n)
		return FORM_PLAIN;
	if (name.data[n] != '*')
		return FORM_OTHER;
	if (name.len == at)
		return FORM_EXTENDED;
	for (; at < name.len && name.data[at] >= '0' && name.data[at] <= '9'; at++) {
		if (piece >= LIMIT_PARAMETER_PIECES)
			return FORM_OTHER;
		piece = piece * 10 + (unsigned)(name.data[at] - '0');
	}
	*ret_piece = piece;
	if (at == n + 1)
		return FORM_OTHER;
	if (at == name.len)
		return FORM_PIECE;
	return at + 1 == name.len && name.data[at] == '*' ? FORM_PIECE_EXTENDED : FORM_OTHER;
}

/* The first one of this form. */
static bool find_form(struct slice field, const char *name, enum form form, struct parameter *ret)
{
	struct slice rest = parameters(field);
	unsigned ignored;

	while (next_parameter(&rest, ret)) {
		if (form_of(ret->name, name, &ignored) == form)
			return true;
	}
	return false;
}

/* The piece of this number: its form, or FORM_OTHER. */
static enum form find_piece(
	struct slice field, const char *name, unsigned piece, struct parameter *ret)
{
	struct slice rest = parameters(field);

	while (next_parameter(&rest, ret)) {
		unsigned number = 0;
		enum form found = form_of(ret->name, name, &number);

		if ((found == FORM_PIECE || found == FORM_PIECE_EXTENDED) && number == piece)
			return found;
	}
	return FORM_OTHER;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static int append_unquoted(struct buffer *to, const struct parameter *p, struct fault *f)
{
	struct slice rest = p->value;

	while (rest.len > 0) {
		size_t n = p->quoted ? find(rest, 0, '\\') : rest.len;
		size_t skip = n < rest.len ? 1 : 0;

		/* The one behind a backslash is taken with what follows. */
		if (skip && n + 1 < rest.len &&
			(rest.data[n + 1] == '"' || rest.data[n + 1] == '\\')) {
			if (decoded_append(to, slice_of(rest.data, n), f) < 0 ||
				decoded_append(to, slice_of(rest.data + n + 1, 1), f) < 0)
				return -1;
			rest = slice_of(rest.data + n + 2, rest.len - n - 2);
			continue;
		}
		/* A path of Windows, whose backslashes nobody doubled. */
		if (decoded_append(to, slice_of(rest.data, n + skip), f) < 0)
			return -1;
		rest = slice_of(rest.data + n + skip, rest.len - n - skip);
	}
	return 0;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c &= 0xdf;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int append_percent(struct buffer *to, struct slice text, struct fault *f)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];
		int high = c == '%' && i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
		int low = high >= 0 ? hex_value(text.data[i + 2]) : -1;

		if (low >= 0) {
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		if (decoded_append(to, slice_of(&c, 1), f) < 0)
			return -1;
	}
	return 0;
}

/* "utf-8'en'": the charset; text moves behind it. */
static void take_charset(struct slice *text, char ret[static CHARSET_NAME_MAX + 1])
{
	size_t first = find(*text, 0, '\''), second = find(*text, first + 1, '\'');

	ret[0] = '\0';
	if (second >= text->len)
		return;
	if (first <= CHARSET_NAME_MAX) {
		memcpy(ret, text->data, first);
		ret[first] = '\0';
	}
	*text = slice_of(text->data + second + 1, text->len - second - 1);
}

/* Those that give orders to iconv_open() behind a slash are none. */
static bool is_charset(const char *name)
{
	return name[0] && !strchr(name, '/') && !strchr(name, ',');
}

static int finish(struct charsets *charsets, const char *charset, struct slice bytes,
	struct buffer *to, struct fault *f)
{
	if (is_charset(charset))
		return charset_decode(charsets, charset, bytes, to, f);
	return decoded_append(to, bytes, f);
}

/* All pieces, put together before their charset is decoded: senders cut characters in two. */
static int append_pieces(struct charsets *charsets, struct slice field, const char *name,
	struct buffer *to, struct fault *f)
{
	struct buffer bytes CLEANUP(buffer_deinit) = buffer_make(LIMIT_HEADER_FIELD);
	char charset[CHARSET_NAME_MAX + 1] = "";
	struct parameter p = {0};

	for (unsigned i = 0; i < LIMIT_PARAMETER_PIECES; i++) {
		enum form form = find_piece(field, name, i, &p);

		if (form == FORM_OTHER)
			break;
		if (form == FORM_PIECE_EXTENDED && i == 0)
			take_charset(&p.value, charset);
		if (form == FORM_PIECE_EXTENDED ? append_percent(&bytes, p.value, f) < 0
						: append_unquoted(&bytes, &p, f) < 0)
			return -1;
	}
	return finish(charsets, charset, buffer_slice(&bytes), to, f);
}

static int append_extended(
	struct charsets *charsets, struct slice value, struct buffer *to, struct fault *f)
{
	struct buffer bytes CLEANUP(buffer_deinit) = buffer_make(LIMIT_HEADER_FIELD);
	char charset[CHARSET_NAME_MAX + 1];

	take_charset(&value, charset);
	if (append_percent(&bytes, value, f) < 0)
		return -1;
	return finish(charsets, charset, buffer_slice(&bytes), to, f);
}

static int append_plain(
	struct charsets *charsets, const struct parameter *p, struct buffer *to, struct fault *f)
{
	struct buffer bytes CLEANUP(buffer_deinit) = buffer_make(LIMIT_HEADER_FIELD);

	if (append_unquoted(&bytes, p, f) < 0)
		return -1;
	return header_decode_with(charsets, buffer_slice(&bytes), to, f);
}

int mime_parameter(struct charsets *charsets, struct slice field, const char *name,
	struct buffer *to, struct fault *f)
{
	struct parameter p = {0};
	size_t before = to->len;
	int r;

	if (find_form(field, name, FORM_EXTENDED, &p))
		r = append_extended(charsets, p.value, to, f);
	else if (find_piece(field, name, 0, &p) != FORM_OTHER)
		r = append_pieces(charsets, field, name, to, f);
	else if (find_form(field, name, FORM_PLAIN, &p))
		r = append_plain(charsets, &p, to, f);
	else
		return MIME_NONE;
	if (r < 0)
		return -1;
	return to->len > before ? 0 : MIME_NONE;
}

int mime_bytes(struct slice field, const char *name, struct buffer *to, struct fault *f)
{
	struct parameter p = {0};
	size_t before = to->len;

	if (!find_form(field, name, FORM_PLAIN, &p))
		return MIME_NONE;
	if (append_unquoted(to, &p, f) < 0)
		return -1;
	return to->len > before ? 0 : MIME_NONE;
}
