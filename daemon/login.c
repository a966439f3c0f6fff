#include "daemon/apop.h"
#include "daemon/login_private.h"
#include "daemon/status_line.h"

#include <stdio.h>

int login_new(const struct account *account, const struct secret *secret,
	const struct preamble *preamble, enum connection_channel channel, struct login **ret,
	struct fault *f)
{
	struct login *l CLEANUP(login_freep) = calloc(1, sizeof *l);

	if (!l)
		return fault_memory(f);
	if (login_exchange_init(&l->exchange, account, secret, &l->capabilities, channel, f) < 0 ||
		login_wire_init(&l->wire, f) < 0)
		return -1;
	l->preamble = preamble;
	if (preamble)
		l->exchange.terms.apop_banner = preamble_apop_banner(preamble);
	l->result.lf_only = !preamble || preamble->lf_only;
	*ret = TAKE(l);
	return 0;
}

struct login *login_free(struct login *l)
{
	if (!l)
		return NULL;
	login_exchange_deinit(&l->exchange);
	login_wire_deinit(&l->wire);
	free(l);
	return NULL;
}

void login_freep(struct login **l)
{
	*l = login_free(*l);
}

int login_input(struct login *l, struct slice bytes, struct fault *f)
{
	return login_wire_input(&l->wire, bytes, f);
}

struct slice login_output(const struct login *l)
{
	return login_wire_output(&l->wire);
}

void login_sent(struct login *l, size_t n)
{
	login_wire_sent(&l->wire, n);
}

const struct mechanism *login_refused(const struct login *l)
{
	return l->refused;
}

void login_begin_after(struct login *l, const struct mechanism *refused)
{
	l->exchange.mechanism = refused;
}

enum reply_code login_response_code(const struct login *l)
{
	return l->code;
}

const struct login_result *login_result(const struct login *l)
{
	return &l->result;
}

static int out_of_turn(struct fault *f)
{
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"the server speaks out of turn during the login");
}

/* The one place where a line goes out: nothing of the server may be left unread then. */
static int send_line(struct login *l, enum state next, struct fault *f)
{
	l->state = next;
	return buffer_append_text(&l->wire.out, "\r\n", f);
}

static int send_text(struct login *l, const char *text, enum state next, struct fault *f)
{
	if (buffer_append_text(&l->wire.out, text, f) < 0)
		return -1;
	return send_line(l, next, f);
}

static int start_apop(struct login *l, struct fault *f)
{
	char hex[APOP_HEX + 1];

	if (apop_digest(l->exchange.terms.apop_banner,
		    slice_of(l->exchange.secret->text, l->exchange.secret->len), hex, f) < 0 ||
		buffer_append_format(
			&l->wire.out, f, "APOP %s %s", l->exchange.account->user, hex) < 0)
		return -1;
	return send_line(l, APOP, f);
}

/* Begins the mechanism that comes next. */
static int start_mechanism(struct login *l, struct fault *f)
{
	if (login_exchange_next(&l->exchange, f) < 0)
		return -1;
	switch (l->exchange.mechanism->kind) {
	case MECHANISM_APOP:
		return start_apop(l, f);
	case MECHANISM_USER:
		if (buffer_append_format(&l->wire.out, f, "USER %s", l->exchange.account->user) < 0)
			return -1;
		return send_line(l, USER, f);
	case MECHANISM_SASL:
		break;
	}
	if (buffer_append_format(&l->wire.out, f, "AUTH %s", l->exchange.mechanism->name) < 0)
		return -1;
	return send_line(l, AUTH, f);
}

/* After -ERR that cost no try of the password, or APOP's: the next mechanism, if there is one. */
static int refused_early(struct login *l, struct slice line, struct fault *f)
{
	if (login_is_about_the_maildrop(login_code_of(line)) || l->exchange.account->auth ||
		!login_exchange_has_next(&l->exchange))
		return login_refused_by(l, line, f);
	l->refused = l->exchange.mechanism;
	return start_mechanism(l, f);
}

/* Sends the response to a challenge. Never more than one line of AUTH is on its way: an initial
 * response would make the command too long for Office 365. */
static int respond(struct login *l, struct slice challenge, struct fault *f)
{
	if (login_exchange_respond(&l->exchange, challenge, &l->wire.out, f) < 0)
		return -1;
	return send_line(l, EXCHANGE, f);
}

static int settle(struct login *l, struct fault *f)
{
	if (login_exchange_end(&l->exchange, f) < 0)
		return -1;
	(void)snprintf(
		l->result.mechanism, sizeof l->result.mechanism, "%s", l->exchange.mechanism->name);
	return send_text(l, "CAPA", SETTLED, f);
}

/* RFC 6856 section 2.1: without it a server has to wrap or rewrite messages with bytes beyond ASCII
 * in their headers, and gives out something else each time. */
static int begin_mechanisms(struct login *l, struct fault *f)
{
	return l->capabilities.utf8 ? send_text(l, "UTF8", UTF8, f) : start_mechanism(l, f);
}

/* The states: each takes one line. */

static int on_capa(struct login *l, struct slice line, struct fault *f)
{
	capabilities_init(&l->capabilities);
	switch (status_indicator(line)) {
	case STATUS_OK:
		l->capabilities.known = true;
		l->state = CAPA_LISTING;
		return 0;
	case STATUS_ERR:
		return start_mechanism(l, f);
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, "CAPA", f);
}

static bool is_end(struct slice line)
{
	return line.len == 1 && line.data[0] == '.';
}

static int add_capability(struct capabilities *c, struct slice line, struct fault *f)
{
	if (line.len > 0 && line.data[0] == '.')
		line = slice_of(line.data + 1, line.len - 1);
	return capabilities_add(c, line, f);
}

static int on_capa_listing(struct login *l, struct slice line, struct fault *f)
{
	return is_end(line) ? begin_mechanisms(l, f) : add_capability(&l->capabilities, line, f);
}

static int on_utf8(struct login *l, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_OK:
	case STATUS_ERR: /* it lied; mail comes as it did without */
		return start_mechanism(l, f);
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, "UTF8", f);
}

static int on_auth(struct login *l, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_CONTINUE:
		return respond(l,
			l->exchange.mechanism->flags & MECHANISM_CLIENT_FIRST ? slice_of("", 0)
									      : status_text(line),
			f);
	case STATUS_ERR:
		return refused_early(l, line, f);
	case STATUS_OK:
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, "AUTH", f);
}

static int on_exchange(struct login *l, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_CONTINUE:
		return respond(l, status_text(line), f);
	case STATUS_OK:
		return settle(l, f);
	case STATUS_ERR:
		return login_refused_by(l, line, f);
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, l->exchange.mechanism->name, f);
}

/* Many servers show a banner and keep no APOP secret: one try, then the rest. */
static int on_apop(struct login *l, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_OK:
		return settle(l, f);
	case STATUS_ERR:
		return refused_early(l, line, f);
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, "APOP", f);
}

static int on_user(struct login *l, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_OK:
		if (buffer_append_text(&l->wire.out, "PASS ", f) < 0 ||
			buffer_append(&l->wire.out, l->exchange.secret->text,
				l->exchange.secret->len, f) < 0)
			return fault_prefix(f, "the password is too long");
		return send_line(l, PASS, f);
	case STATUS_ERR:
		return login_refused_by(l, line, f);
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, "USER", f);
}

static int on_pass(struct login *l, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_OK:
		return settle(l, f);
	case STATUS_ERR:
		return login_refused_by(l, line, f);
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, "PASS", f);
}

static int on_settled(struct login *l, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_OK:
		l->result.capabilities.known = true;
		l->state = SETTLED_LISTING;
		return 0;
	case STATUS_ERR:
		l->state = FINISHED;
		return 0;
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, "CAPA", f);
}

static int on_settled_listing(struct login *l, struct slice line, struct fault *f)
{
	if (!is_end(line))
		return add_capability(&l->result.capabilities, line, f);
	l->state = FINISHED;
	return 0;
}

static int handle(struct login *l, struct slice line, struct fault *f)
{
	static int (*const on[N_STATES])(struct login *, struct slice, struct fault *) = {
		[CAPA] = on_capa,
		[CAPA_LISTING] = on_capa_listing,
		[UTF8] = on_utf8,
		[AUTH] = on_auth,
		[EXCHANGE] = on_exchange,
		[APOP] = on_apop,
		[USER] = on_user,
		[PASS] = on_pass,
		[SETTLED] = on_settled,
		[SETTLED_LISTING] = on_settled_listing,
	};

	l->refused = NULL;
	return on[l->state](l, line, f);
}

/* libcurl's answer is stale where it was given in clear before STLS. */
static int start(struct login *l, struct fault *f)
{
	enum preamble_state needed =
		l->exchange.account->tls == TLS_STARTTLS ? PREAMBLE_END : PREAMBLE_WANT_STLS;

	if (!l->preamble || l->preamble->state != needed)
		return send_text(l, "CAPA", CAPA, f);
	l->capabilities = l->preamble->capabilities;
	return begin_mechanisms(l, f);
}

static int step(struct login *l, struct fault *f)
{
	struct slice line;
	bool crlf;
	int r;

	if (l->state == START && start(l, f) < 0)
		return -1;
	while (l->wire.out.len == 0 && l->state != FINISHED) {
		r = login_wire_take_line(&l->wire, &line, &crlf, f);
		if (r != 0)
			return r == LOGIN_WIRE_WANT_READ ? LOGIN_WANT_READ : -1;
		if (crlf)
			l->result.lf_only = false;
		if (handle(l, line, f) < 0)
			return -1;
	}
	if (login_wire_rest(&l->wire).len > 0)
		return out_of_turn(f);
	return l->state == FINISHED ? LOGIN_DONE : LOGIN_WANT_WRITE;
}

int login_step(struct login *l, struct fault *f)
{
	int r = step(l, f);

	if (r < 0)
		login_exchange_mask(&l->exchange, f);
	return r;
}
