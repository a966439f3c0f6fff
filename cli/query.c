#include "cli/query.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/date.h"
#include "daemon/quantity.h"

enum comparison { AT, LESS, AT_MOST, MORE, AT_LEAST };

/* The sign that *text begins with is stepped over. */
static enum comparison take_comparison(const char **text)
{
	static const struct {
		const char *sign;
		enum comparison meaning;
	} signs[] = {{"<=", AT_MOST}, {">=", AT_LEAST}, {"<", LESS}, {">", MORE}, {"=", AT}};

	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		size_t len = strlen(signs[i].sign);

		if (strncmp(*text, signs[i].sign, len) == 0) {
			*text += len;
			return signs[i].meaning;
		}
	}
	return AT;
}

void query_deinit(struct query *q)
{
	q->wanted = condition_free(q->wanted);
	freep(&q->canonical);
}

struct condition *query_both(struct condition *a, struct condition *b, struct fault *f)
{
	if (!a || !b)
		return a ? a : b;
	struct condition *both = condition_new(CONDITION_AND, f);

	if (!both) {
		condition_free(a);
		condition_free(b);
		return NULL;
	}
	both->left = a;
	both->right = b;
	return both;
}

/* Takes more. */
static int also(struct query *q, struct condition *more, struct fault *f)
{
	q->wanted = query_both(q->wanted, more, f);
	return q->wanted ? 0 : -1;
}

/* begin and end: the span that was named. */
static int add_span(struct query *q, enum condition_kind kind, enum comparison sign, int64_t begin,
	int64_t end, struct fault *f)
{
	struct condition *c = condition_new(kind, f);

	if (!c)
		return -1;
	if (sign == AT || sign == AT_LEAST)
		c->low = begin;
	if (sign == MORE)
		c->low = end;
	if (sign == LESS)
		c->high = begin;
	if (sign == AT || sign == AT_MOST)
		c->high = end;
	return also(q, c, f);
}

static int add_archived(
	struct query *q, enum comparison c, const char *date, bool utc, struct fault *f)
{
	moment_ms begin, end;
	char text[64];

	if (date_parse(slice_text(date), utc ? DATE_UTC : DATE_LOCAL, &begin, &end) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"\"%s\" is no date; write YYYY-MM-DD, or 2026-01-31T23:59:00 with Z, "
			"+01:00 or nothing behind it",
			escape_text(slice_text(date), text, sizeof text));
	return add_span(q, CONDITION_ARCHIVED, c, begin, end, f);
}

static int add_size(struct query *q, enum comparison c, const char *size, struct fault *f)
{
	uint64_t n;
	char text[64];

	if (quantity_size(size, &n) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"\"%s\" is no size; write bytes, or 10K, 3M, 1G",
			escape_text(slice_text(size), text, sizeof text));
	int64_t bytes = n < INT64_MAX ? (int64_t)n : INT64_MAX - 1;

	return add_span(q, CONDITION_SIZE, c, bytes, bytes + 1, f);
}

static int add_text(struct query *q, enum condition_kind kind, const char *text, struct fault *f)
{
	struct condition *c = condition_new(kind, f);

	if (!c)
		return -1;
	c->text = strdup(text);
	if (!c->text) {
		condition_free(c);
		return fault_memory(f);
	}
	return also(q, c, f);
}

static int add_account(struct query *q, const char *name, struct fault *f)
{
	if (!name[0])
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "an account's name is empty");
	return add_text(q, CONDITION_ACCOUNT, name, f);
}

static int add_id(struct query *q, const char *hex, struct fault *f)
{
	char text[80];
	size_t len = strlen(hex);

	if (len == 0 || len > DIGEST_HEX || strspn(hex, "0123456789abcdef") != len)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"\"%s\" is no id; write the first digits (0-9, a-f) of one",
			escape_text(slice_text(hex), text, sizeof text));
	return add_text(q, CONDITION_ID, hex, f);
}

static int add_word(struct query *q, const char *word, bool utc, struct fault *f)
{
	const char *colon = strchr(word, ':');
	size_t key = colon ? (size_t)(colon - word) : 0;
	const char *value = colon ? colon + 1 : word;
	char text[64];

	if (key == 7 && strncmp(word, "account", key) == 0)
		return add_account(q, value, f);
	if (key == 2 && strncmp(word, "id", key) == 0)
		return add_id(q, value, f);
	if (key == 8 && strncmp(word, "archived", key) == 0) {
		enum comparison c = take_comparison(&value);

		return add_archived(q, c, value, utc, f);
	}
	if (key == 4 && strncmp(word, "size", key) == 0) {
		enum comparison c = take_comparison(&value);

		return add_size(q, c, value, f);
	}
	return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
		"\"%s\" is not understood in a query (the text of mail cannot be searched yet); "
		"understood are account:NAME, archived:>=DATE, archived:<DATE, size:>1M, "
		"size:<1M, id:HEX",
		escape_text(slice_text(word), text, sizeof text));
}

static int add_options(struct query *q, const struct arguments *a, bool utc, struct fault *f)
{
	for (size_t i = 0; i < a->given_n; i++) {
		const char *name = a->given[i].spec->name, *value = a->given[i].value;
		int r = 0;

		if (strcmp(name, "account") == 0)
			r = add_account(q, value, f);
		else if (strcmp(name, "id") == 0)
			r = add_id(q, value, f);
		else if (strcmp(name, "since") == 0)
			r = add_archived(q, AT_LEAST, value, utc, f);
		else if (strcmp(name, "before") == 0)
			r = add_archived(q, LESS, value, utc, f);
		else if (strcmp(name, "min-size") == 0)
			r = add_size(q, AT_LEAST, value, f);
		else if (strcmp(name, "max-size") == 0)
			r = add_size(q, AT_MOST, value, f);
		if (r < 0)
			return fault_prefix(f, "--%s", name);
	}
	return 0;
}

int query_read(struct query *ret, const struct arguments *a, bool utc, struct fault *f)
{
	struct query q CLEANUP(query_deinit) = {0};
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_QUERY + 1);

	if (add_options(&q, a, utc, f) < 0)
		return -1;
	for (size_t i = 0; i < operands_n(a); i++) {
		if (add_word(&q, operands(a)[i], utc, f) < 0)
			return -1;
	}
	if (query_canonical(q.wanted, &text, f) < 0)
		return -1;
	q.canonical = buffer_text(&text) ? strdup(buffer_text(&text)) : NULL;
	if (!q.canonical)
		return fault_memory(f);
	*ret = q;
	q = (struct query){0};
	return 0;
}
