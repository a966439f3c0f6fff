#include "cli/import_place.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <ctype.h>
#include <strings.h>

/* ---- Levels ---------------------------------------------------------------------------------- */

static bool equals(struct slice name, const char *text)
{
	return slice_compare(name, slice_text(text)) == 0;
}

static bool equals_anyhow(struct slice name, const char *text)
{
	return name.len == strlen(text) &&
	       strncasecmp((const char *)name.data, text, name.len) == 0;
}

static bool ends_with(struct slice name, const char *ending)
{
	size_t n = strlen(ending);

	return name.len > n && strncasecmp((const char *)name.data + name.len - n, ending, n) == 0;
}

static struct slice without_end(struct slice name, size_t n)
{
	return slice_of(name.data, name.len - n);
}

/* Whole characters of it that fit. */
static size_t fit(struct slice text, size_t most)
{
	size_t n = 0, character = 0;
	uint32_t code;

	while (n < text.len &&
		(character = utf8_next(slice_of(text.data + n, text.len - n), &code)) > 0 &&
		n + character <= most)
		n += character;
	return n;
}

static int append_cut(struct buffer *to, struct slice text, struct fault *f)
{
	size_t room = LIMIT_FOLDER > to->len ? (size_t)LIMIT_FOLDER - to->len : 0;
	size_t n = text.len <= room ? text.len : fit(text, room);

	if (buffer_append(to, text.data, n, f) < 0)
		return -1;
	return n < text.len ? PLACE_CUT : 0;
}

/* Well-formed UTF-8 without control characters. */
static bool is_text(struct slice name)
{
	uint32_t code;

	for (size_t n, at = 0; at < name.len; at += n) {
		n = utf8_next(slice_of(name.data + at, name.len - at), &code);
		if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
			return false;
	}
	return true;
}

int place_add(struct buffer *folder, struct slice level, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(8 * LIMIT_FOLDER);

	if (level.len == 0 || equals(level, ".") || equals(level, ".."))
		return 0;
	/* What is longer than all is cut in any case. */
	if (level.len > LIMIT_FOLDER)
		level.len = LIMIT_FOLDER;
	if (folder->len > 0 && buffer_append(&text, "/", 1, f) < 0)
		return -1;
	size_t begin = text.len;
	if ((is_text(level) ? buffer_append(&text, level.data, level.len, f)
			    : escape_append(&text, level, f)) < 0)
		return -1;
	for (size_t i = begin; i < text.len; i++) {
		if (text.data[i] == '/')
			text.data[i] = '_';
	}
	if (folder->len + 1 >= LIMIT_FOLDER)
		return PLACE_CUT;
	return append_cut(folder, buffer_slice(&text), f);
}

int place_add_path(struct buffer *folder, struct slice path, struct fault *f)
{
	bool in_mbox = false;
	int cut = 0;

	for (size_t at = 0; at <= path.len;) {
		const uint8_t *slash =
			at < path.len ? memchr(path.data + at, '/', path.len - at) : NULL;
		size_t end = slash ? (size_t)(slash - path.data) : path.len;
		struct slice level = slice_of(path.data + at, end - at);

		at = end + 1;
		if (in_mbox && equals(level, "mbox"))
			continue;
		in_mbox = ends_with(level, ".mbox");
		if (in_mbox)
			level = without_end(level, 5);
		else if (ends_with(level, ".sbd"))
			level = without_end(level, 4);
		int r = place_add(folder, level, f);
		if (r < 0)
			return -1;
		cut |= r;
	}
	return cut;
}

int place_add_file(struct buffer *folder, struct slice name, struct fault *f)
{
	static const char *const endings[] = {".gz", ".bz2", ".xz", ".zst", ".mbox", ".mbx", NULL};

	for (const char *const *e = endings; *e; e++) {
		if (ends_with(name, *e))
			name = without_end(name, strlen(*e));
	}
	if (equals_anyhow(name, "inbox") || equals_anyhow(name, "mbox"))
		return folder->len > 0 && equals(name, "mbox")
			       ? 0
			       : place_add(folder, slice_text("INBOX"), f);
	return place_add(folder, name, f);
}

bool place_is_maildir(struct slice level)
{
	return equals_anyhow(level, "Maildir") || equals_anyhow(level, ".maildir");
}

int place_finish_maildir(struct buffer *folder, struct fault *f)
{
	return folder->len > 0 ? 0 : place_add(folder, slice_text("INBOX"), f);
}

/* ---- Modified UTF-7 -------------------------------------------------------------------------- */

static int base64_value(uint8_t c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

static int append_code(struct buffer *to, uint32_t code, struct fault *f)
{
	uint8_t out[4];
	size_t n = 0;

	if (code < 0x80) {
		out[n++] = (uint8_t)code;
	} else if (code < 0x800) {
		out[n++] = (uint8_t)(0xc0 | code >> 6);
		out[n++] = (uint8_t)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		out[n++] = (uint8_t)(0xe0 | code >> 12);
		out[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
		out[n++] = (uint8_t)(0x80 | (code & 0x3f));
	} else {
		out[n++] = (uint8_t)(0xf0 | code >> 18);
		out[n++] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
		out[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
		out[n++] = (uint8_t)(0x80 | (code & 0x3f));
	}
	return buffer_append(to, out, n, f);
}

enum { NOT_UTF7 = 1 };

/* UTF-16 units as they come out of the base64. */
struct units {
	uint32_t bits, high; /* high: a first surrogate that waits for its second */
	unsigned n;
};

static int add_unit(struct units *u, uint32_t unit, struct buffer *to, struct fault *f)
{
	if (u->high) {
		if (unit < 0xdc00 || unit > 0xdfff)
			return NOT_UTF7;
		uint32_t code = 0x10000 + ((u->high - 0xd800) << 10) + (unit - 0xdc00);
		u->high = 0;
		return append_code(to, code, f);
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		u->high = unit;
		return 0;
	}
	/* Printable ASCII stands for itself, so that a name has one form only. */
	if ((unit >= 0xdc00 && unit <= 0xdfff) || (unit >= 0x20 && unit <= 0x7e))
		return NOT_UTF7;
	return append_code(to, unit, f);
}

/* Between "&" and "-". */
static int decode_shifted(struct slice encoded, struct buffer *to, struct fault *f)
{
	struct units u = {0};

	if (encoded.len == 0)
		return buffer_append(to, "&", 1, f);
	for (size_t i = 0; i < encoded.len; i++) {
		int value = base64_value(encoded.data[i]);

		if (value < 0)
			return NOT_UTF7;
		u.bits = u.bits << 6 | (uint32_t)value;
		u.n += 6;
		if (u.n < 16)
			continue;
		u.n -= 16;
		int r = add_unit(&u, u.bits >> u.n & 0xffff, to, f);
		if (r != 0)
			return r;
	}
	return u.n >= 6 || u.high || (u.bits & ((1U << u.n) - 1)) ? NOT_UTF7 : 0;
}

static int decode_utf7(struct slice name, struct buffer *to, struct fault *f)
{
	for (size_t at = 0; at < name.len;) {
		uint8_t c = name.data[at++];

		if (c < 0x20 || c > 0x7e)
			return NOT_UTF7;
		if (c != '&') {
			if (buffer_append(to, &c, 1, f) < 0)
				return -1;
			continue;
		}
		const uint8_t *end = memchr(name.data + at, '-', name.len - at);
		if (!end)
			return NOT_UTF7;
		size_t n = (size_t)(end - (name.data + at));
		int r = decode_shifted(slice_of(name.data + at, n), to, f);
		if (r != 0)
			return r;
		at += n + 1;
	}
	return 0;
}

static int add_encoded(struct buffer *folder, struct slice level, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(4 * LIMIT_FOLDER);

	if (level.len > LIMIT_FOLDER)
		return place_add(folder, level, f);
	int r = decode_utf7(level, &text, f);
	if (r < 0)
		return -1;
	return place_add(folder, r == 0 ? buffer_slice(&text) : level, f);
}

int place_add_maildir(struct buffer *folder, struct slice name, struct fault *f)
{
	int cut = 0;

	if (name.len < 2 || name.data[0] != '.')
		return add_encoded(folder, name, f);
	for (size_t at = 1; at <= name.len;) {
		const uint8_t *dot =
			at < name.len ? memchr(name.data + at, '.', name.len - at) : NULL;
		size_t end = dot ? (size_t)(dot - name.data) : name.len;
		int r = add_encoded(folder, slice_of(name.data + at, end - at), f);

		if (r < 0)
			return -1;
		cut |= r;
		at = end + 1;
	}
	return cut;
}

/* ---- Names of files -------------------------------------------------------------------------- */

void maildir_name_split(struct slice name, struct maildir_name *ret)
{
	/* Samba's and Apple's characters for a colon that Windows does not allow. */
	static const char *const separators[] = {":2,", ";2,", "!2,",
		"\xef\x80\xa2"
		"2,",
		"\xef\x80\xba"
		"2,"};

	*ret = (struct maildir_name){.unique = name};
	for (size_t at = name.len; at-- > 0;) {
		for (size_t i = 0; i < sizeof separators / sizeof *separators; i++) {
			size_t n = strlen(separators[i]);

			if (name.len - at < n || memcmp(name.data + at, separators[i], n) != 0)
				continue;
			ret->unique = slice_of(name.data, at);
			ret->letters = slice_of(name.data + at + n, name.len - at - n);
			return;
		}
	}
}

/* What RFC 3501 allows in a keyword (atom), and is short. */
static bool is_keyword(struct slice word)
{
	for (size_t i = 0; i < word.len; i++) {
		if (word.data[i] <= 0x20 || word.data[i] >= 0x7f ||
			strchr("(){%*\"\\]", word.data[i]))
			return false;
	}
	return word.len > 0 && word.len < sizeof((struct maildir_keywords *)0)->name[0];
}

static void read_line(struct maildir_keywords *to, struct slice line)
{
	size_t number = 0, at = 0;

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	while (at < line.len && at < 3 && isdigit(line.data[at]))
		number = number * 10 + (size_t)(line.data[at++] - '0');
	if (at == 0 || at == line.len || line.data[at] != ' ' || number >= MAILDIR_KEYWORDS)
		return;
	struct slice word = slice_of(line.data + at + 1, line.len - at - 1);
	if (!is_keyword(word))
		return;
	memcpy(to->name[number], word.data, word.len);
	to->name[number][word.len] = '\0';
}

void maildir_keywords_read(struct maildir_keywords *ret, struct slice text)
{
	*ret = (struct maildir_keywords){0};
	while (text.len > 0) {
		const uint8_t *lf = memchr(text.data, '\n', text.len);
		size_t n = lf ? (size_t)(lf - text.data) : text.len;

		read_line(ret, slice_of(text.data, n));
		n += lf != NULL;
		text = slice_of(text.data + n, text.len - n);
	}
}

static const char *flag_of(uint8_t letter)
{
	switch (letter) {
	case 'S':
		return "\\Seen";
	case 'R':
		return "\\Answered";
	case 'F':
		return "\\Flagged";
	case 'D':
		return "\\Draft";
	case 'T':
		return "\\Deleted";
	case 'P':
		return "$Forwarded";
	default:
		return "";
	}
}

/* A keyword may say what a flag says. */
static bool has_flag(const struct buffer *flags, const char *word)
{
	const size_t n = strlen(word);

	for (size_t at = 0; at + n <= flags->len; at++) {
		bool begins = at == 0 || flags->data[at - 1] == ' ';
		bool ends = at + n == flags->len || flags->data[at + n] == ' ';

		if (begins && ends && memcmp(flags->data + at, word, n) == 0)
			return true;
	}
	return false;
}

static int add_flag(struct buffer *flags, const char *word, struct fault *f)
{
	if (!word[0] || flags->len + 1 + strlen(word) > LIMIT_FLAGS || has_flag(flags, word))
		return 0;
	if (flags->len > 0 && buffer_append(flags, " ", 1, f) < 0)
		return -1;
	return buffer_append_text(flags, word, f);
}

int maildir_flags(struct slice letters, const struct maildir_keywords *keywords,
	struct buffer *flags, struct fault *f)
{
	bool seen[256] = {false};
	int unnamed = 0;

	for (size_t i = 0; i < letters.len; i++) {
		uint8_t c = letters.data[i];
		bool is_keyword = c >= 'a' && c <= 'z';
		const char *word = is_keyword && keywords ? keywords->name[c - 'a'] : flag_of(c);

		if (seen[c])
			continue;
		seen[c] = true;
		if (is_keyword && !word[0])
			unnamed = PLACE_UNNAMED;
		if (add_flag(flags, word, f) < 0)
			return -1;
	}
	return unnamed;
}

moment_ms maildir_received(struct slice name, moment_ms mtime)
{
	enum { EARLIEST_S = 315532800, DAY_MS = 86400000, DIGITS = 12 }; /* 1980 */
	const moment_ms latest = moment_now() + DAY_MS;
	moment_ms seconds = 0;

	if (mtime >= (moment_ms)EARLIEST_S * 1000 && mtime <= latest)
		return mtime;
	for (size_t i = 0; i < name.len && i < DIGITS && isdigit(name.data[i]); i++)
		seconds = seconds * 10 + (name.data[i] - '0');
	return seconds >= EARLIEST_S && seconds * 1000 <= latest ? seconds * 1000 : 0;
}
