/* The grammar of a query. Of cli/query*.c alone.
 *
 *	query	or | nothing: all messages
 *	or	and { OR and }
 *	and	not { [AND] not }
 *	not	{ NOT | - } ( "(" or ")" | term )
 *
 * The tree is in a normal form that its canonical text gives again: an AND (OR) that is part of an
 * AND (OR) is part of the same list, a list is a balanced tree, and of the spans of one kind that
 * must all hold one is made. */
#pragma once

#include "cli/query_term.h"

/* Conditions that must all hold, or one of which must. */
struct query_list {
	struct condition **item; /* owned */
	size_t n, size;
};
void query_list_deinit(struct query_list *l);
/* Takes c, also when it fails. */
int query_list_add(struct query_list *l, struct condition *c, struct fault *f) MUST_CHECK;
/* CONDITION_AND or CONDITION_OR of what is in the list, which is empty then; NULL in *ret for an
 * empty one. */
int query_list_join(struct query_list *l, enum condition_kind kind, struct condition **ret,
	struct fault *f) MUST_CHECK;

/* Reads the whole of l. *ret NULL: there is nothing in it. FAULT_USAGE: l->wrong_at and wrong_len
 * say where. */
int query_parse(struct query_lexer *l, const struct query_context *context, struct condition **ret,
	struct fault *f) MUST_CHECK;

/* FAULT_USAGE: beyond LIMIT_QUERY_DEPTH, LIMIT_QUERY_NESTING or LIMIT_QUERY_TERMS. */
int query_check_size(const struct condition *c, struct fault *f) MUST_CHECK;
