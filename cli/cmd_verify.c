#include "cli/command.h"
#include "cli/json.h"
#include "cli/stop.h"
#include "cli/verify_path.h"
#include "daemon/quantity.h"

#include "archive/check.h"
#include "archive/upkeep.h"

#include <inttypes.h>
#include <limits.h>

struct verifying {
	struct verify *v;
	enum verify_depth depth;
	uint64_t max_ms; /* 0: all at once */
	moment_ms last;	 /* the last whole round that found nothing; 0: none is known */
};

/* ---- What is told -------------------------------------------------------------------------------
 */

static void print_finding_json(struct run *run, const struct damage *d, const char *type)
{
	struct json_line line;
	char hex[DIGEST_HEX + 1], id[SHORT_ID + 1] = "";

	json_line_begin(&line, type);
	if (d->has_message) {
		digest_hex(&d->message, hex);
		memcpy(id, hex, SHORT_ID);
		json_add_text(&line, "id", id);
		json_add_text(&line, "digest", hex);
	}
	if (d->file[0])
		json_add_text(&line, "file", d->file);
	if (d->has_bytes) {
		json_add_count(&line, "from", d->from);
		json_add_count(&line, "to", d->to);
	}
	json_add_text(&line, "text", d->text);
	if (d->advice[0])
		json_add_text(&line, "advice", d->advice);
	json_line_print(&line, &run->out);
}

static void print_finding(struct run *run, const struct damage *d, int kind)
{
	char hex[DIGEST_HEX + 1] = "";

	if (run->json) {
		print_finding_json(run, d, kind == VERIFY_NOTE ? "note" : "damage");
		return;
	}
	progress_clear(&run->progress);
	if (d->has_message)
		digest_hex(&d->message, hex);
	out_format(&run->out, "%s%s%.*s: %s\n", kind == VERIFY_NOTE ? "note" : "damaged",
		d->has_message ? " message " : "", SHORT_ID, hex, d->text);
	if (d->advice[0])
		out_format(&run->out, "  %s\n", d->advice);
}

static const char *depth_name(enum verify_depth depth)
{
	return depth == VERIFY_QUICK ? "quick" : depth == VERIFY_FULL ? "full" : "default";
}

static void print_json(struct run *run, const struct verifying *w)
{
	const struct verify_sums *sums = verify_sums(w->v);
	struct json_line line;
	uint64_t done, all;

	json_line_begin(&line, "summary");
	json_add_count(&line, "messages", sums->messages);
	json_add_count(&line, "segments", sums->segments);
	json_add_count(&line, "bytes", sums->bytes);
	json_add_count(&line, "frames", sums->frames);
	json_add_count(&line, "damaged", sums->damaged);
	json_add_count(&line, "reread", sums->reread);
	json_add_text(&line, "depth", depth_name(w->depth));
	if (w->max_ms > 0) {
		verify_progress(w->v, &done, &all);
		json_add_count(&line, "done", done);
		json_add_count(&line, "all", all);
		json_add_moment(&line, "whole_round", w->last);
	}
	json_line_print(&line, &run->out);
}

/* "41 % of 120 GB since 2026-11-03 04:10" */
static void print_round(struct run *run, const struct verifying *w)
{
	struct scrub round;
	uint64_t done, all;
	char size[TEXT_NUMBER], began[TEXT_MOMENT], last[TEXT_MOMENT];
	bool ends = verify_round(w->v, &round) == VERIFY_ROUND_ENDS;

	if (ends) {
		out_format(&run->out, "with this a whole round has ended that began %s\n",
			text_minute(&run->out, round.began, began));
		return;
	}
	verify_progress(w->v, &done, &all);
	out_format(&run->out, "%" PRIu64 " %% of %s since %s; ",
		all ? (uint64_t)((double)done * 100.0 / (double)all) : 100, text_size(all, size),
		text_minute(&run->out, round.began, began));
	if (w->last)
		out_format(&run->out, "the last whole round without findings ended %s\n",
			text_minute(&run->out, w->last, last));
	else
		out_format(&run->out, "no whole round has ended without findings yet\n");
}

static void print_summary(struct run *run, const struct verifying *w)
{
	static const char *const verb[] = {[VERIFY_QUICK] = "looked over",
		[VERIFY_DEFAULT] = "checked",
		[VERIFY_FULL] = "read and digested"};
	const struct verify_sums *sums = verify_sums(w->v);
	char messages[TEXT_NUMBER], segments[TEXT_NUMBER], size[TEXT_NUMBER], damaged[TEXT_NUMBER];

	progress_clear(&run->progress);
	if (run->json) {
		print_json(run, w);
		return;
	}
	out_format(&run->out, "%s %s (%s) in %s %s %s: ", text_count(sums->messages, messages),
		plural(sums->messages, "message", "messages"), text_size(sums->bytes, size),
		text_count(sums->segments, segments), plural(sums->segments, "segment", "segments"),
		verb[w->depth]);
	if (sums->damaged)
		out_format(&run->out, "%s damaged\n", text_count(sums->damaged, damaged));
	else
		out_format(&run->out, "all is as it was kept\n");
	if (sums->reread)
		out_format(&run->out,
			"%s read wrong once and right the second time: look at this machine\n",
			text_count(sums->reread, damaged));
	if (w->max_ms > 0)
		print_round(run, w);
}

/* ---- What is remembered -------------------------------------------------------------------------
 */

static int put_round(struct run *run, const struct verifying *w, struct fault *f)
{
	struct store *s CLEANUP(store_closep) = NULL;
	struct scrub round;
	struct fault found;
	bool ends = verify_round(w->v, &round) == VERIFY_ROUND_ENDS;

	if (store_open(run->folder, run->cache_dir, STORE_WRITE, &s, f) < 0)
		return -1;
	if (w->max_ms > 0 && store_put_scrub(s, w->depth, ends ? NULL : &round, f) < 0)
		return -1;
	if (!ends && verify_sums(w->v)->damaged == 0)
		return 0; /* nothing new */
	fault_record(&found, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
		"%" PRIu64 " damaged; run `popkeep verify`", round.damaged);
	return store_put_upkeep(s, UPKEEP_VERIFY, round.damaged ? &found : NULL, f);
}

/* A run that does all at once tells `status` only where one asks it to know: it is to read, and may
 * be run where nothing can be written. */
static void remember(struct run *run, const struct verifying *w)
{
	struct upkeep before;
	struct fault f;

	if (w->depth == VERIFY_QUICK && w->max_ms == 0)
		return;
	if (w->max_ms == 0 &&
		(store_get_upkeep(run->store, UPKEEP_VERIFY, &before, &f) < 0 || before.tried == 0))
		return;
	if (put_round(run, w, &f) == 0)
		return;
	if (w->max_ms > 0)
		run_complain(run, "%s; the next run begins from the start again", f.text);
	else
		run_note(run, "status does not learn of this: %s", f.text);
}

static int go_on(struct run *run, struct verifying *w, struct fault *f)
{
	struct scrub round;
	struct upkeep before;

	if (w->max_ms == 0)
		return 0;
	if (store_get_scrub(run->store, w->depth, &round, f) < 0 ||
		store_get_upkeep(run->store, UPKEEP_VERIFY, &before, f) < 0)
		return -1;
	w->last = before.succeeded;
	verify_go_on(w->v, &round, w->max_ms < INT64_MAX ? (int64_t)w->max_ms : INT64_MAX);
	return 0;
}

/* ---- The command --------------------------------------------------------------------------------
 */

static void draw(struct run *run, const struct verify *v)
{
	struct progress_state state = {.label = "verifying"};

	verify_progress(v, &state.done, &state.all);
	progress_update(&run->progress, &state);
}

static int parse(struct run *run, struct verifying *w)
{
	const char *duration = option_value(&run->arguments, "max-duration");
	bool quick = option_given(&run->arguments, "quick");
	bool full = option_given(&run->arguments, "full");

	if (quick && full)
		return run_usage(run, "--quick and --full exclude each other");
	w->depth = quick ? VERIFY_QUICK : full ? VERIFY_FULL : VERIFY_DEFAULT;
	if (duration && (quantity_duration(duration, &w->max_ms) != 0 || w->max_ms == 0))
		return run_usage(run, "--max-duration takes a time as 10m or 2h");
	if (duration && operands_n(&run->arguments) != 0)
		return run_usage(
			run, "of another path nothing is remembered: it is checked at once");
	return 0;
}

static int check(struct run *run, struct verifying *w)
{
	struct damage damage;
	struct fault f;
	int r;

	stop_catch_signals();
	progress_begin(&run->progress);
	while ((r = verify_step(w->v, &damage, &f)) > 0) {
		if (r != VERIFY_MORE)
			print_finding(run, &damage, r);
		draw(run, w->v);
		if (stop_requested() || out_is_over(&run->out)) {
			if (w->max_ms > 0)
				remember(run, w);
			run_complain(run, "stopped before all was checked");
			return verify_sums(w->v)->damaged ? STATUS_DAMAGED : STATUS_FAILED;
		}
	}
	if (r < 0)
		return run_fail(run, &f);
	remember(run, w);
	print_summary(run, w);
	return verify_sums(w->v)->damaged  ? STATUS_DAMAGED
	       : verify_sums(w->v)->reread ? STATUS_PARTLY
					   : STATUS_DONE;
}

static int verify_store(struct run *run)
{
	struct verifying w = {0};
	struct fault f;
	int status = parse(run, &w);

	if (status != 0)
		return status;
	if (verify_open(run->store, w.depth, &w.v, &f) < 0 || go_on(run, &w, &f) < 0)
		status = run_fail(run, &f);
	else
		status = check(run, &w);
	verify_closep(&w.v);
	return status;
}

static int verify_run(struct run *run)
{
	return verify_path_run(run, verify_store);
}

static const struct option_spec options[] = {
	{"quick", 0, NULL, "the ledger's tree, sizes and positions; no segment is read"},
	{"full", 0, NULL, "every message is put together and its digest compared"},
	{"max-duration", 0, "AGE", "stop after so long (10m, 2h), and go on there the next time"},
	{NULL, 0, NULL, NULL},
};

const struct command command_verify = {
	.name = "verify",
	.arguments = "[PATH]",
	.summary = "check that everything is as it was kept",
	.details =
		"Every byte of every segment is read. Names the files and messages that are hit; "
		"exit status 4 when something is damaged.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = verify_run,
};
