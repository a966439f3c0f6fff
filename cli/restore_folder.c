#include "cli/restore_folder.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <strings.h>

static const char *const FIELDS[] = {"{account}", "{folder}", "{year}", "{month}", NULL};

/* The field that text begins with; its length, 0 for none. */
static size_t field_at(const char *text, size_t *ret_which)
{
	for (size_t i = 0; FIELDS[i]; i++) {
		size_t len = strlen(FIELDS[i]);

		if (strncmp(text, FIELDS[i], len) == 0) {
			*ret_which = i;
			return len;
		}
	}
	return 0;
}

int folder_template_check(const char *template, struct fault *f)
{
	char text[64];
	size_t which;

	if (!template[0] || strlen(template) > LIMIT_FOLDER)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"--folder: a template of 1 to %d bytes, like Archive/{account}/{year}",
			LIMIT_FOLDER);
	for (const char *at = template; *at;) {
		size_t len = *at == '{' ? field_at(at, &which) : *at == '}' ? 0 : 1;

		if (len == 0)
			return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
				"--folder: \"%s\" is not understood; the fields are {account}, "
				"{folder}, {year} and {month}",
				escape_text(slice_of(at, strcspn(at, "}/") + (*at == '{')), text,
					sizeof text));
		at += len;
	}
	return 0;
}

/* ---- Making it safe -------------------------------------------------------------------------- */

static bool is_unsafe(uint32_t c)
{
	return c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0) || c == '%' || c == '*' ||
	       c == '\\' || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

static bool is_dots(struct slice level)
{
	for (size_t i = 0; i < level.len; i++) {
		if (level.data[i] != '.')
			return false;
	}
	return true;
}

static struct slice trimmed(struct slice level)
{
	while (level.len > 0 && (level.data[0] == ' ' || level.data[0] == '\t'))
		level = slice_of(level.data + 1, level.len - 1);
	while (level.len > 0 &&
		(level.data[level.len - 1] == ' ' || level.data[level.len - 1] == '\t'))
		level.len--;
	return level;
}

/* Appends one level, with "/" before it where it is not the first. */
static int add_level(struct buffer *to, struct slice level, struct fault *f)
{
	level = trimmed(level);
	if (level.len == 0)
		return 0;
	if (to->len + LIMIT_FOLDER_LEVEL + 2 > LIMIT_FOLDER)
		return 0;
	if (to->len > 0 && buffer_append(to, "/", 1, f) < 0)
		return -1;
	size_t begin = to->len;
	if (is_dots(level) || (begin == 0 && (level.data[0] == '#' || level.data[0] == '~'))) {
		if (buffer_append(to, "_", 1, f) < 0)
			return -1;
		level = slice_of(level.data + 1, level.len - 1);
	}
	while (level.len > 0) {
		uint32_t c = 0;
		size_t n = utf8_next(level, &c);
		bool unsafe = n == 0 || is_unsafe(c);

		n = n ? n : 1;
		if (to->len - begin + n > LIMIT_FOLDER_LEVEL)
			break;
		if (unsafe ? buffer_append(to, "_", 1, f) < 0
			   : buffer_append(to, level.data, n, f) < 0)
			return -1;
		level = slice_of(level.data + n, level.len - n);
	}
	return 0;
}

static int add_levels(struct buffer *to, struct slice path, struct fault *f)
{
	while (path.len > 0) {
		const uint8_t *slash = memchr(path.data, '/', path.len);
		size_t n = slash ? (size_t)(slash - path.data) : path.len;

		if (add_level(to, slice_of(path.data, n), f) < 0)
			return -1;
		n += slash ? 1 : 0;
		path = slice_of(path.data + n, path.len - n);
	}
	return 0;
}

/* ---- Filling --------------------------------------------------------------------------------- */

/* A name is one level, whatever is in it. */
static int add_name(struct buffer *to, struct slice name, struct fault *f)
{
	for (size_t i = 0; i < name.len; i++) {
		const char *byte = (const char *)name.data + i;

		if (buffer_append(to, *byte == '/' ? "_" : byte, 1, f) < 0)
			return -1;
	}
	return 0;
}

/* The first or the second part of YYYY-MM. */
static int add_date(struct buffer *to, moment_ms date, size_t which, struct fault *f)
{
	char text[MOMENT_TEXT];

	moment_format(date, text);
	return which == 2 ? buffer_append(to, text, 4, f) : buffer_append(to, text + 5, 2, f);
}

static int add_field(
	struct buffer *to, size_t which, const struct folder_fields *fields, struct fault *f)
{
	if (which == 0)
		return add_name(to, fields->account, f);
	if (which == 1)
		return buffer_append(to, fields->folder.data, fields->folder.len, f);
	return add_date(to, fields->date, which, f);
}

static int fill(const char *template, const struct folder_fields *fields, struct buffer *to,
	struct fault *f)
{
	size_t which = 0;

	for (const char *at = template; *at;) {
		size_t len = *at == '{' ? field_at(at, &which) : 0;
		int r = len ? add_field(to, which, fields, f) : buffer_append(to, at, 1, f);

		if (r < 0)
			return -1;
		at += len ? len : 1;
	}
	return 0;
}

int folder_template_fill(const char *template, const char *root, const struct folder_fields *fields,
	struct buffer *to, struct fault *f)
{
	struct buffer raw CLEANUP(buffer_deinit) = buffer_make(64 * KIB);

	if (root && (buffer_append_text(&raw, root, f) < 0 || buffer_append(&raw, "/", 1, f) < 0))
		return -1;
	if (fill(template, fields, &raw, f) < 0)
		return -1;
	buffer_clear(to);
	if (add_levels(to, buffer_slice(&raw), f) < 0)
		return -1;
	bool inbox = to->len == 5 && strncasecmp((const char *)to->data, "inbox", 5) == 0;
	if (to->len > 0 && !inbox)
		return 0;
	buffer_clear(to);
	return buffer_append_text(to, "INBOX", f);
}
