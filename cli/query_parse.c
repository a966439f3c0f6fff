#include "cli/query_parse.h"

#include "cli/query.h"

/* ---- Lists ----------------------------------------------------------------------------------- */

void query_list_deinit(struct query_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		condition_free(l->item[i]);
	free(l->item);
	*l = (struct query_list){0};
}

int query_list_add(struct query_list *l, struct condition *c, struct fault *f)
{
	if (l->n == l->size) {
		size_t size = l->size ? 2 * l->size : 8;
		struct condition **grown = reallocarray(l->item, size, sizeof(struct condition *));

		if (!grown) {
			condition_free(c);
			return fault_memory(f);
		}
		l->item = grown;
		l->size = size;
	}
	l->item[l->n++] = c;
	return 0;
}

/* Adds c, or what c joins when it is of this kind itself. Takes it. */
static int add_flat(
	struct query_list *l, enum condition_kind kind, struct condition *c, struct fault *f)
{
	if (!c || c->kind != kind)
		return c ? query_list_add(l, c, f) : 0;
	struct condition *left = TAKE(c->left), *right = TAKE(c->right);

	condition_free(c);
	if (add_flat(l, kind, left, f) < 0) {
		condition_free(right);
		return -1;
	}
	return add_flat(l, kind, right, f);
}

static bool is_span(const struct condition *c)
{
	return c->kind == CONDITION_ARCHIVED || c->kind == CONDITION_SIZE ||
	       c->kind == CONDITION_DATE;
}

/* Of the spans of one kind the first takes the others in. */
static void merge_spans(struct query_list *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct condition *c = l->item[i], *first = NULL;

		for (size_t k = 0; k < kept && is_span(c) && !first; k++)
			first = l->item[k]->kind == c->kind ? l->item[k] : NULL;
		if (!first) {
			l->item[kept++] = c;
			continue;
		}
		first->low = c->low > first->low ? c->low : first->low;
		first->high = c->high < first->high ? c->high : first->high;
		condition_free(c);
	}
	l->n = kept;
}

static struct condition *balanced(
	struct condition **item, size_t n, enum condition_kind kind, struct fault *f)
{
	if (n == 1)
		return TAKE(*item);
	struct condition *c CLEANUP(condition_freep) = condition_new(kind, f);
	if (!c)
		return NULL;
	c->left = balanced(item, n / 2, kind, f);
	c->right = c->left ? balanced(item + n / 2, n - n / 2, kind, f) : NULL;
	return c->right ? TAKE(c) : NULL;
}

int query_list_join(
	struct query_list *l, enum condition_kind kind, struct condition **ret, struct fault *f)
{
	struct query_list flat CLEANUP(query_list_deinit) = {0};
	struct condition *joined = NULL;

	for (size_t i = 0; i < l->n; i++) {
		if (add_flat(&flat, kind, TAKE(l->item[i]), f) < 0)
			return -1;
	}
	l->n = 0;
	if (kind == CONDITION_AND)
		merge_spans(&flat);
	if (flat.n > 0) {
		joined = balanced(flat.item, flat.n, kind, f);
		if (!joined)
			return -1;
	}
	*ret = joined;
	return 0;
}

/* ---- The grammar ----------------------------------------------------------------------------- */

struct parser {
	struct query_lexer *lexer;
	const struct query_context *context;
	struct query_token token;     /* the next one */
	size_t behind_at, behind_len; /* the one before it */
	unsigned depth;
};

static int advance(struct parser *p, struct fault *f)
{
	p->behind_at = p->token.at;
	p->behind_len = p->token.len;
	return query_lex(p->lexer, &p->token, f);
}

static int wrong(struct parser *p, size_t at, size_t len, const char *text, struct fault *f)
{
	fault_record(f, FAULT_USAGE, SCOPE_SESSION, 0, "%s", text);
	return query_wrong(p->lexer, at, len);
}

static int parse_or(struct parser *p, struct condition **ret, struct fault *f);
static int parse_one(struct parser *p, struct condition **ret, struct fault *f);

static int parse_group(struct parser *p, struct condition **ret, struct fault *f)
{
	struct condition *inner CLEANUP(condition_freep) = NULL;
	size_t open = p->token.at;

	if (advance(p, f) < 0)
		return -1;
	if (p->token.kind == TOKEN_CLOSE)
		return wrong(p, open, p->token.at + 1 - open,
			"there is nothing between the parentheses", f);
	if (parse_or(p, &inner, f) < 0)
		return -1;
	if (p->token.kind != TOKEN_CLOSE)
		return wrong(p, open, 1, "this parenthesis is never closed", f);
	if (advance(p, f) < 0)
		return -1;
	*ret = TAKE(inner);
	return 0;
}

static int parse_not(struct parser *p, struct condition **ret, struct fault *f)
{
	struct condition *c CLEANUP(condition_freep) = condition_new(CONDITION_NOT, f);

	if (!c || advance(p, f) < 0 || parse_one(p, &c->left, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

static int parse_term(struct parser *p, struct condition **ret, struct fault *f)
{
	struct condition *c CLEANUP(condition_freep) = NULL;

	if (query_term(&p->token, p->context, &c, f) < 0)
		return query_wrong(p->lexer, p->token.value_at,
			p->token.at + p->token.len - p->token.value_at);
	if (advance(p, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

static int parse_one(struct parser *p, struct condition **ret, struct fault *f)
{
	const struct query_token *t = &p->token;
	int r = -1;

	if (p->depth >= LIMIT_QUERY_DEPTH)
		return wrong(p, t->at, t->len, "the query is nested too deeply", f);
	p->depth++;
	switch (t->kind) {
	case TOKEN_NOT:
		r = parse_not(p, ret, f);
		break;
	case TOKEN_OPEN:
		r = parse_group(p, ret, f);
		break;
	case TOKEN_TERM:
		r = parse_term(p, ret, f);
		break;
	case TOKEN_AND:
	case TOKEN_OR:
		r = wrong(p, t->at, t->len,
			"there is nothing in front of this; a word that is to be looked for needs "
			"quotation marks",
			f);
		break;
	case TOKEN_CLOSE:
	case TOKEN_END:
		r = p->behind_len ? wrong(p, p->behind_at, p->behind_len,
					    "there is nothing behind this", f)
				  : wrong(p, t->at, t->len, "this parenthesis closes nothing", f);
		break;
	}
	p->depth--;
	return r;
}

static bool begins_one(enum query_token_kind kind)
{
	return kind == TOKEN_NOT || kind == TOKEN_OPEN || kind == TOKEN_TERM;
}

static int parse_and(struct parser *p, struct condition **ret, struct fault *f)
{
	struct query_list all CLEANUP(query_list_deinit) = {0};

	for (;;) {
		struct condition *one = NULL;

		if (parse_one(p, &one, f) < 0 || query_list_add(&all, one, f) < 0)
			return -1;
		if (p->token.kind == TOKEN_AND) {
			if (advance(p, f) < 0)
				return -1;
		} else if (!begins_one(p->token.kind)) {
			return query_list_join(&all, CONDITION_AND, ret, f);
		}
	}
}

static int parse_or(struct parser *p, struct condition **ret, struct fault *f)
{
	struct query_list any CLEANUP(query_list_deinit) = {0};

	for (;;) {
		struct condition *one = NULL;

		if (parse_and(p, &one, f) < 0 || query_list_add(&any, one, f) < 0)
			return -1;
		if (p->token.kind != TOKEN_OR)
			return query_list_join(&any, CONDITION_OR, ret, f);
		if (advance(p, f) < 0)
			return -1;
	}
}

int query_parse(struct query_lexer *l, const struct query_context *context, struct condition **ret,
	struct fault *f)
{
	struct parser *p CLEANUP(freep) = calloc(1, sizeof *p);
	struct condition *c CLEANUP(condition_freep) = NULL;

	if (!p)
		return fault_memory(f);
	p->lexer = l;
	p->context = context;
	if (advance(p, f) < 0)
		return -1;
	p->behind_len = 0;
	if (p->token.kind != TOKEN_END) {
		if (parse_or(p, &c, f) < 0)
			return -1;
		if (p->token.kind != TOKEN_END)
			return wrong(
				p, p->token.at, p->token.len, "this parenthesis closes nothing", f);
	}
	*ret = TAKE(c);
	return 0;
}

/* ---- Its size -------------------------------------------------------------------------------- */

static unsigned depth_of(const struct condition *c)
{
	if (!c)
		return 0;
	unsigned left = depth_of(c->left), right = depth_of(c->right);

	return 1 + (left > right ? left : right);
}

/* As many as its canonical text has: a span with two bounds is two. */
static unsigned terms_of(const struct condition *c)
{
	if (!c)
		return 0;
	if (is_span(c))
		return c->low > INT64_MIN && c->high < INT64_MAX ? 2 : 1;
	return c->left ? terms_of(c->left) + terms_of(c->right) : 1;
}

int query_check_size(const struct condition *c, struct fault *f)
{
	if (depth_of(c) > LIMIT_QUERY_DEPTH || query_nesting(c) > LIMIT_QUERY_NESTING)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"the query is nested too deeply; %d parentheses and NOTs may be in each "
			"other",
			LIMIT_QUERY_NESTING);
	if (terms_of(c) > LIMIT_QUERY_TERMS)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"the query has more than %d conditions", LIMIT_QUERY_TERMS);
	return 0;
}
