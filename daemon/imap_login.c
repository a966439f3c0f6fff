#include "daemon/imap_login.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/base64.h"
#include "daemon/imap_token.h"
#include "daemon/login_private.h"

#include <stdio.h>

/* Both hold secrets, so their storage may not move and leave a copy behind. */
enum { LINE_SIZE = LIMIT_SASL_LINE + 64, ANSWER_SIZE = LIMIT_SASL_LINE / 4 * 3 };
/* RFC 2683 section 3.2.1.5: what servers take in one line; more goes in a line of its own. */
enum { INITIAL_RESPONSE_MAX = 7000 };

/* BEGIN → (ASKED →) one mechanism after another, while nothing secret was sent: OFFERED →
 * EXCHANGING …, or LOGGING_IN → (SETTLING →) READY. */
enum step_state {
	BEGIN,
	ASKED,	    /* for the capabilities */
	OFFERED,    /* AUTHENTICATE without a response */
	EXCHANGING, /* of SASL */
	LOGGING_IN, /* by the LOGIN command */
	SETTLING,   /* asked for the capabilities that count */
	READY
};

struct imap_login {
	enum step_state state;
	const struct account *account;
	const struct secret *secret;
	const struct imap_preamble *preamble;
	struct imap_capabilities capabilities;
	bool told; /* capabilities, since the last command began */
	struct mechanism_terms terms;
	const struct mechanism *mechanism;
	struct sasl *sasl;
	unsigned tag, lines;
	struct buffer in; /* from in_at on: not looked at */
	size_t in_at;
	struct buffer out;
	size_t out_at;
	char sent[FAULT_TEXT_MAX]; /* the last response in base64, as much as matters; wiped */
	enum reply_code code;
	struct imap_login_result result;
};

int imap_login_new(const struct account *account, const struct secret *secret,
	const struct imap_preamble *preamble, enum connection_channel channel,
	struct imap_login **ret, struct fault *f)
{
	const struct mechanism *forced = account->auth ? mechanism_named(account->auth) : NULL;

	if (login_check_identity(account, secret, forced, f) < 0)
		return -1;
	if (preamble->preauth && channel == CHANNEL_CLEAR)
		return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
			"the server lets us in without a login (PREAUTH), and without TLS: nobody "
			"can tell whose mailbox that is");
	struct imap_login *l CLEANUP(imap_login_freep) = calloc(1, sizeof *l);
	if (!l)
		return fault_memory(f);
	l->account = account;
	l->secret = secret;
	l->preamble = preamble;
	l->in = buffer_make(LIMIT_LOGIN_INPUT);
	l->out = buffer_make(LINE_SIZE);
	if (buffer_reserve(&l->out, LINE_SIZE, f) < 0)
		return -1;
	l->terms = (struct mechanism_terms){
		.account = account, .capabilities = &l->capabilities.login, .channel = channel};
	*ret = TAKE(l);
	return 0;
}

struct imap_login *imap_login_free(struct imap_login *l)
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

void imap_login_freep(struct imap_login **l)
{
	*l = imap_login_free(*l);
}

int imap_login_input(struct imap_login *l, struct slice bytes, struct fault *f)
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

struct slice imap_login_output(const struct imap_login *l)
{
	return slice_of(l->out.data + l->out_at, l->out.len - l->out_at);
}

void imap_login_sent(struct imap_login *l, size_t n)
{
	l->out_at += n;
	if (l->out_at < l->out.len)
		return;
	l->out_at = 0;
	login_buffer_wipe(&l->out);
}

enum reply_code imap_login_response_code(const struct imap_login *l)
{
	return l->code;
}

const struct imap_login_result *imap_login_result(const struct imap_login *l)
{
	return &l->result;
}

/* ---- What is sent ---------------------------------------------------------------------------- */

static int end_line(struct imap_login *l, enum step_state next, struct fault *f)
{
	l->state = next;
	return buffer_append_text(&l->out, "\r\n", f);
}

static int begin_command(struct imap_login *l, const char *command, struct fault *f)
{
	l->told = false;
	return buffer_append_format(&l->out, f, "L%u %s", ++l->tag, command);
}

static int ask(struct imap_login *l, enum step_state next, struct fault *f)
{
	return begin_command(l, "CAPABILITY", f) < 0 ? -1 : end_line(l, next, f);
}

/* RFC 3501 has no bytes beyond ASCII in it; servers that have a password with such know what to
 * do, and those that have SASL never get here. */
static int put_quoted(struct imap_login *l, struct slice text, struct fault *f)
{
	if (buffer_append_text(&l->out, " \"", f) < 0)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		bool special = text.data[i] == '"' || text.data[i] == '\\';

		if ((special && buffer_append_text(&l->out, "\\", f) < 0) ||
			buffer_append(&l->out, &text.data[i], 1, f) < 0)
			return -1;
	}
	return buffer_append_text(&l->out, "\"", f);
}

static int start_login(struct imap_login *l, struct fault *f)
{
	if (begin_command(l, "LOGIN", f) < 0 ||
		put_quoted(l, slice_text(l->account->user), f) < 0 ||
		put_quoted(l, slice_of(l->secret->text, l->secret->len), f) < 0)
		return fault_prefix(f, "the password is too long");
	return end_line(l, LOGGING_IN, f);
}

/* The response to a challenge in base64; SASL_CANCEL. */
static int answer(struct imap_login *l, struct slice challenge, struct buffer *to, struct fault *f)
{
	struct buffer raw CLEANUP(buffer_deinit) = buffer_make(LIMIT_SASL_LINE);
	struct buffer response CLEANUP(login_buffer_deinit) = buffer_make(ANSWER_SIZE);
	int r = base64_decode(&raw, challenge, f);

	if (r < 0 || buffer_reserve(&response, ANSWER_SIZE, f) < 0 ||
		buffer_reserve(to, LIMIT_SASL_LINE, f) < 0)
		return -1;
	if (r == BASE64_INVALID)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"%s: the server's challenge is not base64", l->mechanism->name);
	r = sasl_step(l->sasl, buffer_slice(&raw), &response, f);
	if (r < 0)
		return f->code == FAULT_LIMIT ? fault_prefix(f, "%s", l->mechanism->name) : -1;
	if (r == SASL_CANCEL)
		return r;
	if (base64_encode(to, buffer_slice(&response), f) < 0)
		return -1;
	(void)snprintf(l->sent, sizeof l->sent, "%.*s", (int)to->len, (const char *)to->data);
	return 0;
}

static int respond(struct imap_login *l, struct slice challenge, struct fault *f)
{
	struct buffer text CLEANUP(login_buffer_deinit) = buffer_make(LIMIT_SASL_LINE);
	int r = answer(l, challenge, &text, f);

	if (r < 0)
		return -1;
	r = r == SASL_CANCEL ? buffer_append_text(&l->out, "*", f)
			     : buffer_append(&l->out, text.data, text.len, f);
	return r < 0 ? -1 : end_line(l, EXCHANGING, f);
}

/* With the first response in the same line (RFC 4959) where server and mechanism have that. */
static int start_sasl(struct imap_login *l, struct fault *f)
{
	struct buffer text CLEANUP(login_buffer_deinit) = buffer_make(LIMIT_SASL_LINE);
	char command[64];

	if (sasl_new(l->mechanism->name, l->account, l->secret, &l->sasl, f) < 0)
		return -1;
	(void)snprintf(command, sizeof command, "AUTHENTICATE %s", l->mechanism->name);
	if (begin_command(l, command, f) < 0)
		return -1;
	bool at_once = l->capabilities.sasl_ir && l->mechanism->flags & MECHANISM_CLIENT_FIRST &&
		       (!l->secret || l->secret->len < INITIAL_RESPONSE_MAX / 2);
	if (!at_once)
		return end_line(l, OFFERED, f);
	if (answer(l, slice_of("", 0), &text, f) != 0 || buffer_append_text(&l->out, " ", f) < 0)
		return -1;
	int r = text.len == 0 ? buffer_append_text(&l->out, "=", f)
			      : buffer_append(&l->out, text.data, text.len, f);
	return r < 0 ? -1 : end_line(l, EXCHANGING, f);
}

static int nothing_to_use(const struct imap_login *l, struct fault *f)
{
	const struct account *a = l->account;
	char offers[300], auth[64];

	(void)mechanism_offers(&l->terms, offers, sizeof offers);
	if (a->auth)
		return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
			"%s cannot be used to log in: the server offers %s",
			escape_text(slice_text(a->auth), auth, sizeof auth), offers);
	return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
		"no way to log in%s%s: the server offers %s%s",
		a->secret_source == SECRET_TOKEN_COMMAND ? " with a token" : "",
		a->authzid ? " for somebody else" : "", offers,
		l->terms.channel == CHANNEL_CLEAR ? " without TLS" : "");
}

static int start_mechanism(struct imap_login *l, struct fault *f)
{
	const struct mechanism *next = mechanism_next(l->mechanism, &l->terms);

	if (!next)
		return nothing_to_use(l, f);
	l->mechanism = next;
	sasl_freep(&l->sasl);
	return next->kind == MECHANISM_SASL ? start_sasl(l, f) : start_login(l, f);
}

/* ---- What is heard --------------------------------------------------------------------------- */

static int unexpected(struct slice line, struct fault *f)
{
	char text[200];

	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"the server says \"%s\" during the login", escape_text(line, text, sizeof text));
}

/* What the codes of RFC 5530 are in POP3's, which hindrance_of() knows. */
static enum reply_code code_of(enum imap_code code)
{
	switch ((int)code) {
	case IMAP_CODE_AUTHENTICATIONFAILED:
	case IMAP_CODE_AUTHORIZATIONFAILED:
	case IMAP_CODE_EXPIRED:
	case IMAP_CODE_PRIVACYREQUIRED:
		return REPLY_CODE_AUTH;
	case IMAP_CODE_INUSE:
		return REPLY_CODE_IN_USE;
	case IMAP_CODE_LIMIT:
	case IMAP_CODE_THROTTLED:
		return REPLY_CODE_LOGIN_DELAY;
	case IMAP_CODE_SERVERBUG:
	case IMAP_CODE_UNAVAILABLE:
		return REPLY_CODE_SYS_TEMP;
	case IMAP_CODE_CONTACTADMIN:
	case IMAP_CODE_CORRUPTION:
		return REPLY_CODE_SYS_PERM;
	default:
		return code == IMAP_CODE_NONE ? REPLY_CODE_NONE : REPLY_CODE_OTHER;
	}
}

static int refused(struct imap_login *l, const struct imap_reply *r, struct fault *f)
{
	const char *why = l->sasl ? sasl_refusal(l->sasl) : "";
	char text[200], user[100], whose[100];

	l->code = code_of(r->code);
	(void)escape_text(r->text, text, sizeof text);
	if (l->code != REPLY_CODE_NONE && l->code != REPLY_CODE_AUTH && l->code != REPLY_CODE_OTHER)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"the server refuses the login for now: \"%s\"", text);
	const char *authzid = l->account->authzid;
	return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
		"the server refuses the login of \"%s\"%s%s%s by %s: \"%s\"%s%s%s; check user and "
		"%s%s",
		escape_text(slice_text(l->account->user), user, sizeof user),
		authzid ? " for \"" : "",
		escape_text(slice_text(authzid ? authzid : ""), whose, sizeof whose),
		authzid ? "\"" : "",
		l->mechanism->kind == MECHANISM_SASL ? l->mechanism->name : "LOGIN", text,
		why[0] ? " (" : "", why, why[0] ? ")" : "",
		l->account->secret_source == SECRET_TOKEN_COMMAND ? "token (its scope too)"
								  : "password",
		authzid ? ", and whether that user may log in for others" : "");
}

static int settle(struct imap_login *l, struct fault *f)
{
	if (l->mechanism)
		(void)snprintf(
			l->result.mechanism, sizeof l->result.mechanism, "%s", l->mechanism->name);
	sasl_freep(&l->sasl);
	if (!l->told)
		return ask(l, SETTLING, f);
	l->state = READY;
	return 0;
}

/* OK to a login. */
static int let_in(struct imap_login *l, struct fault *f)
{
	if (l->state == LOGGING_IN || (l->state == EXCHANGING && sasl_is_complete(l->sasl)))
		return settle(l, f);
	return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
		"%s: the server lets us in without having proven that it knows the password; it "
		"may be another server than you think",
		l->mechanism->name);
}

static int on_reply(struct imap_login *l, const struct imap_reply *r, struct fault *f)
{
	bool ok = r->status == IMAP_OK;

	switch (l->state) {
	case ASKED:
		return start_mechanism(l, f);
	case OFFERED:
		/* That cost no try of the password. */
		if (!ok && !l->account->auth && code_of(r->code) != REPLY_CODE_SYS_TEMP &&
			mechanism_next(l->mechanism, &l->terms))
			return start_mechanism(l, f);
		return ok ? let_in(l, f) : refused(l, r, f);
	case EXCHANGING:
	case LOGGING_IN:
		return ok ? let_in(l, f) : refused(l, r, f);
	case SETTLING:
		l->state = READY;
		return 0;
	case BEGIN:
	case READY:
		break;
	}
	return unexpected(r->text, f);
}

static int on_continuation(struct imap_login *l, struct slice challenge, struct fault *f)
{
	if (l->state == EXCHANGING)
		return respond(l, challenge, f);
	if (l->state != OFFERED)
		return unexpected(challenge, f);
	return respond(
		l, l->mechanism->flags & MECHANISM_CLIENT_FIRST ? slice_of("", 0) : challenge, f);
}

static int hear_capabilities(struct imap_login *l, struct slice words, struct fault *f)
{
	l->told = true;
	return imap_capabilities_parse(&l->capabilities, words, f);
}

static int on_untagged(struct imap_login *l, struct imap_cursor *c, struct fault *f)
{
	struct slice word = imap_take_atom(c), rest = slice_of(c->at, (size_t)(c->end - c->at));
	char line[600], text[300];
	struct imap_reply r = {0};

	if (++l->lines > LIMIT_CAPA_LINES)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"the server says more than %d lines during the login", LIMIT_CAPA_LINES);
	if (imap_is(word, "CAPABILITY"))
		return hear_capabilities(l, rest, f);
	if (!imap_is(word, "BYE"))
		return 0;
	int n = snprintf(line, sizeof line, "NO %.*s", (int)(rest.len < 500 ? rest.len : 500),
		(const char *)rest.data);
	if (imap_reply_parse(slice_of(line, (size_t)n), &r) == 0)
		l->code = code_of(r.code);
	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"the server ends the session during the login: \"%s\"",
		escape_text(rest, text, sizeof text));
}

static int handle(struct imap_login *l, struct slice line, struct fault *f)
{
	uint8_t *data = (uint8_t *)(uintptr_t)line.data;
	struct imap_cursor c = {data, data + line.len};
	struct slice tag = imap_take_atom(&c);
	struct imap_reply r;
	char mine[16];

	(void)snprintf(mine, sizeof mine, "L%u", l->tag);
	if (imap_is(tag, "*"))
		return on_untagged(l, &c, f);
	struct slice rest = slice_of(c.at, (size_t)(c.end - c.at));
	if (imap_is(tag, "+"))
		return on_continuation(l, rest, f);
	if (!imap_is(tag, mine) || imap_reply_parse(rest, &r) != 0)
		return unexpected(line, f);
	if (r.code == IMAP_CODE_CAPABILITY && hear_capabilities(l, r.argument, f) < 0)
		return -1;
	return on_reply(l, &r, f);
}

/* The next line without its end; LOGIN_WANT_READ when it is not whole yet. */
static int take_line(struct imap_login *l, struct slice *ret, struct fault *f)
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
	*ret = slice_of(from, len > 0 && from[len - 1] == '\r' ? len - 1 : len);
	return 0;
}

/* libcurl's answer is stale where it was given in clear before STARTTLS. */
static int start(struct imap_login *l, struct fault *f)
{
	enum imap_preamble_state needed =
		l->account->tls == TLS_STARTTLS ? IMAP_PREAMBLE_END : IMAP_PREAMBLE_STARTTLS;

	if (l->preamble->preauth)
		return settle(l, f);
	if (l->preamble->state != needed || !l->preamble->capabilities.known)
		return ask(l, ASKED, f);
	l->capabilities = l->preamble->capabilities;
	return start_mechanism(l, f);
}

static int step(struct imap_login *l, struct fault *f)
{
	struct slice line;
	int r;

	if (l->state == BEGIN && start(l, f) < 0)
		return -1;
	while (l->out.len == 0 && l->state != READY) {
		r = take_line(l, &line, f);
		if (r != 0)
			return r;
		if (handle(l, line, f) < 0)
			return -1;
	}
	if (l->state != READY)
		return LOGIN_WANT_WRITE;
	l->result.capabilities = l->capabilities;
	return LOGIN_DONE;
}

int imap_login_step(struct imap_login *l, struct fault *f)
{
	int r = step(l, f);

	if (r < 0)
		login_mask_secret(l->secret, l->sent, f);
	return r;
}

struct slice imap_login_rest(const struct imap_login *l)
{
	return slice_of(l->in.data + l->in_at, l->in.len - l->in_at);
}
