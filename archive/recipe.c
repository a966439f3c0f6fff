#include "archive/recipe.h"

#include "archive/decimal.h"

#include <inttypes.h>
#include <openssl/evp.h>

#define RECIPE_MAGIC "popkeep-recipe 1\n"

bool piece_encoded_size(uint64_t part_size, uint32_t line, enum piece_eol eol, uint64_t *ret)
{
	uint64_t quanta = part_size / 3 + (part_size % 3 != 0);

	/* A quantum is four characters, each with a line end of two bytes at most. */
	if (quanta > UINT64_MAX / 12)
		return false;
	uint64_t chars = 4 * quanta;
	uint64_t ends = line > 0 && chars > 0 ? (chars - 1) / line : 0;
	*ret = chars + ends * (eol == PIECE_CRLF ? 2 : 1);
	return true;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static int format_piece(const struct piece *p, struct buffer *to, struct fault *f)
{
	char hex[DIGEST_HEX + 1];

	if (p->kind == PIECE_LITERAL)
		return buffer_append_format(to, f, "literal %" PRIu64 "\n", p->size);
	digest_hex(&p->part, hex);
	if (p->kind == PIECE_RAW)
		return buffer_append_format(to, f, "raw %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			hex, p->part_size, p->frame_offset, p->entry_offset);
	return buffer_append_format(to, f,
		"base64 %s %" PRIu64 " %" PRIu32 " %s %" PRIu64 " %" PRIu64 "\n", hex, p->part_size,
		p->line, p->eol == PIECE_CRLF ? "crlf" : "lf", p->frame_offset, p->entry_offset);
}

int recipe_format(struct recipe *r, struct buffer *to, struct fault *f)
{
	size_t before = to->len;

	if (r->pieces > LIMIT_RECIPE_PIECES)
		return fault_set(f, FAULT_LIMIT, SCOPE_MESSAGE, 0, "more than %d pieces",
			LIMIT_RECIPE_PIECES);
	if (buffer_append_format(to, f, RECIPE_MAGIC "size %" PRIu64 "\n", r->size) < 0)
		return -1;
	for (size_t i = 0; i < r->pieces; i++) {
		if (format_piece(&r->piece[i], to, f) < 0)
			return -1;
	}
	if (buffer_append_text(to, "\n", f) < 0)
		return -1;
	r->header_len = to->len - before;
	return 0;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* What is left of the header's line; words are separated by one space. */
struct words {
	struct slice rest;
	bool ended; /* the last word was taken */
};

static bool next_word(struct words *w, struct slice *ret)
{
	if (w->ended)
		return false;
	const uint8_t *space = w->rest.len ? memchr(w->rest.data, ' ', w->rest.len) : NULL;
	size_t len = space ? (size_t)(space - w->rest.data) : w->rest.len;

	*ret = slice_of(w->rest.data, len);
	w->ended = !space;
	if (space)
		w->rest = slice_of(space + 1, w->rest.len - len - 1);
	return len > 0;
}

static bool word_is(struct slice word, const char *text)
{
	return slice_compare(word, slice_text(text)) == 0;
}

static bool next_number(struct words *w, uint64_t *ret)
{
	struct slice word;

	return next_word(w, &word) && decimal_parse(word, ret);
}

static bool parse_lines(struct words *w, struct piece *p)
{
	struct slice eol;
	uint64_t line;

	if (!next_number(w, &line) || line > UINT32_MAX || !next_word(w, &eol))
		return false;
	if (!word_is(eol, "crlf") && !word_is(eol, "lf"))
		return false;
	p->line = (uint32_t)line;
	p->eol = word_is(eol, "crlf") ? PIECE_CRLF : PIECE_LF;
	return piece_encoded_size(p->part_size, p->line, p->eol, &p->size);
}

static bool parse_part(struct words *w, struct piece *p)
{
	struct slice hex;

	if (!next_word(w, &hex) || digest_parse(hex, &p->part) != 0 ||
		!next_number(w, &p->part_size) || p->part_size == 0)
		return false;
	p->size = p->part_size;
	if (p->kind == PIECE_BASE64 && !parse_lines(w, p))
		return false;
	return next_number(w, &p->frame_offset) && next_number(w, &p->entry_offset);
}

static bool parse_piece(struct words *w, struct piece *p)
{
	struct slice word;

	*p = (struct piece){0};
	if (!next_word(w, &word))
		return false;
	if (word_is(word, "literal")) {
		p->kind = PIECE_LITERAL;
		return next_number(w, &p->size) && p->size > 0 && w->ended;
	}
	if (!word_is(word, "raw") && !word_is(word, "base64"))
		return false;
	p->kind = word_is(word, "raw") ? PIECE_RAW : PIECE_BASE64;
	return parse_part(w, p) && w->ended;
}

/* The next line of the header, without its LF. */
static bool next_line(struct slice entry, size_t *at, struct words *ret)
{
	size_t most = entry.len < LIMIT_RECIPE_HEADER ? entry.len : LIMIT_RECIPE_HEADER;
	const uint8_t *lf = *at < most ? memchr(entry.data + *at, '\n', most - *at) : NULL;

	if (!lf)
		return false;
	size_t end = (size_t)(lf - entry.data);
	*ret = (struct words){.rest = slice_of(entry.data + *at, end - *at)};
	*at = end + 1;
	return true;
}

static int no_recipe(struct fault *f, const char *why)
{
	return fault_set(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "no recipe: %s", why);
}

/* The lines behind the first two, to the empty one. NULL, or what is wrong. */
static const char *parse_pieces(struct slice entry, size_t *at, struct recipe *r, uint64_t *ret_sum)
{
	struct words line;
	uint64_t sum = 0;

	r->pieces = 0;
	r->literal_bytes = 0;
	for (;;) {
		if (!next_line(entry, at, &line))
			return "its header has no end";
		if (line.rest.len == 0)
			break;
		if (r->pieces == LIMIT_RECIPE_PIECES)
			return "too many pieces";
		struct piece *p = &r->piece[r->pieces++];
		if (!parse_piece(&line, p))
			return "a line of it is none";
		/* literal_bytes is a part of the sum */
		if (__builtin_add_overflow(sum, p->size, &sum))
			return "its pieces are more than there can be";
		if (p->kind == PIECE_LITERAL)
			r->literal_bytes += p->size;
	}
	*ret_sum = sum;
	return NULL;
}

/* The first two lines. */
static int parse_beginning(struct slice entry, size_t *ret_at, uint64_t *ret_size, struct fault *f)
{
	size_t at = strlen(RECIPE_MAGIC);
	struct words line;
	struct slice word;

	if (entry.len < at || memcmp(entry.data, RECIPE_MAGIC, at) != 0)
		return no_recipe(f, "it does not begin as one");
	if (!next_line(entry, &at, &line) || !next_word(&line, &word) || !word_is(word, "size") ||
		!next_number(&line, ret_size) || !line.ended)
		return no_recipe(f, "it does not say its size");
	if (*ret_size > LIMIT_SPLIT_MESSAGE)
		return no_recipe(f, "a message of this size is not split");
	*ret_at = at;
	return 0;
}

int recipe_size(struct slice head, uint64_t *ret, struct fault *f)
{
	size_t at;

	return parse_beginning(head, &at, ret, f);
}

int recipe_parse(struct slice entry, uint64_t size, struct recipe *ret, struct fault *f)
{
	return recipe_parse_head(entry, entry.len, size, ret, f);
}

int recipe_parse_head(
	struct slice entry, uint64_t entry_size, uint64_t size, struct recipe *ret, struct fault *f)
{
	size_t at;
	uint64_t sum;

	if (parse_beginning(entry, &at, &ret->size, f) < 0)
		return -1;
	const char *wrong = parse_pieces(entry, &at, ret, &sum);
	if (wrong)
		return no_recipe(f, wrong);
	ret->header_len = at;
	if (sum != ret->size)
		return no_recipe(f, "its pieces are not its size");
	if (at > entry_size || ret->literal_bytes != entry_size - at)
		return no_recipe(f, "its literal bytes are not those of the entry");
	if (ret->size != size)
		return fault_set(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
			"the recipe makes %" PRIu64 " bytes of a message of %" PRIu64, ret->size,
			size);
	return 0;
}

/* ---- Base64 -------------------------------------------------------------------------------- */

enum { BLOCK_IN = 3 * 4096, BLOCK_OUT = 4 * 4096 };

void base64_lines_init(struct base64_lines *b, uint32_t line, enum piece_eol eol)
{
	*b = (struct base64_lines){.line = line, .eol = eol};
}

/* Characters, cut into lines. A line's end is put when the next line begins: there is none behind
 * the last. */
static int put_lines(
	struct base64_lines *b, const uint8_t *chars, size_t n, struct buffer *to, struct fault *f)
{
	size_t eol = b->eol == PIECE_CRLF ? 2 : 1;

	if (n == 0)
		return 0;
	if (b->line == 0)
		return buffer_append(to, chars, n, f);
	/* Exact, since b->column is at most b->line. */
	if (buffer_reserve(to, n + (size_t)((b->column + n - 1) / b->line) * eol, f) < 0)
		return -1;
	uint8_t *out = to->data + to->len;
	while (n > 0) {
		if (b->column == b->line) {
			if (b->eol == PIECE_CRLF)
				*out++ = '\r';
			*out++ = '\n';
			b->column = 0;
		}
		size_t room = (size_t)(b->line - b->column), some = n < room ? n : room;
		memcpy(out, chars, some);
		out += some;
		chars += some;
		n -= some;
		b->column += some;
	}
	to->len = (size_t)(out - to->data);
	return 0;
}

static int encode(
	struct base64_lines *b, const uint8_t *bytes, size_t n, struct buffer *to, struct fault *f)
{
	uint8_t chars[BLOCK_OUT + 1]; /* OpenSSL ends it with NUL */
	int made = EVP_EncodeBlock(chars, bytes, (int)n);

	return put_lines(b, chars, (size_t)made, to, f);
}

int base64_lines_add(struct base64_lines *b, struct slice bytes, struct buffer *to, struct fault *f)
{
	uint8_t joined[3];

	if (b->left_n > 0) {
		while (b->left_n < 2 && bytes.len > 0) {
			b->left[b->left_n++] = *bytes.data;
			bytes = slice_of(bytes.data + 1, bytes.len - 1);
		}
		if (bytes.len == 0)
			return 0;
		memcpy(joined, b->left, 2);
		joined[2] = *bytes.data;
		bytes = slice_of(bytes.data + 1, bytes.len - 1);
		b->left_n = 0;
		if (encode(b, joined, sizeof joined, to, f) < 0)
			return -1;
	}
	while (bytes.len >= 3) {
		size_t n = bytes.len < BLOCK_IN ? bytes.len / 3 * 3 : BLOCK_IN;

		if (encode(b, bytes.data, n, to, f) < 0)
			return -1;
		bytes = slice_of(bytes.data + n, bytes.len - n);
	}
	if (bytes.len > 0)
		memcpy(b->left, bytes.data, bytes.len);
	b->left_n = bytes.len;
	return 0;
}

int base64_lines_end(struct base64_lines *b, struct buffer *to, struct fault *f)
{
	size_t n = b->left_n;

	b->left_n = 0;
	return n > 0 ? encode(b, b->left, n, to, f) : 0;
}
