#include "cli/chosen.h"
#include "cli/command.h"
#include "cli/probe_facts.h"

#include "archive/escape.h"

#include <inttypes.h>

/* ---- Printing ------------------------------------------------------------------------------- */

static void print_text(struct run *run, const struct account *a, const struct probe_report *r,
	const struct caveats *c)
{
	struct output *o = &run->out;
	char number[TEXT_NUMBER], size[TEXT_NUMBER], duration[TEXT_NUMBER];

	out_escaped(o, slice_text(a->name));
	out_format(o, ": logged in with ");
	out_escaped(o, slice_text(r->mechanism));
	out_format(o, "\n  TLS           ");
	out_escaped(o, slice_text(r->tls));
	out_format(o, "\n  capabilities  ");
	out_format(o, "%s", r->capabilities[0] ? r->capabilities : "none (the server has no CAPA)");
	out_format(o, "\n  mailbox       %s %s, %s\n", text_count(r->messages, number),
		plural(r->messages, "message", "messages"), text_size(r->bytes, size));
	out_format(o, "  round trip    %" PRId64 " ms, login %" PRId64 " ms\n", r->rtt_ms,
		r->login_ms);
	out_format(o, "  first fetch   about %s\n", text_duration(probe_estimate_ms(r), duration));
	for (size_t i = 0; i < c->n; i++) {
		out_format(o, "  note          ");
		out_escaped(o, slice_text(c->text[i]));
		out_format(o, "\n");
	}
}

static void print_json(
	struct run *run, const struct account *a, const struct probe_report *r, struct caveats *c)
{
	struct json_line line;

	json_line_begin(&line, "account");
	json_add_text(&line, "account", a->name);
	json_add_flag(&line, "ok", !c->fatal);
	probe_add_json(&line, r, c);
	json_line_print(&line, &run->out);
}

static void print_failure(struct run *run, const struct account *a, const struct fault *f)
{
	struct json_line line;

	if (run->json) {
		json_line_begin(&line, "account");
		json_add_text(&line, "account", a->name);
		json_add_flag(&line, "ok", false);
		json_add_text(&line, "error", f->text);
		json_line_print(&line, &run->out);
	}
	account_complain(run, a, f);
}

/* ---- The command ---------------------------------------------------------------------------- */

static void check_one(struct run *run, struct chosen_account *one, struct verdict *v)
{
	struct probe_report report = {0};
	struct caveats caveats = {0};
	struct fault f = one->fault;

	if (f.code == FAULT_NONE && account_probe(one->account, &one->secret, &report, &f) == 0)
		f.code = FAULT_NONE;
	if (f.code != FAULT_NONE) {
		print_failure(run, one->account, &f);
		verdict_add(v, &f);
		return;
	}
	probe_find_caveats(one->account, &report, &caveats);
	if (run->json)
		print_json(run, one->account, &report, &caveats);
	else
		print_text(run, one->account, &report, &caveats);
	if (caveats.fatal)
		(void)fault_set(&f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0, "no UIDL");
	verdict_add(v, &f);
}

static int account_check_run(struct run *run)
{
	struct chosen chosen CLEANUP(chosen_deinit) = {0};
	struct verdict verdict = {0};
	struct json_line line;
	struct fault f;

	if (chosen_read(&chosen, run, &f) < 0)
		return run_usage(run, "%s", f.text);
	chosen_read_secrets(&chosen);
	/* Nothing that a server says should be read by root. */
	if (geteuid() == 0 && store_become_owner(run->folder, &f) < 0)
		return run_fail(run, &f);
	for (size_t i = 0; i < chosen.n && !out_is_over(&run->out); i++)
		check_one(run, &chosen.all[i], &verdict);
	if (run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "accounts", chosen.n);
		json_add_count(&line, "failed", chosen.n - verdict.well);
		json_line_print(&line, &run->out);
	}
	return verdict_status(&verdict);
}

static const struct option_spec options[] = {URL_OPTIONS, {NULL, 0, NULL, NULL}};

const struct command command_account_check = {
	.name = "account check",
	.arguments = "[NAME...]",
	.summary = "log in and tell what there is; changes nothing",
	.details =
		"Shows TLS, login, capabilities, how much mail there is, about how long a first\n"
		"fetch takes, and what to know about the provider.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = account_check_run,
};
