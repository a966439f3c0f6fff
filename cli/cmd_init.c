#include "cli/command.h"
#include "cli/json.h"

#include "archive/escape.h"

static void report(struct run *run, bool made)
{
	struct json_line line;

	if (run->json) {
		json_line_begin(&line, "archive");
		json_add_text(&line, "folder", run->folder);
		json_add_flag(&line, "made", made);
		json_line_print(&line, &run->out);
		return;
	}
	if (!made)
		return;
	out_format(&run->out, "made an archive in ");
	out_escaped(&run->out, slice_text(run->folder));
	out_format(&run->out, "\n");
}

static int init_run(struct run *run)
{
	char name[256];
	struct fault f;

	if (operands_n(&run->arguments) > 1)
		return run_usage(run, "init takes one folder at most");
	if (operands_n(&run->arguments) == 1) {
		free(run->folder);
		run->folder = strdup(operands(&run->arguments)[0]);
		run->cache_dir = NULL;
		if (!run->folder || !run->folder[0])
			return run_usage(run, "the archive's name is empty");
	}
	if (store_become_owner(run->folder, &f) < 0)
		return run_fail(run, &f);
	int r = run_create_archive(run, &f);
	if (r < 0)
		return run_fail(run, &f);
	if (r == STORE_EXISTS)
		run_note(run, "%s is an archive already; nothing was changed",
			escape_text(slice_text(run->folder), name, sizeof name));
	report(run, r != STORE_EXISTS);
	return STATUS_DONE;
}

static const struct option_spec options[] = {{NULL, 0, NULL, NULL}};

const struct command command_init = {
	.name = "init",
	.arguments = "[DIR]",
	.summary = "make an archive",
	.details = "DIR must be new or empty; without it the archive is made where -C, the\n"
		   "configuration or $XDG_DATA_HOME/popkeep says.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = init_run,
};
