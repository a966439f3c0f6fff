#include "cli/chosen.h"
#include "cli/command.h"
#include "cli/indexing.h"
#include "cli/query.h"
#include "cli/restore_folder.h"
#include "cli/restore_report.h"
#include "cli/restore_target.h"
#include "cli/stop.h"

#include "archive/decimal.h"
#include "archive/escape.h"
#include "archive/index.h"
#include "archive/limits.h"
#include "archive/record.h"

enum { CONNECTIONS = 4 };

struct restore {
	struct run *run;
	struct query query;
	struct restore_target target;
	struct restore_order order;
	struct secret secret;
	char *journal;
};

static void restore_deinit(struct restore *x)
{
	query_deinit(&x->query);
	restore_target_deinit(&x->target);
	secret_deinit(&x->secret);
	free(x->journal);
}

/* ---- The command line ------------------------------------------------------------------------ */

static int read_flags(struct restore *x, struct fault *f)
{
	const char *value = option_value(&x->run->arguments, "flags");
	char text[32];

	x->order.rules.flags = FLAGS_KNOWN;
	if (!value || strcmp(value, "known") == 0)
		return 0;
	if (strcmp(value, "seen") == 0)
		x->order.rules.flags = FLAGS_SEEN;
	else if (strcmp(value, "none") == 0)
		x->order.rules.flags = FLAGS_NONE;
	else
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"--flags %s: known are seen, none and known",
			escape_text(slice_text(value), text, sizeof text));
	return 0;
}

static int read_connections(struct restore *x, struct fault *f)
{
	const char *value = option_value(&x->run->arguments, "connections");
	uint64_t n = CONNECTIONS;

	if (value &&
		(!decimal_parse(slice_text(value), &n) || n == 0 || n > LIMIT_RESTORE_CONNECTIONS))
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0, "--connections: 1 to %d",
			LIMIT_RESTORE_CONNECTIONS);
	x->order.connections = (unsigned)n;
	return 0;
}

/* Without a folder anywhere, mail goes back to where an import knew it to be. */
static int read_folder(struct restore *x, struct fault *f)
{
	const char *value = option_value(&x->run->arguments, "folder");

	if (value && folder_template_check(value, f) < 0)
		return -1;
	x->order.rules.root = x->target.folder;
	x->order.rules.template = value ? value : x->target.folder ? NULL : "{folder}";
	return 0;
}

static int read_arguments(struct restore *x, struct fault *f)
{
	const struct arguments *a = &x->run->arguments;
	const char *to = option_value(a, "to");

	if (!to)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"restore needs --to imaps://user@host/Folder, or --to maildir:PATH");
	if (restore_target_read(&x->target, to, NULL, a, f) < 0 || read_flags(x, f) < 0 ||
		read_connections(x, f) < 0 || read_folder(x, f) < 0)
		return -1;
	x->order.target = x->target.place;
	x->order.maildir = x->target.maildir;
	x->order.account = &x->target.account;
	x->order.look_only = option_given(a, "dry-run");
	return 0;
}

/* ---- Doing it -------------------------------------------------------------------------------- */

static int read_secret(struct restore *x, struct fault *f)
{
	const struct account *a = &x->target.account;

	if (x->target.maildir)
		return 0;
	if (a->tls == TLS_NONE)
		run_note(x->run, "WITHOUT TLS: anybody on the way can read the mail and may learn "
				 "the password");
	x->order.secret = &x->secret;
	return secret_is_needed(a) ? secret_read(a, &x->secret, f) : 0;
}

static int open_archive(struct restore *x, struct fault *f)
{
	struct run *run = x->run;
	const char *journal = option_value(&run->arguments, "journal");

	if (store_become_owner(run->folder, f) < 0 ||
		store_open(run->folder, run->cache_dir, STORE_WRITE, &run->store, f) < 0)
		return -1;
	x->journal = journal ? strdup(journal)
			     : restore_journal_path(run->folder, run->cache_dir,
				       x->target.account.host ? x->target.account.host : "",
				       x->target.place);
	x->order.store = run->store;
	x->order.wanted = x->query.wanted;
	x->order.journal = x->journal;
	x->order.spool = run->folder;
	return x->journal ? 0 : fault_memory(f);
}

static int record(struct restore *x, const struct restore_sums *sums, struct fault *f)
{
	const struct record r = {.kind = RECORD_RESTORE,
		.query = slice_text(x->query.canonical ? x->query.canonical : ""),
		.target = slice_text(x->target.shown),
		.messages = sums->at_target,
		.bytes = sums->at_target_bytes,
		.failed = sums->wanted - sums->at_target - sums->gone};

	if (x->order.look_only || sums->wanted == 0 || sums->at_target == 0)
		return 0;
	return store_record(x->run->store, &r, f);
}

static void complain(struct restore *x, const struct fault *f)
{
	const char *advice = "";

	if (f->code == FAULT_LIMIT && f->scope == SCOPE_ACCOUNT)
		advice = "; make room there, then the same command goes on";
	else if (f->code == FAULT_PROTOCOL)
		advice = "; the same command goes on from here";
	else if (f->code == FAULT_LOGIN || f->code == FAULT_REACH)
		advice = fault_advice(f);
	run_complain(x->run, "%s%s", f->text, advice);
}

static int restore_now(struct restore *x)
{
	struct restore_report report = {x->run, x->target.shown, x->order.look_only};
	const struct restore_watch watch = restore_report_watch(&report);
	struct restore_sums sums = {0};
	struct fault how = {.code = FAULT_NONE}, f;

	progress_begin(&x->run->progress);
	if (restore_execute(&x->order, &watch, &sums, &how) == 0)
		how.code = FAULT_NONE;
	else
		complain(x, &how);
	restore_report_end(&report, &sums, &how);
	int status = restore_status(&sums, &how);
	if (record(x, &sums, &f) < 0)
		return run_fail(x->run, &f);
	return status;
}

/* Dates come from the index: how many of those that match it does not know. */
static int count_unindexed(struct restore *x, uint64_t *ret, struct fault *f)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct index_state state;
	struct message m;
	int r;

	*ret = 0;
	if (store_index_state(x->run->store, &state, f) < 0 ||
		find_open(x->run->store, x->query.wanted, NULL, &c, f) < 0)
		return -1;
	while (state.indexed < state.messages && (r = find_next(c, &m, f)) != 0) {
		struct indexed indexed CLEANUP(indexed_deinit) = {0};

		if (r > 0)
			r = store_indexed(x->run->store, &m, &indexed, f);
		if (r < 0)
			return -1;
		*ret += r == INDEX_NONE;
	}
	return 0;
}

static int check_index(struct restore *x)
{
	struct run *run = x->run;
	char n[TEXT_NUMBER];
	uint64_t unindexed;
	struct fault f;

	if (indexing_catch_up(run, &f) < 0 || count_unindexed(x, &unindexed, &f) < 0)
		return run_fail(run, &f);
	if (unindexed == 0)
		return STATUS_DONE;
	(void)text_count(unindexed, n);
	if (option_given(&run->arguments, "accept-unindexed")) {
		run_complain(run,
			"%s %s not indexed, and get the date of archiving unless an "
			"import knew another",
			n, plural(unindexed, "message is", "messages are"));
		return STATUS_DONE;
	}
	run_complain(run,
		"%s %s not indexed, so that their dates are not known; popkeep index indexes them "
		"or says why not, --accept-unindexed gives them the date of archiving",
		n, plural(unindexed, "message is", "messages are"));
	return STATUS_PARTLY;
}

static int restore_run(struct run *run)
{
	struct restore x CLEANUP(restore_deinit) = {.run = run};
	struct fault f;

	if (read_arguments(&x, &f) < 0)
		return run_usage(run, "%s", f.text);
	int status = query_begin(run, &x.query);
	if (status != STATUS_DONE)
		return status;
	if (read_secret(&x, &f) < 0 || open_archive(&x, &f) < 0)
		return run_fail(run, &f);
	stop_catch_signals();
	status = query_ready(run, &x.query, QUERY_ALL);
	if (status == STATUS_DONE)
		status = check_index(&x);
	if (status != STATUS_DONE)
		return status;
	return restore_now(&x);
}

static const struct option_spec options[] = {
	QUERY_OPTIONS,
	QUERY_ACCEPT_OPTION,
	{"to", 0, "TARGET", "imaps://user@host[:port][/Folder], imap://..., or maildir:PATH"},
	{"folder", 0, "TEMPLATE", "below it, with {account}, {folder}, {year}, {month}"},
	{"flags", 0, "FLAGS", "known (those an import knew, else seen), seen, none"},
	LOGIN_OPTIONS,
	{"connections", 0, "N", "at once to the server (4)"},
	{"journal", 0, "FILE", "where it is remembered what was sent"},
	{"dry-run", 0, NULL, "look and count; change nothing"},
	{NULL, 0, NULL, NULL},
};

const struct command command_restore = {
	.name = "restore",
	.arguments = "[QUERY...]",
	.summary = "put messages back into a mailbox, without duplicates",
	.details = QUERY_DETAILS
	"\n\n"
	"Messages get the date on which they came. Interrupted, the same command goes on:\n"
	"a journal and the bytes of what is there already make sure that nothing comes\n"
	"twice. Without a folder in the URL and without --folder, mail goes to the folders\n"
	"that an import knew, else to INBOX.",
	.options = options,
	.everyday = true,
	.needs = NEEDS_FOLDER,
	.function = restore_run,
};
