#include "cli/command.h"
#include "cli/status.h"

#include "daemon/quantity.h"

static int read_terms(struct run *run, struct report_terms *ret)
{
	const char *age = option_value(&run->arguments, "max-age");

	*ret = (struct report_terms){.now = moment_now(), .max_age_ms = REPORT_ANY_AGE};
	return age ? quantity_duration(age, &ret->max_age_ms) : 0;
}

static int show(struct run *run, const struct report_terms *terms, enum status_which which)
{
	struct status s CLEANUP(status_deinit) = {0};
	struct fault f;

	if (status_read(&s, run, terms, &f) < 0)
		return run_fail(run, &f);
	if (run->json)
		status_print_json(run, &s, which);
	else if (status_print_text(run, &s, which, &f) < 0)
		return run_fail(run, &f);
	return run->config_broken ? STATUS_USAGE : status_verdict(&s);
}

static int status_run(struct run *run)
{
	struct report_terms terms;
	struct fault f;
	enum status_which which =
		option_given(&run->arguments, "all") ? STATUS_ALL : STATUS_NEEDING_ATTENTION;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "status takes no names; --all lists all accounts");
	if (read_terms(run, &terms) != 0)
		return run_usage(run, "--max-age needs a duration, as in 1d, 12h or 90m");
	if (!option_given(&run->arguments, "watch"))
		return show(run, &terms, which);
	if (run->json || !run->out.terminal)
		return run_usage(run, "--watch is for a terminal; --json, asked for again and "
				      "again, is for programs");
	return status_watch(run, &terms, which, &f) < 0 ? run_fail(run, &f) : STATUS_DONE;
}

static const struct option_spec options[] = {
	{"all", 0, NULL, "all accounts, not only those that need attention"},
	{"max-age", 0, "AGE", "an account not polled for so long needs attention: 1d, 12h"},
	{"watch", 0, NULL, "show it again every second, until Ctrl-C"},
	{NULL, 0, NULL, NULL},
};

const struct command command_status = {
	.name = "status",
	.arguments = "",
	.summary = "show whether everything is kept",
	.details =
		"Every message that a server lists is archived, or pending, or refused with a\n"
		"reason. Exit status 3 when something is not archived, an account's polls keep\n"
		"failing, one is stale, the disk is full, or the service cannot read its\n"
		"configuration. A broken configuration gives 2, and the archive is shown all the\n"
		"same.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_ARCHIVE,
	.survives_config = true,
	.function = status_run,
};
