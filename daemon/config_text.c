/* The scanner's grammar as far as it matters here:
 *
 *	comment   "#" or "//" to the end of the line; slash-star to star-slash
 *	'string'  \' and \\ are escapes, nothing else
 *	"string"  \ooo, \xHH and \ with any character; ${NAME} and ${NAME:-otherwise}
 *	bare      anything up to white space or one of # " ' = { } ( ) + , *   (so // inside is no
 *		  comment: pop3s://host)
 */
#include "daemon/config_text.h"

#include "archive/escape.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct scan {
	char *at, *end;
	const char *file;
	unsigned line;
	unsigned open, open_line; /* braces, and where the outermost stands */
	struct complaints *complaints;
};

static bool begins(const struct scan *s, const char *token)
{
	size_t len = strlen(token);

	return (size_t)(s->end - s->at) >= len && memcmp(s->at, token, len) == 0;
}

/* A newline stays, so that lines keep their numbers. */
static void blank(struct scan *s)
{
	if (*s->at == '\n')
		s->line++;
	else
		*s->at = ' ';
	s->at++;
}

static void skip(struct scan *s)
{
	if (*s->at == '\n')
		s->line++;
	s->at++;
}

static int comment(struct scan *s)
{
	unsigned begin = s->line;

	if (!begins(s, "/*")) {
		while (s->at < s->end && *s->at != '\n')
			blank(s);
		return 0;
	}
	blank(s);
	blank(s);
	while (!begins(s, "*/")) {
		if (s->at == s->end)
			return complain(s->complaints, s->file, begin,
				"the comment that begins here has no end");
		blank(s);
	}
	blank(s);
	blank(s);
	return 0;
}

/* At "${". Skips it whole. */
static int variable(struct scan *s)
{
	char shown[64];
	char *name = s->at + 2;
	size_t room = (size_t)(s->end - name);
	char *close = memchr(name, '}', room), *line_end = memchr(name, '\n', room);

	if (!close || (line_end && line_end < close))
		return complain(s->complaints, s->file, s->line,
			"${ without } on the same line (write \\$ for a dollar sign)");
	char *otherwise = memmem(name, (size_t)(close - name), ":-", 2);
	char *name_end = otherwise ? otherwise : close;
	char *copy CLEANUP(freep) = strndup(name, (size_t)(name_end - name));
	if (!copy)
		return complain_memory(s->complaints);
	if (!otherwise && !getenv(copy))
		return complain(s->complaints, s->file, s->line,
			"the environment has no %s (in single quotes ${NAME} stays as it is)",
			escape_text(slice_text(copy), shown, sizeof shown));
	s->at = close + 1;
	return 0;
}

static int digit(const struct scan *s, const char *at, int base)
{
	char c = at < s->end ? *at : '\0';
	int value = c >= '0' && c <= '9'   ? c - '0'
		    : c >= 'a' && c <= 'f' ? c - 'a' + 10
		    : c >= 'A' && c <= 'F' ? c - 'A' + 10
					   : base;

	return value < base ? value : -1;
}

/* At a backslash within double quotes. */
static int escape(struct scan *s)
{
	char *digits = s->at + 1;
	int base = 8, most = 3, value = 0, n = 0;

	if (digits < s->end && *digits == 'x') {
		digits++;
		base = 16;
		most = 2;
	}
	for (; n < most && digit(s, digits + n, base) >= 0; n++)
		value = value * base + digit(s, digits + n, base);
	if (n == 0) {
		skip(s);
		if (s->at < s->end)
			skip(s);
		return 0;
	}
	if (value == 0)
		return complain(
			s->complaints, s->file, s->line, "a NUL (\\0) cannot stand in a value");
	if (value > 0xff || (base == 8 && digit(s, digits + n, 10) >= 0))
		return complain(s->complaints, s->file, s->line,
			"an octal escape is not between \\1 and \\377");
	s->at = digits + n;
	return 0;
}

static int quoted(struct scan *s, char quote)
{
	unsigned begin = s->line;

	for (skip(s); s->at < s->end && *s->at != quote;) {
		int r = 0;

		if (quote == '"' && *s->at == '\\') {
			r = escape(s);
		} else if (quote == '"' && begins(s, "${")) {
			r = variable(s);
		} else if (*s->at == '\\' && s->at + 1 < s->end) {
			skip(s);
			skip(s);
		} else {
			skip(s);
		}
		if (r < 0)
			return r;
	}
	if (s->at >= s->end)
		return complain(s->complaints, s->file, begin,
			"the string that begins here has no end (%c)", quote);
	skip(s);
	return 0;
}

static bool is_bare(char c)
{
	return !strchr(" #\"'\t\n\r={}()+,*", c);
}

static int next(struct scan *s)
{
	char c = *s->at;

	if (c == '#' || begins(s, "//") || begins(s, "/*"))
		return comment(s);
	if (c == '"' || c == '\'')
		return quoted(s, c);
	if (begins(s, "${"))
		return variable(s);
	if (c == '*' || (c == '+' && !begins(s, "+=")))
		return complain(s->complaints, s->file, s->line,
			"unexpected %c (a value with it stands in quotes)", c);
	if (c == '{' && s->open++ == 0)
		s->open_line = s->line;
	if (c == '}' && s->open > 0)
		s->open--;
	if (!is_bare(c)) {
		skip(s);
		return 0;
	}
	while (s->at < s->end && is_bare(*s->at) && !begins(s, "/*"))
		skip(s);
	return 0;
}

int config_text_prepare(char *text, size_t len, const char *file, struct complaints *c)
{
	static const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf";
	struct scan s = {.at = text, .end = text + len, .file = file, .line = 1, .complaints = c};
	char *nul = memchr(text, '\0', len);

	if (nul) {
		for (; s.at < nul; s.at++)
			s.line += *s.at == '\n';
		return complain(c, file, s.line, "a NUL byte: this is no text file");
	}
	if (begins(&s, BYTE_ORDER_MARK)) {
		for (size_t i = 0; i < strlen(BYTE_ORDER_MARK); i++)
			blank(&s);
	}
	while (s.at < s.end) {
		if (next(&s) < 0)
			return -1;
	}
	/* libconfuse takes the end of the file for the end of every section. */
	if (s.open > 0)
		return complain(
			c, file, s.open_line, "the section that begins here has no end (})");
	return 0;
}
