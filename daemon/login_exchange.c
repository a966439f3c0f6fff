#include "daemon/login_exchange.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/base64.h"

#include <ctype.h>
#include <stdio.h>

/* Holds secrets, so its storage may not move and leave a copy behind. */
enum { RESPONSE_SIZE = LIMIT_SASL_LINE / 4 * 3 };

static bool holds_line_break(const char *text, size_t len)
{
	return memchr(text, '\r', len) || memchr(text, '\n', len) || memchr(text, '\0', len);
}

static int check_identity(const struct account *account, const struct secret *secret,
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

int login_exchange_init(struct login_exchange *e, const struct account *account,
	const struct secret *secret, const struct capabilities *capabilities,
	enum connection_channel channel, struct fault *f)
{
	const struct mechanism *forced = account->auth ? mechanism_named(account->auth) : NULL;

	if (check_identity(account, secret, forced, f) < 0)
		return -1;
	*e = (struct login_exchange){.account = account, .secret = secret};
	e->terms = (struct mechanism_terms){
		.account = account, .capabilities = capabilities, .channel = channel};
	return 0;
}

void login_exchange_deinit(struct login_exchange *e)
{
	sasl_freep(&e->sasl);
	explicit_bzero(e->sent, sizeof e->sent);
}

static int nothing_to_use(const struct login_exchange *e, struct fault *f)
{
	const struct account *a = e->account;
	char offers[300], auth[64];

	(void)mechanism_offers(&e->terms, offers, sizeof offers);
	if (a->auth)
		return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
			"auth = \"%s\" cannot be used: the server offers %s",
			escape_text(slice_text(a->auth), auth, sizeof auth), offers);
	if (a->secret_source == SECRET_TOKEN_COMMAND)
		return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
			"token-command needs OAUTHBEARER or XOAUTH2, but the server offers %s",
			offers);
	return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
		"no way to log in%s: the server offers %s%s",
		a->authzid ? " for somebody else" : "", offers,
		e->terms.channel == CHANNEL_CLEAR ? " without TLS" : "");
}

bool login_exchange_has_next(const struct login_exchange *e)
{
	return mechanism_next(e->mechanism, &e->terms) != NULL;
}

int login_exchange_next(struct login_exchange *e, struct fault *f)
{
	const struct mechanism *next = mechanism_next(e->mechanism, &e->terms);

	if (!next)
		return nothing_to_use(e, f);
	e->mechanism = next;
	sasl_freep(&e->sasl);
	return next->kind == MECHANISM_SASL
		       ? sasl_new(next->name, e->account, e->secret, &e->sasl, f)
		       : 0;
}

static void wipe_response(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
	buffer_deinit(b);
}

int login_exchange_respond(
	struct login_exchange *e, struct slice challenge, struct buffer *to, struct fault *f)
{
	struct buffer raw CLEANUP(buffer_deinit) = buffer_make(LIMIT_SASL_LINE);
	struct buffer response CLEANUP(wipe_response) = buffer_make(RESPONSE_SIZE);
	size_t before = to->len;
	int r = base64_decode(&raw, challenge, f);

	if (r < 0 || buffer_reserve(&response, RESPONSE_SIZE, f) < 0)
		return -1;
	if (r == BASE64_INVALID)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"%s: the server's challenge is not base64", e->mechanism->name);
	r = sasl_step(e->sasl, buffer_slice(&raw), &response, f);
	if (r < 0)
		return f->code == FAULT_LIMIT ? fault_prefix(f, "%s", e->mechanism->name) : -1;
	if (r == SASL_CANCEL)
		return buffer_append_text(to, "*", f);
	if (base64_encode(to, buffer_slice(&response), f) < 0)
		return -1;
	(void)snprintf(e->sent, sizeof e->sent, "%.*s", (int)(to->len - before),
		(const char *)to->data + before);
	return 0;
}

int login_exchange_end(struct login_exchange *e, struct fault *f)
{
	if (e->sasl && !sasl_is_complete(e->sasl))
		return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0,
			"%s: the server lets us in without having proven that it knows the "
			"password; it may be another server than you think",
			e->mechanism->name);
	sasl_freep(&e->sasl);
	return 0;
}

const char *login_exchange_refusal(const struct login_exchange *e)
{
	return e->sasl ? sasl_refusal(e->sasl) : "";
}

/* What is masked may be in other letters: some servers turn commands into capitals. */
static void mask(const char *secret, char *text)
{
	enum { SHORTEST = 4, /* a shorter one would be found in any text */ ENOUGH = 16 };
	size_t len = strlen(secret), least = len < ENOUGH ? len : ENOUGH;

	if (len < SHORTEST)
		return;
	for (char *at = text; *at; at++) {
		size_t same = 0;

		while (secret[same] &&
			tolower((unsigned char)at[same]) == tolower((unsigned char)secret[same]))
			same++;
		if (same >= least)
			memset(at, '*', same);
	}
}

void login_exchange_mask(const struct login_exchange *e, struct fault *f)
{
	char secret[FAULT_TEXT_MAX];

	if (e->secret) {
		(void)escape_text(slice_of(e->secret->text, e->secret->len), secret, sizeof secret);
		mask(secret, f->text);
		explicit_bzero(secret, sizeof secret);
	}
	mask(e->sent, f->text);
}
