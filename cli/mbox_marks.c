#include "cli/mbox_marks.h"

#include <stdbool.h>
#include <strings.h>

enum mark {
	MARK_STATUS,
	MARK_X_STATUS,
	MARK_KEYWORDS,
	MARK_MOZILLA_STATUS,
	MARK_MOZILLA_KEYS,
	MARK_LABELS,
	MARK_SUBJECT,
	MARK_FROM,
	MARKS
};

static const char *const names[MARKS] = {
	[MARK_STATUS] = "Status",
	[MARK_X_STATUS] = "X-Status",
	[MARK_KEYWORDS] = "X-Keywords",
	[MARK_MOZILLA_STATUS] = "X-Mozilla-Status",
	[MARK_MOZILLA_KEYS] = "X-Mozilla-Keys",
	[MARK_LABELS] = "X-Gmail-Labels",
	[MARK_SUBJECT] = "Subject",
	[MARK_FROM] = "From",
};

/* ---- Fields ---------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
	while (text.len > 0 && is_blank(text.data[0]))
		text = slice_of(text.data + 1, text.len - 1);
	while (text.len > 0 &&
		(is_blank(text.data[text.len - 1]) || text.data[text.len - 1] == '\r'))
		text.len--;
	return text;
}

/* The line at the beginning of rest, without LF; rest moves behind it. */
static struct slice take_line(struct slice *rest)
{
	const uint8_t *lf = memchr(rest->data, '\n', rest->len);
	size_t len = lf ? (size_t)(lf - rest->data) : rest->len;
	struct slice line = slice_of(rest->data, len);

	len += lf != NULL;
	*rest = slice_of(rest->data + len, rest->len - len);
	return line;
}

static enum mark mark_of(struct slice line)
{
	/* Most fields are none of them. */
	if (line.len == 0 || !strchr("SsXxFf", line.data[0]))
		return MARKS;
	for (enum mark i = 0; i < MARKS; i++) {
		size_t n = strlen(names[i]);

		if (line.len > n && line.data[n] == ':' &&
			strncasecmp((const char *)line.data, names[i], n) == 0)
			return i;
	}
	return MARKS;
}

/* The value that goes on in folded lines, without its ends of lines, as far as it fits. */
static int unfold(struct slice first, struct slice *rest, struct buffer *to, struct fault *f)
{
	struct slice piece = trim(first);

	buffer_clear(to);
	to->max = LIMIT_HEADER_FIELD;
	for (;;) {
		size_t room = to->max - to->len;

		if (buffer_append(to, piece.data, piece.len < room ? piece.len : room, f) < 0)
			return -1;
		if (rest->len == 0 || !is_blank(rest->data[0]))
			return 0;
		piece = take_line(rest);
		if (piece.len > 0 && piece.data[piece.len - 1] == '\r')
			piece.len--;
	}
}

/* ---- Flags ----------------------------------------------------------------------------------- */

/* atom and system flags of RFC 3501 section 9. */
static bool is_flag(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (word.data[i] <= ' ' || word.data[i] >= 0x7f ||
			strchr("(){%*\"]", word.data[i]) || (word.data[i] == '\\' && i > 0))
			return false;
	}
	return word.len > 0;
}

static bool has_flag(const struct buffer *flags, struct slice word)
{
	for (size_t at = 0; at + word.len <= flags->len;) {
		const uint8_t *blank = memchr(flags->data + at, ' ', flags->len - at);
		size_t end = blank ? (size_t)(blank - flags->data) : flags->len;

		if (end - at == word.len && strncasecmp((const char *)flags->data + at,
						    (const char *)word.data, word.len) == 0)
			return true;
		at = end + 1;
	}
	return false;
}

int mbox_marks_add(struct mbox_marks *m, struct slice flag, struct fault *f)
{
	if (!is_flag(flag) || m->flags.len + 1 + flag.len > LIMIT_FLAGS ||
		has_flag(&m->flags, flag))
		return 0;
	if (m->flags.len > 0 && buffer_append(&m->flags, " ", 1, f) < 0)
		return -1;
	return buffer_append(&m->flags, flag.data, flag.len, f);
}

static int add_letters(struct mbox_marks *m, struct slice letters, struct fault *f)
{
	for (size_t i = 0; i < letters.len; i++) {
		uint8_t c = letters.data[i];
		const char *flag = c == 'R'   ? "\\Seen"
				   : c == 'A' ? "\\Answered"
				   : c == 'F' ? "\\Flagged"
				   : c == 'T' ? "\\Draft"
				   : c == 'D' ? "\\Deleted"
					      : "";

		if (mbox_marks_add(m, slice_text(flag), f) < 0)
			return -1;
	}
	return 0;
}

static int add_words(struct mbox_marks *m, struct slice words, struct fault *f)
{
	size_t end, at = 0;

	for (; at < words.len; at = end + 1) {
		for (end = at; end < words.len && !is_blank(words.data[end]); end++)
			;
		/* Nobody but the server sets what begins with a backslash. */
		if (words.data[at] != '\\' &&
			mbox_marks_add(m, slice_of(words.data + at, end - at), f) < 0)
			return -1;
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

static int add_bits(struct mbox_marks *m, struct slice text, struct fault *f)
{
	enum { READ = 1, REPLIED = 2, MARKED = 4, EXPUNGED = 8, FORWARDED = 0x1000 };
	static const struct {
		unsigned bit;
		const char *flag;
	} flags[] = {{READ, "\\Seen"}, {REPLIED, "\\Answered"}, {MARKED, "\\Flagged"},
		{FORWARDED, "$Forwarded"}};
	unsigned bits = 0;

	for (size_t i = 0; i < text.len && i < 4; i++) {
		int value = hex_value(text.data[i]);

		if (value < 0)
			return 0;
		bits = bits << 4 | (unsigned)value;
	}
	if (bits & EXPUNGED)
		m->kind = MBOX_EXPUNGED;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if ((bits & flags[i].bit) && mbox_marks_add(m, slice_text(flags[i].flag), f) < 0)
			return -1;
	}
	return 0;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static bool has_text(const struct buffer *b, const char *text)
{
	return b->len > 0 && memmem(b->data, b->len, text, strlen(text)) != NULL;
}

static int add_mark(struct mbox_marks *m, enum mark mark, struct buffer *value, unsigned *internal,
	struct fault *f)
{
	struct slice text = buffer_slice(value);

	switch (mark) {
	case MARK_STATUS:
	case MARK_X_STATUS:
		return add_letters(m, text, f);
	case MARK_KEYWORDS:
	case MARK_MOZILLA_KEYS:
		return add_words(m, text, f);
	case MARK_MOZILLA_STATUS:
		return add_bits(m, text, f);
	case MARK_LABELS:
		buffer_clear(&m->labels);
		return buffer_append(&m->labels, text.data, text.len, f);
	case MARK_SUBJECT:
		*internal |= has_text(value, "FOLDER INTERNAL DATA") ? 1 : 0;
		return 0;
	case MARK_FROM:
		*internal |= has_text(value, "Mail System Internal Data") ? 2 : 0;
		return 0;
	case MARKS:
		break;
	}
	return 0;
}

int mbox_marks_read(struct slice header, struct mbox_marks *ret, struct fault *f)
{
	struct buffer value CLEANUP(buffer_deinit) = buffer_make(LIMIT_HEADER_FIELD);
	unsigned internal = 0;

	ret->kind = MBOX_MAIL;
	ret->flags.max = LIMIT_FLAGS + 1;
	ret->labels.max = LIMIT_HEADER_FIELD;
	buffer_clear(&ret->flags);
	buffer_clear(&ret->labels);
	while (header.len > 0) {
		struct slice line = take_line(&header);
		enum mark mark = mark_of(line);

		if (mark == MARKS)
			continue;
		size_t n = strlen(names[mark]) + 1;
		if (unfold(slice_of(line.data + n, line.len - n), &header, &value, f) < 0 ||
			add_mark(ret, mark, &value, &internal, f) < 0)
			return -1;
	}
	if (internal == 3)
		ret->kind = MBOX_INTERNAL;
	return 0;
}

void mbox_marks_deinit(struct mbox_marks *m)
{
	buffer_deinit(&m->flags);
	buffer_deinit(&m->labels);
}
