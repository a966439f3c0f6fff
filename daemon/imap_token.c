#include "daemon/imap_token.h"

#include "archive/decimal.h"
#include "archive/limits.h"

#include <strings.h>

bool imap_is(struct slice word, const char *name)
{
	return word.len == strlen(name) &&
	       strncasecmp((const char *)word.data, name, word.len) == 0;
}

static size_t left(const struct imap_cursor *c)
{
	return (size_t)(c->end - c->at);
}

static void skip_spaces(struct imap_cursor *c)
{
	while (c->at < c->end && *c->at == ' ')
		c->at++;
}

bool imap_take_char(struct imap_cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != (uint8_t)wanted)
		return false;
	c->at++;
	skip_spaces(c);
	return true;
}

struct slice imap_take_atom(struct imap_cursor *c)
{
	const uint8_t *from = c->at;
	bool within = false;

	for (; c->at < c->end && *c->at; c->at++) {
		if (*c->at == '[')
			within = true;
		else if (*c->at == ']')
			within = false;
		else if (!within && (*c->at == ' ' || *c->at == '(' || *c->at == ')'))
			break;
	}
	struct slice atom = slice_of(from, (size_t)(c->at - from));
	skip_spaces(c);
	return atom;
}

bool imap_take_number(struct imap_cursor *c, uint64_t *ret)
{
	struct imap_cursor before = *c;
	struct slice atom = imap_take_atom(c);

	if (decimal_take(&atom, ret) == 0 && atom.len == 0)
		return true;
	*c = before;
	return false;
}

/* The cursor stands behind the opening quote. */
static bool take_quoted(struct imap_cursor *c, struct slice *ret)
{
	uint8_t *to = c->at, *from = c->at;

	for (uint8_t *at = c->at; at < c->end && *at; at++) {
		if (*at == '"') {
			*ret = slice_of(from, (size_t)(to - from));
			c->at = at + 1;
			skip_spaces(c);
			return true;
		}
		if (*at == '\\' && ++at == c->end)
			break;
		*to++ = *at;
	}
	return false;
}

/* The cursor stands at the NUL. */
static bool take_literal(struct imap_cursor *c, struct slice *ret)
{
	if (left(c) < IMAP_LITERAL_HEAD)
		return false;
	size_t n = (size_t)c->at[1] | (size_t)c->at[2] << 8 | (size_t)c->at[3] << 16 |
		   (size_t)c->at[4] << 24;
	if (left(c) - IMAP_LITERAL_HEAD < n)
		return false;
	*ret = slice_of(c->at + IMAP_LITERAL_HEAD, n);
	c->at += IMAP_LITERAL_HEAD + n;
	skip_spaces(c);
	return true;
}

bool imap_take_string(struct imap_cursor *c, struct slice *ret, bool *ret_nil)
{
	*ret_nil = false;
	if (c->at == c->end)
		return false;
	if (*c->at == '\0')
		return take_literal(c, ret);
	if (*c->at == '"') {
		c->at++;
		return take_quoted(c, ret);
	}
	*ret = imap_take_atom(c);
	*ret_nil = imap_is(*ret, "NIL");
	if (*ret_nil)
		*ret = slice_of("", 0);
	return *ret_nil || ret->len > 0;
}

bool imap_take_list(struct imap_cursor *c, struct slice *ret)
{
	struct imap_cursor list = *c;

	if (c->at == c->end || *c->at != '(' || !imap_skip_value(&list))
		return false;
	const uint8_t *from = c->at + 1, *to = list.at;
	while (to > from && to[-1] != ')')
		to--;
	*ret = slice_of(from, to > from ? (size_t)(to - from) - 1 : 0);
	*c = list;
	return true;
}

bool imap_skip_value(struct imap_cursor *c)
{
	unsigned depth = 0;
	struct slice ignored;
	bool nil;

	do {
		if (imap_take_char(c, '(')) {
			if (++depth > LIMIT_IMAP_DEPTH)
				return false;
		} else if (depth > 0 && imap_take_char(c, ')')) {
			depth--;
		} else if (!imap_take_string(c, &ignored, &nil)) {
			return false;
		}
	} while (depth > 0);
	return true;
}
