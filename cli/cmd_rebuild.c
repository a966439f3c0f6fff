#include "cli/command.h"
#include "cli/json.h"

#include "archive/check.h"

static int draw(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
	struct run *run = (struct run *)context;
	struct progress_state state = {.label = "rebuilding", .done = done_bytes, .all = all_bytes};

	progress_update(&run->progress, &state);
	return 0;
}

static void print_sums(struct run *run, const struct rebuild_sums *sums)
{
	struct json_line line;
	char lines[TEXT_NUMBER], messages[TEXT_NUMBER];

	progress_clear(&run->progress);
	if (run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "ledger_lines", sums->ledger_lines);
		json_add_count(&line, "messages", sums->messages);
		json_add_count(&line, "missing", sums->missing);
		json_add_count(&line, "passed_over", sums->passed_over);
		json_line_print(&line, &run->out);
		return;
	}
	out_format(&run->out, "made catalog.db again from %s ledger lines: %s messages\n",
		text_count(sums->ledger_lines, lines), text_count(sums->messages, messages));
}

/* What was lost already, before the databases were made again. */
static int say_damage(struct run *run, const struct rebuild_sums *sums)
{
	char number[TEXT_NUMBER];

	if (sums->missing)
		run_complain(run,
			"%s of them %s not whole in any segment; popkeep verify names them",
			text_count(sums->missing, number), plural(sums->missing, "is", "are"));
	if (sums->passed_over)
		run_complain(run, "%s damaged ledger %s passed over; popkeep verify tells where",
			text_count(sums->passed_over, number),
			plural(sums->passed_over, "line was", "lines were"));
	return sums->missing || sums->passed_over ? STATUS_DAMAGED : STATUS_DONE;
}

static int rebuild_run(struct run *run)
{
	struct rebuild_sums sums;
	struct fault f;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "rebuild takes no arguments; -C names the archive");
	if (store_become_owner(run->folder, &f) < 0)
		return run_fail(run, &f);
	progress_begin(&run->progress);
	if (store_rebuild(run->folder, run->cache_dir, draw, run, &sums, &f) < 0)
		return run_fail(run, &f);
	print_sums(run, &sums);
	return say_damage(run, &sums);
}

static const struct option_spec options[] = {{NULL, 0, NULL, NULL}};

const struct command command_rebuild = {
	.name = "rebuild",
	.arguments = "",
	.summary = "make the databases again from segments and ledger",
	.details = "Nothing but the databases is written, and they are put in place whole.",
	.options = options,
	.everyday = false,
	.needs = NEEDS_FOLDER,
	.function = rebuild_run,
};
