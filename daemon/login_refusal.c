#include "archive/escape.h"
#include "daemon/login_private.h"
#include "daemon/status_line.h"

int login_unexpected(struct slice line, const char *command, struct fault *f)
{
	char text[200];

	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "%s was answered with \"%s\"",
		command, escape_text(line, text, sizeof text));
}

static int refused_for(struct login *l, struct slice line, struct fault *f)
{
	const struct mechanism *m = l->exchange.mechanism;
	const struct account *account = l->exchange.account;
	bool challenged = m->kind == MECHANISM_SASL && !(m->flags & MECHANISM_CLEAR);
	const char *refusal = login_exchange_refusal(&l->exchange);
	char text[200], user[100];

	return fault_set(f, FAULT_LOGIN, SCOPE_ACCOUNT, 0,
		"the server refuses the login of \"%s\" by %s: \"%s\"%s%s%s; check user and %s%s",
		escape_text(slice_text(account->user), user, sizeof user), m->name,
		escape_text(status_text(line), text, sizeof text), refusal[0] ? " (" : "", refusal,
		refusal[0] ? ")" : "",
		account->secret_source == SECRET_TOKEN_COMMAND
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
		if (l->capabilities.auth_resp_code && !login_exchange_refusal(&l->exchange)[0])
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
