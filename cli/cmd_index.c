#include "cli/command.h"
#include "cli/indexing.h"
#include "cli/json.h"
#include "cli/stop.h"

static void print_json(
	struct run *run, const struct index_result *r, const struct index_state *state)
{
	struct json_line line;

	json_line_begin(&line, "summary");
	json_add_count(&line, "indexed", r->indexed);
	json_add_count(&line, "removed", r->removed);
	json_add_count(&line, "failed", r->failed);
	json_add_count(&line, "messages", state->messages);
	json_add_count(&line, "not_indexed", state->messages - state->indexed);
	json_line_print(&line, &run->out);
}

static void print_text(
	struct run *run, const struct index_result *r, const struct index_state *state)
{
	char indexed[TEXT_NUMBER], removed[TEXT_NUMBER], all[TEXT_NUMBER];

	if (r->removed)
		out_format(&run->out, "removed %s %s that %s not there any more\n",
			text_count(r->removed, removed), plural(r->removed, "row", "rows"),
			plural(r->removed, "is", "are"));
	out_format(&run->out, "indexed %s %s, %s in all\n", text_count(r->indexed, indexed),
		plural(r->indexed, "message", "messages"), text_count(state->indexed, all));
}

/* Beside a service, too: it waits for nobody, and neither do we. */
static int index_run(struct run *run)
{
	enum index_care care =
		option_given(&run->arguments, "rebuild") ? INDEX_ANEW : INDEX_THOROUGH;
	struct index_result result = {0};
	struct index_state state;
	char number[TEXT_NUMBER];
	struct fault f;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "index takes no arguments; -C names the archive");
	if (store_become_owner(run->folder, &f) < 0 ||
		store_open(run->folder, run->cache_dir, STORE_WRITE, &run->store, &f) < 0)
		return run_fail(run, &f);
	stop_catch_signals();
	if (indexing_run(run, run->store, care, &result, &f) < 0 ||
		store_index_state(run->store, &state, &f) < 0)
		return run_fail(run, &f);
	if (run->json)
		print_json(run, &result, &state);
	else
		print_text(run, &result, &state);
	if (result.failed == 0)
		return STATUS_DONE;
	run_complain(run, "%s %s could not be read; popkeep verify names what is damaged",
		text_count(result.failed, number), plural(result.failed, "message", "messages"));
	return STATUS_DAMAGED;
}

static const struct option_spec options[] = {
	{"rebuild", 0, NULL, "begin anew, whatever is indexed already"}, {NULL, 0, NULL, NULL}};

const struct command command_index = {
	.name = "index",
	.arguments = "",
	.summary = "read the headers of what was archived, so that search finds it",
	.details = "Headers of mail are read by a helper that can do nothing else; what they say\n"
		   "lies in search/search.db, which can be made again at any time. The service\n"
		   "does it by itself. Archiving goes on meanwhile; after Ctrl-C the same\n"
		   "command goes on.",
	.options = options,
	.everyday = false,
	.needs = NEEDS_FOLDER,
	.function = index_run,
};
