#include "cli/chosen.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/migrate.h"
#include "cli/restore_folder.h"
#include "cli/stop.h"

#include "archive/decimal.h"
#include "archive/escape.h"
#include "archive/limits.h"

#include <inttypes.h>
#include <stdio.h>

enum { JOBS = 4, CONNECTIONS = 2, SHOWN = 100 };

struct migrate {
	struct run *run;
	struct migrate_map map;
	struct migrate_row one; /* of --from and --to */
	struct migrate_plan plan;
	uint64_t complete;
};

static void migrate_deinit(struct migrate *x)
{
	for (size_t i = 0; i < x->plan.n; i++)
		restore_target_deinit(&x->plan.all[i].target);
	free(x->plan.all);
	free(x->one.account);
	free(x->one.target);
	migrate_map_deinit(&x->map);
}

/* ---- The command line ------------------------------------------------------------------------ */

static int read_number(
	const struct run *run, const char *option, uint64_t most, unsigned *ret, struct fault *f)
{
	const char *value = option_value(&run->arguments, option);
	uint64_t n = *ret;

	if (value && (!decimal_parse(slice_text(value), &n) || n == 0 || n > most))
		return fault_set(
			f, FAULT_USAGE, SCOPE_SESSION, 0, "--%s: 1 to %" PRIu64, option, most);
	*ret = (unsigned)n;
	return 0;
}

static int read_flags(struct migrate *x, struct fault *f)
{
	static const char *const names[] = {"known", "seen", "none"};
	const char *value = option_value(&x->run->arguments, "flags");
	char text[32];

	for (int i = 0; value && i < 3; i++) {
		if (strcmp(value, names[i]) == 0) {
			x->plan.flags = (enum flags_rule)i;
			return 0;
		}
	}
	return value ? fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			       "--flags %s: known are seen, none and known",
			       escape_text(slice_text(value), text, sizeof text))
		     : 0;
}

static int read_compare(struct migrate *x, struct fault *f)
{
	const char *value = option_value(&x->run->arguments, "compare");
	char text[32];

	x->plan.compare = COMPARE_DIGESTS;
	if (!value || strcmp(value, "digests") == 0)
		return 0;
	if (strcmp(value, "sizes") != 0 && strcmp(value, "none") != 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"--compare %s: known are digests, sizes and none",
			escape_text(slice_text(value), text, sizeof text));
	x->plan.compare = value[0] == 's' ? COMPARE_SIZES : COMPARE_NONE;
	return 0;
}

static int read_options(struct migrate *x, struct fault *f)
{
	const struct arguments *a = &x->run->arguments;

	x->plan.run = x->run;
	x->plan.jobs = JOBS;
	x->plan.connections = CONNECTIONS;
	x->plan.look_only = option_given(a, "dry-run");
	x->plan.template = option_value(a, "folder");
	if (x->plan.template && folder_template_check(x->plan.template, f) < 0)
		return -1;
	if (operands_n(a) > 0)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"migrate takes --from ACCOUNT and --to TARGET, or --map FILE");
	if (read_number(x->run, "jobs", LIMIT_MIGRATE_JOBS, &x->plan.jobs, f) < 0 ||
		read_number(x->run, "connections", LIMIT_RESTORE_CONNECTIONS, &x->plan.connections,
			f) < 0 ||
		read_flags(x, f) < 0)
		return -1;
	return read_compare(x, f);
}

/* Rows from the file, or the one that the options say. */
static int read_rows(
	struct migrate *x, const struct migrate_row **ret, size_t *ret_n, struct fault *f)
{
	const struct arguments *a = &x->run->arguments;
	const char *map = option_value(a, "map"), *from = option_value(a, "from"),
		   *to = option_value(a, "to");

	if (map ? from || to : !from || !to)
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"migrate needs --from ACCOUNT and --to TARGET, or --map FILE");
	if (map && option_given(a, "user"))
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"--user goes with --to; a map has a column for it");
	if (map) {
		if (migrate_map_read(map, &x->map, f) < 0)
			return -1;
		*ret = x->map.rows;
		*ret_n = x->map.n;
		return 0;
	}
	x->one.account = strdup(from);
	x->one.target = strdup(to);
	*ret = &x->one;
	*ret_n = 1;
	return x->one.account && x->one.target ? 0 : fault_memory(f);
}

static int set_text(char **to, const char *text, struct fault *f)
{
	char *copy = strdup(text);

	if (!copy)
		return fault_memory(f);
	free(*to);
	*to = copy;
	return 0;
}

/* A master user logs in with its own password, for the user whose mail it is. */
static int set_master(struct account *a, const char *master, struct fault *f)
{
	free(a->authzid);
	a->authzid = a->user;
	a->user = NULL;
	return set_text(&a->user, master, f);
}

static int read_target(struct migrate *x, struct migrate_mailbox *m, struct fault *f)
{
	const struct arguments *a = &x->run->arguments;
	const char *master = option_value(a, "master-user");
	struct account *account = &m->target.account;

	if (restore_target_read(&m->target, m->row->target, m->row->user, a, f) < 0)
		return -1;
	if (m->target.maildir)
		return 0;
	if (m->row->password_command) {
		account->secret_source = SECRET_COMMAND;
		if (set_text(&account->secret_value, m->row->password_command, f) < 0)
			return -1;
	}
	if (account->secret_source == SECRET_ASK)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"no password: give --password-command or --password-file, or the map a "
			"column password-command");
	if (master && set_master(account, master, f) < 0)
		return -1;
	return restore_target_name(&m->target, f);
}

static int check_account(const struct migrate *x, const struct migrate_row *row, struct fault *f)
{
	char text[128];

	if (option_given(&x->run->arguments, "no-fetch") || x->plan.look_only)
		return 0;
	if (x->run->config && config_account(x->run->config, row->account))
		return 0;
	return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
		"no account \"%s\" is configured; with --no-fetch, what the archive has is moved",
		escape_text(slice_text(row->account), text, sizeof text));
}

/* Two rows that mean the same would wait for each other. */
static int check_twice(const struct migrate *x, size_t at, struct fault *f)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(x->plan.all[i].target.place, x->plan.all[at].target.place) == 0)
			return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
				"the same target as line %" PRIu64, x->plan.all[i].row->line);
	}
	return 0;
}

static int read_mailboxes(struct migrate *x, struct fault *f)
{
	const struct migrate_row *rows = NULL;
	const char *map = option_value(&x->run->arguments, "map");
	char name[256];
	size_t n = 0;

	if (read_rows(x, &rows, &n, f) < 0)
		return -1;
	x->plan.all = calloc(n, sizeof *x->plan.all);
	if (!x->plan.all)
		return fault_memory(f);
	for (size_t i = 0; i < n; i++) {
		struct migrate_mailbox *m = &x->plan.all[i];

		m->row = &rows[i];
		x->plan.n = i + 1;
		if (check_account(x, m->row, f) < 0 || read_target(x, m, f) < 0 ||
			check_twice(x, i, f) < 0)
			return map ? fault_prefix(f, "%s: line %" PRIu64,
					     escape_text(slice_text(map), name, sizeof name),
					     m->row->line)
				   : -1;
	}
	return 0;
}

/* ---- What came of it ------------------------------------------------------------------------- */

static const char *name_of(const struct migrate_mailbox *m, char ret[static SHOWN])
{
	return escape_text(slice_text(m->row->account), ret, SHOWN);
}

/* It could not be gone through; an empty mailbox has nothing that matches. */
static bool has_failed(const struct migrate_mailbox *m)
{
	return !m->ended || (m->how.code != FAULT_NONE && m->how.code != FAULT_MISSING);
}

/* What is there, where somebody looked. */
static void add_there(struct migrate *x, struct json_line *line, const struct restore_sums *s)
{
	json_add_count(line, "present", s->there);
	json_add_count(line, "sent", s->sent);
	json_add_count(line, "sent_bytes", s->sent_bytes);
	json_add_count(line, "at_target", s->at_target);
	json_add_count(line, "compared", s->compared);
	json_add_count(line, "uncompared", s->uncompared);
	json_add_count(line, "changed", s->changed);
	json_add_count(line, "removed_there", s->gone);
	json_add_count(line, "damaged", s->damaged);
	json_add_count(line, "refused", s->refused);
	json_add_count(line, "missing", x->plan.look_only ? 0 : s->unsure);
}

static void print_json(struct migrate *x, const struct migrate_mailbox *m, const char *why)
{
	const struct restore_sums *s = &m->sums;
	struct json_line line;

	json_line_begin(&line, "mailbox");
	json_add_bytes(&line, "account", slice_text(m->row->account));
	json_add_text(&line, "target", m->target.shown);
	json_add_flag(&line, "complete", why == NULL);
	json_add_flag(&line, "fetched", m->fetched);
	json_add_count(&line, "new", m->new_messages);
	json_add_count(&line, "messages", s->messages);
	json_add_count(&line, "wanted", s->wanted);
	json_add_count(&line, "bytes", s->bytes);
	if (!s->unlooked)
		add_there(x, &line, s);
	if (why)
		json_add_text(&line, "error", why);
	if (m->how.code != FAULT_NONE)
		json_add_count(&line, "status", (uint64_t)fault_exit_status(&m->how));
	json_line_print(&line, &x->run->out);
}

static void print_text(struct migrate *x, const struct migrate_mailbox *m, const char *why)
{
	struct output *o = &x->run->out;
	const struct restore_sums *s = &m->sums;
	char name[SHOWN], n[TEXT_NUMBER], all[TEXT_NUMBER], sent[TEXT_NUMBER], size[TEXT_NUMBER];

	out_format(o, "%s: ", name_of(m, name));
	if (why && (s->unlooked || (x->plan.look_only && has_failed(m)))) {
		out_format(o, "%s\n", why);
		return;
	}
	if (x->plan.look_only) {
		out_format(o, "%s of %s (%s in all) would be sent to %s\n",
			text_count(s->wanted - s->there, n), text_count(s->wanted, all),
			text_size(s->bytes, size), m->target.shown);
		return;
	}
	out_format(o, "%s of %s at %s, %s sent now (%s)", text_count(s->at_target, n),
		text_count(s->wanted - s->gone, all), m->target.shown, text_count(s->sent, sent),
		text_size(s->sent_bytes, size));
	if (s->compared)
		out_format(o, ", %s compared", text_count(s->compared, n));
	if (s->changed)
		out_format(o, ", %s with other bytes: that server changes mail",
			text_count(s->changed, n));
	out_format(o, why ? ": %s\n" : "%s\n", why ? why : "");
}

static void mailbox_ended(void *context, struct migrate_mailbox *m)
{
	struct migrate *x = (struct migrate *)context;
	char why[FAULT_TEXT_MAX];
	bool complete = migrate_is_complete(m, why, sizeof why);

	x->complete += complete;
	progress_clear(&x->run->progress);
	if (x->run->json)
		print_json(x, m, complete ? NULL : why);
	else
		print_text(x, m, complete ? NULL : why);
}

static void message_failed(void *context, struct migrate_mailbox *m, const struct digest *digest,
	const char *folder, const char *text)
{
	struct migrate *x = (struct migrate *)context;
	struct json_line line;
	char name[SHOWN], hex[DIGEST_HEX + 1], shown[256];

	digest_hex(digest, hex);
	if (x->run->json) {
		json_line_begin(&line, "failed");
		json_add_bytes(&line, "account", slice_text(m->row->account));
		json_add_bytes(&line, "id", slice_of(hex, SHORT_ID));
		json_add_text(&line, "digest", hex);
		json_add_bytes(&line, "folder", slice_text(folder));
		json_add_text(&line, "error", text);
		json_line_print(&line, &x->run->out);
	}
	run_complain(x->run, "%s: not restored: message %.*s (folder %s): %s", name_of(m, name),
		SHORT_ID, hex, escape_text(slice_text(folder), shown, sizeof shown), text);
}

static void note(void *context, struct migrate_mailbox *m, const char *text)
{
	struct migrate *x = (struct migrate *)context;
	char name[SHOWN];

	run_note(x->run, "%s: %s", name_of(m, name), text);
}

static void draw(void *context, uint64_t mailboxes, uint64_t bytes)
{
	struct migrate *x = (struct migrate *)context;
	const struct progress_state state = {
		.label = "migrating", .done = bytes, .items = mailboxes, .items_all = x->plan.n};

	progress_update(&x->run->progress, &state);
}

static void print_summary_json(struct migrate *x)
{
	struct restore_sums all = {0};
	struct json_line line;

	for (size_t i = 0; i < x->plan.n; i++) {
		const struct restore_sums *s = &x->plan.all[i].sums;

		all.wanted += s->wanted;
		all.bytes += s->bytes;
		all.sent += s->sent;
		all.sent_bytes += s->sent_bytes;
		all.at_target += s->at_target;
	}
	json_line_begin(&line, "summary");
	json_add_count(&line, "mailboxes", x->plan.n);
	json_add_count(&line, "complete", x->complete);
	json_add_flag(&line, "dry_run", x->plan.look_only);
	json_add_count(&line, "wanted", all.wanted);
	json_add_count(&line, "bytes", all.bytes);
	json_add_count(&line, "sent", all.sent);
	json_add_count(&line, "sent_bytes", all.sent_bytes);
	json_add_count(&line, "at_target", all.at_target);
	json_line_print(&line, &x->run->out);
}

static void print_summary(struct migrate *x)
{
	struct output *o = &x->run->out;
	char n[TEXT_NUMBER], all[TEXT_NUMBER], why[FAULT_TEXT_MAX], name[SHOWN];

	progress_clear(&x->run->progress);
	if (x->run->json) {
		print_summary_json(x);
		return;
	}
	if (x->plan.look_only)
		return;
	out_format(o, "%s of %s complete", text_count(x->complete, n), text_count(x->plan.n, all));
	if (x->complete < x->plan.n)
		out_format(o, "; %s not:", text_count(x->plan.n - x->complete, n));
	out_format(o, "\n");
	for (size_t i = 0; i < x->plan.n; i++) {
		if (!migrate_is_complete(&x->plan.all[i], why, sizeof why))
			out_format(o, "  %s: %s\n", name_of(&x->plan.all[i], name), why);
	}
}

/* One status for all that are not complete: theirs when they agree and none is, else 3. A dry run
 * leaves all of them incomplete; there it is those that could not be looked at. */
static int status_of(const struct migrate *x)
{
	struct verdict v = {0};
	char why[FAULT_TEXT_MAX];

	for (size_t i = 0; i < x->plan.n; i++) {
		const struct migrate_mailbox *m = &x->plan.all[i];
		struct fault f = {.code = FAULT_NONE};

		if (x->plan.look_only ? has_failed(m) : !migrate_is_complete(m, why, sizeof why)) {
			f = m->how;
			if (f.code == FAULT_NONE || f.code == FAULT_LIMIT)
				f.code = FAULT_PROTOCOL; /* partly */
		}
		verdict_add(&v, &f);
	}
	return verdict_status(&v);
}

/* ---- Doing it -------------------------------------------------------------------------------- */

static int fetch(struct migrate *x, struct fault *f)
{
	if (!option_given(&x->run->arguments, "no-fetch") && !x->plan.look_only)
		return migrate_fetch(&x->plan, f);
	for (size_t i = 0; i < x->plan.n; i++)
		x->plan.all[i].fetched = true;
	return 0;
}

static int migrate_run(struct run *run)
{
	struct migrate x CLEANUP(migrate_deinit) = {.run = run};
	const struct migrate_watch watch = {mailbox_ended, message_failed, note, draw, &x};
	struct fault f;

	int r = read_options(&x, &f);
	if (r == 0)
		r = read_mailboxes(&x, &f);
	if (r < 0)
		return run_usage(run, "%s", f.text);
	stop_catch_signals();
	progress_begin(&run->progress);
	if (fetch(&x, &f) < 0 || migrate_index(&x.plan, &f) < 0 ||
		migrate_restore(&x.plan, &watch, &f) < 0) {
		print_summary(&x);
		return run_fail(run, &f);
	}
	print_summary(&x);
	return status_of(&x);
}

static const struct option_spec options[] = {
	{"from", 0, "ACCOUNT", "whose mail is moved"},
	{"to", 0, "TARGET", "where to: imaps://user@host[:port][/Folder], or maildir:PATH"},
	{"map", 0, "FILE", "many: a CSV file with account, target, user, password-command"},
	{"master-user", 0, "USER", "who logs in for all users of the target"},
	{"jobs", 0, "N", "mailboxes at once (4)"},
	{"compare", 0, "HOW", "digests (all bytes, fetched back), sizes, none"},
	{"no-fetch", 0, NULL, "move what the archive has"},
	{"folder", 0, "TEMPLATE", "below the target's, with {account}, {folder}, {year}, {month}"},
	{"flags", 0, "FLAGS", "known (those an import knew, else seen), seen, none"},
	LOGIN_OPTIONS,
	{"connections", 0, "N", "to the server for each mailbox (2)"},
	{"dry-run", 0, NULL, "look and count; change nothing"},
	{NULL, 0, NULL, NULL},
};

const struct command command_migrate = {
	.name = "migrate",
	.arguments = "",
	.summary = "move mailboxes to another server: fetch, restore, compare, report",
	.details = "Run again, it moves only what came since. What fails for one mailbox stops no\n"
		   "other; the report names those that are not complete, and why.",
	.options = options,
	.everyday = false,
	.needs = NEEDS_FOLDER,
	.function = migrate_run,
};
