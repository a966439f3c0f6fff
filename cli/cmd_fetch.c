#include "cli/chosen.h"
#include "cli/command.h"
#include "cli/fetch_health.h"
#include "cli/fetch_service.h"
#include "cli/json.h"
#include "cli/stop.h"

#include "archive/escape.h"
#include "daemon/poller.h"

#include <inttypes.h>

/* How far an account is, for the bar over all of them. */
struct share {
	uint64_t to_fetch, to_fetch_bytes, fetched, fetched_bytes;
	bool ended;
};

struct fetch {
	struct run *run;
	struct chosen chosen;
	struct share *shares; /* as many as chosen.n */
	struct verdict verdict;
	struct sums sums; /* of all that ended */
	uint64_t new_messages, duplicates, new_bytes;
	size_t failed;
	bool pending;
};

static void fetch_deinit(struct fetch *t)
{
	chosen_deinit(&t->chosen);
	free(t->shares);
	t->shares = NULL;
}

/* ---- The bar -------------------------------------------------------------------------------- */

static void draw(struct fetch *t, const struct poller_event *e)
{
	struct progress_state state = {.label = t->chosen.n == 1 ? "fetching" : "fetching all"};

	for (size_t i = 0; i < t->chosen.n; i++) {
		struct share *s = &t->shares[i];

		if (t->chosen.all[i].account == e->account)
			*s = (struct share){e->to_fetch, e->to_fetch_bytes, e->fetched,
				e->fetched_bytes, e->kind == POLLER_DONE};
		state.items += s->fetched;
		state.items_all += s->to_fetch;
		state.done += s->fetched_bytes;
		state.all += s->to_fetch_bytes;
	}
	progress_update(&t->run->progress, &state);
}

/* ---- What came of an account ---------------------------------------------------------------- */

static void print_account_json(struct run *run, const struct account *a,
	const struct poller_event *e, const struct fault *f)
{
	struct json_line line;

	json_line_begin(&line, "account");
	json_add_text(&line, "account", a->name);
	json_add_sums(&line, &e->sums);
	json_add_count(&line, "new", e->new_messages);
	json_add_count(&line, "duplicate", e->duplicates);
	json_add_count(&line, "bytes", e->new_bytes);
	json_add_count(&line, "elapsed_ms", e->elapsed_ms < 0 ? 0 : (uint64_t)e->elapsed_ms);
	json_add_count(&line, "retrieve_ms", e->retrieve_ms < 0 ? 0 : (uint64_t)e->retrieve_ms);
	if (f->code != FAULT_NONE) {
		json_add_text(&line, "error", f->text);
		json_add_count(&line, "status", (uint64_t)fault_exit_status(f));
	}
	json_line_print(&line, &run->out);
}

static void print_sums(struct output *o, const struct sums *s)
{
	char listed[TEXT_NUMBER], archived[TEXT_NUMBER], pending[TEXT_NUMBER], refused[TEXT_NUMBER];

	out_format(o, "%s listed = %s archived + %s pending + %s refused",
		text_count(s->listed, listed), text_count(s->archived, archived),
		text_count(s->pending, pending), text_count(s->refused, refused));
	if (s->vanished)
		out_format(o, "; %s vanished", text_count(s->vanished, listed));
	out_format(o, "\n");
}

static void print_account_text(
	struct run *run, const struct account *a, const struct poller_event *e)
{
	struct output *o = &run->out;
	char number[TEXT_NUMBER], size[TEXT_NUMBER];

	progress_clear(&run->progress);
	out_escaped(o, slice_text(a->name));
	out_format(o, ": %s new (%s)", text_count(e->new_messages, number),
		text_size(e->new_bytes, size));
	if (e->duplicates)
		out_format(o, ", %s %s", text_count(e->duplicates, number),
			plural(e->duplicates, "duplicate", "duplicates"));
	out_format(o, "; ");
	print_sums(o, &e->sums);
}

static void account_ended(struct fetch *t, const struct account *a, const struct poller_event *e,
	const struct fault *f)
{
	struct run *run = t->run;
	bool something = f->code == FAULT_NONE || e->new_messages || e->duplicates;

	verdict_add(&t->verdict, f);
	t->failed += f->code != FAULT_NONE;
	t->pending |= e->sums.pending > 0;
	sums_add(&t->sums, &e->sums);
	t->new_messages += e->new_messages;
	t->duplicates += e->duplicates;
	t->new_bytes += e->new_bytes;
	if (run->json)
		print_account_json(run, a, e, f);
	else if (something)
		print_account_text(run, a, e);
	if (f->code != FAULT_NONE)
		account_complain(run, a, f);
	else if (e->sums.refused)
		run_note(run,
			"account %s: some messages could not be archived; popkeep status "
			"tells which and why",
			a->name);
}

static void print_summary(struct fetch *t)
{
	struct output *o = &t->run->out;
	struct json_line line;
	char number[TEXT_NUMBER], size[TEXT_NUMBER];

	if (t->run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "accounts", t->chosen.n);
		json_add_count(&line, "failed", t->failed);
		json_add_sums(&line, &t->sums);
		json_add_count(&line, "new", t->new_messages);
		json_add_count(&line, "duplicate", t->duplicates);
		json_add_count(&line, "bytes", t->new_bytes);
		json_line_print(&line, o);
		return;
	}
	if (t->chosen.n < 2)
		return;
	out_format(o, "all %s accounts: ", text_count(t->chosen.n, number));
	out_format(o, "%s new (%s); ", text_count(t->new_messages, number),
		text_size(t->new_bytes, size));
	print_sums(o, &t->sums);
}

/* ---- Polling -------------------------------------------------------------------------------- */

static void handle(struct fetch *t, const struct poller_event *e)
{
	switch (e->kind) {
	case POLLER_SECRET:
		break;
	case POLLER_PROGRESS:
		draw(t, e);
		break;
	case POLLER_NOTICE:
		if (e->account)
			run_note(t->run, "account %s: %s", e->account->name, e->text);
		else
			run_note(t->run, "%s", e->text);
		break;
	case POLLER_DONE:
		draw(t, e);
		account_ended(t, e->account, e, &e->fault);
		break;
	}
}

/* ---- Through the service --------------------------------------------------------------------- */

static int poll_by_service(struct fetch *t, struct fetch_service *s, struct fault *f)
{
	static const struct poller_event nothing = {.kind = POLLER_DONE};
	struct poller_event event;
	struct fault untold;
	int r;

	progress_begin(&t->run->progress);
	while ((r = fetch_service_next(s, &event, f)) == POLLER_EVENT)
		handle(t, &event);
	fault_record(&untold, FAULT_INTERRUPT, SCOPE_ACCOUNT, 0,
		"popkeepd does not poll it any more: its configuration has changed");
	for (size_t i = 0; r == 0 && i < t->chosen.n; i++) {
		if (!t->shares[i].ended)
			account_ended(t, t->chosen.all[i].account, &nothing, &untold);
	}
	return r;
}

/* ---- By itself ------------------------------------------------------------------------------- */

/* The secret was read before anything began: an account whose was not to be had never got here. */
static int handle_own(struct fetch *t, struct poller *p, const struct health_book *health,
	const struct poller_event *e, struct fault *f)
{
	struct chosen_account *one = e->owner;

	handle(t, e);
	if (e->kind == POLLER_SECRET) {
		poller_give(p, e->poll, one->secret);
		one->secret = (struct secret){0};
	}
	return e->kind == POLLER_DONE ? health_book_note(health, p, e, f) : 0;
}

static int add_accounts(struct fetch *t, struct poller *p, struct fault *f)
{
	static const struct poller_event nothing = {.kind = POLLER_DONE};

	for (size_t i = 0; i < t->chosen.n; i++) {
		struct chosen_account *one = &t->chosen.all[i];

		if (one->fault.code != FAULT_NONE)
			account_ended(t, one->account, &nothing, &one->fault);
		else if (poller_add(p, one->account, one, NULL, f) < 0)
			return -1;
	}
	return 0;
}

static int work(struct fetch *t, struct poller *p, struct fault *f)
{
	struct health_book health CLEANUP(health_book_deinit) = {0};
	struct poller_event event;
	int r;

	if (health_book_open(&health, p, f) < 0 || add_accounts(t, p, f) < 0)
		return -1;
	while ((r = poller_next(p, &event, f)) == POLLER_EVENT) {
		if (handle_own(t, p, &health, &event, f) < 0)
			return -1;
	}
	return r;
}

static int poll_all(struct fetch *t, struct fault *f)
{
	const struct run *run = t->run;
	struct poller_options options = {
		.archive_folder = run->folder, .cache_dir = run->cache_dir};
	struct poller *p CLEANUP(poller_closep) = NULL;

	if (run->config) {
		options.max_sessions = run->config->max_sessions;
		options.max_sessions_per_server = run->config->max_sessions_per_server;
	}
	if (poller_open(&options, &p, f) < 0)
		return -1;
	stop_set_poller(p);
	progress_begin(&t->run->progress);
	int r = work(t, p, f);
	stop_set_poller(NULL);
	return r;
}

/* ---- The command ---------------------------------------------------------------------------- */

static void warn_without_tls(struct run *run, const struct chosen *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct account *a = c->all[i].account;

		if (a->tls == TLS_NONE)
			run_note(run,
				"account %s: WITHOUT TLS: anybody on the way can read its "
				"mail and may learn its password",
				a->name);
	}
}

/* The default and the configured archive are made on first use; one that was named for this run and
 * is not there is taken for a slip of the pen. */
static int make_archive(struct run *run, struct fault *f)
{
	char name[256];
	int r;

	if (store_become_owner(run->folder, f) < 0)
		return -1;
	if (run->folder_is_named)
		return 0;
	r = run_create_archive(run, f);
	if (r == 0)
		run_note(run, "made a new archive in %s",
			escape_text(slice_text(run->folder), name, sizeof name));
	return r < 0 ? -1 : 0;
}

/* An account that --url describes is none of the service's. */
static int fetch_all(struct fetch *t, struct fault *f)
{
	struct run *run = t->run;
	struct fetch_service *service CLEANUP(fetch_service_freep) = NULL;
	int r = FETCH_NO_SERVICE;

	if (!option_given(&run->arguments, "url"))
		r = fetch_service_begin(run, &t->chosen, &service, f);
	if (r == 0)
		return poll_by_service(t, service, f);
	if (r < 0)
		return -1;
	chosen_read_secrets(&t->chosen);
	return make_archive(run, f) < 0 ? -1 : poll_all(t, f);
}

static int fetch_failed(struct run *run, const struct fault *f)
{
	run_complain(run, "%s%s", f->text, fault_advice(f));
	return fault_exit_status(f);
}

static int fetch_run(struct run *run)
{
	struct fetch t CLEANUP(fetch_deinit) = {.run = run};
	struct fault f;

	if (chosen_read(&t.chosen, run, &f) < 0)
		return run_usage(run, "%s", f.text);
	t.shares = calloc(t.chosen.n, sizeof *t.shares);
	if (!t.shares) {
		(void)fault_memory(&f);
		return run_fail(run, &f);
	}
	warn_without_tls(run, &t.chosen);
	stop_catch_signals();
	if (fetch_all(&t, &f) < 0)
		return fetch_failed(run, &f);
	print_summary(&t);
	int status = verdict_status(&t.verdict);
	return status == STATUS_DONE && t.pending ? STATUS_PARTLY : status;
}

static const struct option_spec options[] = {URL_OPTIONS, {NULL, 0, NULL, NULL}};

const struct command command_fetch = {
	.name = "fetch",
	.arguments = "[ACCOUNT...]",
	.summary = "fetch what is new; never deletes",
	.details =
		"Without ACCOUNT all configured ones are polled, by the service where one runs.\n"
		"--url needs no configuration; the password is asked for on the terminal unless\n"
		"--password-command or --password-file is given. The last @ of a URL separates\n"
		"user and host.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = fetch_run,
};
