#include "daemon/imap_login.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/imap_token.h"
#include "daemon/login_exchange.h"

#include <stdio.h>

/* RFC 2683 section 3.2.1.5: what servers take in one line; more goes in a line of its own. */
enum { INITIAL_RESPONSE_MAX = 7000 };

/* RFC 2971 section 3.3; nothing about the user or the machine. */
static const char identification[] =
	"ID (\"name\" \"popkeep\" \"version\" \"" POPKEEP_VERSION "\")";

/* BEGIN → (ASKED →) one mechanism after another, while nothing secret was sent: OFFERED →
 * EXCHANGING …, or (ANNOUNCED →) LOGGING_IN → (SETTLING →) (IDENTIFYING →) READY. */
enum step_state {
	BEGIN,
	ASKED,	    /* for the capabilities */
	OFFERED,    /* AUTHENTICATE without a response */
	EXCHANGING, /* of SASL */
	ANNOUNCED,  /* LOGIN as far as a literal that the server has to ask for */
	LOGGING_IN, /* by the LOGIN command */
	SETTLING,   /* asked for the capabilities that count */
	IDENTIFYING,
	READY
};

enum { N_ARGUMENTS = 2 }; /* of LOGIN: user and password */

struct imap_login {
	enum step_state state;
	const struct imap_preamble *preamble;
	struct imap_capabilities capabilities;
	bool told; /* capabilities, since the last command began */
	struct login_exchange exchange;
	struct login_wire wire;
	unsigned tag, lines;
	unsigned argument; /* of LOGIN: the next to be sent */
	enum reply_code code;
	struct imap_login_result result;
};

int imap_login_new(const struct account *account, const struct secret *secret,
	const struct imap_preamble *preamble, enum connection_channel channel,
	struct imap_login **ret, struct fault *f)
{
	struct imap_login *l CLEANUP(imap_login_freep) = calloc(1, sizeof *l);

	if (!l)
		return fault_memory(f);
	if (login_exchange_init(&l->exchange, account, secret, &l->capabilities.login, channel, f) <
		0)
		return -1;
	if (preamble->preauth && channel == CHANNEL_CLEAR)
		return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
			"the server lets us in without a login (PREAUTH), and without TLS: nobody "
			"can tell whose mailbox that is");
	l->preamble = preamble;
	if (login_wire_init(&l->wire, f) < 0)
		return -1;
	*ret = TAKE(l);
	return 0;
}

struct imap_login *imap_login_free(struct imap_login *l)
{
	if (!l)
		return NULL;
	login_exchange_deinit(&l->exchange);
	login_wire_deinit(&l->wire);
	free(l);
	return NULL;
}

void imap_login_freep(struct imap_login **l)
{
	*l = imap_login_free(*l);
}

struct login_wire *imap_login_wire(struct imap_login *l)
{
	return &l->wire;
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
	return buffer_append_text(&l->wire.out, "\r\n", f);
}

static int begin_command(struct imap_login *l, const char *command, struct fault *f)
{
	l->told = false;
	return buffer_append_format(&l->wire.out, f, "L%u %s", ++l->tag, command);
}

static int ask(struct imap_login *l, enum step_state next, struct fault *f)
{
	return begin_command(l, "CAPABILITY", f) < 0 ? -1 : end_line(l, next, f);
}

static struct slice argument(const struct imap_login *l)
{
	const struct login_exchange *e = &l->exchange;

	return l->argument == 0 ? slice_text(e->account->user)
				: slice_of(e->secret->text, e->secret->len);
}

/* A quoted string has no bytes beyond ASCII in it (RFC 3501 section 4.3). */
static bool can_be_quoted(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] >= 0x80)
			return false;
	}
	return true;
}

static int put_quoted(struct buffer *to, struct slice text, struct fault *f)
{
	if (buffer_append_text(to, " \"", f) < 0)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		bool special = text.data[i] == '"' || text.data[i] == '\\';

		if ((special && buffer_append_text(to, "\\", f) < 0) ||
			buffer_append(to, &text.data[i], 1, f) < 0)
			return -1;
	}
	return buffer_append_text(to, "\"", f);
}

/* The rest of LOGIN: to its end, or to a literal that the server has to ask for. */
static int put_arguments(struct imap_login *l, struct fault *f)
{
	struct buffer *to = &l->wire.out;

	for (; l->argument < N_ARGUMENTS; l->argument++) {
		struct slice text = argument(l);
		bool at_once = imap_literal_goes_at_once(&l->capabilities, text.len);

		if (can_be_quoted(text)) {
			if (put_quoted(to, text, f) < 0)
				return -1;
			continue;
		}
		if (buffer_append_format(to, f, " {%zu%s}", text.len, at_once ? "+" : "") < 0)
			return -1;
		if (!at_once)
			return end_line(l, ANNOUNCED, f);
		if (buffer_append_text(to, "\r\n", f) < 0 ||
			buffer_append(to, text.data, text.len, f) < 0)
			return -1;
	}
	return end_line(l, LOGGING_IN, f);
}

static int put_announced(struct imap_login *l, struct fault *f)
{
	struct slice text = argument(l);

	l->argument++;
	return buffer_append(&l->wire.out, text.data, text.len, f) < 0 ? -1 : put_arguments(l, f);
}

static int start_login(struct imap_login *l, struct fault *f)
{
	l->argument = 0;
	if (begin_command(l, "LOGIN", f) < 0 || put_arguments(l, f) < 0)
		return fault_prefix(f, "the password is too long");
	return 0;
}

static int respond(struct imap_login *l, struct slice challenge, struct fault *f)
{
	if (login_exchange_respond(&l->exchange, challenge, &l->wire.out, f) < 0)
		return -1;
	return end_line(l, EXCHANGING, f);
}

/* With the first response in the same line (RFC 4959) where server and mechanism have that. */
static int start_sasl(struct imap_login *l, struct fault *f)
{
	const struct login_exchange *e = &l->exchange;
	struct buffer *to = &l->wire.out;
	bool at_once = l->capabilities.sasl_ir && e->mechanism->flags & MECHANISM_CLIENT_FIRST &&
		       (!e->secret || e->secret->len < INITIAL_RESPONSE_MAX / 2);

	if (begin_command(l, "AUTHENTICATE ", f) < 0 ||
		buffer_append_text(to, e->mechanism->name, f) < 0)
		return -1;
	if (!at_once)
		return end_line(l, OFFERED, f);
	if (buffer_append_text(to, " ", f) < 0)
		return -1;
	size_t before = to->len;
	if (login_exchange_respond(&l->exchange, slice_of("", 0), to, f) < 0)
		return -1;
	if (to->len == before && buffer_append_text(to, "=", f) < 0)
		return -1;
	return end_line(l, EXCHANGING, f);
}

static int start_mechanism(struct imap_login *l, struct fault *f)
{
	if (login_exchange_next(&l->exchange, f) < 0)
		return -1;
	return l->exchange.mechanism->kind == MECHANISM_SASL ? start_sasl(l, f) : start_login(l, f);
}

/* Some providers let nobody into a mailbox who has not said what it is. */
static int identify(struct imap_login *l, struct fault *f)
{
	if (l->capabilities.id)
		return begin_command(l, identification, f) < 0 ? -1 : end_line(l, IDENTIFYING, f);
	l->state = READY;
	return 0;
}

static int settle(struct imap_login *l, struct fault *f)
{
	const struct mechanism *m = l->exchange.mechanism;

	if (login_exchange_end(&l->exchange, f) < 0)
		return -1;
	(void)snprintf(l->result.mechanism, sizeof l->result.mechanism, "%s", m ? m->name : "");
	return l->told ? identify(l, f) : ask(l, SETTLING, f);
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

/* Another user, password or mechanism would be refused too. */
static bool is_for_now(enum reply_code code)
{
	return code != REPLY_CODE_NONE && code != REPLY_CODE_AUTH && code != REPLY_CODE_OTHER;
}

static int refused(struct imap_login *l, const struct imap_reply *r, struct fault *f)
{
	const struct account *account = l->exchange.account;
	const struct mechanism *m = l->exchange.mechanism;
	const char *why = login_exchange_refusal(&l->exchange);
	char text[200], user[100], whose[100];

	l->code = code_of(r->code);
	(void)escape_text(r->text, text, sizeof text);
	if (is_for_now(l->code))
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"the server refuses the login for now: \"%s\"", text);
	const char *authzid = account->authzid;
	return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
		"the server refuses the login of \"%s\"%s%s%s by %s: \"%s\"%s%s%s; check user and "
		"%s%s",
		escape_text(slice_text(account->user), user, sizeof user), authzid ? " for \"" : "",
		escape_text(slice_text(authzid ? authzid : ""), whose, sizeof whose),
		authzid ? "\"" : "", m->kind == MECHANISM_SASL ? m->name : "LOGIN", text,
		why[0] ? " (" : "", why, why[0] ? ")" : "",
		account->secret_source == SECRET_TOKEN_COMMAND ? "token (its scope too)"
							       : "password",
		authzid ? ", and whether that user may log in for others" : "");
}

static int on_reply(struct imap_login *l, const struct imap_reply *r, struct fault *f)
{
	bool ok = r->status == IMAP_OK;

	switch (l->state) {
	case ASKED:
		return start_mechanism(l, f);
	case OFFERED:
		/* That cost no try of the password. */
		if (!ok && !l->exchange.account->auth && !is_for_now(code_of(r->code)) &&
			login_exchange_has_next(&l->exchange))
			return start_mechanism(l, f);
		return ok ? settle(l, f) : refused(l, r, f);
	case EXCHANGING:
	case LOGGING_IN:
		return ok ? settle(l, f) : refused(l, r, f);
	case ANNOUNCED:
		return ok ? unexpected(r->text, f) : refused(l, r, f);
	case SETTLING:
		return identify(l, f);
	case IDENTIFYING:
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
	if (l->state == ANNOUNCED)
		return put_announced(l, f);
	if (l->state != OFFERED)
		return unexpected(challenge, f);
	bool first = l->exchange.mechanism->flags & MECHANISM_CLIENT_FIRST;
	return respond(l, first ? slice_of("", 0) : challenge, f);
}

/* What is said beside the answers has an end. */
static int count_line(struct imap_login *l, struct fault *f)
{
	if (++l->lines > LIMIT_CAPA_LINES)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"the server says more than %d lines during the login", LIMIT_CAPA_LINES);
	return 0;
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

	if (count_line(l, f) < 0)
		return -1;
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
	/* The answer to ID may hold literals, whose lines say anything. */
	if (l->state == IDENTIFYING && !imap_is(tag, mine))
		return count_line(l, f);
	struct slice rest = slice_of(c.at, (size_t)(c.end - c.at));
	if (imap_is(tag, "+"))
		return on_continuation(l, rest, f);
	if (!imap_is(tag, mine) || imap_reply_parse(rest, &r) != 0)
		return unexpected(line, f);
	if (r.code == IMAP_CODE_CAPABILITY && hear_capabilities(l, r.argument, f) < 0)
		return -1;
	return on_reply(l, &r, f);
}

/* libcurl's answer is stale where it was given in clear before STARTTLS. */
static int start(struct imap_login *l, struct fault *f)
{
	enum imap_preamble_state needed = l->exchange.account->tls == TLS_STARTTLS
						  ? IMAP_PREAMBLE_END
						  : IMAP_PREAMBLE_STARTTLS;

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
	bool crlf;
	int r;

	if (l->state == BEGIN && start(l, f) < 0)
		return -1;
	while (l->wire.out.len == 0 && l->state != READY) {
		r = login_wire_take_line(&l->wire, &line, &crlf, f);
		if (r != 0)
			return r == LOGIN_WIRE_WANT_READ ? LOGIN_WANT_READ : -1;
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
		login_exchange_mask(&l->exchange, f);
	return r;
}
