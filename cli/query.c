#include "cli/query.h"

#include "archive/limits.h"
#include "cli/output.h"
#include "cli/query_caret.h"
#include "cli/query_parse.h"

#include <unistd.h>

/* Of a line and what stands below it. */
enum { PLACE_MAX = 64 * KIB };

void query_deinit(struct query *q)
{
	q->wanted = condition_free(q->wanted);
	freep(&q->canonical);
}

/* ---- Options --------------------------------------------------------------------------------- */

static int add_option(struct query_list *all, const char *key, const char *value,
	const struct query_context *context, struct fault *f)
{
	struct query_token t;
	struct condition *c = NULL;

	query_token_of_option(&t, key, value);
	if (query_term(&t, context, &c, f) < 0)
		return -1;
	return query_list_add(all, c, f);
}

static int add_options(struct query_list *all, const struct arguments *a,
	const struct query_context *context, struct fault *f)
{
	static const struct {
		const char *name, *key, *sign;
	} known[] = {{"account", "account", ""}, {"id", "id", ""}, {"since", "archived", ">="},
		{"before", "archived", "<"}, {"min-size", "size", ">="},
		{"max-size", "size", "<="}};

	for (size_t i = 0; i < a->given_n; i++) {
		for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
			struct buffer value CLEANUP(buffer_deinit) = buffer_make(LIMIT_QUERY);

			if (strcmp(a->given[i].spec->name, known[k].name) != 0)
				continue;
			if (!a->given[i].value[0])
				return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
					"--%s: its value is empty", known[k].name);
			if (buffer_append_text(&value, known[k].sign, f) < 0 ||
				buffer_append_text(&value, a->given[i].value, f) < 0 ||
				!buffer_text(&value) ||
				add_option(all, known[k].key, buffer_text(&value), context, f) < 0)
				return fault_prefix(f, "--%s", known[k].name);
		}
	}
	return 0;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* The arguments as pieces of a line; see query_lex.h. */
static int join_words(const struct arguments *a, struct buffer *line, struct fault *f)
{
	for (size_t i = 0; i < operands_n(a); i++) {
		const char *word = operands(a)[i];

		if (!word[0])
			return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
				"argument %zu of the query is empty; without a query all messages "
				"are meant",
				i + 1);
		if ((i > 0 && buffer_append(line, "", 1, f) < 0) ||
			buffer_append_text(line, word, f) < 0)
			return f->code == FAULT_LIMIT
				       ? fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
						 "a query of more than %d bytes is too long",
						 LIMIT_QUERY)
				       : -1;
	}
	return 0;
}

/* place: gets the line and where it is wrong. */
static int add_words(struct query_list *all, const struct arguments *a,
	const struct query_context *context, struct buffer *place, struct fault *f)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_QUERY);
	struct condition *c = NULL;
	struct query_lexer l;

	if (join_words(a, &line, f) < 0)
		return -1;
	if (query_lexer_init(&l, buffer_slice(&line), f) < 0 ||
		query_parse(&l, context, &c, f) < 0) {
		struct fault ignored;

		if (f->code == FAULT_USAGE &&
			query_caret(l.line, l.wrong_at, l.wrong_len,
				terminal_columns(STDERR_FILENO), place, &ignored) < 0)
			buffer_clear(place);
		return -1;
	}
	return c ? query_list_add(all, c, f) : 0;
}

int query_set(struct query *ret, struct condition *wanted, struct fault *f)
{
	struct query q CLEANUP(query_deinit) = {.wanted = wanted};
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_QUERY + 1);

	if (query_check_size(wanted, f) < 0)
		return -1;
	if (query_canonical(wanted, &text, f) < 0)
		return f->code == FAULT_LIMIT ? fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
							"the query, written out in full, is longer "
							"than %d bytes",
							LIMIT_QUERY)
					      : -1;
	q.canonical = buffer_text(&text) ? strdup(buffer_text(&text)) : NULL;
	if (!q.canonical)
		return fault_memory(f);
	ret->wanted = TAKE(q.wanted);
	ret->canonical = TAKE(q.canonical);
	return 0;
}

static int read_query(struct query *ret, const struct arguments *a, bool utc, struct buffer *place,
	struct fault *f)
{
	const struct query_context context = {utc ? DATE_UTC : DATE_LOCAL, moment_now()};
	struct query_list all CLEANUP(query_list_deinit) = {0};
	struct condition *wanted = NULL;

	if (add_options(&all, a, &context, f) < 0 || add_words(&all, a, &context, place, f) < 0 ||
		query_list_join(&all, CONDITION_AND, &wanted, f) < 0)
		return -1;
	return query_set(ret, wanted, f);
}

int query_read(struct query *ret, const struct arguments *a, bool utc, struct fault *f)
{
	struct buffer place CLEANUP(buffer_deinit) = buffer_make(PLACE_MAX);

	return read_query(ret, a, utc, &place, f);
}

int query_begin(struct run *run, struct query *ret)
{
	struct buffer place CLEANUP(buffer_deinit) = buffer_make(PLACE_MAX);
	struct fault f;

	if (read_query(ret, &run->arguments, run->out.utc, &place, &f) == 0)
		return STATUS_DONE;
	const char *lines = place.len ? buffer_text(&place) : NULL;
	return run_usage(run, "%s%s", f.text, lines ? lines : "");
}
