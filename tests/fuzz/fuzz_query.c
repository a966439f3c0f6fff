/* Any bytes as a query: it is read or refused, with a mark in the line; and what its canonical text
 * says is the same query. */
#include "archive/limits.h"
#include "cli/query.h"
#include "cli/query_caret.h"
#include "cli/query_parse.h"
#include "tests/fuzz/fuzz.h"

static int read_line(struct slice line, struct query_lexer *l, struct query *ret, struct fault *f)
{
	const struct query_context context = {DATE_UTC, INT64_C(1774958400000)};
	struct condition *c = NULL;

	if (query_lexer_init(l, line, f) < 0 || query_parse(l, &context, &c, f) < 0)
		return -1;
	l->wrong_at = l->wrong_len = 0;
	return query_set(ret, c, f);
}

static void show_mark(const struct query_lexer *l)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(64 * KIB);
	struct fault f;

	require(l->wrong_at <= l->line.len);
	require(l->wrong_len <= l->line.len - l->wrong_at);
	for (size_t columns = 0; columns < 100; columns += 33) {
		buffer_clear(&to);
		require(query_caret(l->line, l->wrong_at, l->wrong_len, columns, &to, &f) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct query q CLEANUP(query_deinit) = {0}, again CLEANUP(query_deinit) = {0};
	struct query_lexer l;
	struct fault f;

	if (size > LIMIT_QUERY)
		return 0;
	if (read_line(slice_of(data, size), &l, &q, &f) < 0) {
		require(f.code == FAULT_USAGE);
		show_mark(&l);
		return 0;
	}
	require(strlen(q.canonical) <= LIMIT_QUERY);
	require(read_line(slice_text(q.canonical), &l, &again, &f) == 0);
	require(strcmp(q.canonical, again.canonical) == 0);
	return 0;
}
