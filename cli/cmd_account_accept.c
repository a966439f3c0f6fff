#include "cli/command.h"
#include "cli/json.h"

#include "archive/accept.h"
#include "archive/escape.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "daemon/nearest.h"

#include <stdio.h>

struct acceptance {
	struct run *run;
	const char *account, *reason;
	char name[LIMIT_ACCOUNT_NAME * 4]; /* the account's, safe to print */
	struct maildrop *all;		   /* of the archive */
	size_t all_n;
	uint64_t *ours; /* numbers of the account's, the latest first */
	size_t ours_n;
	uint64_t refused, vanished; /* accepted now */
};

static void acceptance_deinit(struct acceptance *a)
{
	maildrops_free(a->all, a->all_n);
	free(a->ours);
}

/* ---- The account's maildrops ----------------------------------------------------------------- */

/* Under this name now, or where the configuration has this name. */
static int find_maildrops(struct acceptance *a, struct fault *f)
{
	const struct account *configured =
		a->run->config ? config_account(a->run->config, a->account) : NULL;
	char *server CLEANUP(freep) = configured ? account_server(configured) : NULL;

	if (configured && !server)
		return fault_memory(f);
	if (store_maildrops(a->run->store, &a->all, &a->all_n, f) < 0)
		return -1;
	a->ours = calloc(a->all_n + 1, sizeof *a->ours);
	if (!a->ours)
		return fault_memory(f);
	for (size_t i = a->all_n; i-- > 0;) {
		const struct maildrop *m = &a->all[i];

		if (strcmp(m->name, a->account) == 0 ||
			(server && strcmp(m->server, server) == 0 &&
				strcmp(m->user, configured->user) == 0))
			a->ours[a->ours_n++] = m->number;
	}
	return 0;
}

static int no_such_account(struct acceptance *a)
{
	struct nearest near = {.word = a->account};
	char best[LIMIT_ACCOUNT_NAME * 4];

	if (a->run->config && config_account(a->run->config, a->account)) {
		run_complain(a->run, "account %s: nothing to accept, it was never polled", a->name);
		return STATUS_NOTHING;
	}
	for (size_t i = 0; i < a->all_n; i++)
		nearest_offer(&near, a->all[i].name);
	if (near.best)
		run_complain(a->run, "the archive has no account \"%s\"; did you mean \"%s\"?",
			a->name, escape_text(slice_text(near.best), best, sizeof best));
	else
		run_complain(a->run,
			"the archive has no account \"%s\"; popkeep status --all lists them",
			a->name);
	return STATUS_NOTHING;
}

/* ---- One UIDL -------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What escape_append() made such text of; false where it cannot have made it. */
static bool unescape(const char *text, struct buffer *to, struct fault *f)
{
	for (const char *p = text; *p; p++) {
		char c = *p;

		if (c == '\\' && p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
			c = (char)(hex_digit(p[2]) << 4 | hex_digit(p[3]));
			p += 3;
		} else if (c == '\\' && *++p != '\\') {
			return false;
		}
		if (buffer_append(to, &c, 1, f) < 0)
			return false;
	}
	return true;
}

/* As store_accept(), over the account's maildrops. */
static int accept_in_any(struct acceptance *a, struct slice uidl, struct fault *f)
{
	int r = ACCEPT_NOTHING;

	for (size_t i = 0; i < a->ours_n && r == ACCEPT_NOTHING; i++)
		r = store_accept(a->run->store, a->ours[i], uidl, a->reason, f);
	return r;
}

/* What a UIDL is that cannot be accepted, or which one may have been meant. */
struct search {
	struct slice uidl;
	struct nearest near;
	char best[NEAREST_WORD_MAX + 8];
	bool kept, pending;
};

static void look_at(struct search *s, const struct known *k)
{
	char text[NEAREST_WORD_MAX + 8];

	if (slice_compare(k->uidl, s->uidl) == 0) {
		s->kept |= k->state == KNOWN_KEPT;
		s->pending |= k->state == KNOWN_PENDING;
		return;
	}
	if (k->accepted || (k->state != KNOWN_REFUSED && k->state != KNOWN_VANISHED))
		return;
	nearest_offer(&s->near, escape_text(k->uidl, text, sizeof text));
	if (s->near.best == text) {
		(void)snprintf(s->best, sizeof s->best, "%s", text);
		s->near.best = s->best;
	}
}

static int search_uidl(struct acceptance *a, struct search *s, struct fault *f)
{
	for (size_t i = 0; i < a->ours_n; i++) {
		struct known_cursor *c CLEANUP(known_closep) = NULL;
		struct known k;
		int r;

		if (known_open(a->run->store, a->ours[i], &c, f) < 0)
			return -1;
		while ((r = known_next(c, &k, f)) == KNOWN_ROW)
			look_at(s, &k);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int nothing_to_accept(struct acceptance *a, const char *uidl)
{
	char text[LIMIT_UIDL / 4];
	struct search s = {.uidl = slice_text(uidl), .near = {.word = text}};
	struct fault f;

	(void)escape_text(s.uidl, text, sizeof text);
	if (search_uidl(a, &s, &f) < 0)
		return run_fail(a->run, &f);
	if (s.kept)
		run_complain(a->run, "account %s: UIDL %s is archived: there is nothing to accept",
			a->name, text);
	else if (s.pending)
		run_complain(a->run,
			"account %s: UIDL %s is pending: fetch brings it, or refuses it with a "
			"reason",
			a->name, text);
	else if (s.near.best)
		run_complain(a->run,
			"account %s: no UIDL \"%s\" is refused or vanished; did you mean \"%s\"?",
			a->name, text, s.near.best);
	else
		run_complain(a->run,
			"account %s: no UIDL \"%s\" is refused or vanished; popkeep status lists "
			"them",
			a->name, text);
	return STATUS_NOTHING;
}

static void print_one(struct acceptance *a, struct slice uidl, int outcome)
{
	struct run *run = a->run;
	struct json_line line;
	bool already = outcome == ACCEPT_ALREADY;

	if (!run->json) {
		out_format(&run->out, "%s: %s UIDL ", a->name,
			already ? "accepted already:" : "accepted");
		out_escaped(&run->out, uidl);
		out_format(&run->out, "\n");
		return;
	}
	json_line_begin(&line, "accept");
	json_add_text(&line, "account", a->account);
	json_add_bytes(&line, "uidl", uidl);
	json_add_text(&line, "outcome", already ? "already" : "accepted");
	json_line_print(&line, &run->out);
	json_line_begin(&line, "summary");
	json_add_count(&line, "accepted", !already);
	json_line_print(&line, &run->out);
}

/* The bytes as they were given, or those that status showed so. */
static int accept_one(struct acceptance *a, const char *text)
{
	struct buffer bytes CLEANUP(buffer_deinit) = buffer_make(LIMIT_UIDL);
	struct slice uidl = slice_text(text);
	struct fault f;
	int r = accept_in_any(a, uidl, &f);

	if (r == ACCEPT_NOTHING && strchr(text, '\\') && unescape(text, &bytes, &f)) {
		uidl = buffer_slice(&bytes);
		r = accept_in_any(a, uidl, &f);
	}
	if (r < 0)
		return run_fail(a->run, &f);
	if (r == ACCEPT_NOTHING)
		return nothing_to_accept(a, text);
	print_one(a, uidl, r);
	return STATUS_DONE;
}

/* ---- All of a kind --------------------------------------------------------------------------- */

static int accept_kind(struct acceptance *a, enum known_state which, uint64_t *sum, struct fault *f)
{
	for (size_t i = 0; i < a->ours_n; i++) {
		uint64_t n;
		int r = store_accept_all(a->run->store, a->ours[i], which, a->reason, &n, f);

		*sum += n;
		if (r < 0)
			return -1;
	}
	return 0;
}

static void print_all(struct acceptance *a)
{
	struct run *run = a->run;
	struct json_line line;
	char refused[TEXT_NUMBER], vanished[TEXT_NUMBER];

	if (run->json) {
		json_line_begin(&line, "summary");
		json_add_count(&line, "accepted", a->refused + a->vanished);
		json_add_count(&line, "refused", a->refused);
		json_add_count(&line, "vanished", a->vanished);
		json_line_print(&line, &run->out);
	} else if (a->refused + a->vanished > 0) {
		out_format(&run->out, "%s: accepted %s refused, %s vanished\n", a->name,
			text_count(a->refused, refused), text_count(a->vanished, vanished));
	}
}

static int accept_all(struct acceptance *a, bool refused, bool vanished)
{
	struct fault f = {0};
	int r = refused ? accept_kind(a, KNOWN_REFUSED, &a->refused, &f) : 0;

	if (r == 0 && vanished)
		r = accept_kind(a, KNOWN_VANISHED, &a->vanished, &f);
	/* What was accepted before a failure is durable: it is told in any case. */
	print_all(a);
	if (r < 0)
		return run_fail(a->run, &f);
	if (a->refused + a->vanished > 0)
		return STATUS_DONE;
	run_note(a->run, "account %s: there is nothing to accept", a->name);
	return STATUS_NOTHING;
}

/* ---- The command ----------------------------------------------------------------------------- */

static int open_archive(struct run *run, struct fault *f)
{
	if (store_become_owner(run->folder, f) < 0 ||
		store_open(run->folder, run->cache_dir, STORE_WRITE, &run->store, f) < 0)
		return -1;
	for (char *text; (text = store_take_notice(run->store)); free(text))
		run_note(run, "%s", text);
	return 0;
}

static int account_accept_run(struct run *run)
{
	struct acceptance a CLEANUP(acceptance_deinit) = {
		.run = run, .reason = option_value(&run->arguments, "reason")};
	bool refused = option_given(&run->arguments, "refused"),
	     vanished = option_given(&run->arguments, "vanished");
	size_t n = operands_n(&run->arguments);
	struct fault f;

	if (n == 0)
		return run_usage(run, "account accept needs the account's name");
	if (n != (refused || vanished ? 1 : 2))
		return run_usage(run, "account accept needs one UIDL, or --refused, or --vanished");
	if (!a.reason)
		return run_usage(
			run, "--reason is missing: say for the ledger why this cannot be archived");
	a.account = operands(&run->arguments)[0];
	(void)escape_text(slice_text(a.account), a.name, sizeof a.name);
	if (open_archive(run, &f) < 0 || find_maildrops(&a, &f) < 0)
		return run_fail(run, &f);
	if (a.ours_n == 0)
		return no_such_account(&a);
	if (refused || vanished)
		return accept_all(&a, refused, vanished);
	return accept_one(&a, operands(&run->arguments)[1]);
}

static const struct option_spec options[] = {
	{"reason", 0, "TEXT", "why; it goes into the ledger"},
	{"refused", 0, NULL, "all of the account's that are refused"},
	{"vanished", 0, NULL, "all of the account's that have vanished"},
	{NULL, 0, NULL, NULL},
};

const struct command command_account_accept = {
	.name = "account accept",
	.arguments = "NAME UIDL | NAME --refused | NAME --vanished",
	.summary = "acknowledge what cannot be archived",
	.details = "UIDLs are written as status shows them. What is accepted needs no attention\n"
		   "any more. A refused message is still fetched again from time to time; one\n"
		   "that vanished is not counted any more.",
	.options = options,
	.everyday = false,
	.needs = NEEDS_FOLDER,
	.function = account_accept_run,
};
