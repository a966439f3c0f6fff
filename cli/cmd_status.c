#include "cli/command.h"
#include "cli/status.h"

#include "daemon/quantity.h"

static int read_terms(struct run *run, struct report_terms *ret)
{
	const char *age = option_value(&run->arguments, "max-age");

	*ret = (struct report_terms){.now = moment_now(), .max_age_ms = REPORT_ANY_AGE};
	return age ? quantity_duration(age, &ret->max_age_ms) : 0;
}

static int status_run(struct run *run)
{
	struct report report CLEANUP(report_deinit) = {0};
	struct report_terms terms;
	struct store_totals totals;
	struct fault f;
	enum status_which which =
		option_given(&run->arguments, "all") ? STATUS_ALL : STATUS_NEEDING_ATTENTION;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "status takes no names; --all lists all accounts");
	if (read_terms(run, &terms) != 0)
		return run_usage(run, "--max-age needs a duration, as in 1d, 12h or 90m");
	if (report_read(&report, run->store, run->config, &terms, &f) < 0 ||
		store_totals(run->store, &totals, &f) < 0)
		return run_fail(run, &f);
	if (run->json)
		status_print_json(run, &report, &totals, which);
	else if (status_print_text(run, &report, &totals, which, &f) < 0)
		return run_fail(run, &f);
	return report.attention || report.disk_full ? STATUS_PARTLY : STATUS_DONE;
}

static const struct option_spec options[] = {
	{"all", 0, NULL, "all accounts, not only those that need attention"},
	{"max-age", 0, "AGE", "an account not polled for so long needs attention: 1d, 12h"},
	{NULL, 0, NULL, NULL},
};

const struct command command_status = {
	.name = "status",
	.arguments = "",
	.summary = "show whether everything is kept",
	.details = "Every message that a server lists is archived, or pending, or refused with a\n"
		   "reason. Exit status 3 when something is not archived, an account's polls keep\n"
		   "failing, one is stale, or the disk is full.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_ARCHIVE,
	.function = status_run,
};
