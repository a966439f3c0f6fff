/* The words of a query. Of cli/query*.c alone.
 *
 * A query is a line of pieces, one for each argument that the shell gave, with a NUL between two of
 * them, which is a blank like others. But a piece that has blanks, begins with from:, to:, cc:,
 * subject: or no key, and has nothing of the language in it, is one value: the shell took the
 * quotation marks of from:"Anna Smith" away. */
#pragma once

#include "archive/bytes.h"
#include "archive/limits.h"

#include <stdbool.h>

enum query_token_kind {
	TOKEN_END,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_NOT,
	TOKEN_TERM
};

struct query_token {
	enum query_token_kind kind;
	size_t at, len;	       /* where it stands in the line */
	char key[LIMIT_QUERY]; /* of a term, in lower case; "": none */
	size_t value_at;       /* where what is behind the key begins */
	char value[LIMIT_QUERY + 1];
	bool quoted; /* the value is in quotation marks, or a piece of its own */
	bool prefix; /* a * stands behind it */
};

struct query_lexer {
	struct slice line;
	size_t at;
	size_t wrong_at, wrong_len; /* after a failure: what of the line is wrong */
};

/* Refuses what is not UTF-8 or has control characters. line is borrowed. FAULT_USAGE. */
int query_lexer_init(struct query_lexer *l, struct slice line, struct fault *f) MUST_CHECK;
/* FAULT_USAGE. */
int query_lex(struct query_lexer *l, struct query_token *ret, struct fault *f) MUST_CHECK;
/* The same for one that is no word of a line: --before and its like. */
void query_token_of_option(struct query_token *ret, const char *key, const char *value);

/* The keys, ended by NULL. */
extern const char *const query_keys[];

/* A failure at this place. */
int query_wrong(struct query_lexer *l, size_t at, size_t len);
