#include "cli/command.h"
#include "cli/json.h"
#include "cli/message_list.h"
#include "cli/query.h"
#include "cli/stop.h"

#include "archive/escape.h"
#include "archive/maildrop.h"

#include <inttypes.h>

enum { LIMIT_ON_TERMINAL = 50 };

struct totals {
	uint64_t messages, bytes;
};

/* At the end of an answer: its sums in JSON, and what it may lack. */
static void print_summary(struct run *run, const struct query *q, const struct totals *totals)
{
	uint64_t unindexed = query_say_unindexed(run, q);
	struct json_line line;

	if (!run->json)
		return;
	json_line_begin(&line, "summary");
	json_add_count(&line, "messages", totals->messages);
	json_add_count(&line, "bytes", totals->bytes);
	if (condition_uses_index(q->wanted))
		json_add_count(&line, "not_indexed", unindexed);
	json_line_print(&line, &run->out);
}

static int print_count(struct run *run, const struct query *q)
{
	struct totals totals = {0};
	struct fault f;

	if (find_count(run->store, q->wanted, &totals.messages, &totals.bytes, &f) < 0)
		return run_fail(run, &f);
	if (!run->json)
		out_format(&run->out, "%" PRIu64 "\n", totals.messages);
	print_summary(run, q, &totals);
	return totals.messages ? STATUS_DONE : STATUS_NOTHING;
}

/* Of a query that asks for one account and what else must hold: its name, or NULL. */
static const char *account_of(const struct condition *c)
{
	if (!c || c->kind == CONDITION_ACCOUNT)
		return c ? c->text : NULL;
	if (c->kind != CONDITION_AND)
		return NULL;
	const char *name = account_of(c->left);
	return name ? name : account_of(c->right);
}

/* An account's name that is in no ledger line is worth a word: it is mistyped. */
static void explain_nothing(struct run *run, const char *account)
{
	struct maildrop *all = NULL;
	size_t n = 0;
	bool known = account == NULL;
	char name[128];
	struct fault f;

	if (account && store_maildrops(run->store, &all, &n, &f) < 0)
		return;
	for (size_t i = 0; i < n && !known; i++)
		known = strcmp(all[i].name, account) == 0;
	maildrops_free(all, n);
	if (known)
		run_note(run, "no message matches");
	else
		run_complain(run,
			"no account \"%s\" in this archive; popkeep status --all lists them",
			escape_text(slice_text(account), name, sizeof name));
}

static int print_rows(struct run *run, const struct query *q, uint64_t limit, struct totals *totals)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	const struct find_options how = {FIND_NEWEST, limit};
	struct message_list listing CLEANUP(message_list_deinit) = {.run = run};
	struct message m;
	struct fault f;
	int r;

	message_list_begin(&listing);
	if (find_open(run->store, q->wanted, &how, &c, &f) < 0)
		return run_fail(run, &f);
	while ((r = find_next(c, &m, &f)) == FIND_ROW && !out_is_over(&run->out)) {
		if (stop_requested())
			return STATUS_FAILED;
		totals->messages++;
		totals->bytes += m.size_bytes;
		if (message_list_print(&listing, &m, &f) < 0)
			return run_fail(run, &f);
	}
	if (r < 0)
		return run_fail(run, &f);
	return listing.damaged ? STATUS_DAMAGED : STATUS_DONE;
}

/* How many more there are than were shown. */
static void say_what_is_left(struct run *run, const struct query *q, uint64_t limit)
{
	uint64_t all = 0, bytes;
	char shown_text[TEXT_NUMBER], all_text[TEXT_NUMBER];
	struct fault f;

	if (limit && find_count(run->store, q->wanted, &all, &bytes, &f) == 0 && all > limit)
		run_note(run, "the newest %s of %s; --limit 0 shows all",
			text_count(limit, shown_text), text_count(all, all_text));
}

static int read_limit(struct run *run, uint64_t *ret)
{
	const char *text = option_value(&run->arguments, "limit");

	*ret = run->out.terminal && !run->json ? LIMIT_ON_TERMINAL : 0;
	if (!text)
		return 0;
	*ret = 0;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || p - text > 9)
			return run_usage(run, "--limit needs a number; 0 means all");
		*ret = *ret * 10 + (uint64_t)(*p - '0');
	}
	return text[0] ? 0 : run_usage(run, "--limit needs a number; 0 means all");
}

static int search_run(struct run *run)
{
	struct query q CLEANUP(query_deinit) = {0};
	uint64_t limit;
	struct totals totals = {0};

	if (query_begin(run, &q) != STATUS_DONE)
		return STATUS_USAGE;
	int status = read_limit(run, &limit);
	if (status)
		return status;
	if (option_given(&run->arguments, "explain")) {
		query_explain(run, &q);
		return STATUS_DONE;
	}
	status = query_ready(run, &q, QUERY_SOME);
	if (status != STATUS_DONE)
		return status;
	if (option_given(&run->arguments, "count"))
		return print_count(run, &q);
	status = print_rows(run, &q, limit, &totals);
	print_summary(run, &q, &totals);
	if (status == STATUS_DONE && totals.messages == 0) {
		explain_nothing(run, account_of(q.wanted));
		return STATUS_NOTHING;
	}
	if (!option_given(&run->arguments, "limit"))
		say_what_is_left(run, &q, limit);
	return status;
}

static const struct option_spec options[] = {
	QUERY_OPTIONS,
	{"limit", 0, "N", "at most N messages, 0 for all (50 on a terminal, otherwise all)"},
	{"explain", 0, NULL, "print how the query is understood, and look nothing up"},
	{"count", 0, NULL, "print only how many there are"},
	{NULL, 0, NULL, NULL},
};

const struct command command_search = {
	.name = "search",
	.arguments = "[QUERY...]",
	.summary = "list messages, the newest first",
	.details = QUERY_DETAILS,
	.options = options,
	.everyday = true,
	.needs = NEEDS_ARCHIVE,
	.function = search_run,
};
