#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/apop.h"
#include "daemon/base64.h"
#include "daemon/login_private.h"
#include "daemon/status_line.h"

#include <stdio.h>

/* Both hold secrets, so their storage may not move and leave a copy behind. */
enum { OUT_SIZE = LIMIT_SASL_LINE + 16, RESPONSE_SIZE = LIMIT_SASL_LINE / 4 * 3 };

void login_buffer_wipe(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
	b->len = 0;
}

void login_buffer_deinit(struct buffer *b)
{
	login_buffer_wipe(b);
	buffer_deinit(b);
}

static bool holds_line_break(const char *text, size_t len)
{
	return memchr(text, '\r', len) || memchr(text, '\n', len) || memchr(text, '\0', len);
}

int login_check_identity(const struct account *account, const struct secret *secret,
	const struct mechanism *forced, struct fault *f)
{
	bool needs_secret = !forced || !(forced->flags & MECHANISM_NO_SECRET);
	char text[64];

	if (account->auth && !forced)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"auth = \"%s\" is no way to log in that popkeep knows",
			escape_text(slice_text(account->auth), text, sizeof text));
	if (!account->user || !account->user[0])
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "the account has no user");
	if (account->authzid && (!account->authzid[0] || holds_line_break(account->authzid,
								 strlen(account->authzid))))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"the authorization identity is empty or holds a line break");
	if (holds_line_break(account->user, strlen(account->user)))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "user holds a line break");
	if (needs_secret && (!secret || secret->len == 0))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "the password is empty");
	if (needs_secret && holds_line_break(secret->text, secret->len))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"the password holds a line break or NUL, which no login can carry");
	return 0;
}

int login_new(const struct account *account, const struct secret *secret,
	const struct preamble *preamble, enum connection_channel channel, struct login **ret,
	struct fault *f)
{
	const struct mechanism *forced = account->auth ? mechanism_named(account->auth) : NULL;

	if (login_check_identity(account, secret, forced, f) < 0)
		return -1;
	struct login *l CLEANUP(login_freep) = calloc(1, sizeof *l);
	if (!l)
		return fault_memory(f);
	l->account = account;
	l->secret = secret;
	l->preamble = preamble;
	l->in = buffer_make(LIMIT_LOGIN_INPUT);
	l->out = buffer_make(OUT_SIZE);
	if (buffer_reserve(&l->out, OUT_SIZE, f) < 0)
		return -1;
	l->terms = (struct mechanism_terms){
		.account = account, .capabilities = &l->capabilities, .channel = channel};
	if (preamble)
		l->terms.apop_banner = preamble_apop_banner(preamble);
	l->result.lf_only = !preamble || preamble->lf_only;
	*ret = TAKE(l);
	return 0;
}

struct login *login_free(struct login *l)
{
	if (!l)
		return NULL;
	sasl_freep(&l->sasl);
	buffer_deinit(&l->in);
	login_buffer_deinit(&l->out);
	explicit_bzero(l->sent, sizeof l->sent);
	free(l);
	return NULL;
}

void login_freep(struct login **l)
{
	*l = login_free(*l);
}

int login_input(struct login *l, struct slice bytes, struct fault *f)
{
	if (l->in_at > 0 && l->in_at == l->in.len) {
		buffer_clear(&l->in);
		l->in_at = 0;
	}
	if (bytes.len > l->in.max - l->in.len)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server sends without end where a short answer was due");
	return buffer_append(&l->in, bytes.data, bytes.len, f);
}

struct slice login_output(const struct login *l)
{
	return slice_of(l->out.data + l->out_at, l->out.len - l->out_at);
}

void login_sent(struct login *l, size_t n)
{
	l->out_at += n;
	if (l->out_at < l->out.len)
		return;
	l->out_at = 0;
	login_buffer_wipe(&l->out);
}

const struct mechanism *login_refused(const struct login *l)
{
	return l->refused;
}

void login_begin_after(struct login *l, const struct mechanism *refused)
{
	l->mechanism = refused;
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
	return buffer_append_text(&l->out, "\r\n", f);
}

static int send_text(struct login *l, const char *text, enum state next, struct fault *f)
{
	if (buffer_append_text(&l->out, text, f) < 0)
		return -1;
	return send_line(l, next, f);
}

static int start_apop(struct login *l, struct fault *f)
{
	char hex[APOP_HEX + 1];

	if (apop_digest(l->terms.apop_banner, slice_of(l->secret->text, l->secret->len), hex, f) <
			0 ||
		buffer_append_format(&l->out, f, "APOP %s %s", l->account->user, hex) < 0)
		return -1;
	return send_line(l, APOP, f);
}

/* Begins the mechanism that comes next. */
static int start_mechanism(struct login *l, struct fault *f)
{
	const struct mechanism *next = mechanism_next(l->mechanism, &l->terms);

	if (!next)
		return login_nothing_to_use(l, f);
	l->mechanism = next;
	sasl_freep(&l->sasl);
	switch (next->kind) {
	case MECHANISM_APOP:
		return start_apop(l, f);
	case MECHANISM_USER:
		if (buffer_append_format(&l->out, f, "USER %s", l->account->user) < 0)
			return -1;
		return send_line(l, USER, f);
	case MECHANISM_SASL:
		break;
	}
	if (sasl_new(next->name, l->account, l->secret, &l->sasl, f) < 0 ||
		buffer_append_format(&l->out, f, "AUTH %s", next->name) < 0)
		return -1;
	return send_line(l, AUTH, f);
}

/* After -ERR that cost no try of the password, or APOP's: the next mechanism, if there is one. */
static int refused_early(struct login *l, struct slice line, struct fault *f)
{
	if (login_is_about_the_maildrop(login_code_of(line)) || l->account->auth ||
		!mechanism_next(l->mechanism, &l->terms))
		return login_refused_by(l, line, f);
	l->refused = l->mechanism;
	return start_mechanism(l, f);
}

/* Sends the response to a challenge. Never more than one line of AUTH is on its way: an initial
 * response would make the command too long for Office 365. */
static int respond(struct login *l, struct slice challenge, struct fault *f)
{
	struct buffer raw CLEANUP(buffer_deinit) = buffer_make(LIMIT_SASL_LINE);
	struct buffer response CLEANUP(login_buffer_deinit) = buffer_make(RESPONSE_SIZE);
	int r = base64_decode(&raw, challenge, f);

	if (r < 0 || buffer_reserve(&response, RESPONSE_SIZE, f) < 0)
		return -1;
	if (r == BASE64_INVALID)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"%s: the server's challenge is not base64", l->mechanism->name);
	r = sasl_step(l->sasl, buffer_slice(&raw), &response, f);
	if (r < 0)
		return f->code == FAULT_LIMIT ? fault_prefix(f, "%s", l->mechanism->name) : -1;
	if (r == SASL_CANCEL)
		return send_text(l, "*", EXCHANGE, f);
	if (base64_encode(&l->out, buffer_slice(&response), f) < 0)
		return -1;
	(void)snprintf(l->sent, sizeof l->sent, "%.*s", (int)l->out.len, (const char *)l->out.data);
	return send_line(l, EXCHANGE, f);
}

static int settle(struct login *l, struct fault *f)
{
	(void)snprintf(l->result.mechanism, sizeof l->result.mechanism, "%s", l->mechanism->name);
	sasl_freep(&l->sasl);
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
			l->mechanism->flags & MECHANISM_CLIENT_FIRST ? slice_of("", 0)
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
		if (sasl_is_complete(l->sasl))
			return settle(l, f);
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"%s: the server lets us in without having proven that it knows the "
			"password; it may be another server than you think",
			l->mechanism->name);
	case STATUS_ERR:
		return login_refused_by(l, line, f);
	case STATUS_OTHER:
		break;
	}
	return login_unexpected(line, l->mechanism->name, f);
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
		if (buffer_append_text(&l->out, "PASS ", f) < 0 ||
			buffer_append(&l->out, l->secret->text, l->secret->len, f) < 0)
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

/* The next line without its end; LOGIN_WANT_READ when it is not whole yet. */
static int take_line(struct login *l, struct slice *ret, struct fault *f)
{
	const uint8_t *from = l->in.data + l->in_at;
	size_t left = l->in.len - l->in_at;
	const uint8_t *end = left ? memchr(from, '\n', left) : NULL;
	size_t len = end ? (size_t)(end - from) : left;

	if (len > LIMIT_SASL_LINE + sizeof "+ \r")
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server sends a line of more than %d bytes during the login",
			(int)LIMIT_SASL_LINE);
	if (!end)
		return LOGIN_WANT_READ;
	l->in_at += len + 1;
	if (len > 0 && from[len - 1] == '\r') {
		l->result.lf_only = false;
		len--;
	}
	*ret = slice_of(from, len);
	return 0;
}

/* libcurl's answer is stale where it was given in clear before STLS. */
static int start(struct login *l, struct fault *f)
{
	enum preamble_state needed =
		l->account->tls == TLS_STARTTLS ? PREAMBLE_END : PREAMBLE_WANT_STLS;

	if (!l->preamble || l->preamble->state != needed)
		return send_text(l, "CAPA", CAPA, f);
	l->capabilities = l->preamble->capabilities;
	return begin_mechanisms(l, f);
}

static int step(struct login *l, struct fault *f)
{
	struct slice line;
	int r;

	if (l->state == START && start(l, f) < 0)
		return -1;
	while (l->out.len == 0 && l->state != FINISHED) {
		r = take_line(l, &line, f);
		if (r != 0)
			return r;
		if (handle(l, line, f) < 0)
			return -1;
	}
	if (l->in_at < l->in.len)
		return out_of_turn(f);
	return l->state == FINISHED ? LOGIN_DONE : LOGIN_WANT_WRITE;
}

int login_step(struct login *l, struct fault *f)
{
	int r = step(l, f);

	if (r < 0)
		login_mask_secret(l->secret, l->sent, f);
	return r;
}
