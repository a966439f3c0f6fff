#include "cli/query.h"

#include "archive/escape.h"
#include "cli/date.h"
#include "daemon/quantity.h"

#include <inttypes.h>

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

static void at_least(moment_ms *bound, moment_ms t)
{
	*bound = t > *bound ? t : *bound;
}

/* 0 is no bound. */
static void before(moment_ms *bound, moment_ms t)
{
	*bound = *bound == 0 || t < *bound ? t : *bound;
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
	if (c == AT || c == AT_LEAST)
		at_least(&q->filter.since, begin);
	if (c == MORE)
		at_least(&q->filter.since, end);
	if (c == LESS)
		before(&q->filter.before, begin);
	if (c == AT || c == AT_MOST)
		before(&q->filter.before, end);
	/* Nothing was archived in 1970; 0 and less would mean no bound. */
	if (q->filter.before < 0 || ((c == LESS || c == AT_MOST) && q->filter.before == 0))
		q->nothing = true;
	return 0;
}

static void size_at_least(struct query *q, uint64_t n)
{
	q->filter.min_size = n > q->filter.min_size ? n : q->filter.min_size;
}

/* 0 is no bound in a filter, and there is no message of 0 bytes to be asked for. */
static void size_at_most(struct query *q, uint64_t n)
{
	if (n == 0)
		q->nothing = true;
	else if (q->filter.max_size == 0 || n < q->filter.max_size)
		q->filter.max_size = n;
}

static int add_size(struct query *q, enum comparison c, const char *size, struct fault *f)
{
	uint64_t n;
	char text[64];

	if (quantity_size(size, &n) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"\"%s\" is no size; write bytes, or 10K, 3M, 1G",
			escape_text(slice_text(size), text, sizeof text));
	if (c == MORE)
		size_at_least(q, n == UINT64_MAX ? n : n + 1);
	if (c == AT || c == AT_LEAST)
		size_at_least(q, n);
	if (c == LESS)
		size_at_most(q, n ? n - 1 : 0);
	if (c == AT || c == AT_MOST)
		size_at_most(q, n);
	return 0;
}

static int add_account(struct query *q, const char *name, struct fault *f)
{
	char text[128];

	if (!name[0])
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "an account's name is empty");
	if (q->filter.account && strcmp(q->filter.account, name) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"more than one account asked for (\"%s\" too); ask for one at a time",
			escape_text(slice_text(name), text, sizeof text));
	q->filter.account = name;
	return 0;
}

static int add_id(struct query *q, const char *hex, struct fault *f)
{
	char text[80];
	size_t len = strlen(hex);

	if (len == 0 || len > DIGEST_HEX || strspn(hex, "0123456789abcdef") != len)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"\"%s\" is no id; write the first digits (0-9, a-f) of one",
			escape_text(slice_text(hex), text, sizeof text));
	if (q->filter.id && strcmp(q->filter.id, hex) != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"more than one id asked for; ask for one at a time");
	q->filter.id = hex;
	return 0;
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
	struct query q = {0};

	if (add_options(&q, a, utc, f) < 0)
		return -1;
	for (size_t i = 0; i < operands_n(a); i++) {
		if (add_word(&q, operands(a)[i], utc, f) < 0)
			return -1;
	}
	if (q.filter.before && q.filter.since >= q.filter.before)
		q.nothing = true;
	if (q.filter.max_size && q.filter.min_size > q.filter.max_size)
		q.nothing = true;
	*ret = q;
	return 0;
}

static int add_moment_word(struct buffer *to, const char *word, moment_ms t, struct fault *f)
{
	char text[MOMENT_TEXT];

	if (t == 0)
		return 0;
	moment_format(t, text);
	return buffer_append_format(to, f, " archived:%s%s", word, text);
}

int query_canonical(const struct filter *filter, struct buffer *to, struct fault *f)
{
	if (buffer_append_text(to, "messages", f) < 0)
		return -1;
	if (filter->account && (buffer_append_text(to, " account:", f) < 0 ||
				       escape_append(to, slice_text(filter->account), f) < 0))
		return -1;
	if (add_moment_word(to, ">=", filter->since, f) < 0 ||
		add_moment_word(to, "<", filter->before, f) < 0)
		return -1;
	if (filter->min_size &&
		buffer_append_format(to, f, " size:>=%" PRIu64, filter->min_size) < 0)
		return -1;
	if (filter->max_size &&
		buffer_append_format(to, f, " size:<=%" PRIu64, filter->max_size) < 0)
		return -1;
	return filter->id ? buffer_append_format(to, f, " id:%s", filter->id) : 0;
}
