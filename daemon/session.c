#include "daemon/session.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/session_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const state_words[] = {
	[SESSION_CONNECTING] = "connecting",
	[SESSION_LOGIN] = "logging in",
	[SESSION_LISTING] = "listing the messages",
	[SESSION_FETCHING] = "fetching messages",
	[SESSION_SETTLING] = "waiting for the archive",
	[SESSION_QUITTING] = "quitting",
	[SESSION_ENDED] = "ended",
};

/* Octets that one session takes before it is the others' turn: a fast server may send for ever. */
enum { STRETCH = 2 * 1024 * 1024 };

static void set_state(struct session *s, enum session_state state)
{
	s->state = state;
	session_touch(s);
}

/* ---- Life ------------------------------------------------------------------------------------ */

int session_new(const struct session_tools *tools, const struct account *account,
	const struct secret *secret, const struct maildrop *maildrop, struct trouble *trouble,
	struct session **ret, struct fault *f)
{
	struct session *s = calloc(1, sizeof *s);

	if (!s)
		return fault_memory(f);
	s->tools = tools;
	s->account = account;
	s->secret = secret;
	s->maildrop = maildrop;
	s->trouble = trouble;
	listing_init(&s->listing);
	plan_init(&s->plan);
	if (connection_new(tools->network, account, &s->connection, f) < 0) {
		session_free(s);
		return -1;
	}
	set_state(s, SESSION_CONNECTING);
	*ret = s;
	return 0;
}

/* The connection and all that belongs to it; what was learned stays. */
static void drop_connection(struct session *s)
{
	s->login = login_free(s->login);
	s->pop3 = pop3_free(s->pop3);
	s->connection = connection_close(s->connection);
	s->spool = spool_free(s->spool);
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	drop_connection(s);
	retrieval_deinit(&s->retrieval);
	plan_deinit(&s->plan);
	listing_deinit(&s->listing);
	free(s);
	return NULL;
}

const struct fault *session_fault(const struct session *s)
{
	return &s->fault;
}

bool session_was_in_use(const struct session *s)
{
	return s->in_use;
}

const struct session_counts *session_counts(const struct session *s)
{
	return &s->counts;
}

bool session_sums(const struct session *s, struct sums *ret)
{
	if (s->planned)
		*ret = s->plan.sums;
	return s->planned;
}

/* ---- Deadlines ----------------------------------------------------------------------------------
 */

void session_touch(struct session *s)
{
	s->deadline = monotonic_ms() + s->account->timeout_ms;
	s->trickle = 0;
}

/* Octets that arrived; a few of them now and then are no progress. */
static void count_octets(struct session *s, size_t n)
{
	s->trickle += n;
	if (s->trickle >= LIMIT_TRICKLE)
		session_touch(s);
}

static int check_deadline(struct session *s, struct fault *f)
{
	if (s->state == SESSION_CONNECTING || s->state == SESSION_SETTLING || s->held_back ||
		monotonic_ms() < s->deadline)
		return 0;
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"the server stalled while %s: less than %d octets in %" PRIu32
		" seconds; try again, or raise `timeout`",
		state_words[s->state], (int)LIMIT_TRICKLE, s->account->timeout_ms / 1000);
}

int session_timeout(const struct session *s)
{
	if (s->state == SESSION_SETTLING || s->state == SESSION_CONNECTING || s->held_back)
		return 1000;
	int64_t left = s->deadline - monotonic_ms();
	return left < 0 ? 0 : left > 1000 ? 1000 : (int)left;
}

/* ---- Ending
 * ----------------------------------------------------------------------------------------- */

void session_stop(struct session *s, const struct fault *why)
{
	if (s->state == SESSION_ENDED)
		return;
	if (s->fault.code == FAULT_NONE)
		s->fault = *why;
	if (s->pop3)
		retrieval_note_break(s);
	drop_connection(s);
	set_state(s, SESSION_SETTLING);
	intake_hurry(s->tools->intake);
}

static void submit(struct session *s, struct item *item)
{
	s->submitted++;
	item->cookie = (uint64_t)(uintptr_t)s;
	intake_put(s->tools->intake, item);
}

void session_submit(struct session *s, struct item *item)
{
	submit(s, item);
}

void session_settle(struct session *s, const struct item *item)
{
	s->settled++;
	retrieval_settle(s, item);
}

/* The sums at the end, and that the poll was complete. */
static int submit_end(struct session *s, struct fault *f)
{
	struct item *item = item_new(ITEM_LISTING, s->maildrop->number, f);

	if (!item)
		return -1;
	item->sums = s->plan.sums;
	item->complete = true;
	s->end_submitted = true;
	submit(s, item);
	intake_hurry(s->tools->intake);
	return 0;
}

/* ---- Moving bytes
 * -------------------------------------------------------------------------------- */

/* Sends what there is. The slice may be empty. */
static int send_bytes(struct session *s, struct slice out, size_t *ret_sent, struct fault *f)
{
	*ret_sent = 0;
	while (*ret_sent < out.len) {
		size_t n = 0;
		int r = connection_send(
			s->connection, slice_of(out.data + *ret_sent, out.len - *ret_sent), &n, f);

		if (r < 0)
			return -1;
		if (r == CONNECTION_WOULD_BLOCK)
			return 0;
		*ret_sent += n;
	}
	return 0;
}

static int step_login(struct session *s, struct fault *f)
{
	uint8_t chunk[4096];
	size_t n;

	for (;;) {
		int r = login_step(s->login, f);

		if (r < 0) {
			s->in_use = login_response_code(s->login) == REPLY_CODE_IN_USE;
			return -1;
		}
		if (r == LOGIN_DONE)
			return 0;
		if (r == LOGIN_WANT_WRITE) {
			size_t len = login_output(s->login).len;

			if (send_bytes(s, login_output(s->login), &n, f) < 0)
				return -1;
			login_sent(s->login, n);
			connection_want(
				s->connection, CONNECTION_READ | (n < len ? CONNECTION_WRITE : 0));
			if (n < len)
				return SESSION_GOING;
			continue;
		}
		r = connection_receive(s->connection, chunk, sizeof chunk, &n, f);
		if (r < 0)
			return -1;
		if (r == CONNECTION_CLOSED)
			return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
				"the server closed the connection during the login");
		if (r == CONNECTION_WOULD_BLOCK)
			return SESSION_GOING;
		count_octets(s, n);
		if (login_input(s->login, slice_of(chunk, n), f) < 0)
			return -1;
	}
}

/* Sends commands and takes events until the server has nothing more. */
static int step_pop3(struct session *s, struct fault *f)
{
	struct pop3_event e;
	size_t n, taken = 0;

	for (;;) {
		int r = pop3_next(s->pop3, &e, f);
		if (r < 0)
			return -1;
		if (r == POP3_EVENT) {
			r = s->on_event(s, &e, f);
			if (r <= 0)
				return r;
			continue;
		}
		if (s->on_idle && s->on_idle(s, f) < 0)
			return -1;
		for (struct slice out; (out = pop3_output(s->pop3)).len > 0;) {
			if (send_bytes(s, out, &n, f) < 0)
				return -1;
			if (n == 0)
				break;
			pop3_sent(s->pop3, n);
		}
		bool unsent = pop3_output(s->pop3).len > 0;
		s->held_back = !intake_has_room(s->tools->intake);
		connection_want(s->connection,
			(s->held_back ? 0 : CONNECTION_READ) | (unsent ? CONNECTION_WRITE : 0));
		if (s->held_back) {
			session_touch(s);
			return SESSION_GOING;
		}
		size_t room;
		uint8_t *space = pop3_space(s->pop3, &room);
		r = connection_receive(s->connection, space, room, &n, f);
		if (r < 0)
			return -1;
		if (r == CONNECTION_WOULD_BLOCK)
			return SESSION_GOING;
		if (r == CONNECTION_CLOSED) {
			if (pop3_closed(s->pop3, f) < 0)
				return -1;
			return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
				"the server closed the connection while %s", state_words[s->state]);
		}
		count_octets(s, n);
		pop3_received(s->pop3, n);
		taken += n;
		if (taken >= STRETCH)
			return SESSION_GOING;
	}
}

/* ---- Listing
 * ------------------------------------------------------------------------------------------- */

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

static int begin_listing(struct session *s, struct fault *f)
{
	const struct login_result *login = login_result(s->login);

	s->capabilities = login->capabilities;
	s->pipelining =
		login->capabilities.pipelining && s->account->pipelining && !s->trouble->serial;
	s->pop3 = pop3_new(login->lf_only ? LINE_ENDS_LF : LINE_ENDS_CRLF, f);
	s->login = login_free(s->login);
	if (!s->pop3 || pop3_command(s->pop3, POP3_UIDL, 0, f) < 0 ||
		(s->pipelining && pop3_command(s->pop3, POP3_LIST, 0, f) < 0))
		return -1;
	s->on_event = on_listing;
	s->on_idle = NULL;
	set_state(s, SESSION_LISTING);
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
		submit(s, TAKE(item));
	} while (from < most);
	return 0;
}

/* ---- From state to state
 * ------------------------------------------------------------------------- */

static int step_connecting(struct session *s, struct fault *f)
{
	switch (connection_state(s->connection)) {
	case CONNECTION_CONNECTING:
		return SESSION_GOING;
	case CONNECTION_FAILED:
		*f = *connection_fault(s->connection);
		return -1;
	case CONNECTION_UP:
		break;
	}
	if (login_new(s->account, s->secret, connection_preamble(s->connection),
		    connection_channel(s->connection), &s->login, f) < 0)
		return -1;
	connection_want(s->connection, CONNECTION_READ);
	set_state(s, SESSION_LOGIN);
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

/* >0: nothing to fetch. */
static int end_listing(struct session *s, struct fault *f)
{
	if (make_plan(s, f) < 0)
		return -1;
	bool idle = s->plan.fetch.n == 0 && s->plan.too_large.n == 0;
	if (submit_listing(s, idle, f) < 0 || retrieval_begin(s, f) < 0)
		return -1;
	s->end_submitted = idle;
	note_listing(s);
	set_state(s, idle ? SESSION_SETTLING : SESSION_FETCHING);
	if (s->state == SESSION_SETTLING)
		intake_hurry(s->tools->intake);
	return 0;
}

static int on_quit(struct session *s, const struct pop3_event *e, struct fault *f)
{
	(void)s, (void)e, (void)f;
	return 0;
}

static int begin_quit(struct session *s, struct fault *f)
{
	if (pop3_command(s->pop3, POP3_QUIT, 0, f) < 0)
		return -1;
	s->on_event = on_quit;
	s->on_idle = NULL;
	set_state(s, SESSION_QUITTING);
	s->deadline = monotonic_ms() + LIMIT_QUIT_MS;
	return 0;
}

/* All that was handed in is durable; then the end is, then QUIT. */
static int step_settling(struct session *s, struct fault *f)
{
	if (s->settled < s->submitted)
		return SESSION_GOING;
	if (s->fault.code != FAULT_NONE) {
		set_state(s, SESSION_ENDED);
		return 0;
	}
	if (!s->end_submitted)
		return submit_end(s, f) < 0 ? -1 : SESSION_GOING;
	return begin_quit(s, f);
}

/* One stretch of work: 0 to be called again, SESSION_GOING to wait, <0 failed. */
static int step(struct session *s, struct fault *f)
{
	int r;

	switch (s->state) {
	case SESSION_CONNECTING:
		return step_connecting(s, f);
	case SESSION_LOGIN:
		r = step_login(s, f);
		return r != 0 ? r : begin_listing(s, f);
	case SESSION_LISTING:
		r = step_pop3(s, f);
		return r != 0 ? r : end_listing(s, f);
	case SESSION_FETCHING:
		r = step_pop3(s, f);
		if (r != 0)
			return r;
		s->counts.retrieve_ms = monotonic_ms() - s->retrieval.began;
		connection_want(s->connection, 0);
		set_state(s, SESSION_SETTLING);
		intake_hurry(s->tools->intake);
		return 0;
	case SESSION_SETTLING:
		return step_settling(s, f);
	case SESSION_QUITTING:
		r = step_pop3(s, f);
		if (r == 0)
			set_state(s, SESSION_ENDED);
		return r;
	case SESSION_ENDED:
		break;
	}
	return SESSION_GOING;
}

int session_step(struct session *s, char *ret_notice)
{
	struct fault f = {0};

	while (s->state != SESSION_ENDED) {
		if (s->notices > 0) {
			memcpy(ret_notice, s->notice[--s->notices], sizeof s->notice[0]);
			return SESSION_NOTICE;
		}
		int r = step(s, &f);
		/* After what has arrived was taken: that we were slow is not the server's stall. */
		if (r > 0 && check_deadline(s, &f) < 0)
			r = -1;
		if (r > 0)
			return SESSION_GOING;
		if (r < 0 && s->state == SESSION_QUITTING) {
			/* All is durable; how the server says good-bye changes nothing. */
			set_state(s, SESSION_ENDED);
		} else if (r < 0) {
			session_stop(s, &f);
		}
	}
	drop_connection(s);
	return 0;
}
