#include "cli/command.h"
#include "cli/export_format.h"
#include "cli/json.h"
#include "cli/message_list.h"
#include "cli/query.h"
#include "cli/stop.h"

#include "archive/escape.h"
#include "archive/limits.h"

struct export
{
	struct run *run;
	struct export_target *to;
	uint64_t messages, bytes; /* written by this run */
	uint64_t present;	  /* written by an earlier one */
	uint64_t damaged, failed;
	uint64_t done_bytes, all_bytes, all;
};

static void export_deinit(struct export *x)
{
	export_target_closep(&x->to);
}

static void draw(struct export *x, const struct message *m)
{
	x->done_bytes += m->size_bytes;
	const struct progress_state state = {.label = "exporting",
		.done = x->done_bytes,
		.all = x->all_bytes,
		.items = x->messages + x->present + x->damaged + x->failed,
		.items_all = x->all};

	progress_update(&x->run->progress, &state);
}

/* <0: nothing more can be written. */
static int export_one(struct export *x, const struct message *m, struct fault *f)
{
	char **accounts = NULL, id[SHORT_ID + 1];
	int r = find_accounts(x->run->store, m, &accounts, f);

	if (r == 0)
		r = x->to->format->add(x->to, x->run->store, m, accounts, f);
	names_free(accounts);
	if (r == EXPORT_PRESENT) {
		x->present++;
		return 0;
	}
	if (r == 0) {
		x->messages++;
		x->bytes += m->size_bytes;
		return 0;
	}
	if (f->code != FAULT_DAMAGE && f->scope != SCOPE_MESSAGE)
		return -1;
	if (f->code == FAULT_DAMAGE) {
		run_complain(x->run, "not exported: %s", f->text);
		x->damaged++;
		return 0;
	}
	message_short_id(m, id);
	run_complain(x->run, "not exported: message %s: %s", id, f->text);
	x->failed++;
	return 0;
}

/* 1 when it was stopped. */
static int export_all(struct export *x, const struct condition *wanted, struct fault *f)
{
	static const struct find_options order = {FIND_BY_PLACE, 0};
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	int r;

	if (find_count(x->run->store, wanted, &x->all, &x->all_bytes, f) < 0 ||
		find_open(x->run->store, wanted, &order, &c, f) < 0)
		return -1;
	progress_begin(&x->run->progress);
	while ((r = find_next(c, &m, f)) == FIND_ROW) {
		if (export_one(x, &m, f) < 0)
			return -1;
		draw(x, &m);
		if (stop_requested())
			return 1;
	}
	return r;
}

static void print_summary(struct export *x, const char *path)
{
	struct output *o = &x->run->out;
	struct json_line line;
	char messages[TEXT_NUMBER], size[TEXT_NUMBER];

	progress_clear(&x->run->progress);
	if (x->run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "messages", x->messages);
		json_add_count(&line, "bytes", x->bytes);
		json_add_count(&line, "present", x->present);
		json_add_count(&line, "damaged", x->damaged);
		json_add_count(&line, "failed", x->failed);
		json_add_text(&line, "output", path);
		json_line_print(&line, o);
		return;
	}
	out_format(o, "%s %s (%s) written to ", text_count(x->messages, messages),
		plural(x->messages, "message", "messages"), text_size(x->bytes, size));
	out_escaped(o, slice_text(path));
	if (x->present)
		out_format(o, "; %s were there already", text_count(x->present, messages));
	out_format(o, "\n");
}

static int finish(struct export *x, const char *path, int r, struct fault *f)
{
	struct fault sync;
	int status = r < 0 ? run_fail(x->run, f) : STATUS_DONE;

	if (x->to->format->finish(x->to, r == 0 ? EXPORT_WHOLE : EXPORT_STOPPED, &sync) < 0)
		status = run_fail(x->run, &sync);
	print_summary(x, path);
	if (r == 1)
		run_complain(x->run, "stopped; the same command goes on from here");
	if (status != STATUS_DONE || r == 1)
		return status != STATUS_DONE ? status : STATUS_FAILED;
	if (x->failed)
		return STATUS_PARTLY;
	return x->damaged ? STATUS_DAMAGED : STATUS_DONE;
}

/* Of what this is an export. */
static int describe(const struct run *run, const struct export_format *format,
	const struct query *q, struct buffer *to, struct fault *f)
{
	if (buffer_append_format(to, f, "popkeep export 1\narchive %s\n%smessages%s%s\n",
		    store_id(run->store), format->origin, q->canonical[0] ? " " : "",
		    q->canonical) < 0)
		return -1;
	return buffer_text(to) ? 0 : fault_memory(f);
}

/* NULL: it was said why not. */
static const struct export_format *chosen_format(struct run *run)
{
	const char *name = option_value(&run->arguments, "format");
	const char *path = option_value(&run->arguments, "output");
	const struct export_format *format = name ? export_format_named(name) : NULL;
	char text[32];

	if (!name || !path || !path[0])
		(void)run_usage(run, "export needs --format and --output");
	else if (!format)
		(void)run_usage(run, "--format %s: known are eml, mboxrd and maildir",
			escape_text(slice_text(name), text, sizeof text));
	return path && path[0] ? format : NULL;
}

static int export_run(struct run *run)
{
	struct export x CLEANUP(export_deinit) = {.run = run};
	struct buffer origin CLEANUP(buffer_deinit) = buffer_make(4 * KIB);
	const struct export_format *format = chosen_format(run);
	const char *path = option_value(&run->arguments, "output");
	uint64_t messages = 0, bytes;
	struct query q CLEANUP(query_deinit) = {0};
	struct fault f;

	if (!format)
		return STATUS_USAGE;
	if (query_begin(run, &q) != STATUS_DONE)
		return STATUS_USAGE;
	if (find_count(run->store, q.wanted, &messages, &bytes, &f) < 0)
		return run_fail(run, &f);
	if (messages == 0) {
		run_complain(run, "no message matches; nothing was written");
		return STATUS_NOTHING;
	}
	if (describe(run, format, &q, &origin, &f) < 0 ||
		format->open(path, buffer_text(&origin), &x.to, &f) < 0)
		return run_fail(run, &f);
	if (x.to->earlier)
		run_note(run, "going on with an earlier export");
	stop_catch_signals();
	int r = export_all(&x, q.wanted, &f);
	return finish(&x, path, r, &f);
}

static const struct option_spec options[] = {
	QUERY_OPTIONS,
	{"format", 0, "FORMAT", "eml: a file for each message; mboxrd: one file; maildir"},
	{"output", 0, "PATH", "new, or an unfinished one of the same export, which goes on"},
	{NULL, 0, NULL, NULL},
};

const struct command command_export = {
	.name = "export",
	.arguments = "[QUERY...]",
	.summary = "write messages as files, with a manifest",
	.details = QUERY_DETAILS
	"\n\n"
	"eml and maildir write a file for each message into a folder, of its exact bytes;\n"
	"mboxrd writes all into one file, with LF at the end of lines. Each message is\n"
	"checked against its digest and has a line in a manifest.jsonl, with which the\n"
	"exact bytes can be had back from mboxrd too. No file is ever overwritten.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_ARCHIVE,
	.function = export_run,
};
