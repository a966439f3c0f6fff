#include "cli/command.h"
#include "cli/json.h"

static int version_run(struct run *run)
{
	struct json_line line;

	if (!run->json) {
		out_format(&run->out, "popkeep %s\n", POPKEEP_VERSION);
		return STATUS_DONE;
	}
	json_line_begin(&line, "version");
	json_add_text(&line, "version", POPKEEP_VERSION);
	json_add_count(&line, "json", JSON_SHAPES_VERSION);
	json_line_print(&line, &run->out);
	return STATUS_DONE;
}

static const struct option_spec options[] = {
	{"version", 0, NULL, "the same as the command"}, {NULL, 0, NULL, NULL}};

const struct command command_version = {
	.name = "version",
	.arguments = "",
	.summary = "show the version",
	.options = options,
	.everyday = false,
	.needs = NEEDS_NOTHING,
	.function = version_run,
};
