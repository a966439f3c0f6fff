#include "daemon/probe.h"

#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/connection.h"
#include "daemon/login.h"
#include "daemon/pop3.h"

#include <stdio.h>

struct probe {
	const struct account *account;
	uint32_t timeout_ms; /* without a byte */
	struct network *network;
	struct connection *connection;
	struct login *login;
	struct pop3 *pop3;
};

static void probe_deinit(struct probe *p)
{
	pop3_freep(&p->pop3);
	login_freep(&p->login);
	connection_closep(&p->connection);
	network_closep(&p->network);
}

static int bring_up(struct probe *p, struct fault *f)
{
	login_freep(&p->login);
	connection_closep(&p->connection);
	if (connection_new(p->network, p->account, &p->connection, f) < 0)
		return -1;
	while (connection_state(p->connection) == CONNECTION_CONNECTING) {
		if (network_wait(p->network, NULL, 0, -1, f) < 0)
			return -1;
	}
	if (connection_state(p->connection) == CONNECTION_UP)
		return 0;
	*f = *connection_fault(p->connection);
	return -1;
}

static int wait_for(struct probe *p, unsigned events, struct fault *f)
{
	int64_t deadline = monotonic_ms() + p->timeout_ms;

	connection_want(p->connection, events);
	for (;;) {
		int64_t left = deadline - monotonic_ms();

		if (left <= 0)
			return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
				"the server did not answer within %u s", p->timeout_ms / 1000);
		if (network_wait(p->network, NULL, 0, (int)left, f) < 0)
			return -1;
		if (connection_ready(p->connection) & events)
			return 0;
	}
}

/* Sends something of bytes, *ret_n of them, however long it takes. */
static int send_some(struct probe *p, struct slice bytes, size_t *ret_n, struct fault *f)
{
	int r;

	while ((r = connection_send(p->connection, bytes, ret_n, f)) == CONNECTION_WOULD_BLOCK) {
		if (wait_for(p, CONNECTION_WRITE, f) < 0)
			return -1;
	}
	return r;
}

/* CONNECTION_CLOSED: as it says. */
static int receive_some(struct probe *p, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	int r;

	while ((r = connection_receive(p->connection, to, size, ret_n, f)) ==
		CONNECTION_WOULD_BLOCK) {
		if (wait_for(p, CONNECTION_READ, f) < 0)
			return -1;
	}
	return r;
}

/* Begins after refused, NULL for the strongest mechanism. */
static int log_in(struct probe *p, const struct secret *secret, const struct mechanism *refused,
	struct fault *f)
{
	uint8_t bytes[4096];
	size_t n;
	int r;

	if (login_new(p->account, secret, connection_preamble(p->connection),
		    connection_channel(p->connection), &p->login, f) < 0)
		return -1;
	login_begin_after(p->login, refused);
	while ((r = login_step(p->login, f)) != LOGIN_DONE) {
		if (r < 0)
			return -1;
		if (r == LOGIN_WANT_WRITE) {
			if (send_some(p, login_output(p->login), &n, f) < 0)
				return -1;
			login_sent(p->login, n);
			continue;
		}
		r = receive_some(p, bytes, sizeof bytes, &n, f);
		if (r == CONNECTION_CLOSED)
			return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
				"the server closed the connection during the login");
		if (r < 0 || login_input(p->login, slice_of(bytes, n), f) < 0)
			return -1;
	}
	return 0;
}

/* Again where the server hung up on a refusal that leaves another mechanism. */
static int bring_up_and_log_in(struct probe *p, const struct secret *secret, struct fault *f)
{
	const struct mechanism *refused = NULL;

	do {
		if (bring_up(p, f) < 0)
			return -1;
		if (log_in(p, secret, refused, f) == 0)
			return 0;
		refused = p->login ? login_refused(p->login) : NULL;
	} while (refused);
	return -1;
}

static int next_event(struct probe *p, struct pop3_event *ret, struct fault *f)
{
	size_t n, room;
	int r;

	while ((r = pop3_next(p->pop3, ret, f)) == 0) {
		while (pop3_output(p->pop3).len > 0) {
			if (send_some(p, pop3_output(p->pop3), &n, f) < 0)
				return -1;
			pop3_sent(p->pop3, n);
		}
		uint8_t *at = pop3_space(p->pop3, &room);
		r = receive_some(p, at, room, &n, f);
		if (r < 0)
			return -1;
		if (r == CONNECTION_CLOSED)
			return pop3_closed(p->pop3, f) < 0
				       ? -1
				       : fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
						 "the server closed the connection");
		pop3_received(p->pop3, n);
	}
	return r < 0 ? -1 : 0;
}

enum { PROBE_REFUSED = 1 };
/* One command and its reply, lines and all; *ret_ms: how long; *ret_octets: of the lines. */
static int ask(struct probe *p, enum pop3_kind kind, struct probe_report *report, int64_t *ret_ms,
	uint64_t *ret_octets, struct fault *f)
{
	int64_t before = monotonic_ms();
	bool has_lines = kind == POP3_UIDL || kind == POP3_LIST;
	struct pop3_event e;

	if (pop3_command(p->pop3, kind, 0, f) < 0)
		return -1;
	do {
		if (next_event(p, &e, f) < 0)
			return -1;
		if (e.kind == POP3_REPLY && e.reply.status == REPLY_ERR)
			return PROBE_REFUSED;
		if (kind == POP3_STAT &&
			reply_stat(&e.reply, &report->messages, &report->bytes) != 0)
			return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
				"the answer to STAT holds no count");
	} while (has_lines && e.kind != POP3_END);
	*ret_ms = monotonic_ms() - before;
	*ret_octets = has_lines ? e.octets : 0;
	return 0;
}

/* Only what changes nothing: STAT, UIDL (or LIST, for a listing's size and time), QUIT. */
static int explore(struct probe *p, struct probe_report *report, struct fault *f)
{
	int64_t ms;
	uint64_t octets;
	int r = ask(p, POP3_STAT, report, &report->rtt_ms, &octets, f);

	if (r == PROBE_REFUSED)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "the server refuses STAT");
	if (r < 0)
		return -1;
	r = ask(p, POP3_UIDL, report, &report->sample_ms, &report->sample_bytes, f);
	report->has_uidl = r == 0;
	if (r == PROBE_REFUSED)
		r = ask(p, POP3_LIST, report, &report->sample_ms, &report->sample_bytes, f);
	if (r < 0)
		return -1;
	/* All is known: a server that closes without a word to QUIT does no harm. */
	struct fault ignored;
	p->timeout_ms = LIMIT_QUIT_MS;
	(void)ask(p, POP3_QUIT, report, &ms, &octets, &ignored);
	return 0;
}

static void describe(struct probe *p, struct probe_report *report)
{
	const struct login_result *result = login_result(p->login);
	const struct capabilities *c = &result->capabilities;

	connection_tls_info(p->connection, report->tls);
	(void)snprintf(report->mechanism, sizeof report->mechanism, "%s", result->mechanism);
	(void)snprintf(report->capabilities, sizeof report->capabilities, "%s", c->text);
	report->has_pipelining = c->pipelining;
	report->has_top = c->top;
	report->expire_known = c->expire_known;
	report->expire_days = c->expire_days;
	report->login_delay_s = c->login_delay_s;
}

int account_probe(const struct account *a, const struct secret *secret, struct probe_report *ret,
	struct fault *f)
{
	struct probe p CLEANUP(probe_deinit) = {
		.account = a, .timeout_ms = a->timeout_ms ? a->timeout_ms : LIMIT_REPLY_MS};
	struct probe_report report = {0};
	int64_t before = monotonic_ms();

	if (network_open(&p.network, f) < 0 || bring_up_and_log_in(&p, secret, f) < 0)
		return -1;
	report.login_ms = monotonic_ms() - before;
	describe(&p, &report);
	p.pop3 = pop3_new(login_result(p.login)->lf_only ? LINE_ENDS_LF : LINE_ENDS_CRLF, f);
	if (!p.pop3 || explore(&p, &report, f) < 0)
		return -1;
	*ret = report;
	return 0;
}
