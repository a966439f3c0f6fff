#include "daemon/session.h"

#include "archive/limits.h"
#include "daemon/session_private.h"

#include <inttypes.h>

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
	s->stepped = false;
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

enum hindrance session_hindrance(const struct session *s)
{
	return hindrance_of(&s->fault, s->login_code);
}

uint64_t session_login_delay(const struct session *s)
{
	return s->capabilities.login_delay_known ? s->capabilities.login_delay_s : 0;
}

bool session_hides_fetched(const struct session *s)
{
	return s->capabilities.expire_known && s->capabilities.expire_days == 0;
}

uint64_t session_unlisted(const struct session *s)
{
	return s->planned ? s->plan.unlisted : 0;
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

/* ---- Deadlines ------------------------------------------------------------------------------ */

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

bool session_is_due(const struct session *s)
{
	if (!s->stepped || s->notices > 0)
		return true;
	switch (s->state) {
	case SESSION_CONNECTING:
		return connection_state(s->connection) != CONNECTION_CONNECTING;
	case SESSION_SETTLING:
		return s->settled == s->submitted;
	case SESSION_LOGIN:
	case SESSION_LISTING:
	case SESSION_FETCHING:
	case SESSION_QUITTING:
		if (s->held_back)
			return intake_has_room(s->tools->intake);
		return connection_ready(s->connection) || monotonic_ms() >= s->deadline;
	case SESSION_ENDED:
		break;
	}
	return true;
}

/* ---- Ending ---------------------------------------------------------------------------------- */

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

/* ---- Moving bytes ---------------------------------------------------------------------------- */

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
			s->login_code = login_response_code(s->login);
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

/* ---- From state to state --------------------------------------------------------------------- */

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
	login_begin_after(s->login, s->refused);
	connection_want(s->connection, CONNECTION_READ);
	set_state(s, SESSION_LOGIN);
	return 0;
}

/* The login failed. Where the server hung up on a refusal that leaves another mechanism, it gets a
 * new connection for that one; each refusal takes one mechanism, so this ends. */
static int end_login(struct session *s, struct fault *f)
{
	s->refused = login_refused(s->login);
	if (!s->refused)
		return -1;
	drop_connection(s);
	if (connection_new(s->tools->network, s->account, &s->connection, f) < 0)
		return -1;
	*f = (struct fault){0};
	set_state(s, SESSION_CONNECTING);
	return 0;
}

static int begin_listing(struct session *s, struct fault *f)
{
	if (session_begin_listing(s, f) < 0)
		return -1;
	set_state(s, SESSION_LISTING);
	return 0;
}

/* Nothing more is read, and a wait must not come back at once for what libcurl may hold. */
static void begin_settling(struct session *s)
{
	connection_want(s->connection, 0);
	set_state(s, SESSION_SETTLING);
	intake_hurry(s->tools->intake);
}

static int end_listing(struct session *s, struct fault *f)
{
	int r = session_end_listing(s, f);

	if (r < 0)
		return -1;
	if (r == LISTING_IDLE)
		begin_settling(s);
	else
		set_state(s, SESSION_FETCHING);
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
		return r < 0 ? end_login(s, f) : r > 0 ? r : begin_listing(s, f);
	case SESSION_LISTING:
		r = step_pop3(s, f);
		return r != 0 ? r : end_listing(s, f);
	case SESSION_FETCHING:
		r = step_pop3(s, f);
		if (r != 0)
			return r;
		s->counts.retrieve_ms = monotonic_ms() - s->retrieval.began;
		begin_settling(s);
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
		s->stepped = true;
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
