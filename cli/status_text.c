#include "cli/status.h"

#include "archive/escape.h"
#include "archive/known.h"
#include "archive/limits.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Lines ----------------------------------------------------------------------------------- */

enum { LINE = 1024, NARROWEST = 24, HANG = 2 };

/* The longest beginning of text that fits: up to a space where there is one. */
static size_t fit(struct slice text, size_t columns)
{
	size_t n = text_fit(text, columns), space = n;

	if (n == text.len)
		return n;
	while (space > 0 && text.data[space] != ' ')
		space--;
	return space > 0 ? space : n > 0 ? n : 1;
}

static void say(struct output *o, unsigned indent, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One paragraph: on a terminal, lines of its width; elsewhere a line. What it is made of is safe to
 * print. */
static void say(struct output *o, unsigned indent, const char *format, ...)
{
	char line[LINE];
	bool first = true;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	struct slice text = slice_text(line);
	while (o->terminal && text.len > 0 && !out_is_over(o)) {
		size_t columns = o->columns > indent + NARROWEST ? o->columns - indent : NARROWEST;
		size_t n = fit(text, columns);

		if (n == text.len)
			break;
		out_format(o, "%*s%.*s\n", (int)indent, "", (int)n, (const char *)text.data);
		n += text.data[n] == ' ';
		text = slice_of(text.data + n, text.len - n);
		if (first)
			indent += HANG;
		first = false;
	}
	out_format(o, "%*s%.*s\n", (int)indent, "", (int)text.len, (const char *)text.data);
}

/* ---- The archive and the sums of all -------------------------------------------------------- */

static void print_archive(struct run *run, const struct store_totals *totals)
{
	struct output *o = &run->out;
	char messages[TEXT_NUMBER], bytes[TEXT_NUMBER], stored[TEXT_NUMBER],
		ratio[TEXT_NUMBER] = "";

	out_format(o, "archive   ");
	out_escaped(o, slice_text(run->folder));
	out_format(o, "\n");
	if (totals->segment_bytes && totals->bytes)
		(void)snprintf(ratio, sizeof ratio, ", ratio %.1f",
			(double)totals->bytes / (double)totals->segment_bytes);
	say(o, 0, "kept      %s %s, %s; %s on disk%s", text_count(totals->messages, messages),
		plural(totals->messages, "message", "messages"), text_size(totals->bytes, bytes),
		text_size(totals->segment_bytes, stored), ratio);
}

static void print_sums(struct output *o, unsigned indent, const char *title, const struct sums *s)
{
	char listed[TEXT_NUMBER], archived[TEXT_NUMBER], pending[TEXT_NUMBER], refused[TEXT_NUMBER],
		vanished[TEXT_NUMBER];

	say(o, indent, "%s%s listed = %s archived + %s pending + %s refused; %s vanished", title,
		text_count(s->listed, listed), text_count(s->archived, archived),
		text_count(s->pending, pending), text_count(s->refused, refused),
		text_count(s->vanished, vanished));
}

static void print_service(struct run *run, const struct status *s)
{
	struct output *o = &run->out;
	const struct control_daemon *d = &s->service.daemon;
	char since[TEXT_MOMENT], number[TEXT_NUMBER];

	if (s->service_notice[0]) {
		say(o, 0, "service   popkeepd runs, but cannot be asked: %s", s->service_notice);
		return;
	}
	if (!s->service.runs) {
		if (s->report.served)
			say(o, 0,
				"service   popkeepd runs; its socket is not where this "
				"configuration has it (runtime-dir)");
		return;
	}
	say(o, 0, "service   popkeepd %s since %s, %s %s now; sandbox: %s%s%s", d->version,
		text_minute(o, d->started, since), text_count(d->sessions, number),
		plural(d->sessions, "account polled", "accounts polled"), d->sandbox,
		d->worker_sandbox[0] ? "; popkeep-worker's: " : "", d->worker_sandbox);
	if (d->config_error[0])
		say(o, 0,
			"configuration broken, the service goes on with the one before: %s; mend "
			"it, then reload the service",
			d->config_error);
}

static void print_disk(struct run *run, const struct status *s)
{
	struct output *o = &run->out;
	const struct report *r = &s->report;
	char number[TEXT_NUMBER], other[TEXT_NUMBER];

	if (r->write_failed)
		say(o, 0,
			"the last write to the archive failed, and what was acknowledged is safe: "
			"look at the disk and the log of popkeepd, then %s",
			r->served ? "run popkeep fetch" : "start it again or run popkeep fetch");
	if (s->service.runs && s->service.daemon.disk[0])
		say(o, 0, "%s", s->service.daemon.disk);
	else if (r->disk_full)
		say(o, 0,
			"disk full: %s free where the archive is, less than min-free (%s): make "
			"room, the service fetches nothing until then",
			text_size(r->free_bytes, number), text_size(r->min_free, other));
}

/* ---- Sealing and its like -------------------------------------------------------------------- */

/* Many texts say behind a semicolon what to do. */
static const char *advice_of(enum upkeep_job job, const struct upkeep *u)
{
	return strstr(u->text, "; ") ? "" : upkeep_advice(job, u->code);
}

static void print_failure(
	struct output *o, const char *what, enum upkeep_job job, const struct upkeep *u)
{
	const char *advice = advice_of(job, u);
	char tried[TEXT_MOMENT], succeeded[TEXT_MOMENT];

	say(o, 0, "%s failed %s, %s%s", what, text_minute(o, u->tried, tried),
		u->succeeded ? "it went well last " : "it never went well",
		u->succeeded ? text_minute(o, u->succeeded, succeeded) : "");
	say(o, 2, "%s%s%s", u->text, *advice ? "; " : "", advice);
}

static void print_seal_failure(struct output *o, const struct status *s)
{
	print_failure(o, "sealing", UPKEEP_SEAL, &s->upkeep.seal);
	if (s->report.served && s->upkeep.service == SEALS_ITSELF)
		say(o, 2, "the service tries again by itself; mail is kept meanwhile");
	else
		say(o, 2, "then run popkeep seal; mail is kept meanwhile");
}

static void print_unsealed(struct output *o, const struct upkeep_view *v, enum status_which which)
{
	char n[TEXT_NUMBER], messages[TEXT_NUMBER], bytes[TEXT_NUMBER], since[TEXT_MOMENT];

	if (v->segments == 0)
		return;
	say(o, 0, "unsealed  %s %s in %s %s, %s, since %s", text_count(v->messages, messages),
		plural(v->messages, "message", "messages"), text_count(v->segments, n),
		plural(v->segments, "segment", "segments"), text_size(v->bytes, bytes),
		text_minute(o, v->since, since));
	for (size_t i = 0; i < v->segments && which == STATUS_ALL; i++) {
		const struct unsealed *u = &v->unsealed[i];

		say(o, 2, "segment %" PRIu64 ", class %s: %s %s, %s, since %s", u->segment,
			u->class_, text_count(u->messages, messages),
			plural(u->messages, "message", "messages"), text_size(u->bytes, bytes),
			text_minute(o, u->first, since));
	}
}

/* Where nobody indexed anything yet and no service does, it is nothing to wait for. */
static void print_index(struct output *o, const struct status *s, enum status_which which)
{
	const struct index_state *lag = &s->upkeep.lag;
	uint64_t waits = lag->messages - lag->indexed - lag->unread;
	char n[TEXT_NUMBER], all[TEXT_NUMBER], age[TEXT_NUMBER];

	if (waits > 0 && (s->report.served || lag->indexed > 0 || which == STATUS_ALL))
		say(o, 0, "index     %s of %s %s not indexed yet, the oldest %s",
			text_count(waits, n), text_count(lag->messages, all),
			plural(lag->messages, "message", "messages"),
			text_duration(moment_now() - lag->oldest, age));
	if (lag->unread > 0)
		say(o, 0, "index     %s %s could not be read; popkeep verify names what is damaged",
			text_count(lag->unread, n), plural(lag->unread, "message", "messages"));
	if (s->upkeep.index.code != FAULT_NONE)
		print_failure(o, "indexing", UPKEEP_INDEX, &s->upkeep.index);
}

static void print_upkeep(struct run *run, const struct status *s, enum status_which which)
{
	struct output *o = &run->out;
	const struct upkeep_view *v = &s->upkeep;
	char when[TEXT_MOMENT];

	print_unsealed(o, v, which);
	if (v->verify.succeeded)
		say(o, 0, "verified  %s, all of it", text_minute(o, v->verify.succeeded, when));
	if (v->seal.code != FAULT_NONE)
		print_seal_failure(o, s);
	if (v->command.code != FAULT_NONE && v->command_is_configured)
		print_failure(o, "seal-command", UPKEEP_COMMAND, &v->command);
	if (v->verify.code != FAULT_NONE)
		print_failure(o, "verify", UPKEEP_VERIFY, &v->verify);
	print_index(o, s, which);
}

static void print_head(struct run *run, const struct status *s, enum status_which which)
{
	struct output *o = &run->out;
	const struct report *r = &s->report;
	char number[TEXT_NUMBER], title[TEXT_NUMBER + 32];

	print_archive(run, &s->totals);
	print_service(run, s);
	(void)snprintf(title, sizeof title, "%s %s: ", text_count(r->n, number),
		plural(r->n, "account", "accounts"));
	print_sums(o, 0, title, &r->sums);
	print_upkeep(run, s, which);
	print_disk(run, s);
}

/* ---- What the service does just now ---------------------------------------------------------- */

static void print_activity(struct run *run, const struct status *s)
{
	struct output *o = &run->out;
	bool first = true;

	for (size_t i = 0; i < s->service.n; i++) {
		const struct control_account *a = &s->service.accounts[i];
		char done[TEXT_NUMBER], all[TEXT_NUMBER], bytes[TEXT_NUMBER];

		if (a->activity != CONTROL_POLLING)
			continue;
		if (first)
			out_format(o, "\npolled now\n");
		first = false;
		if (a->to_fetch)
			say(o, 2, "%s: %s of %s fetched, %s", a->name, text_count(a->fetched, done),
				text_count(a->to_fetch, all), text_size(a->fetched_bytes, bytes));
		else
			say(o, 2, "%s", a->name);
	}
}

/* ---- One account ----------------------------------------------------------------------------- */

static void print_account(struct run *run, const struct account_report *a)
{
	struct output *o = &run->out;
	char name[LIMIT_ACCOUNT_NAME * 4], user[LIMIT_USER + 64], server[LIMIT_USER],
		when[TEXT_MOMENT];
	const char *more = "";
	bool polled = a->maildrop && a->maildrop->polled;

	if (a->imported) {
		out_format(o, "\n");
		say(o, 0, "%s, imports: %s %s", escape_text(slice_text(a->name), name, sizeof name),
			text_count(a->sums.archived, when),
			plural(a->sums.archived, "message", "messages"));
		return;
	}
	if (a->replaced)
		more = ", replaced: the account's server or user changed";
	else if (run->config && !run->config_broken && !a->configured)
		more = ", not configured: fetch --url polls it";
	out_format(o, "\n");
	say(o, 0, "%s (%s at %s): %s%s%s", escape_text(slice_text(a->name), name, sizeof name),
		escape_text(slice_text(a->user), user, sizeof user),
		escape_text(slice_text(a->server), server, sizeof server),
		polled ? "polled " : "not polled yet",
		polled ? text_minute(o, a->maildrop->polled, when) : "", more);
	if (a->maildrop)
		print_sums(o, 2, "", &a->sums);
}

/* ---- Polls that fail ------------------------------------------------------------------------- */

/* What a poll failed of, and what to do about it, before the account's name. */
struct failure {
	const char *words, *advice;
};

static struct failure failure_of(enum fault_code code)
{
	static const char mend[] =
		"mend its configuration or its secret, then run popkeep account check";
	static const struct failure known[] = {
		[FAULT_LOGIN] = {"login refused",
			"check its user and password, then run popkeep fetch"},
		/* or none that is to be trusted */
		[FAULT_REACH] = {"no connection",
			"check the server's name and port, its certificate and the network; then "
			"run popkeep fetch"},
		[FAULT_PROTOCOL] = {"server out of order", NULL},
		[FAULT_USAGE] = {"cannot be polled", mend},
		[FAULT_ACCESS] = {"cannot be polled", mend},
		[FAULT_MISSING] = {"cannot be polled", mend},
		[FAULT_BUSY] = {"busy", "run popkeep fetch"},
		[FAULT_WRITE] = {"cannot be written",
			"make room or mend the disk, then run popkeep fetch"},
		[FAULT_INTERRUPT] = {"interrupted", "run popkeep fetch"},
	};
	struct failure ret = {0};

	if ((size_t)code < sizeof known / sizeof *known)
		ret = known[code];
	return (struct failure){ret.words ? ret.words : "failing",
		ret.advice ? ret.advice : "to see more, run popkeep account check"};
}

static void print_health(struct run *run, const struct account_report *a)
{
	struct output *o = &run->out;
	const struct health *h = a->health;
	struct failure failure = failure_of(h->code);
	char since[TEXT_MOMENT], next[TEXT_MOMENT], tries[TEXT_NUMBER];

	say(o, 2, "%s since %s, %s %s; %s%s", failure.words, text_minute(o, h->since, since),
		text_count(h->failures, tries), plural(h->failures, "try", "tries"),
		h->next ? "next try " : "no next try is known",
		h->next ? text_minute(o, h->next, next) : "");
	if (h->text[0])
		say(o, 4, "%s", h->text);
	/* Many texts say behind a semicolon what to do. */
	bool told = strstr(h->text, "; ") != NULL;
	if (a->needs & NEEDS_POLLS)
		say(o, 4, "%s %s", told ? "then run popkeep fetch" : failure.advice, a->name);
	else if (!told)
		say(o, 4, "this may pass by itself");
}

/* ---- What needs attention, and what to do ---------------------------------------------------- */

enum { UIDLS_SHOWN = 5 };

static void print_uidl(struct run *run, const struct known *k)
{
	struct output *o = &run->out;
	char when[TEXT_MOMENT];

	out_format(o, "    UIDL ");
	out_escaped(o, k->uidl);
	if (k->state == KNOWN_REFUSED)
		out_format(o, ": %s, tried %u %s, next try %s", refusal_word(k->reason),
			(unsigned)k->tries, plural(k->tries, "time", "times"),
			text_minute(o, k->next_try, when));
	out_format(o, "\n");
}

static int print_uidls(
	struct run *run, const struct account_report *a, enum known_state state, struct fault *f)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;
	uint64_t n = 0;
	char number[TEXT_NUMBER];
	int r;

	if (known_open_unkept(run->store, a->maildrop->number, &c, f) < 0)
		return -1;
	while ((r = known_next(c, &k, f)) == KNOWN_ROW && !out_is_over(&run->out)) {
		if (k.state == state && !k.accepted && n++ < UIDLS_SHOWN)
			print_uidl(run, &k);
	}
	if (n > UIDLS_SHOWN)
		out_format(&run->out, "    and %s more\n", text_count(n - UIDLS_SHOWN, number));
	return r < 0 ? -1 : 0;
}

static void print_polling(struct run *run, const struct account_report *a)
{
	struct output *o = &run->out;
	char number[TEXT_NUMBER];

	if (a->health)
		print_health(run, a);
	if (a->needs & NEEDS_FIRST_POLL) {
		if (!a->health)
			say(o, 2, "never polled: run popkeep fetch %s", a->name);
	} else if (a->needs & NEEDS_FRESH) {
		say(o, 2, "stale: its last complete poll is longer ago than --max-age");
	}
	if (a->imported && (a->needs & NEEDS_PENDING))
		say(o, 2, "%s lost by damage: import again from where they came",
			text_count(a->sums.pending, number));
	else if (a->needs & NEEDS_PENDING)
		say(o, 2, "%s pending: run popkeep fetch again",
			text_count(a->sums.pending, number));
}

static int print_lost(struct run *run, const struct account_report *a, struct fault *f)
{
	struct output *o = &run->out;
	char number[TEXT_NUMBER];

	if (a->needs & NEEDS_VANISHED) {
		say(o, 2,
			"%s vanished: listed once, gone from the server before %s fetched; ask its "
			"owner, fetch more often, and accept it:",
			text_count(a->sums.vanished, number),
			plural(a->sums.vanished, "it was", "they were"));
		if (print_uidls(run, a, KNOWN_VANISHED, f) < 0)
			return -1;
	}
	if (a->needs & NEEDS_REFUSED) {
		say(o, 2,
			"%s refused: fetch tries again by itself; too-large means beyond "
			"max-message-size; accept what is not to be had:",
			text_count(a->to_accept, number));
		if (print_uidls(run, a, KNOWN_REFUSED, f) < 0)
			return -1;
	}
	if (a->needs & (NEEDS_VANISHED | NEEDS_REFUSED)) {
		char name[LIMIT_ACCOUNT_NAME * 4];

		say(o, 4, "popkeep account accept %s UIDL --reason TEXT",
			escape_text(slice_text(a->name), name, sizeof name));
	}
	return 0;
}

int status_print_text(
	struct run *run, const struct status *s, enum status_which which, struct fault *f)
{
	const struct report *r = &s->report;

	print_head(run, s, which);
	print_activity(run, s);
	for (size_t i = 0; i < r->n && !out_is_over(&run->out); i++) {
		const struct account_report *a = &r->accounts[i];

		if (!a->needs && which != STATUS_ALL)
			continue;
		print_account(run, a);
		print_polling(run, a);
		if (print_lost(run, a, f) < 0)
			return -1;
	}
	return 0;
}
