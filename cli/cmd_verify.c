#include "cli/command.h"
#include "cli/json.h"
#include "cli/stop.h"
#include "cli/verify_path.h"

#include "archive/check.h"

static void print_damage(struct run *run, const struct damage *d)
{
	struct json_line line;
	char hex[DIGEST_HEX + 1] = "", id[SHORT_ID + 1] = "";

	if (d->has_message) {
		digest_hex(&d->message, hex);
		memcpy(id, hex, SHORT_ID);
	}
	if (!run->json) {
		progress_clear(&run->progress);
		out_format(&run->out, "damaged%s%s: %s\n", d->has_message ? " message " : "", id,
			d->text);
		return;
	}
	json_line_begin(&line, "damage");
	if (d->has_message) {
		json_add_text(&line, "id", id);
		json_add_text(&line, "digest", hex);
	}
	json_add_text(&line, "text", d->text);
	json_line_print(&line, &run->out);
}

static void print_summary(struct run *run, const struct verify_sums *sums, bool quick)
{
	struct json_line line;
	char messages[TEXT_NUMBER], segments[TEXT_NUMBER], size[TEXT_NUMBER], damaged[TEXT_NUMBER];

	progress_clear(&run->progress);
	if (run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "messages", sums->messages);
		json_add_count(&line, "segments", sums->segments);
		json_add_count(&line, "bytes", sums->bytes);
		json_add_count(&line, "damaged", sums->damaged);
		json_add_text(&line, "depth", quick ? "quick" : "full");
		json_line_print(&line, &run->out);
		return;
	}
	out_format(&run->out, "%s %s (%s) in %s %s %s: ", text_count(sums->messages, messages),
		plural(sums->messages, "message", "messages"), text_size(sums->bytes, size),
		text_count(sums->segments, segments), plural(sums->segments, "segment", "segments"),
		quick ? "looked over" : "read and digested");
	if (sums->damaged)
		out_format(&run->out, "%s damaged\n", text_count(sums->damaged, damaged));
	else
		out_format(&run->out, "all is as it was kept\n");
}

static void draw(struct run *run, const struct verify *v)
{
	struct progress_state state = {.label = "verifying"};

	verify_progress(v, &state.done, &state.all);
	progress_update(&run->progress, &state);
}

static int verify_store(struct run *run)
{
	bool quick = option_given(&run->arguments, "quick");
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage damage;
	struct fault f;
	int r;

	if (quick && option_given(&run->arguments, "full"))
		return run_usage(run, "--quick and --full exclude each other");
	if (verify_open(run->store, quick ? VERIFY_QUICK : VERIFY_FULL, &v, &f) < 0)
		return run_fail(run, &f);
	stop_catch_signals();
	progress_begin(&run->progress);
	while ((r = verify_step(v, &damage, &f)) > 0) {
		if (r == VERIFY_DAMAGE)
			print_damage(run, &damage);
		draw(run, v);
		if (stop_requested() || out_is_over(&run->out)) {
			run_complain(run, "stopped before all was checked");
			return verify_sums(v)->damaged ? STATUS_DAMAGED : STATUS_FAILED;
		}
	}
	if (r < 0)
		return run_fail(run, &f);
	print_summary(run, verify_sums(v), quick);
	return verify_sums(v)->damaged ? STATUS_DAMAGED : STATUS_DONE;
}

static int verify_run(struct run *run)
{
	return verify_path_run(run, verify_store);
}

static const struct option_spec options[] = {
	{"quick", 0, NULL, "the ledger's tree, sizes and positions; no message is read"},
	{"full", 0, NULL, "every message is read and its digest compared (the default)"},
	{NULL, 0, NULL, NULL},
};

const struct command command_verify = {
	.name = "verify",
	.arguments = "[PATH]",
	.summary = "check that everything is as it was kept",
	.details = "Names the messages that are hit; exit status 4 when something is damaged.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = verify_run,
};
