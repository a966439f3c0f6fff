#include "archive/split.h"

#include <openssl/evp.h>
#include <strings.h>

/* One pass over the lines. Two machines look at each: one gathers runs of base64 lines, the other
 * knows which MIME boundaries were named and where a body began. Each line is looked at once by
 * either, and each run is decoded once, so the time is linear in the message's length. */

enum {
	CHARS_BLOCK = 64 * 1024,
	BYTES_BLOCK = CHARS_BLOCK / 4 * 3,
	NAMED_MOST = 4, /* boundaries in one line: values may overlap, and lines be long */
};

struct line {
	const uint8_t *data; /* len bytes without its end */
	size_t len;
	uint64_t offset, next; /* in the message */
	enum piece_eol eol;    /* 0: the message ends without one */
};

/* Base64 lines of one length, the last one shorter or equal. */
struct run {
	bool open;
	bool last; /* what is there can have no further line */
	uint64_t offset;
	uint64_t lines, chars; /* chars: without line ends, with padding */
	size_t padding;	       /* of the last line */
	size_t line;
	enum piece_eol eol; /* 0: one line, and no end of it was seen */
};

enum body_state { BODY_NONE, BODY_HEADERS, BODY_INSIDE };

struct splitter {
	struct slice message;
	struct buffer *scratch;
	uint8_t *block; /* CHARS_BLOCK characters, then BYTES_BLOCK bytes */
	struct split *split;
	struct run run;
	struct slice boundary[LIMIT_BOUNDARIES]; /* in the message */
	size_t boundaries;			 /* seen; a ring */
	enum body_state body;
	uint64_t body_offset;
	struct fault *f;
};

/* ---- Characters ---------------------------------------------------------------------------- */

/* A character of RFC 4648 section 4, without padding. Arithmetic, so that the compiler looks at
 * sixteen of them at once. */
static inline uint8_t in_alphabet(uint8_t c)
{
	uint8_t letter = (uint8_t)((c | 0x20) - 'a') < 26;
	uint8_t digit = (uint8_t)(c - '/') < 11; /* '/' stands before '0' */

	return letter | digit | (c == '+');
}

/* Whether the line is base64 and nothing else; padding only at its end. */
static bool is_base64(const struct line *l, size_t *ret_padding)
{
	size_t len = l->len, i = 0;

	while (len > 0 && l->len - len < 2 && l->data[len - 1] == '=')
		len--;
	if (len == 0 || !in_alphabet(l->data[0]))
		return false;
	for (; i + 16 <= len; i += 16) {
		uint8_t all = 1;

		for (size_t k = 0; k < 16; k++)
			all &= in_alphabet(l->data[i + k]);
		if (!all)
			return false;
	}
	for (; i < len; i++) {
		if (!in_alphabet(l->data[i]))
			return false;
	}
	*ret_padding = l->len - len;
	return true;
}

static bool next_line(struct slice message, uint64_t offset, struct line *ret)
{
	if (offset >= message.len)
		return false;
	const uint8_t *data = message.data + offset;
	size_t left = message.len - (size_t)offset;
	const uint8_t *lf = memchr(data, '\n', left);
	size_t len = lf ? (size_t)(lf - data) : left;

	ret->data = data;
	ret->offset = offset;
	ret->next = offset + len + (lf != NULL);
	ret->eol = lf ? PIECE_LF : 0;
	if (lf && len > 0 && data[len - 1] == '\r') {
		ret->eol = PIECE_CRLF;
		len--;
	}
	ret->len = len;
	return true;
}

/* ---- A span's characters ------------------------------------------------------------------- */

/* Goes over the characters of a span, without the line ends, in blocks. */
struct chars {
	const uint8_t *at, *end;
	size_t line, eol, column;
};

static void chars_init(struct chars *c, struct slice message, const struct split_span *span)
{
	*c = (struct chars){
		.at = message.data + span->offset,
		.end = message.data + span->offset + span->size,
		.line = span->line,
		.eol = span->eol == PIECE_CRLF ? 2 : 1,
	};
}

/* The next characters, `most` of them where there are as many. */
static size_t chars_next(struct chars *c, uint8_t *to, size_t most)
{
	size_t n = 0;

	while (n < most && c->at < c->end) {
		if (c->line > 0 && c->column == c->line) {
			c->at += c->eol;
			c->column = 0;
			continue;
		}
		size_t some = (size_t)(c->end - c->at);
		if (some > most - n)
			some = most - n;
		if (c->line > 0 && some > c->line - c->column)
			some = c->line - c->column;
		memcpy(to + n, c->at, some);
		c->at += some;
		c->column += some;
		n += some;
	}
	return n;
}

/* Decodes n characters, padded at their end or not at all; the number of bytes, 0: they are not
 * base64. */
static size_t decode_block(const uint8_t *chars, size_t n, uint8_t *to)
{
	if (n == 0 || n % 4 != 0)
		return 0;
	int got = EVP_DecodeBlock(to, chars, (int)n);
	size_t padding = chars[n - 1] != '=' ? 0 : chars[n - 2] != '=' ? 1 : 2;
	return got < (int)padding ? 0 : (size_t)got - padding;
}

/* Whether the span encodes back to exactly its bytes. Block by block: the caches hold them. */
static int prove(struct splitter *s, const struct split_span *span)
{
	uint8_t *chars = s->block, *bytes = s->block + CHARS_BLOCK;
	const uint8_t *at = s->message.data + span->offset;
	const uint8_t *end = at + span->size;
	struct base64_lines b;
	struct chars c;

	base64_lines_init(&b, span->line, span->eol);
	chars_init(&c, s->message, span);
	for (;;) {
		size_t n = chars_next(&c, chars, CHARS_BLOCK);
		size_t got = decode_block(chars, n, bytes);

		if (n > 0 && got == 0)
			return 1;
		buffer_clear(s->scratch);
		if (base64_lines_add(&b, slice_of(bytes, got), s->scratch, s->f) < 0 ||
			(n == 0 && base64_lines_end(&b, s->scratch, s->f) < 0))
			return -1;
		if (s->scratch->len > (size_t)(end - at) ||
			(s->scratch->len > 0 && memcmp(at, s->scratch->data, s->scratch->len) != 0))
			return 1;
		at += s->scratch->len;
		if (n == 0)
			return at == end ? 0 : 1;
	}
}

/* ---- Runs ---------------------------------------------------------------------------------- */

static bool is_full(const struct splitter *s)
{
	return s->split->spans == sizeof s->split->span / sizeof *s->split->span;
}

/* Bytes of the run's first n characters. */
static uint64_t chars_size(const struct run *run, uint64_t n)
{
	uint64_t eol = run->eol == PIECE_CRLF ? 2 : 1;

	return run->lines > 1 && n > 0 ? n + (n - 1) / run->line * eol : n;
}

/* A span of the run's first n characters, the last `padding` of which are padding. 0, or 1 where it
 * is too small or not exact. */
static int add_chars(struct splitter *s, uint64_t n, size_t padding)
{
	const struct run *run = &s->run;
	struct split_span span = {
		.kind = PIECE_BASE64,
		.offset = run->offset,
		.size = chars_size(run, n),
		.part_size = n / 4 * 3 - padding,
		.line = run->lines > 1 ? (uint32_t)run->line : 0,
		.eol = run->eol == PIECE_LF ? PIECE_LF : PIECE_CRLF,
	};

	if (n / 4 * 3 < LIMIT_PART_LEAST + padding)
		return 1;
	int r = prove(s, &span);
	if (r == 0)
		s->split->span[s->split->spans++] = span;
	return r;
}

/* The run as a whole; where its ending is odd, what of it is exact. */
static int end_run(struct splitter *s)
{
	struct run run = s->run;
	uint64_t bare = (run.chars - run.padding) / 4 * 4;
	int r = 1;

	if (!run.open)
		return 0;
	if (run.chars % 4 == 0)
		r = add_chars(s, run.chars, run.padding);
	if (r == 1 && (run.padding > 0 || run.chars % 4 != 0))
		r = add_chars(s, bare, 0);
	s->run.open = false;
	return r < 0 ? -1 : 0;
}

static void begin_run(struct run *run, const struct line *l, size_t padding)
{
	*run = (struct run){
		.open = true,
		.last = padding > 0 || l->eol == 0,
		.offset = l->offset,
		.lines = 1,
		.chars = l->len,
		.padding = padding,
		.line = l->len,
		.eol = l->eol,
	};
}

/* The line is base64: a further one of the run, or the first of the next. */
static int run_line(struct splitter *s, const struct line *l, size_t padding)
{
	struct run *run = &s->run;

	if (run->open && (run->last || l->len > run->line) && end_run(s) < 0)
		return -1;
	if (!run->open) {
		begin_run(run, l, padding);
		return 0;
	}
	run->lines++;
	run->chars += l->len;
	run->padding = padding;
	run->last = padding > 0 || l->len < run->line || l->eol != run->eol;
	return 0;
}

/* ---- Bodies -------------------------------------------------------------------------------- */

static struct slice trim(struct slice text)
{
	while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static bool is_known(const struct splitter *s, struct slice value)
{
	size_t n = s->boundaries < LIMIT_BOUNDARIES ? s->boundaries : LIMIT_BOUNDARIES;

	for (size_t i = 0; i < n; i++) {
		if (slice_compare(s->boundary[i], value) == 0)
			return true;
	}
	return false;
}

/* text: behind "boundary=". RFC 2046 section 5.1.1, and RFC 2045 section 5.1 for the value. */
static void note_boundary(struct splitter *s, struct slice text)
{
	size_t n = 0;
	bool quoted = text.len > 0 && text.data[0] == '"';

	if (quoted)
		text = slice_of(text.data + 1, text.len - 1);
	while (n < text.len && n <= LIMIT_BOUNDARY && text.data[n] != '"' &&
		(quoted || !memchr("; \t", text.data[n], 3)))
		n++;
	struct slice value = trim(slice_of(text.data, n));
	if (value.len == 0 || value.len > LIMIT_BOUNDARY || is_known(s, value))
		return;
	s->boundary[s->boundaries++ % LIMIT_BOUNDARIES] = value;
}

/* A Content-Type field, or a field's further line, can name a boundary; in the header of a message
 * that is forwarded inside of a body as well. */
static void look_for_boundary(struct splitter *s, const struct line *l)
{
	static const char name[] = "boundary";
	enum { NAME_LEN = sizeof name - 1 };
	const uint8_t *at = l->data, *end = l->data + l->len;
	size_t named = 0;

	if (l->len <= NAME_LEN || !memchr("Cc \t", *at, 4))
		return;
	while (named < NAMED_MOST && (at = memchr(at, '=', (size_t)(end - at))) != NULL) {
		if ((size_t)(at - l->data) >= NAME_LEN &&
			strncasecmp((const char *)at - NAME_LEN, name, NAME_LEN) == 0) {
			note_boundary(s, slice_of(at + 1, (size_t)(end - at) - 1));
			named++;
		}
		at++;
	}
}

enum delimiter { DELIMITER_NONE, DELIMITER_NEXT, DELIMITER_LAST };

static enum delimiter delimits(const struct splitter *s, const struct line *l)
{
	if (l->len < 3 || l->len > LIMIT_BOUNDARY + 64 || l->data[0] != '-' || l->data[1] != '-')
		return DELIMITER_NONE;
	struct slice text = trim(slice_of(l->data + 2, l->len - 2));
	if (is_known(s, text))
		return DELIMITER_NEXT;
	if (text.len > 2 && text.data[text.len - 1] == '-' && text.data[text.len - 2] == '-') {
		text.len -= 2;
		if (is_known(s, text))
			return DELIMITER_LAST;
	}
	return DELIMITER_NONE;
}

/* The body that began ends before the delimiter at `offset`, whose line end before it belongs to
 * it (RFC 2046 section 5.1.1). */
static void end_body(struct splitter *s, uint64_t offset)
{
	struct split *split = s->split;
	const struct split_span *last = split->spans ? &split->span[split->spans - 1] : NULL;

	if (s->body != BODY_INSIDE || (last && last->offset + last->size > s->body_offset))
		return;
	if (offset > s->body_offset && s->message.data[offset - 1] == '\n')
		offset--;
	if (offset > s->body_offset && s->message.data[offset - 1] == '\r')
		offset--;
	uint64_t size = offset - s->body_offset;
	if (size < LIMIT_PART_LEAST || is_full(s))
		return;
	split->span[split->spans++] = (struct split_span){
		.kind = PIECE_RAW,
		.offset = s->body_offset,
		.size = size,
		.part_size = size,
	};
}

static void body_line(struct splitter *s, const struct line *l)
{
	enum delimiter d = delimits(s, l);

	if (d != DELIMITER_NONE) {
		end_body(s, l->offset);
		s->body = d == DELIMITER_NEXT ? BODY_HEADERS : BODY_NONE;
	} else if (s->body == BODY_HEADERS && l->len == 0) {
		s->body = BODY_INSIDE;
		s->body_offset = l->next;
	} else {
		look_for_boundary(s, l);
	}
}

/* ---- The message --------------------------------------------------------------------------- */

static int split_lines(struct splitter *s)
{
	struct line l;
	size_t padding;

	for (uint64_t offset = 0; next_line(s->message, offset, &l) && !is_full(s);
		offset = l.next) {
		if (is_base64(&l, &padding)) {
			if (run_line(s, &l, padding) < 0)
				return -1;
			continue;
		}
		if (end_run(s) < 0)
			return -1;
		body_line(s, &l);
	}
	return is_full(s) ? 0 : end_run(s);
}

int split_message(struct slice message, struct buffer *scratch, struct split *ret, struct fault *f)
{
	uint8_t *block CLEANUP(freep) = NULL;

	ret->spans = 0;
	if (message.len > LIMIT_SPLIT_MESSAGE || message.len < LIMIT_PART_LEAST)
		return 0;
	block = malloc(CHARS_BLOCK + BYTES_BLOCK + 4);
	if (!block)
		return fault_memory(f);
	struct splitter s = {
		.message = message,
		.scratch = scratch,
		.block = block,
		.split = ret,
		.f = f,
	};
	return split_lines(&s);
}

int split_decode(
	struct slice message, const struct split_span *span, struct buffer *to, struct fault *f)
{
	uint8_t *block CLEANUP(freep) = NULL;
	struct chars c;

	buffer_clear(to);
	if (span->kind == PIECE_RAW)
		return buffer_append(to, message.data + span->offset, (size_t)span->size, f);
	block = malloc(CHARS_BLOCK);
	if (!block)
		return fault_memory(f);
	chars_init(&c, message, span);
	for (size_t n; (n = chars_next(&c, block, CHARS_BLOCK)) > 0;) {
		/* The decoder writes padding too. */
		if (buffer_reserve(to, n / 4 * 3 + 4, f) < 0)
			return -1;
		size_t got = decode_block(block, n, to->data + to->len);
		if (got == 0)
			return fault_set(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "no base64 there");
		to->len += got;
	}
	return 0;
}
