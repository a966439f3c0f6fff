#include "daemon/imap_name.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <strings.h>

/* Base64 with ',' in place of '/', without padding (RFC 3501 section 5.1.3). */
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* What is in the present shift: bits that are no whole letter (or unit) yet. */
struct shift {
	uint32_t bits;
	unsigned n;
	bool on;
};

static bool is_direct(uint32_t c)
{
	return c >= ' ' && c <= '~';
}

static int put_unit(struct buffer *to, struct shift *s, uint32_t unit, struct fault *f)
{
	s->bits = s->bits << 16 | unit;
	for (s->n += 16; s->n >= 6;) {
		s->n -= 6;
		if (buffer_append(to, &letters[s->bits >> s->n & 63], 1, f) < 0)
			return -1;
	}
	return 0;
}

static int end_shift(struct buffer *to, struct shift *s, struct fault *f)
{
	if (!s->on)
		return 0;
	if (s->n > 0 && buffer_append(to, &letters[s->bits << (6 - s->n) & 63], 1, f) < 0)
		return -1;
	*s = (struct shift){0};
	return buffer_append_text(to, "-", f);
}

static int put_shifted(struct buffer *to, struct shift *s, uint32_t c, struct fault *f)
{
	if (!s->on && buffer_append_text(to, "&", f) < 0)
		return -1;
	s->on = true;
	if (c < 0x10000)
		return put_unit(to, s, c, f);
	c -= 0x10000;
	if (put_unit(to, s, 0xd800 | c >> 10, f) < 0)
		return -1;
	return put_unit(to, s, 0xdc00 | (c & 0x3ff), f);
}

static int put_direct(struct buffer *to, struct shift *s, uint8_t c, struct fault *f)
{
	if (end_shift(to, s, f) < 0)
		return -1;
	return c == '&' ? buffer_append_text(to, "&-", f) : buffer_append(to, &c, 1, f);
}

int imap_name_encode(struct buffer *to, struct slice utf8, struct fault *f)
{
	size_t before = to->len, n;
	struct shift s = {0};
	uint32_t c;

	for (; utf8.len > 0; utf8 = slice_of(utf8.data + n, utf8.len - n)) {
		n = utf8_next(utf8, &c);
		if (n == 0 || c == '\0' || c == '\r' || c == '\n') {
			to->len = before;
			return IMAP_NAME_INVALID;
		}
		if ((is_direct(c) ? put_direct(to, &s, (uint8_t)c, f) : put_shifted(to, &s, c, f)) <
			0)
			return -1;
	}
	return end_shift(to, &s, f);
}

static int put_utf8(struct buffer *to, uint32_t c, struct fault *f)
{
	uint8_t b[4];
	size_t n = 0;

	if (c < 0x80) {
		b[n++] = (uint8_t)c;
	} else if (c < 0x800) {
		b[n++] = (uint8_t)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		b[n++] = (uint8_t)(0xe0 | c >> 12);
		b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	} else {
		b[n++] = (uint8_t)(0xf0 | c >> 18);
		b[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		b[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		b[n++] = (uint8_t)(0x80 | (c & 0x3f));
	return buffer_append(to, b, n, f);
}

/* One shift, text without its & and -. */
static int decode_shift(struct buffer *to, struct slice text, struct fault *f)
{
	uint32_t bits = 0, high = 0;
	unsigned n = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *letter = text.data[i] ? strchr(letters, text.data[i]) : NULL;

		if (!letter)
			return IMAP_NAME_INVALID;
		bits = bits << 6 | (uint32_t)(letter - letters);
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		uint32_t unit = bits >> n & 0xffff;
		bool is_low = unit >= 0xdc00 && unit < 0xe000;
		if (unit == 0 || is_low != (high != 0))
			return IMAP_NAME_INVALID;
		if (unit >= 0xd800 && unit < 0xdc00) {
			high = unit;
			continue;
		}
		if (is_low)
			unit = 0x10000 + ((high & 0x3ff) << 10 | (unit & 0x3ff));
		high = 0;
		if (put_utf8(to, unit, f) < 0)
			return -1;
	}
	return high || n >= 6 || bits & ((1u << n) - 1) ? IMAP_NAME_INVALID : 0;
}

static int decode(struct buffer *to, struct slice name, struct fault *f)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!is_direct(name.data[i]))
			return IMAP_NAME_INVALID;
		if (name.data[i] != '&') {
			if (buffer_append(to, &name.data[i], 1, f) < 0)
				return -1;
			continue;
		}
		const uint8_t *from = name.data + i + 1;
		const uint8_t *end = name.len > i + 1 ? memchr(from, '-', name.len - i - 1) : NULL;
		if (!end)
			return IMAP_NAME_INVALID;
		int r = end == from ? buffer_append_text(to, "&", f)
				    : decode_shift(to, slice_of(from, (size_t)(end - from)), f);
		if (r != 0)
			return r;
		i += (size_t)(end - from) + 1;
	}
	return 0;
}

int imap_name_decode(struct buffer *to, struct slice name, struct fault *f)
{
	size_t before = to->len;
	int r = decode(to, name, f);

	if (r != 0)
		to->len = before;
	return r;
}

/* ---- Paths ----------------------------------------------------------------------------------- */

static bool is_inbox(struct slice level)
{
	return level.len == 5 && strncasecmp((const char *)level.data, "INBOX", 5) == 0;
}

/* One level of a path, whose own delimiters go: they would be levels on the server. */
static int put_level(struct buffer *to, struct slice level, char delimiter, struct fault *f)
{
	struct buffer clean CLEANUP(buffer_deinit) = buffer_make(LIMIT_FOLDER + 1);
	size_t before = to->len;
	int r;

	if (buffer_append(&clean, level.data, level.len, f) < 0)
		return -1;
	for (size_t i = 0; delimiter && i < clean.len; i++) {
		if (clean.data[i] == (uint8_t)delimiter)
			clean.data[i] = '_';
	}
	r = imap_name_encode(to, buffer_slice(&clean), f);
	/* A delimiter that base64 needs. */
	if (r == 0 && delimiter && to->len > before &&
		memchr(to->data + before, delimiter, to->len - before))
		r = IMAP_NAME_INVALID;
	return r;
}

static struct slice next_level(const char **path)
{
	*path += strspn(*path, "/");
	struct slice level = slice_of(*path, strcspn(*path, "/"));
	*path += level.len;
	return level;
}

static int put_path(struct buffer *to, const char *path, char delimiter, struct fault *f)
{
	size_t before = to->len;
	char between = delimiter ? delimiter : '.';

	for (struct slice level; (level = next_level(&path)).len > 0;) {
		bool first = to->len == before;

		if (!first && buffer_append(to, &between, 1, f) < 0)
			return -1;
		int r = first && is_inbox(level) ? buffer_append_text(to, "INBOX", f)
						 : put_level(to, level, delimiter, f);
		if (r != 0)
			return r;
	}
	return to->len == before ? IMAP_NAME_INVALID : 0;
}

int imap_name_of_path(
	struct buffer *to, const char *path, char delimiter, const char *prefix, struct fault *f)
{
	struct buffer name CLEANUP(buffer_deinit) = buffer_make(4 * LIMIT_FOLDER);
	size_t before = to->len, n = prefix ? strlen(prefix) : 0;
	int r = put_path(&name, path, delimiter, f);

	if (r != 0)
		return r;
	bool has_prefix = is_inbox(buffer_slice(&name)) ||
			  (name.len >= n && n > 0 && memcmp(name.data, prefix, n) == 0);
	if ((n > 0 && !has_prefix && buffer_append(to, prefix, n, f) < 0) ||
		buffer_append(to, name.data, name.len, f) < 0 || buffer_append(to, "", 1, f) < 0) {
		to->len = before;
		return -1;
	}
	to->len--;
	return 0;
}

/* The delimiter ends a level, but not within base64 (which has no delimiter that is in use). */
int imap_path_of_name(struct buffer *to, struct slice name, char delimiter, struct fault *f)
{
	size_t begin = 0;

	for (size_t i = 0; i <= name.len; i++) {
		if (i < name.len && (!delimiter || name.data[i] != (uint8_t)delimiter))
			continue;
		struct slice level = slice_of(name.data + begin, i - begin);
		size_t before = to->len;
		int r = imap_name_decode(to, level, f);
		if (r == IMAP_NAME_INVALID)
			r = buffer_append(to, level.data, level.len, f);
		if (r < 0)
			return -1;
		for (size_t k = before; k < to->len; k++) {
			if (to->data[k] == '/' || to->data[k] == '\0')
				to->data[k] = '_';
		}
		if (i < name.len && buffer_append_text(to, "/", f) < 0)
			return -1;
		begin = i + 1;
	}
	if (buffer_append(to, "", 1, f) < 0)
		return -1;
	to->len--;
	return 0;
}

bool imap_flag_is_valid(struct slice flag)
{
	struct slice atom = flag;

	if (flag.len > 0 && flag.data[0] == '\\')
		atom = slice_of(flag.data + 1, flag.len - 1);
	if (atom.len == 0 || atom.len > LIMIT_FLAGS)
		return false;
	for (size_t i = 0; i < atom.len; i++) {
		if (atom.data[i] <= ' ' || atom.data[i] > '~' || strchr("(){%*\"\\]", atom.data[i]))
			return false;
	}
	return atom.len == flag.len || atom.len != 6 ||
	       strncasecmp((const char *)atom.data, "Recent", 6) != 0;
}
