#include "archive/escape.h"
#include "daemon/login_private.h"
#include "daemon/status_line.h"

#include <ctype.h>

int login_unexpected(struct slice line, const char *command, struct fault *f)
{
	char text[200];

	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "%s was answered with \"%s\"",
		command, escape_text(line, text, sizeof text));
}

static int refused_for(struct login *l, struct slice line, struct fault *f)
{
	bool challenged =
		l->mechanism->kind == MECHANISM_SASL && !(l->mechanism->flags & MECHANISM_CLEAR);
	const char *refusal = l->sasl ? sasl_refusal(l->sasl) : "";
	char text[200], user[100];

	return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
		"the server refuses the login of \"%s\" by %s: \"%s\"%s%s%s; check user and %s%s",
		escape_text(slice_text(l->account->user), user, sizeof user), l->mechanism->name,
		escape_text(status_text(line), text, sizeof text), refusal[0] ? " (" : "", refusal,
		refusal[0] ? ")" : "",
		l->account->secret_source == SECRET_TOKEN_COMMAND
			? "what token-command prints (its scope too)"
			: "password",
		challenged ? ", or try auth = \"PLAIN\": the server may hold no secret for this "
			     "mechanism"
			   : "");
}

static int trouble(struct slice line, const char *words, struct fault *f)
{
	char text[200];

	return fault_set(f, FAULT_PROTOCOL, SCOPE_ACCOUNT, 0, "%s: \"%s\"", words,
		escape_text(status_text(line), text, sizeof text));
}

enum reply_code login_code_of(struct slice line)
{
	struct reply r;

	return reply_parse(line, &r) == 0 ? r.code : REPLY_CODE_NONE;
}

int login_refused_by(struct login *l, struct slice line, struct fault *f)
{
	l->code = login_code_of(line);
	switch (l->code) {
	case REPLY_CODE_IN_USE:
		return trouble(line,
			"the maildrop is in use by another session; try again in some minutes", f);
	case REPLY_CODE_LOGIN_DELAY:
		return trouble(line, "the server wants more time between two logins", f);
	case REPLY_CODE_SYS_TEMP:
		return trouble(
			line, "the server has trouble of its own; try again in some minutes", f);
	case REPLY_CODE_SYS_PERM:
		return trouble(
			line, "the server cannot open the maildrop until its operator acts", f);
	case REPLY_CODE_NONE:
	case REPLY_CODE_OTHER:
		if (l->capabilities.auth_resp_code && !(l->sasl && sasl_refusal(l->sasl)[0]))
			return trouble(line,
				"the server refuses the login, and not for user or password", f);
		break;
	case REPLY_CODE_AUTH:
		break;
	}
	return refused_for(l, line, f);
}

bool login_is_about_the_maildrop(enum reply_code code)
{
	return code == REPLY_CODE_IN_USE || code == REPLY_CODE_LOGIN_DELAY ||
	       code == REPLY_CODE_SYS_TEMP || code == REPLY_CODE_SYS_PERM;
}

int login_nothing_to_use(struct login *l, struct fault *f)
{
	const struct account *a = l->account;
	char offers[300], auth[64];

	(void)mechanism_offers(&l->terms, offers, sizeof offers);
	if (a->auth)
		return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
			"auth = \"%s\" cannot be used: the server offers %s",
			escape_text(slice_text(a->auth), auth, sizeof auth), offers);
	if (a->secret_source == SECRET_TOKEN_COMMAND)
		return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
			"token-command needs OAUTHBEARER or XOAUTH2, but the server offers %s",
			offers);
	return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
		"no way to log in: the server offers %s%s", offers,
		l->terms.channel == CHANNEL_CLEAR ? " without TLS" : "");
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

void login_mask_secret(const struct secret *s, const char *sent, struct fault *f)
{
	char secret[FAULT_TEXT_MAX];

	if (s) {
		(void)escape_text(slice_of(s->text, s->len), secret, sizeof secret);
		mask(secret, f->text);
		explicit_bzero(secret, sizeof secret);
	}
	mask(sent, f->text);
}
