#include "cli/command.h"
#include "cli/date.h"
#include "cli/json.h"

#include "archive/check.h"
#include "archive/escape.h"
#include "archive/event.h"
#include "archive/limits.h"

#include <inttypes.h>
#include <stdio.h>

/* Maildrops by number, as far as the ledger was read. */
struct name {
	uint64_t maildrop;
	char *text;
};

struct log {
	struct run *run;
	const char *account; /* only this one's lines */
	moment_ms since;
	struct name *names;
	size_t names_n;
	struct buffer scratch;
};

static void log_deinit(struct log *l)
{
	for (size_t i = 0; i < l->names_n; i++)
		free(l->names[i].text);
	free(l->names);
	buffer_deinit(&l->scratch);
}

static const char *name_of(const struct log *l, uint64_t maildrop)
{
	for (size_t i = 0; i < l->names_n; i++) {
		if (l->names[i].maildrop == maildrop)
			return l->names[i].text;
	}
	return NULL;
}

static int remember_name(struct log *l, const struct event *e, struct fault *f)
{
	struct name *more;
	char *text = strndup((const char *)e->name.data, e->name.len);

	if (!text)
		return fault_memory(f);
	for (size_t i = 0; i < l->names_n; i++) {
		if (l->names[i].maildrop == e->maildrop) {
			free(l->names[i].text);
			l->names[i].text = text;
			return 0;
		}
	}
	more = reallocarray(l->names, l->names_n + 1, sizeof *more);
	if (!more) {
		free(text);
		return fault_memory(f);
	}
	l->names = more;
	l->names[l->names_n++] = (struct name){e->maildrop, text};
	return 0;
}

/* ---- In words ------------------------------------------------------------------------------ */

static void say_escaped(struct log *l, const char *before, struct slice text)
{
	out_format(&l->run->out, "%s", before);
	out_escaped(&l->run->out, text);
}

static void say_digest(struct log *l, const char *before, const struct digest *d)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	out_format(&l->run->out, "%s%.*s", before, SHORT_ID, hex);
}

static void say_sums(struct log *l, const struct sums *s)
{
	out_format(&l->run->out,
		"polled: %" PRIu64 " listed = %" PRIu64 " archived + %" PRIu64 " pending + %" PRIu64
		" refused; %" PRIu64 " vanished",
		s->listed, s->archived, s->pending, s->refused, s->vanished);
}

/* The UIDL of an import is made of its folder and its digest. */
static void say_place(struct log *l, const struct event *e)
{
	if (!e->filed)
		say_escaped(l, ", UIDL ", e->uidl);
	else if (e->folder.len)
		say_escaped(l, ", imported from ", e->folder);
	else
		out_format(&l->run->out, ", imported");
	if (e->flags.len)
		say_escaped(l, ", ", e->flags);
}

static void say_kept(struct log *l, const struct event *e)
{
	char size[TEXT_NUMBER];

	say_digest(l, "kept ", &e->digest);
	out_format(&l->run->out, ", %s", text_size(e->size, size));
	say_place(l, e);
}

static void say_refused(struct log *l, const struct event *e)
{
	say_escaped(l, "refused UIDL ", e->uidl);
	out_format(&l->run->out, ": %s, try %" PRIu64, refusal_word(e->reason), e->tries);
	if (e->text.len)
		say_escaped(l, ": ", e->text);
}

static void say_account(struct log *l, const struct event *e)
{
	if (slice_compare(e->server, slice_text(MAILDROP_IMPORT)) == 0) {
		out_format(&l->run->out, "maildrop %" PRIu64 " for imports", e->maildrop);
		return;
	}
	out_format(&l->run->out, "account of maildrop %" PRIu64 ": ", e->maildrop);
	say_escaped(l, "", e->user);
	say_escaped(l, " at ", e->server);
}

static void say_sealed(struct log *l, const struct event *e)
{
	struct output *o = &l->run->out;
	struct slice replaces = e->replaces;
	char size[TEXT_NUMBER], mail[TEXT_NUMBER], messages[TEXT_NUMBER];
	const char *before = ", in place of ";

	out_format(o, "sealed segment %06" PRIu64 ": %s messages, %s in %s", e->segment,
		text_count(e->messages, messages), text_size(e->bytes, mail),
		text_size(e->size, size));
	for (uint64_t number; event_replaced(&replaces, &number); before = ", ")
		out_format(o, "%s%06" PRIu64, before, number);
}

static void say_outgoing(struct log *l, const struct event *e)
{
	char messages[TEXT_NUMBER], size[TEXT_NUMBER];

	say_escaped(l, e->kind == EVENT_EXPORT ? "exported " : "restored ",
		e->query.len ? e->query : slice_text("everything"));
	say_escaped(l, " to ", e->target);
	out_format(&l->run->out, ": %s %s, %s", text_count(e->messages, messages),
		plural(e->messages, "message", "messages"), text_size(e->bytes, size));
	if (e->failed)
		out_format(&l->run->out, "; %s not", text_count(e->failed, messages));
}

static void say_event(struct log *l, const struct event *e)
{
	struct output *o = &l->run->out;
	char lines[TEXT_NUMBER];

	switch (e->kind) {
	case EVENT_BEGIN:
		say_escaped(l, "ledger file of archive ", e->archive);
		break;
	case EVENT_ACCOUNT:
		say_account(l, e);
		break;
	case EVENT_KEEP:
		say_kept(l, e);
		break;
	case EVENT_SEE:
		say_digest(l, "saw ", &e->digest);
		out_format(o, " again");
		say_place(l, e);
		break;
	case EVENT_REFUSE:
		say_refused(l, e);
		break;
	case EVENT_ACCEPT:
		say_escaped(l,
			e->reason == ACCEPT_VANISHED ? "accepted that it vanished: UIDL "
						     : "accepted that it is refused: UIDL ",
			e->uidl);
		say_escaped(l, ": ", e->text);
		break;
	case EVENT_VANISH:
		say_escaped(l, "vanished before it was archived: UIDL ", e->uidl);
		break;
	case EVENT_POLL:
		say_sums(l, &e->sums);
		break;
	case EVENT_SEAL:
		say_sealed(l, e);
		break;
	case EVENT_LOST:
		say_digest(l, "lost ", &e->digest);
		if (e->text.len)
			say_escaped(l, ": ", e->text);
		break;
	case EVENT_EXPORT:
	case EVENT_RESTORE:
		say_outgoing(l, e);
		break;
	case EVENT_COMMIT:
		say_digest(l, "commit, root ", &e->root);
		out_format(o, ", %s lines", text_count(e->size, lines));
		break;
	case EVENT_UNKNOWN:
		out_format(o, "event of a later version (--raw shows it)");
		break;
	}
}

static void print_words(struct log *l, const struct event *e, uint64_t number)
{
	struct output *o = &l->run->out;
	char when[TEXT_MOMENT];
	const char *name = e->maildrop ? name_of(l, e->maildrop) : NULL;

	out_format(o, "%8" PRIu64 "  %s  ", number, text_second(o, e->t, when));
	if (name)
		say_escaped(l, "", slice_text(name));
	out_format(o, "%s", name ? ": " : "");
	say_event(l, e);
	out_format(o, "\n");
}

/* ---- As objects ---------------------------------------------------------------------------- */

static int print_object(
	struct log *l, struct slice line, const struct event *e, uint64_t number, struct fault *f)
{
	struct buffer scratch CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_LINE);
	struct json_line out CLEANUP(json_line_deinit) = {0};
	struct json_line fields CLEANUP(json_line_deinit) = {0};
	struct slice key, value;
	int r;

	json_line_begin(&out, "event");
	json_line_begin(&fields, NULL);
	json_add_count(&out, "number", number);
	json_add_moment(&out, "t", e->t);
	if (e->maildrop && name_of(l, e->maildrop))
		json_add_text(&out, "account", name_of(l, e->maildrop));
	while ((r = field_next(&line, &key, &scratch, &value, f)) == FIELD_ONE) {
		char name[64];

		(void)escape_text(key, name, sizeof name);
		json_add_bytes(&fields, name, value);
		if (strcmp(name, "event") == 0)
			json_add_bytes(&out, "event", value);
		buffer_clear(&scratch);
	}
	if (r < 0)
		return -1;
	out.failed |= fields.failed;
	json_add_value(&out, "fields", TAKE(fields.object));
	json_line_print(&out, &l->run->out);
	return 0;
}

/* ---- The command --------------------------------------------------------------------------- */

static void print_raw(struct log *l, struct slice line)
{
	/* Canonical lines are printable ASCII; those of a damaged ledger need not be. */
	if (l->run->out.terminal)
		out_escaped(&l->run->out, line);
	else
		out_bytes(&l->run->out, line);
	out_format(&l->run->out, "\n");
}

static bool is_wanted(const struct log *l, const struct event *e)
{
	if (e->t < l->since)
		return false;
	if (!l->account)
		return true;
	const char *name = e->maildrop ? name_of(l, e->maildrop) : NULL;
	return name && strcmp(name, l->account) == 0;
}

static int print_line(struct log *l, struct slice line, uint64_t number, struct fault *f)
{
	struct event e = {0};
	int r = event_parse(line, &l->scratch, &e, f);

	if (r < 0)
		return -1;
	if (r == EVENT_BAD)
		e = (struct event){.kind = EVENT_UNKNOWN};
	if (e.kind == EVENT_ACCOUNT && remember_name(l, &e, f) < 0)
		return -1;
	if (!is_wanted(l, &e))
		return 0;
	if (option_given(&l->run->arguments, "raw"))
		print_raw(l, line);
	else if (l->run->json)
		return print_object(l, line, &e, number, f);
	else
		print_words(l, &e, number);
	return 0;
}

static int print_lines(struct log *l)
{
	struct ledger_lines *lines CLEANUP(ledger_lines_closep) = NULL;
	struct json_line summary;
	struct slice line;
	uint64_t number, n = 0;
	struct fault f;
	int r;

	if (ledger_lines_open(l->run->store, 0, &lines, &f) < 0)
		return run_fail(l->run, &f);
	while ((r = ledger_lines_next(lines, &line, &number, &f)) == LEDGER_LINE &&
		!out_is_over(&l->run->out)) {
		n++;
		if (print_line(l, line, number, &f) < 0)
			return run_fail(l->run, &f);
	}
	if (r < 0)
		return run_fail(l->run, &f);
	if (l->run->json && !option_given(&l->run->arguments, "raw")) {
		json_line_begin(&summary, "summary");
		json_add_count(&summary, "lines", n);
		json_line_print(&summary, &l->run->out);
	}
	return STATUS_DONE;
}

static int log_run(struct run *run)
{
	struct log l CLEANUP(log_deinit) = {
		.run = run, .scratch = buffer_make(LIMIT_LEDGER_LINE), .since = INT64_MIN};
	const char *since = option_value(&run->arguments, "since");
	moment_ms end;

	if (operands_n(&run->arguments) != 0)
		return run_usage(run, "log takes options only; see --account and --since");
	l.account = option_value(&run->arguments, "account");
	if (since && date_parse(slice_text(since), run->out.utc ? DATE_UTC : DATE_LOCAL, &l.since,
			     &end) != 0)
		return run_usage(run, "--since needs a date, as in 2026-01-31");
	return print_lines(&l);
}

static const struct option_spec options[] = {
	{"account", 0, "NAME", "only lines of this account"},
	{"since", 0, "DATE", "only lines of this date or later"},
	{"raw", 0, NULL, "the lines as they stand in the ledger"},
	{NULL, 0, NULL, NULL},
};

const struct command command_log = {
	.name = "log",
	.arguments = "",
	.summary = "show the ledger: everything that happened, in order",
	.options = options,
	.everyday = false,
	.needs = NEEDS_ARCHIVE,
	.function = log_run,
};
