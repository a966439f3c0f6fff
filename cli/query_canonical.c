/* A tree of conditions in the words of the language. */
#include "cli/query.h"

#include <inttypes.h>

/* How tightly an expression holds together: what is looser than its place gets parentheses. */
enum hold { HOLD_OR, HOLD_AND, HOLD_NOT };

static enum hold hold_of(const struct condition *c)
{
	bool is_span = c->kind == CONDITION_ARCHIVED || c->kind == CONDITION_SIZE ||
		       c->kind == CONDITION_DATE;

	if (c->kind == CONDITION_OR)
		return HOLD_OR;
	/* A span is written as its two bounds, and AND in words: two words that the shell gives in
	 * one argument would be a phrase. */
	if (c->kind == CONDITION_AND || (is_span && c->low > INT64_MIN && c->high < INT64_MAX))
		return HOLD_AND;
	return HOLD_NOT;
}

/* ---- Conditions ------------------------------------------------------------------------------ */

/* Words of usual letters stand as they are, others in quotation marks. */
static bool is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "@._+-";

	for (const char *p = text; *p; p++) {
		if (!((uint8_t)*p & 0x80) && !strchr(plain, *p))
			return false;
	}
	return text[0] && text[0] != '-' && strcmp(text, "AND") != 0 && strcmp(text, "OR") != 0 &&
	       strcmp(text, "NOT") != 0;
}

static int add_value(
	struct buffer *to, const char *key, const char *text, bool prefix, struct fault *f)
{
	bool quoted = !is_plain(text);

	if (buffer_append_text(to, key, f) < 0 || (quoted && buffer_append_text(to, "\"", f) < 0))
		return -1;
	for (const char *p = text; *p; p++) {
		if ((*p == '"' || *p == '\\') && buffer_append_text(to, "\\", f) < 0)
			return -1;
		if (buffer_append(to, p, 1, f) < 0)
			return -1;
	}
	if (quoted && buffer_append_text(to, "\"", f) < 0)
		return -1;
	return prefix ? buffer_append_text(to, "*", f) : 0;
}

typedef int add_bound(struct buffer *to, const char *sign, int64_t bound, struct fault *f);

static int add_archived(struct buffer *to, const char *sign, int64_t bound, struct fault *f)
{
	char text[MOMENT_TEXT];

	moment_format(bound, text);
	return buffer_append_format(to, f, "archived:%s%s", sign, text);
}

static int add_size(struct buffer *to, const char *sign, int64_t bound, struct fault *f)
{
	return buffer_append_format(to, f, "size:%s%" PRId64, sign, bound);
}

static int add_date(struct buffer *to, const char *sign, int64_t bound, struct fault *f)
{
	char text[MOMENT_TEXT];

	moment_format(bound, text);
	return buffer_append_format(to, f, "date:%s%s", sign, text);
}

static int add_span(struct buffer *to, const struct condition *c, add_bound *add, struct fault *f)
{
	bool low = c->low > INT64_MIN || c->high == INT64_MAX, high = c->high < INT64_MAX;

	if (low && add(to, ">=", c->low, f) < 0)
		return -1;
	if (low && high && buffer_append_text(to, " AND ", f) < 0)
		return -1;
	return high ? add(to, "<", c->high, f) : 0;
}

static int add_words(struct buffer *to, const struct condition *c, struct fault *f)
{
	static const char *const key[] = {[FIELD_ANY] = "",
		[FIELD_FROM] = "from:",
		[FIELD_TO] = "to:",
		[FIELD_CC] = "cc:",
		[FIELD_SUBJECT] = "subject:"};

	return add_value(to, key[c->field], c->text, c->prefix, f);
}

/* ---- Trees ----------------------------------------------------------------------------------- */

static int add_tree(struct buffer *to, const struct condition *c, enum hold place, struct fault *f);

static int add_bare(struct buffer *to, const struct condition *c, struct fault *f)
{
	switch (c->kind) {
	case CONDITION_AND:
	case CONDITION_OR:
		if (add_tree(to, c->left, hold_of(c), f) < 0 ||
			buffer_append_text(to, c->kind == CONDITION_AND ? " AND " : " OR ", f) < 0)
			return -1;
		return add_tree(to, c->right, hold_of(c), f);
	case CONDITION_NOT:
		if (buffer_append_text(to, "NOT ", f) < 0)
			return -1;
		return add_tree(to, c->left, HOLD_NOT, f);
	case CONDITION_ACCOUNT:
		return add_value(to, "account:", c->text, false, f);
	case CONDITION_ID:
		return add_value(to, "id:", c->text, false, f);
	case CONDITION_ARCHIVED:
		return add_span(to, c, add_archived, f);
	case CONDITION_SIZE:
		return add_span(to, c, add_size, f);
	case CONDITION_DATE:
		return add_span(to, c, add_date, f);
	case CONDITION_WORDS:
		return add_words(to, c, f);
	case CONDITION_MESSAGE_ID:
		return add_value(to, "msgid:", c->text, false, f);
	case CONDITION_ATTACHMENT:
		break;
	}
	return buffer_append_text(to, "has:attachment", f);
}

static int add_tree(struct buffer *to, const struct condition *c, enum hold place, struct fault *f)
{
	bool enclosed = hold_of(c) < place;

	if (enclosed && buffer_append_text(to, "(", f) < 0)
		return -1;
	if (add_bare(to, c, f) < 0)
		return -1;
	return enclosed ? buffer_append_text(to, ")", f) : 0;
}

int query_canonical(const struct condition *wanted, struct buffer *to, struct fault *f)
{
	return wanted ? add_tree(to, wanted, HOLD_OR, f) : 0;
}

static unsigned nesting(const struct condition *c, enum hold place)
{
	unsigned own = (hold_of(c) < place ? 1u : 0u) + (c->kind == CONDITION_NOT ? 1u : 0u);
	unsigned left = c->left ? nesting(c->left, hold_of(c)) : 0;
	unsigned right = c->right ? nesting(c->right, hold_of(c)) : 0;

	return own + (left > right ? left : right);
}

unsigned query_nesting(const struct condition *wanted)
{
	return wanted ? nesting(wanted, HOLD_OR) : 0;
}
