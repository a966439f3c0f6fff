#include "cli/query_lex.h"

#include "archive/escape.h"
#include "daemon/nearest.h"

#include <stdio.h>

const char *const query_keys[] = {"account", "archived", "size", "from", "to", "cc", "subject",
	"before", "after", "on", "date", "id", "msgid", "has", NULL};

int query_wrong(struct query_lexer *l, size_t at, size_t len)
{
	l->wrong_at = at;
	l->wrong_len = len;
	return -1;
}

/* ---- Characters ------------------------------------------------------------------------------ */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
}

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Ends a word that is not in quotation marks. */
static bool ends_word(uint8_t c)
{
	return is_blank(c) || c == '(' || c == ')' || c == '"';
}

int query_lexer_init(struct query_lexer *l, struct slice line, struct fault *f)
{
	*l = (struct query_lexer){.line = line};
	for (size_t at = 0; at < line.len;) {
		uint32_t c = 0;
		size_t n = utf8_next(slice_of(line.data + at, line.len - at), &c);

		if (n == 0 || (!is_blank(line.data[at]) && (c < 0x20 || (c >= 0x7f && c < 0xa0)))) {
			fault_record(f, FAULT_USAGE, SCOPE_SESSION, 0,
				"a query is UTF-8 without control characters");
			return query_wrong(l, at, n ? n : 1);
		}
		at += n;
	}
	return 0;
}

static size_t word_length(const struct query_lexer *l, size_t at)
{
	size_t end = at;

	while (end < l->line.len && !ends_word(l->line.data[end]))
		end++;
	return end - at;
}

static bool is_word(struct slice word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.data, text, word.len) == 0;
}

static enum query_token_kind operator_of(struct slice word)
{
	return is_word(word, "AND")   ? TOKEN_AND
	       : is_word(word, "OR")  ? TOKEN_OR
	       : is_word(word, "NOT") ? TOKEN_NOT
				      : TOKEN_TERM;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* The letters in front of a colon that a word begins with; 0: none. */
static size_t key_length(struct slice word)
{
	size_t n = 0;

	while (n < word.len && is_letter(word.data[n]))
		n++;
	return n < word.len && word.data[n] == ':' ? n : 0;
}

/* The key in lower case; a longer one is none that is known. */
static void copy_key(struct slice word, size_t n, char *ret, size_t size)
{
	n = n < size ? n : size - 1;
	for (size_t i = 0; i < n; i++)
		ret[i] = (char)(word.data[i] | 0x20);
	ret[n] = '\0';
}

static bool is_known(const char *key)
{
	for (const char *const *k = query_keys; *k; k++) {
		if (strcmp(*k, key) == 0)
			return true;
	}
	return false;
}

static int unknown_key(struct query_lexer *l, size_t at, size_t n, const char *key, struct fault *f)
{
	struct nearest near = {.word = key};
	char text[64];

	for (const char *const *k = query_keys; *k; k++)
		nearest_offer(&near, *k);
	(void)escape_text(slice_of(l->line.data + at, n), text, sizeof text);
	if (near.best)
		fault_record(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"a query has no key \"%s\"; did you mean %s:?", text, near.best);
	else
		fault_record(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"a query has no key \"%s\"; there are account, archived, size, from, to, "
			"cc, subject, before, after, on, date, id, msgid and has; what has a colon "
			"in it needs quotation marks",
			text);
	return query_wrong(l, at, n);
}

/* ---- Pieces that are one value ----------------------------------------------------------------
 */

/* Whether a word of a piece says that the piece is written in the language. */
static bool is_of_language(struct slice word)
{
	char key[16];
	size_t n = key_length(word);

	if (operator_of(word) != TOKEN_TERM || word.data[0] == '-' ||
		memchr(word.data, '"', word.len) || memchr(word.data, '(', word.len) ||
		memchr(word.data, ')', word.len))
		return true;
	copy_key(word, n, key, sizeof key);
	/* "Re: invoice" is no key, "form:anna" is a mistyped one. */
	return n > 0 && (is_known(key) || n + 1 < word.len);
}

static bool takes_words(const char *key)
{
	return strcmp(key, "from") == 0 || strcmp(key, "to") == 0 || strcmp(key, "cc") == 0 ||
	       strcmp(key, "subject") == 0;
}

/* The piece that begins at l->at, when it is one value: its length, behind its key of *ret_key
 * letters. Otherwise 0. */
static size_t one_value(const struct query_lexer *l, size_t *ret_key)
{
	const uint8_t *data = l->line.data + l->at;
	size_t left = l->line.len - l->at;
	const uint8_t *nul = memchr(data, '\0', left);
	size_t len = nul ? (size_t)(nul - data) : left, words = 0, at = 0;
	char key[16];

	*ret_key = key_length(slice_of(data, len));
	copy_key(slice_of(data, len), *ret_key, key, sizeof key);
	if (takes_words(key))
		at = *ret_key + 1;
	else
		*ret_key = 0;
	while (at < len) {
		size_t end = at;

		while (end < len && !is_blank(data[end]))
			end++;
		if (end > at && is_of_language(slice_of(data + at, end - at)))
			return 0;
		words += end > at;
		at = end + 1;
	}
	return words > 1 ? len : 0;
}

static bool begins_piece(const struct query_lexer *l)
{
	return l->at == 0 || l->line.data[l->at - 1] == '\0';
}

/* ---- Terms ------------------------------------------------------------------------------------
 */

static void add_to_value(struct query_token *t, size_t *len, uint8_t c)
{
	if (*len < sizeof t->value - 1)
		t->value[(*len)++] = is_blank(c) ? ' ' : (char)c;
}

/* Up to the closing mark, which is stepped over. A backslash takes the meaning from a mark and from
 * a backslash. */
static int take_quoted(struct query_lexer *l, struct query_token *t, size_t *len, struct fault *f)
{
	size_t open = l->at++;

	for (; l->at < l->line.len && l->line.data[l->at] != '"'; l->at++) {
		const uint8_t *c = l->line.data + l->at;

		if (*c == '\\' && l->at + 1 < l->line.len && (c[1] == '"' || c[1] == '\\'))
			l->at++;
		add_to_value(t, len, l->line.data[l->at]);
	}
	if (l->at == l->line.len) {
		fault_record(
			f, FAULT_USAGE, SCOPE_SESSION, 0, "this quotation mark is never closed");
		return query_wrong(l, open, 1);
	}
	l->at++;
	t->quoted = true;
	return 0;
}

static void take_piece(struct query_lexer *l, struct query_token *t, size_t key, size_t len)
{
	size_t n = 0, end = l->at + len;

	copy_key(slice_of(l->line.data + l->at, key), key, t->key, sizeof t->key);
	t->at = l->at;
	t->len = len;
	t->value_at = l->at + (key ? key + 1 : 0);
	while (end > t->value_at && is_blank(l->line.data[end - 1]))
		end--;
	t->prefix = l->line.data[end - 1] == '*';
	for (size_t at = t->value_at; at < end - (t->prefix ? 1 : 0); at++)
		add_to_value(t, &n, l->line.data[at]);
	t->quoted = true;
	l->at += len;
}

static int take_term(struct query_lexer *l, struct query_token *t, struct fault *f)
{
	static const char signs[] = "<>=";
	size_t len = word_length(l, l->at), n = 0;
	struct slice word = slice_of(l->line.data + l->at, len);
	size_t key = key_length(word);

	copy_key(word, key, t->key, sizeof t->key);
	if (key && !is_known(t->key))
		return unknown_key(l, l->at, key, t->key, f);
	t->value_at = l->at += key ? key + 1 : 0;
	len -= key ? key + 1 : 0;
	bool before_mark = l->at + len < l->line.len && l->line.data[l->at + len] == '"';
	bool is_sign = true;
	for (size_t i = 0; i < len; i++)
		is_sign = is_sign && memchr(signs, l->line.data[l->at + i], 3);
	for (size_t i = 0; i < len; i++)
		add_to_value(t, &n, l->line.data[l->at + i]);
	l->at += len;
	if (before_mark && (len == 0 || (key && is_sign)) && take_quoted(l, t, &n, f) < 0)
		return -1;
	if (t->quoted && l->at < l->line.len && l->line.data[l->at] == '*') {
		t->prefix = true;
		l->at++;
	}
	t->len = l->at - t->at;
	if (t->len > 0 && n > 0)
		return 0;
	fault_record(f, FAULT_USAGE, SCOPE_SESSION, 0,
		t->quoted ? "there is nothing between the quotation marks"
			  : "there is nothing behind %s:; its value follows without a blank",
		t->key);
	return query_wrong(l, t->at, t->len);
}

/* "-word" is NOT word, where - has a word, a mark or a parenthesis behind it. */
static bool is_minus(const struct query_lexer *l)
{
	return l->line.data[l->at] == '-' && l->at + 1 < l->line.len &&
	       !is_blank(l->line.data[l->at + 1]) && l->line.data[l->at + 1] != ')' &&
	       l->line.data[l->at + 1] != '-';
}

static int take_one(
	struct query_lexer *l, struct query_token *t, enum query_token_kind kind, size_t len)
{
	t->kind = kind;
	t->len = len;
	l->at += len;
	return 0;
}

int query_lex(struct query_lexer *l, struct query_token *ret, struct fault *f)
{
	size_t key = 0, piece;

	memset(ret, 0, sizeof *ret);
	while (l->at < l->line.len && is_blank(l->line.data[l->at]))
		l->at++;
	ret->at = l->at;
	if (l->at == l->line.len)
		return take_one(l, ret, TOKEN_END, 0);
	ret->kind = TOKEN_TERM;
	if (begins_piece(l) && (piece = one_value(l, &key)) > 0) {
		take_piece(l, ret, key, piece);
		return 0;
	}
	uint8_t c = l->line.data[l->at];
	if (c == '(' || c == ')')
		return take_one(l, ret, c == '(' ? TOKEN_OPEN : TOKEN_CLOSE, 1);
	if (is_minus(l))
		return take_one(l, ret, TOKEN_NOT, 1);
	size_t len = word_length(l, l->at);
	enum query_token_kind kind = operator_of(slice_of(l->line.data + l->at, len));
	return kind == TOKEN_TERM ? take_term(l, ret, f) : take_one(l, ret, kind, len);
}

void query_token_of_option(struct query_token *ret, const char *key, const char *value)
{
	memset(ret, 0, sizeof *ret);
	ret->kind = TOKEN_TERM;
	ret->quoted = true;
	(void)snprintf(ret->key, sizeof ret->key, "%s", key);
	(void)snprintf(ret->value, sizeof ret->value, "%s", value);
}
