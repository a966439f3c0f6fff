#include "cli/command.h"
#include "cli/json.h"

#include "archive/escape.h"

static const char *tls_word(enum tls_mode mode)
{
	switch (mode) {
	case TLS_IMPLICIT:
		return "implicit";
	case TLS_STARTTLS:
		return "starttls";
	case TLS_NONE:
		break;
	}
	return "none";
}

static const char *secret_word(enum secret_source source)
{
	switch (source) {
	case SECRET_COMMAND:
		return "password-command";
	case SECRET_FILE:
		return "password-file";
	case SECRET_CREDENTIAL:
		return "credential";
	case SECRET_TOKEN_COMMAND:
		return "token-command";
	case SECRET_ASK:
		return "asked";
	case SECRET_NONE:
		break;
	}
	return "none";
}

static void print_json(struct run *run, const struct account *a)
{
	struct json_line line;

	json_line_begin(&line, "account");
	json_add_text(&line, "account", a->name);
	json_add_text(&line, "host", a->host);
	json_add_count(&line, "port", a->port);
	json_add_text(&line, "tls", tls_word(a->tls));
	json_add_text(&line, "user", a->user);
	json_add_text(&line, "secret", secret_word(a->secret_source));
	if (a->auth)
		json_add_text(&line, "auth", a->auth);
	json_add_text(&line, "class", a->class_);
	json_line_print(&line, &run->out);
}

static void print_text(struct run *run, const struct account *a)
{
	struct output *o = &run->out;

	out_escaped(o, slice_text(a->name));
	out_format(o, ": ");
	out_escaped(o, slice_text(a->user));
	out_format(o, " at ");
	out_escaped(o, slice_text(a->host));
	out_format(o, ":%u, %s, secret: %s\n", (unsigned)a->port,
		a->tls == TLS_NONE	 ? "WITHOUT TLS"
		: a->tls == TLS_STARTTLS ? "STLS"
					 : "TLS",
		secret_word(a->secret_source));
}

static int account_list_run(struct run *run)
{
	size_t n = run->config ? run->config->accounts_n : 0;
	struct json_line line;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "account list takes no arguments");
	for (size_t i = 0; i < n; i++) {
		if (run->json)
			print_json(run, &run->config->accounts[i]);
		else
			print_text(run, &run->config->accounts[i]);
	}
	if (run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "accounts", n);
		json_line_print(&line, &run->out);
	}
	if (n > 0)
		return STATUS_DONE;
	run_note(
		run, "%s", run->config ? "no account is configured" : "no configuration was found");
	return STATUS_NOTHING;
}

static const struct option_spec options[] = {{NULL, 0, NULL, NULL}};

const struct command command_account_list = {
	.name = "account list",
	.arguments = "",
	.summary = "list what is configured",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = account_list_run,
};
