/* What is asked of messages: a tree of conditions, made by a query's parser (cli/query.h) and
 * answered by find.h. Knows nothing of how a query is written. */
#pragma once

#include "archive/fault.h"
#include "archive/moment.h"

#include <stdbool.h>
#include <stdint.h>

enum condition_kind {
	CONDITION_AND,	    /* both */
	CONDITION_OR,	    /* either or both */
	CONDITION_NOT,	    /* not left */
	CONDITION_ACCOUNT,  /* text: came under an account of this name, exact */
	CONDITION_ID,	    /* text: 1 to 64 hex digits that the digest begins with */
	CONDITION_ARCHIVED, /* low <= archived < high */
	CONDITION_SIZE,	    /* low <= bytes < high */
	/* Of the header, from search.db: those below are answered for indexed messages alone. */
	CONDITION_DATE,	      /* low <= Date field < high; none without a readable one */
	CONDITION_WORDS,      /* text: words in this order, in `field` */
	CONDITION_MESSAGE_ID, /* text: the Message-ID without its angle brackets, exact */
	CONDITION_ATTACHMENT  /* has an attachment */
};

/* Where words are looked for. A word is compared without case and diacritics. */
enum condition_field { FIELD_ANY, FIELD_FROM, FIELD_TO, FIELD_CC, FIELD_SUBJECT };

struct condition {
	enum condition_kind kind;
	enum condition_field field;
	char *text;			/* owned, UTF-8 */
	bool prefix;			/* WORDS: the last one is the beginning of a word */
	int64_t low, high;		/* INT64_MIN, INT64_MAX: no bound */
	struct condition *left, *right; /* owned */
};

/* NULL on want of memory. */
struct condition *condition_new(enum condition_kind kind, struct fault *f);
/* Accepts NULL. As deep as LIMIT_QUERY_DEPTH at most. Returns NULL. */
struct condition *condition_free(struct condition *c);
void condition_freep(struct condition **c);
/* Whether any of it is answered from search.db. */
bool condition_uses_index(const struct condition *c);
