#include "cli/json.h"
#include "cli/status.h"

static const char *state_word(const struct health *h)
{
	if (!h)
		return "well";
	return h->state == HEALTH_ATTENTION ? "attention" : "failing";
}

static void add_health(struct json_line *l, const struct health *h)
{
	json_add_text(l, "state", state_word(h));
	if (!h)
		return;
	struct fault f = {.code = h->code};
	json_add_moment(l, "since", h->since);
	json_add_moment(l, "tried", h->tried);
	json_add_moment(l, "next", h->next);
	json_add_count(l, "failures", h->failures);
	json_add_text(l, "error", h->text);
	json_add_count(l, "status", (uint64_t)fault_exit_status(&f));
}

static void print_account(struct run *run, const struct account_report *a)
{
	struct json_line line;

	json_line_begin(&line, "account");
	json_add_text(&line, "account", a->name);
	json_add_text(&line, "server", a->server);
	json_add_text(&line, "user", a->user);
	json_add_flag(&line, "configured", a->configured);
	json_add_flag(&line, "imported", a->imported);
	json_add_moment(&line, "polled", a->maildrop ? a->maildrop->polled : 0);
	json_add_sums(&line, &a->sums);
	json_add_count(&line, "unaccepted", a->to_accept);
	json_add_flag(&line, "attention", a->needs != 0);
	json_add_flag(&line, "stale", a->stale);
	add_health(&line, a->health);
	json_line_print(&line, &run->out);
}

static void print_job(struct run *run, const struct upkeep_view *v, const char *name,
	enum upkeep_job job, const struct upkeep *u)
{
	struct json_line line;

	json_line_begin(&line, "upkeep");
	json_add_text(&line, "job", name);
	json_add_moment(&line, "tried", u->tried);
	json_add_moment(&line, "succeeded", u->succeeded);
	json_add_flag(&line, "failed", u->code != FAULT_NONE);
	if (u->code != FAULT_NONE) {
		struct fault f = {.code = u->code};

		json_add_text(&line, "error", u->text);
		json_add_count(&line, "status", (uint64_t)fault_exit_status(&f));
	}
	if (job == UPKEEP_SEAL) {
		json_add_count(&line, "segments", v->segments);
		json_add_count(&line, "messages", v->messages);
		json_add_count(&line, "bytes", v->bytes);
		json_add_moment(&line, "since", v->since);
	}
	if (job == UPKEEP_INDEX) {
		json_add_count(&line, "messages", v->lag.messages);
		json_add_count(&line, "not_indexed", v->lag.messages - v->lag.indexed);
		json_add_count(&line, "unread", v->lag.unread);
		json_add_moment(&line, "since", v->lag.oldest);
	}
	json_line_print(&line, &run->out);
}

static void print_upkeep(struct run *run, const struct upkeep_view *v)
{
	print_job(run, v, "seal", UPKEEP_SEAL, &v->seal);
	print_job(run, v, "verify", UPKEEP_VERIFY, &v->verify);
	if (v->command_is_configured)
		print_job(run, v, "seal-command", UPKEEP_COMMAND, &v->command);
	print_job(run, v, "index", UPKEEP_INDEX, &v->index);
}

static void add_service(struct json_line *l, const struct status *s)
{
	const struct control_daemon *d = &s->service.daemon;

	json_add_flag(l, "service", s->report.served);
	if (!s->service.runs)
		return;
	json_add_text(l, "service_version", d->version);
	json_add_moment(l, "service_started", d->started);
	json_add_count(l, "service_pid", d->pid > 0 ? (uint64_t)d->pid : 0);
	json_add_count(l, "sessions", d->sessions);
	json_add_text(l, "sandbox", d->sandbox);
	if (d->worker_sandbox[0])
		json_add_text(l, "worker_sandbox", d->worker_sandbox);
	if (d->config_error[0])
		json_add_text(l, "config_error", d->config_error);
}

static void print_summary(struct run *run, const struct status *s)
{
	const struct report *r = &s->report;
	const struct store_totals *totals = &s->totals;
	struct json_line line;

	json_line_begin(&line, "summary");
	json_add_text(&line, "archive", run->folder);
	json_add_count(&line, "accounts", r->n);
	json_add_count(&line, "attention", r->attention);
	json_add_count(&line, "failing", r->failing);
	json_add_count(&line, "stale", r->stale);
	json_add_sums(&line, &r->sums);
	json_add_count(&line, "messages", totals->messages);
	json_add_count(&line, "bytes", totals->bytes);
	json_add_count(&line, "segments", totals->segments);
	json_add_count(&line, "stored_bytes", totals->segment_bytes);
	json_add_flag(
		&line, "disk_full", r->disk_full || (s->service.runs && s->service.daemon.disk[0]));
	json_add_flag(&line, "write_failed", r->write_failed);
	add_service(&line, s);
	json_line_print(&line, &run->out);
}

void status_print_json(struct run *run, const struct status *s, enum status_which which)
{
	const struct report *r = &s->report;

	for (size_t i = 0; i < r->n && !out_is_over(&run->out); i++) {
		if (r->accounts[i].needs || which == STATUS_ALL)
			print_account(run, &r->accounts[i]);
	}
	print_upkeep(run, &s->upkeep);
	print_summary(run, s);
}
