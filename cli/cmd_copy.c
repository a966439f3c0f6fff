#include "cli/command.h"
#include "cli/json.h"
#include "cli/stop.h"

#include "archive/copy.h"
#include "archive/escape.h"

#include <limits.h>

static int draw(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
	struct run *run = (struct run *)context;
	struct progress_state state = {.label = "copying", .done = done_bytes, .all = all_bytes};

	progress_update(&run->progress, &state);
	return stop_requested() || out_is_over(&run->out);
}

static const char *deed_name(enum copy_deed deed)
{
	switch (deed) {
	case COPY_MADE:
		return "copied";
	case COPY_GREW:
		return "grew";
	case COPY_MENDED:
		return "mended";
	case COPY_REMOVED:
		return "removed";
	case COPY_SET_ASIDE:
		return "set-aside";
	}
	return "";
}

static void tell_file(void *context, enum copy_deed deed, const char *path, uint64_t bytes)
{
	struct run *run = (struct run *)context;
	struct json_line line;
	char size[TEXT_NUMBER];

	if (run->json) {
		json_line_begin(&line, "file");
		json_add_text(&line, "path", path);
		json_add_text(&line, "done", deed_name(deed));
		json_add_count(&line, "bytes", bytes);
		json_line_print(&line, &run->out);
		return;
	}
	if (deed == COPY_MENDED)
		run_note(run,
			"%s was not in the copy as it is in the archive, and was copied again",
			path);
	else if (deed == COPY_SET_ASIDE)
		run_note(run,
			"%s was replaced by popkeep salvage; the copy keeps its own under a name "
			"that ends in .damaged, as it may hold whole what the archive lost",
			path);
	else
		run_detail(run, "%s: %s, %s", path, deed_name(deed), text_size(bytes, size));
}

static void print_sums(struct run *run, const char *target, const struct copy_sums *sums)
{
	struct json_line line;
	char a[TEXT_NUMBER], b[TEXT_NUMBER], shown[PATH_MAX];

	progress_clear(&run->progress);
	if (run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "segments", sums->segments);
		json_add_count(&line, "ledger_files", sums->ledger_files);
		json_add_count(&line, "copied", sums->copied);
		json_add_count(&line, "copied_bytes", sums->copied_bytes);
		json_add_count(&line, "mended", sums->mended);
		json_add_count(&line, "removed", sums->removed);
		json_add_count(&line, "verified_bytes", sums->verified_bytes);
		json_line_print(&line, &run->out);
		return;
	}
	(void)escape_text(slice_text(target), shown, sizeof shown);
	out_format(&run->out, "%s holds the archive: %s %s", shown, text_count(sums->segments, a),
		plural(sums->segments, "segment", "segments"));
	out_format(&run->out, " and %s ledger %s\n", text_count(sums->ledger_files, a),
		plural(sums->ledger_files, "file", "files"));
	if (sums->copied == 0)
		out_format(&run->out, "nothing was new");
	else
		out_format(&run->out, "copied now: %s %s, %s", text_count(sums->copied, a),
			plural(sums->copied, "file", "files"), text_size(sums->copied_bytes, b));
	out_format(&run->out, "; read back and compared: %s\n", text_size(sums->verified_bytes, a));
	if (sums->removed)
		out_format(&run->out, "removed: %s %s that others replaced\n",
			text_count(sums->removed, a), plural(sums->removed, "segment", "segments"));
	run_note(run, "to use it, popkeep -C %s rebuild makes its databases", shown);
}

static void tell_notices(struct run *run)
{
	char *notice;

	while ((notice = store_take_notice(run->store))) {
		run_note(run, "%s", notice);
		free(notice);
	}
}

static int copy_run(struct run *run)
{
	const struct copy_watch watch = {draw, tell_file, run};
	struct copy_sums sums;
	struct fault f;

	if (operands_n(&run->arguments) != 1)
		return run_usage(run, "copy takes the folder to copy to");
	const char *target = operands(&run->arguments)[0];
	if (!target[0])
		return run_usage(run, "the folder's name is empty");
	if (store_become_owner(run->folder, &f) < 0 ||
		store_open(run->folder, run->cache_dir, STORE_WRITE, &run->store, &f) < 0)
		return run_fail(run, &f);
	stop_catch_signals();
	progress_begin(&run->progress);
	int r = store_copy(run->store, target,
		option_given(&run->arguments, "full") ? COPY_FULL : COPY_NEW, &watch, &sums, &f);
	tell_notices(run);
	if (r < 0)
		return run_fail(run, &f);
	print_sums(run, target, &sums);
	return STATUS_DONE;
}

static const struct option_spec options[] = {
	{"full", 0, NULL, "read and compare what was copied before, too"},
	{NULL, 0, NULL, NULL},
};

const struct command command_copy = {
	.name = "copy",
	.arguments = "DIR",
	.summary = "bring a verified copy of the archive up to date, while the service runs",
	.details =
		"DIR is empty, or an earlier copy: then only what is new is copied. Interrupted, "
		"the same\ncommand goes on. The databases are left out: popkeep -C DIR rebuild "
		"makes them.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = copy_run,
};
