/* The listing part of a session: UIDL and LIST, the plan that comes of them, and what of it is told
 * to the archive and to people. */
#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/session_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static int refused_command(struct fault *f, const char *command, const struct reply *reply)
{
	char text[256];

	return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0, "the server refused %s: %s", command,
		escape_text(reply->text, text, sizeof text));
}

/* >0 to go on, 0 when the listing is complete. */
static int on_listing(struct session *s, const struct pop3_event *e, struct fault *f)
{
	switch (e->kind) {
	case POP3_REPLY:
		session_touch(s);
		if (e->reply.status == REPLY_OK)
			return 1;
		if (e->command == POP3_UIDL)
			return refused_command(f,
				"UIDL, without which messages cannot be told from another",
				&e->reply);
		/* Sizes are hints; without them everything is compared by UIDL alone. */
		return 0;
	case POP3_LINE:
		if (e->command == POP3_UIDL)
			return listing_add_uidl(&s->listing, e->bytes, f) < 0 ? -1 : 1;
		return listing_add_size(&s->listing, e->bytes, f) < 0 ? -1 : 1;
	case POP3_END:
		if (e->command == POP3_LIST)
			return 0;
		listing_uidl_end(&s->listing);
		if (!s->pipelining && pop3_command(s->pop3, POP3_LIST, 0, f) < 0)
			return -1;
		return 1;
	case POP3_DATA:
	case POP3_MESSAGE_END:
		break;
	}
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "an answer out of step");
}

int session_begin_listing(struct session *s, struct fault *f)
{
	const struct login_result *login = login_result(s->login);

	s->capabilities = login->capabilities;
	s->pipelining =
		login->capabilities.pipelining && s->account->pipelining && !s->trouble->serial;
	s->pop3 = pop3_new(login->lf_only ? LINE_ENDS_LF : LINE_ENDS_CRLF, f);
	s->login = login_free(s->login);
	connection_set_acks(s->connection, s->pipelining ? ACKS_AS_USUAL : ACKS_AT_ONCE);
	if (!s->pop3 || pop3_command(s->pop3, POP3_UIDL, 0, f) < 0 ||
		(s->pipelining && pop3_command(s->pop3, POP3_LIST, 0, f) < 0))
		return -1;
	s->on_event = on_listing;
	s->on_idle = NULL;
	return 0;
}

static int make_plan(struct session *s, struct fault *f)
{
	struct known_cursor *known CLEANUP(known_closep) = NULL;
	struct plan_terms terms = {
		.now = moment_now(),
		.max_message_size = s->account->max_message_size,
		.sizes = s->maildrop->sizes_unreliable ? SIZES_UNRELIABLE : SIZES_COMPARED,
	};

	listing_sort(&s->listing);
	if (known_open(s->tools->store, s->maildrop->number, &known, f) < 0 ||
		plan_make(&s->plan, &s->listing, known_source_of(known), &terms, f) < 0)
		return -1;
	s->planned = true;
	return 0;
}

static int add_listed(
	struct listed_uidl *list, size_t *n, struct slice uidl, uint64_t size, struct fault *f)
{
	struct listed_uidl *one = &list[*n];

	/* Of its own size: there may be millions of them. */
	*one = (struct listed_uidl){.uidl = buffer_make(uidl.len), .listed_size = size};
	(*n)++;
	return buffer_append(&one->uidl, uidl.data, uidl.len, f);
}

/* How many of n fit the item that begins with the from-th. */
static size_t part(size_t n, size_t from)
{
	size_t left = n > from ? n - from : 0;

	return left < LIMIT_LISTING_UIDLS ? left : LIMIT_LISTING_UIDLS;
}

/* What becomes pending and what vanishes, each from the from-th on. */
static int fill_listing(struct session *s, struct item *item, size_t from, struct fault *f)
{
	const struct plan *p = &s->plan;
	size_t pending = part(p->pending.n, from), vanished = part(p->vanished_n, from);

	item->pending = calloc(pending + 1, sizeof *item->pending);
	item->vanished = calloc(vanished + 1, sizeof *item->vanished);
	if (!item->pending || !item->vanished)
		return fault_memory(f);
	for (size_t i = from; i < from + pending; i++) {
		const struct listed *e = &s->listing.entries[p->pending.at[i]];

		if (add_listed(item->pending, &item->pending_n, listing_uidl(&s->listing, e),
			    e->size, f) < 0)
			return -1;
	}
	for (size_t i = from; i < from + vanished; i++) {
		const struct gone *g = &p->vanished[i];

		if (add_listed(item->vanished, &item->vanished_n, plan_gone_uidl(p, g),
			    g->listed_size, f) < 0)
			return -1;
	}
	return 0;
}

/* What the listing changed, before anything is fetched: so that after a crash the sums are right.
 */
static int submit_listing(struct session *s, bool complete, struct fault *f)
{
	const struct plan *p = &s->plan;
	size_t most = p->pending.n > p->vanished_n ? p->pending.n : p->vanished_n, from = 0;

	do {
		struct item *item CLEANUP(item_freep) =
			item_new(ITEM_LISTING, s->maildrop->number, f);

		if (!item)
			return -1;
		item->sums = p->sums;
		/* The refusals that follow move these from pending to refused. */
		item->sums.pending += p->too_large.n;
		item->sums.refused -= p->too_large.n;
		if (fill_listing(s, item, from, f) < 0)
			return -1;
		from += LIMIT_LISTING_UIDLS;
		item->complete = complete && from >= most;
		session_submit(s, TAKE(item));
	} while (from < most);
	return 0;
}

static void note(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct session *s, const char *format, ...)
{
	va_list args;

	if (s->notices == SESSION_NOTICES)
		return;
	va_start(args, format);
	(void)vsnprintf(s->notice[s->notices++], sizeof s->notice[0], format, args);
	va_end(args);
}

/* What of the listing a person should know. */
static void note_listing(struct session *s)
{
	const struct capabilities *c = &s->capabilities;

	if (s->plan.renumbered)
		note(s,
			"maildrop renumbered: none of the %zu UIDLs listed is known; fetching all, "
			"and "
			"what is kept already is not stored twice",
			s->listing.n);
	if (s->listing.without_uidl > 0)
		note(s,
			"%" PRIu64 " messages have no UIDL (message %" PRIu32
			" for one) and cannot be archived: without it they cannot be told from "
			"another",
			s->listing.without_uidl, s->listing.first_without);
	if (c->expire_known && c->expire_days == 0 && s->plan.fetch.n > 0)
		note(s, "the server says EXPIRE 0: it may delete messages once they were fetched");
}

int session_end_listing(struct session *s, struct fault *f)
{
	if (make_plan(s, f) < 0)
		return -1;
	bool idle = s->plan.fetch.n == 0 && s->plan.too_large.n == 0;
	if (submit_listing(s, idle, f) < 0 || retrieval_begin(s, f) < 0)
		return -1;
	s->end_submitted = idle;
	note_listing(s);
	return idle ? LISTING_IDLE : 0;
}
