#include "daemon/imap_session.h"

#include "archive/limits.h"
#include "daemon/imap_login.h"

#include <inttypes.h>

/* Bytes either way that one session moves before it is the others' turn. */
enum { STRETCH = 1024 * 1024 };

enum session_state { CONNECTING, LOGIN, UP, OVER };

struct imap_session {
	enum session_state state;
	const struct account *account;
	const struct secret *secret;
	struct connection *connection;
	struct imap_login *login;
	struct imap *engine;
	char mechanism[CAPABILITIES_SASL_NAME];
	char tls[CONNECTION_TLS_TEXT];
	int64_t deadline;
	uint64_t trickle; /* octets since the deadline was set */
	bool asleep;	  /* all was done that could be, and the network is waited for */
	bool logged_out;
	size_t taken; /* of this turn's STRETCH */
	enum reply_code code;
	struct fault fault;
};

static const char *const doings[] = {
	[CONNECTING] = "connecting", [LOGIN] = "logging in", [UP] = "at work", [OVER] = "done"};

/* The server made progress: the deadline begins again. */
static void touch(struct imap_session *s)
{
	s->deadline = monotonic_ms() + s->account->timeout_ms;
	s->trickle = 0;
}

/* A few octets now and then are no progress. */
static void count_octets(struct imap_session *s, size_t n)
{
	s->taken += n;
	s->trickle += n;
	if (s->trickle >= LIMIT_TRICKLE)
		touch(s);
}

int imap_session_new(struct network *network, const struct account *account,
	const struct secret *secret, struct imap_session **ret, struct fault *f)
{
	struct imap_session *s CLEANUP(imap_session_freep) = calloc(1, sizeof *s);

	if (!s)
		return fault_memory(f);
	s->account = account;
	s->secret = secret;
	if (connection_new(network, account, &s->connection, f) < 0)
		return -1;
	touch(s);
	*ret = TAKE(s);
	return 0;
}

static void drop(struct imap_session *s)
{
	s->login = imap_login_free(s->login);
	s->connection = connection_close(s->connection);
}

struct imap_session *imap_session_free(struct imap_session *s)
{
	if (!s)
		return NULL;
	drop(s);
	imap_freep(&s->engine);
	free(s);
	return NULL;
}

void imap_session_freep(struct imap_session **s)
{
	*s = imap_session_free(*s);
}

/* ---- Moving bytes ---------------------------------------------------------------------------- */

/* 0, or CONNECTION_WOULD_BLOCK when not all of it went. */
static int send_bytes(struct imap_session *s, struct slice out, size_t *ret_sent, struct fault *f)
{
	int r = 0;

	*ret_sent = 0;
	while (*ret_sent < out.len && r == 0) {
		size_t n = 0;

		r = connection_send(
			s->connection, slice_of(out.data + *ret_sent, out.len - *ret_sent), &n, f);
		if (r < 0)
			return -1;
		*ret_sent += n;
	}
	count_octets(s, *ret_sent);
	return r;
}

static void want(struct imap_session *s, bool unsent)
{
	connection_want(s->connection, CONNECTION_READ | (unsent ? CONNECTION_WRITE : 0));
	s->asleep = true;
}

static int cut(const struct imap_session *s, struct fault *f)
{
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"the server closed the connection while it was %s", doings[s->state]);
}

/* ---- From state to state --------------------------------------------------------------------- */

/* Results of a step: <0, IMAP_EVENT, these. */
enum { GO_ON = 100, WAIT = 0 };

static int step_connecting(struct imap_session *s, struct fault *f)
{
	switch (connection_state(s->connection)) {
	case CONNECTION_CONNECTING:
		s->asleep = true;
		return WAIT;
	case CONNECTION_FAILED:
		*f = *connection_fault(s->connection);
		return -1;
	case CONNECTION_UP:
		break;
	}
	connection_tls_info(s->connection, s->tls);
	if (imap_login_new(s->account, s->secret, connection_imap_preamble(s->connection),
		    connection_channel(s->connection), &s->login, f) < 0)
		return -1;
	s->state = LOGIN;
	touch(s);
	return GO_ON;
}

static int begin_work(struct imap_session *s, struct imap_event *ret, struct fault *f)
{
	const struct imap_login_result *result = imap_login_result(s->login);
	struct slice rest = login_wire_rest(imap_login_wire(s->login));
	size_t room;

	s->engine = imap_new(&result->capabilities, f);
	if (!s->engine)
		return -1;
	uint8_t *to = imap_space(s->engine, &room);
	if (rest.len > room)
		return cut(s, f);
	if (rest.len > 0)
		memcpy(to, rest.data, rest.len);
	imap_received(s->engine, rest.len);
	memcpy(s->mechanism, result->mechanism, sizeof s->mechanism);
	s->login = imap_login_free(s->login);
	s->state = UP;
	touch(s);
	*ret = (struct imap_event){.kind = IMAP_UP};
	return IMAP_EVENT;
}

static int send_login(struct imap_session *s, struct fault *f)
{
	struct login_wire *wire = imap_login_wire(s->login);
	size_t n;
	int r = send_bytes(s, login_wire_output(wire), &n, f);

	if (r < 0)
		return -1;
	login_wire_sent(wire, n);
	if (r == 0)
		return GO_ON;
	want(s, true);
	return WAIT;
}

static int step_login(struct imap_session *s, struct imap_event *ret, struct fault *f)
{
	uint8_t chunk[4096];
	size_t n;
	int r = imap_login_step(s->login, f);

	if (r < 0) {
		s->code = imap_login_response_code(s->login);
		return -1;
	}
	if (r == LOGIN_DONE)
		return begin_work(s, ret, f);
	if (r == LOGIN_WANT_WRITE)
		return send_login(s, f);
	r = connection_receive(s->connection, chunk, sizeof chunk, &n, f);
	if (r < 0)
		return -1;
	if (r == CONNECTION_CLOSED)
		return cut(s, f);
	if (r == CONNECTION_WOULD_BLOCK) {
		want(s, false);
		return WAIT;
	}
	count_octets(s, n);
	r = login_wire_input(imap_login_wire(s->login), slice_of(chunk, n), f);
	return r < 0 ? -1 : GO_ON;
}

/* A session that ended by our LOGOUT, however the server took it. */
static int end_well(struct imap_session *s)
{
	s->state = OVER;
	drop(s);
	return IMAP_SESSION_END;
}

/* The engine has no event: sends, receives. */
static int exchange(struct imap_session *s, struct fault *f)
{
	size_t n, room;
	int r = send_bytes(s, imap_output(s->engine), &n, f);

	if (r < 0)
		return -1;
	imap_sent(s->engine, n);
	/* There is room again: first what can go behind it. A server that does not read its input
	 * before its output was taken stops the sending, and then it is taken. */
	if (n > 0 && r == 0)
		return GO_ON;
	uint8_t *to = imap_space(s->engine, &room);
	r = connection_receive(s->connection, to, room, &n, f);
	if (r < 0)
		return -1;
	if (r == CONNECTION_CLOSED)
		return imap_closed(s->engine, f) < 0 ? -1 : cut(s, f);
	if (r == 0) {
		imap_received(s->engine, n);
		count_octets(s, n);
		return GO_ON;
	}
	want(s, imap_output(s->engine).len > 0);
	return WAIT;
}

static int step_up(struct imap_session *s, struct imap_event *ret, struct fault *f)
{
	bool waited = imap_is_waiting(s->engine);
	int r;

	if (s->logged_out)
		return end_well(s);
	if (s->taken >= STRETCH) {
		s->taken = 0;
		return IMAP_SESSION_TURN;
	}
	r = imap_next(s->engine, ret, f);
	if (r < 0)
		return -1;
	if (r == IMAP_EVENT) {
		if (ret->kind == IMAP_REPLY)
			touch(s);
		s->logged_out = ret->kind == IMAP_REPLY && ret->command == IMAP_LOGOUT;
		return r;
	}
	r = exchange(s, f);
	/* While nothing was asked, nothing was due. */
	if (!waited)
		touch(s);
	return r;
}

static int check_deadline(struct imap_session *s, struct fault *f)
{
	if (s->state == CONNECTING || monotonic_ms() < s->deadline)
		return WAIT;
	if (s->state == UP && !imap_is_waiting(s->engine)) {
		touch(s);
		return WAIT;
	}
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"the server stalled while it was %s: less than %d octets in %" PRIu32
		" seconds; try again",
		doings[s->state], (int)LIMIT_TRICKLE, s->account->timeout_ms / 1000);
}

static int step(struct imap_session *s, struct imap_event *ret, struct fault *f)
{
	switch (s->state) {
	case CONNECTING:
		return step_connecting(s, f);
	case LOGIN:
		return step_login(s, ret, f);
	case UP:
		return step_up(s, ret, f);
	case OVER:
		break;
	}
	*f = s->fault;
	return s->fault.code == FAULT_NONE ? IMAP_SESSION_END : -1;
}

int imap_session_next(struct imap_session *s, struct imap_event *ret, struct fault *f)
{
	int r;

	s->asleep = false;
	do {
		r = step(s, ret, f);
		if (r == WAIT)
			r = check_deadline(s, f);
	} while (r == GO_ON);
	if (r == WAIT)
		s->taken = 0;
	if (r >= 0 || s->state == OVER)
		return r;
	if (s->logged_out)
		return end_well(s);
	s->fault = *f;
	s->state = OVER;
	drop(s);
	return -1;
}

int imap_session_timeout(const struct imap_session *s)
{
	if (!s->asleep)
		return 0;
	int64_t left = s->state == CONNECTING ? 1000 : s->deadline - monotonic_ms();
	return left < 0 ? 0 : left > 1000 ? 1000 : (int)left;
}

struct imap *imap_session_engine(struct imap_session *s)
{
	return s->engine;
}

const char *imap_session_mechanism(const struct imap_session *s)
{
	return s->mechanism;
}

void imap_session_tls(const struct imap_session *s, char ret[static CONNECTION_TLS_TEXT])
{
	memcpy(ret, s->tls, sizeof s->tls);
}

enum hindrance imap_session_hindrance(const struct imap_session *s)
{
	const struct imap_end *end = s->engine ? imap_end(s->engine) : NULL;

	if (end && end->bye) {
		if (end->code == IMAP_CODE_THROTTLED || end->code == IMAP_CODE_LIMIT)
			return HINDRANCE_TOO_SOON;
		if (end->code == IMAP_CODE_INUSE)
			return HINDRANCE_IN_USE;
	}
	return hindrance_of(&s->fault, s->code);
}

uint32_t imap_session_wait_ms(const struct imap_session *s)
{
	return s->engine ? imap_end(s->engine)->wait_ms : 0;
}
