#include "cli/command.h"
#include "cli/export_format.h"
#include "cli/json.h"
#include "cli/message_list.h"
#include "cli/query.h"
#include "cli/stop.h"
#include "daemon/quantity.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "archive/record.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

struct export
{
	struct run *run;
	struct export_target *to;
	uint64_t messages, bytes; /* written by this run */
	uint64_t present;	  /* written by an earlier one */
	struct export_left left;
	uint64_t done_bytes, all_bytes, all;
	enum { NOT_WHOLE, NOT_RECORDED, RECORDED } state; /* RECORDED: in the ledger */
	struct digest manifest;				  /* unless NOT_WHOLE */
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
		.items = x->messages + x->present + x->left.damaged + x->left.failed,
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
		x->left.damaged++;
		return 0;
	}
	message_short_id(m, id);
	run_complain(x->run, "not exported: message %s: %s", id, f->text);
	x->left.failed++;
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

/* ---- The ledger -------------------------------------------------------------------------------
 */

/* What the ledger calls the target: a path that means the same from any folder. */
static int absolute_path(const char *path, char **ret, struct fault *f)
{
	char here[PATH_MAX];

	if (path[0] == '/')
		*ret = strdup(path);
	else if (!getcwd(here, sizeof here))
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "where is this");
	else if (asprintf(ret, "%s/%s", here, path) < 0)
		*ret = NULL;
	return *ret ? 0 : fault_memory(f);
}

static int record(struct export *x, const struct export_job *job, struct fault *f)
{
	struct store *s CLEANUP(store_closep) = NULL;
	char *target CLEANUP(freep) = NULL;
	const struct export_totals *totals = &x->to->totals;

	if (absolute_path(job->path, &target, f) < 0 ||
		store_open(x->run->folder, x->run->cache_dir, STORE_WRITE, &s, f) < 0)
		return -1;
	const struct record r = {.kind = RECORD_EXPORT,
		.query = slice_text(job->query),
		.target = slice_text(target),
		.format = slice_text(x->to->format->name),
		.messages = totals->messages,
		.bytes = totals->bytes,
		.failed = x->left.damaged + x->left.failed,
		.manifest = &x->manifest};
	return store_record(s, &r, f);
}

/* An archive that nobody can write, as a copy on a medium, gives out its mail all the same. Returns
 * the exit status. */
static int record_or_say(struct export *x, const struct export_job *job)
{
	struct fault f;

	if (record(x, job, &f) == 0) {
		x->state = RECORDED;
		return STATUS_DONE;
	}
	if (f.error == EROFS) {
		run_note(x->run, "the archive is read-only: its ledger does not learn of this");
		return STATUS_DONE;
	}
	run_complain(x->run, "the ledger does not learn of this export: %s", f.text);
	return STATUS_PARTLY;
}

/* ---- The end ----------------------------------------------------------------------------------
 */

static void print_json(struct export *x, const struct export_job *job)
{
	struct json_line line;
	char hex[DIGEST_HEX + 1];

	json_line_begin(&line, "summary");
	json_add_count(&line, "messages", x->messages);
	json_add_count(&line, "bytes", x->bytes);
	json_add_count(&line, "present", x->present);
	json_add_count(&line, "damaged", x->left.damaged);
	json_add_count(&line, "failed", x->left.failed);
	if (x->left.unindexed)
		json_add_count(&line, "not_indexed", x->left.unindexed);
	json_add_text(&line, "output", job->path);
	json_add_text(&line, "format", x->to->format->name);
	json_add_count(&line, "all_messages", x->to->totals.messages);
	json_add_count(&line, "all_bytes", x->to->totals.bytes);
	json_add_flag(&line, "recorded", x->state == RECORDED);
	if (x->state != NOT_WHOLE) {
		digest_hex(&x->manifest, hex);
		json_add_text(&line, "manifest", hex);
	}
	json_line_print(&line, &x->run->out);
}

static void print_summary(struct export *x, const struct export_job *job)
{
	struct output *o = &x->run->out;
	char messages[TEXT_NUMBER], size[TEXT_NUMBER];

	progress_clear(&x->run->progress);
	if (x->run->json) {
		print_json(x, job);
		return;
	}
	out_format(o, "%s %s (%s) written to ", text_count(x->messages, messages),
		plural(x->messages, "message", "messages"), text_size(x->bytes, size));
	out_escaped(o, slice_text(job->path));
	if (x->present)
		out_format(o, "; %s were there already", text_count(x->present, messages));
	out_format(o, "\n");
}

/* Whole, in the ledger, and under its name. Returns the exit status. */
static int complete(struct export *x, const struct export_job *job)
{
	const struct export_format *format = x->to->format;
	int status = STATUS_DONE;
	struct fault f;

	int r = format->finish(x->to, &x->left, &x->manifest, &f);
	if (r < 0)
		return run_fail(x->run, &f);
	x->state = r == EXPORT_PRESENT ? RECORDED : NOT_RECORDED;
	if (r == EXPORT_PRESENT)
		run_detail(x->run, "an earlier run ended it, and nothing came since");
	else
		status = record_or_say(x, job);
	if (r == 0 && format->publish(x->to, &f) < 0)
		return run_fail(x->run, &f);
	if (x->left.failed)
		return STATUS_PARTLY;
	return x->left.damaged ? STATUS_DAMAGED : status;
}

/* r: 0 all were gone through, 1 it was stopped, <0 *f says why it ends. */
static int finish(struct export *x, const struct export_job *job, int r, struct fault *f)
{
	struct fault more;
	int status = r < 0 ? run_fail(x->run, f) : STATUS_DONE;

	if (r == 0)
		status = complete(x, job);
	else if (x->to->format->stop(x->to, &more) < 0)
		status = run_fail(x->run, &more);
	print_summary(x, job);
	if (r == 1)
		run_complain(x->run, "stopped; the same command goes on from here");
	return r == 1 && status == STATUS_DONE ? STATUS_FAILED : status;
}

/* ---- The command ------------------------------------------------------------------------------
 */

/* Of what this is an export. */
static int describe(const struct run *run, const struct export_format *format,
	const struct query *q, uint64_t split, struct buffer *to, struct fault *f)
{
	if (buffer_append_format(to, f, "popkeep export 1\narchive %s\n%s", store_id(run->store),
		    format->origin) < 0)
		return -1;
	if (split && buffer_append_format(to, f, "split %" PRIu64 "\n", split) < 0)
		return -1;
	if (buffer_append_format(
		    to, f, "messages%s%s\n", q->canonical[0] ? " " : "", q->canonical) < 0)
		return -1;
	return buffer_text(to) ? 0 : fault_memory(f);
}

/* NULL: it was said why not. */
static const struct export_format *chosen_format(struct run *run, uint64_t *ret_split)
{
	const char *name = option_value(&run->arguments, "format");
	const char *path = option_value(&run->arguments, "output");
	const char *split = option_value(&run->arguments, "split");
	const struct export_format *format = name ? export_format_named(name) : NULL;
	char text[32];

	*ret_split = 0;
	if (!name || !path || !path[0]) {
		(void)run_usage(run, "export needs --format and --output");
		return NULL;
	}
	if (!format) {
		(void)run_usage(run,
			"--format %s: known are eml, maildir, mboxrd, tar, tar.zst and zip",
			escape_text(slice_text(name), text, sizeof text));
		return NULL;
	}
	if (split && format->splits == EXPORT_NO_SPLIT) {
		(void)run_usage(
			run, "--split is for formats of one file: mboxrd, tar, tar.zst, zip");
		return NULL;
	}
	if (split && (quantity_size(split, ret_split) != 0 || *ret_split < LIMIT_EXPORT_SPLIT)) {
		(void)run_usage(run, "--split takes a size as 2G or 700M, at least 64K");
		return NULL;
	}
	return format;
}

/* That run was killed between giving it its name and saying so. */
static int tell_ended(struct export *x, const struct export_job *job)
{
	char shown[256], n[TEXT_NUMBER];
	uint64_t written = x->to->totals.messages;
	struct fault f;

	x->present = written;
	if (x->to->format->finish(x->to, &x->left, &x->manifest, &f) < 0)
		return run_fail(x->run, &f);
	x->state = RECORDED; /* before it got its name */
	(void)escape_text(slice_text(job->path), shown, sizeof shown);
	print_summary(x, job);
	run_note(x->run, "an earlier run ended this export; popkeep verify %s checks it", shown);
	if (job->expected <= written)
		return STATUS_DONE;
	run_complain(x->run,
		"%s more %s now, or could not be written then; name a new file for an export with "
		"them",
		text_count(job->expected - written, n),
		plural(job->expected - written, "message matches", "messages match"));
	return STATUS_PARTLY;
}

static int export_to(struct export *x, const struct export_format *format,
	const struct export_job *job, const struct condition *wanted)
{
	struct fault f;

	int opened = format->open(job, &x->to, &f);
	if (opened < 0)
		return run_fail(x->run, &f);
	if (opened == EXPORT_PRESENT)
		return tell_ended(x, job);
	if (x->to->earlier)
		run_note(x->run, "going on with an earlier export");
	stop_catch_signals();
	int r = export_all(x, wanted, &f);
	return finish(x, job, r, &f);
}

static int export_run(struct run *run)
{
	struct export x CLEANUP(export_deinit) = {.run = run};
	struct buffer origin CLEANUP(buffer_deinit) = buffer_make(4 * KIB);
	struct query q CLEANUP(query_deinit) = {0};
	char *archive CLEANUP(freep) = NULL;
	uint64_t split, bytes;
	const struct export_format *format = chosen_format(run, &split);
	struct export_job job = {.path = option_value(&run->arguments, "output"),
		.archive = run->folder,
		.archive_id = store_id(run->store),
		.out = &run->out,
		.split = split};
	struct fault f;

	if (!format)
		return STATUS_USAGE;
	if (query_begin(run, &q) != STATUS_DONE)
		return STATUS_USAGE;
	int ready = query_ready(run, &q, QUERY_ALL);
	if (ready != STATUS_DONE)
		return ready;
	if (find_unindexed(run->store, q.wanted, &x.left.unindexed, &f) < 0 ||
		find_count(run->store, q.wanted, &job.expected, &bytes, &f) < 0)
		return run_fail(run, &f);
	if (job.expected == 0) {
		run_complain(run, "no message matches; nothing was written");
		return STATUS_NOTHING;
	}
	if (describe(run, format, &q, split, &origin, &f) < 0)
		return run_fail(run, &f);
	archive = realpath(run->folder, NULL);
	if (archive)
		job.archive = archive;
	job.origin = buffer_text(&origin);
	job.query = q.canonical;
	return export_to(&x, format, &job, q.wanted);
}

static const struct option_spec options[] = {
	QUERY_OPTIONS,
	QUERY_ACCEPT_OPTION,
	{"format", 0, "FORMAT",
		"eml, maildir: files in a folder; mboxrd, tar, tar.zst, zip: one file"},
	{"output", 0, "PATH", "new, or an unfinished one of the same export, which goes on"},
	{"split", 0, "SIZE", "files of this size at most (2G), NAME-0001 and so on"},
	{NULL, 0, NULL, NULL},
};

const struct command command_export = {
	.name = "export",
	.arguments = "[QUERY...]",
	.summary = "write messages as files, with a manifest",
	.details = QUERY_DETAILS
	"\n\n"
	"eml and maildir write a file for each message into a folder, of its exact bytes;\n"
	"tar, tar.zst and zip put such files into one; mboxrd writes all into one file,\n"
	"with LF at the end of lines. Each message is checked against its digest and has a\n"
	"line in a manifest.jsonl, with which the exact bytes can be had back from mboxrd\n"
	"too; SHA256SUMS and a summary.txt are there as well, and `popkeep verify PATH`\n"
	"checks it all. No file is ever overwritten.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_ARCHIVE,
	.function = export_run,
};
