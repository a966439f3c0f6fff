#include "cli/command.h"
#include "cli/json.h"
#include "cli/report.h"

#include "archive/escape.h"
#include "archive/find.h"
#include "archive/known.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- The archive and the sums of all -------------------------------------------------------- */

static void add_sums(struct sums *to, const struct sums *s)
{
	to->listed += s->listed;
	to->archived += s->archived;
	to->pending += s->pending;
	to->refused += s->refused;
	to->vanished += s->vanished;
}

static void print_archive(struct run *run, const struct store_totals *totals)
{
	struct output *o = &run->out;
	char messages[TEXT_NUMBER], bytes[TEXT_NUMBER], stored[TEXT_NUMBER];

	out_format(o, "archive   ");
	out_escaped(o, slice_text(run->folder));
	out_format(o, "\nkept      %s %s, %s; %s on disk", text_count(totals->messages, messages),
		plural(totals->messages, "message", "messages"), text_size(totals->bytes, bytes),
		text_size(totals->segment_bytes, stored));
	if (totals->segment_bytes && totals->bytes)
		out_format(
			o, ", ratio %.1f", (double)totals->bytes / (double)totals->segment_bytes);
	out_format(o, "\n");
}

static void print_sums(struct output *o, const char *title, const struct sums *s)
{
	char listed[TEXT_NUMBER], archived[TEXT_NUMBER], pending[TEXT_NUMBER], refused[TEXT_NUMBER],
		vanished[TEXT_NUMBER];

	out_format(o, "%s%s listed = %s archived + %s pending + %s refused; %s vanished\n", title,
		text_count(s->listed, listed), text_count(s->archived, archived),
		text_count(s->pending, pending), text_count(s->refused, refused),
		text_count(s->vanished, vanished));
}

static void print_head(struct run *run, const struct report *r, const struct sums *all,
	const struct store_totals *totals)
{
	struct output *o = &run->out;
	char number[TEXT_NUMBER], title[TEXT_NUMBER + 32];

	print_archive(run, totals);
	(void)snprintf(title, sizeof title, "%s %s: ", text_count(r->n, number),
		plural(r->n, "account", "accounts"));
	print_sums(o, title, all);
}

/* ---- One account ----------------------------------------------------------------------------- */

static void print_polled(struct run *run, const struct account_report *a)
{
	struct output *o = &run->out;
	char when[TEXT_MOMENT];

	if (a->maildrop && a->maildrop->polled)
		out_format(o, "polled %s", text_minute(o, a->maildrop->polled, when));
	else
		out_format(o, "not polled yet");
	if (a->replaced)
		out_format(o, ", replaced: the account's server or user changed");
	else if (run->config && !a->configured)
		out_format(o, ", not configured: fetch --url polls it");
}

static void print_account(struct run *run, const struct account_report *a)
{
	struct output *o = &run->out;

	out_format(o, "\n");
	out_escaped(o, slice_text(a->name));
	out_format(o, " (");
	out_escaped(o, slice_text(a->user));
	out_format(o, " at ");
	out_escaped(o, slice_text(a->server));
	out_format(o, "): ");
	print_polled(run, a);
	out_format(o, "\n");
	if (a->maildrop)
		print_sums(o, "  ", &a->sums);
}

/* ---- What needs attention, and what to do ---------------------------------------------------- */

enum { REFUSED_SHOWN = 5 };

static void print_refused(struct run *run, const struct known *k)
{
	struct output *o = &run->out;
	char when[TEXT_MOMENT];

	out_format(o, "    UIDL ");
	out_escaped(o, k->uidl);
	out_format(o, ": %s, tried %u %s, next try %s\n", refusal_word(k->reason),
		(unsigned)k->tries, plural(k->tries, "time", "times"),
		text_minute(o, k->next_try, when));
}

static int print_all_refused(struct run *run, const struct account_report *a, struct fault *f)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;
	uint64_t n = 0;
	int r;

	if (known_open(run->store, a->maildrop->number, &c, f) < 0)
		return -1;
	while ((r = known_next(c, &k, f)) == KNOWN_ROW && !out_is_over(&run->out)) {
		if (k.state == KNOWN_REFUSED && !k.accepted && n++ < REFUSED_SHOWN)
			print_refused(run, &k);
	}
	if (n > REFUSED_SHOWN)
		out_format(&run->out, "    and %" PRIu64 " more\n", n - REFUSED_SHOWN);
	return r;
}

static int print_attention(struct run *run, const struct account_report *a, struct fault *f)
{
	struct output *o = &run->out;
	char number[TEXT_NUMBER];

	if (a->needs & NEEDS_FIRST_POLL)
		out_format(o, "  never polled: run popkeep fetch %s\n", a->name);
	if (a->needs & NEEDS_PENDING)
		out_format(o, "  %s pending: run popkeep fetch again\n",
			text_count(a->sums.pending, number));
	if (a->needs & NEEDS_VANISHED)
		out_format(o,
			"  %s vanished: listed once, gone from the server before %s fetched; ask "
			"its "
			"owner, and fetch more often\n",
			text_count(a->sums.vanished, number),
			plural(a->sums.vanished, "it was", "they were"));
	if (!(a->needs & NEEDS_REFUSED) || !a->maildrop)
		return 0;
	out_format(o,
		"  %s refused: fetch tries them again by itself; too-large means beyond "
		"max-message-size\n",
		text_count(a->sums.refused, number));
	return print_all_refused(run, a, f);
}

static void print_account_json(struct run *run, const struct account_report *a)
{
	static const struct sums none;
	const struct sums *s = a->maildrop ? &a->sums : &none;
	struct json_line line;

	json_line_begin(&line, "account");
	json_add_text(&line, "account", a->name);
	json_add_text(&line, "server", a->server);
	json_add_text(&line, "user", a->user);
	json_add_flag(&line, "configured", a->configured);
	json_add_moment(&line, "polled", a->maildrop ? a->maildrop->polled : 0);
	json_add_count(&line, "listed", s->listed);
	json_add_count(&line, "archived", s->archived);
	json_add_count(&line, "pending", s->pending);
	json_add_count(&line, "refused", s->refused);
	json_add_count(&line, "vanished", s->vanished);
	json_add_flag(&line, "attention", a->needs != 0);
	json_line_print(&line, &run->out);
}

/* ---- The command ----------------------------------------------------------------------------- */

static void print_summary_json(struct run *run, const struct report *r, const struct sums *all,
	const struct store_totals *totals)
{
	struct json_line line;

	json_line_begin(&line, "summary");
	json_add_text(&line, "archive", run->folder);
	json_add_count(&line, "accounts", r->n);
	json_add_count(&line, "attention", r->attention);
	json_add_count(&line, "listed", all->listed);
	json_add_count(&line, "archived", all->archived);
	json_add_count(&line, "pending", all->pending);
	json_add_count(&line, "refused", all->refused);
	json_add_count(&line, "vanished", all->vanished);
	json_add_count(&line, "messages", totals->messages);
	json_add_count(&line, "bytes", totals->bytes);
	json_add_count(&line, "segments", totals->segments);
	json_add_count(&line, "stored_bytes", totals->segment_bytes);
	json_line_print(&line, &run->out);
}

static int print_accounts(struct run *run, const struct report *r, struct fault *f)
{
	for (size_t i = 0; i < r->n && !out_is_over(&run->out); i++) {
		const struct account_report *a = &r->accounts[i];

		if (!a->needs && !option_given(&run->arguments, "all"))
			continue;
		if (run->json) {
			print_account_json(run, a);
			continue;
		}
		print_account(run, a);
		if (print_attention(run, a, f) < 0)
			return -1;
	}
	return 0;
}

static int status_run(struct run *run)
{
	struct report report CLEANUP(report_deinit) = {0};
	struct store_totals totals;
	struct sums all = {0};
	struct fault f;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "status takes no names; --all lists all accounts");
	if (report_read(&report, run->store, run->config, &f) < 0 ||
		store_totals(run->store, &totals, &f) < 0)
		return run_fail(run, &f);
	for (size_t i = 0; i < report.n; i++)
		add_sums(&all, &report.accounts[i].sums);
	if (!run->json)
		print_head(run, &report, &all, &totals);
	if (print_accounts(run, &report, &f) < 0)
		return run_fail(run, &f);
	if (run->json)
		print_summary_json(run, &report, &all, &totals);
	return report.attention ? STATUS_PARTLY : STATUS_DONE;
}

static const struct option_spec options[] = {
	{"all", 0, NULL, "all accounts, not only those that need attention"},
	{NULL, 0, NULL, NULL},
};

const struct command command_status = {
	.name = "status",
	.arguments = "",
	.summary = "show whether everything is kept",
	.details = "Every message that a server lists is archived, or pending, or refused with a\n"
		   "reason. Exit status 3 when something is not archived.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_ARCHIVE,
	.function = status_run,
};
