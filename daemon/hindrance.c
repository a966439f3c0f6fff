#include "daemon/hindrance.h"

#include <string.h>

/* What servers write when logins come too often, seen in the wild: a login refused for that is no
 * wrong password. */
static const char *const rate_words[] = {
	"too many",
	"too often",
	"too frequent",
	"too soon",
	"login limit",
	"rate limit",
	"connection limit",
	"exceeded the",
	"throttl",
	"login delay",
	"minimum time between",
	"allowed only every",
	"wait before",
};

static bool says_too_often(const char *text)
{
	for (size_t i = 0; i < sizeof rate_words / sizeof *rate_words; i++) {
		if (strcasestr(text, rate_words[i]))
			return true;
	}
	return false;
}

/* The response code of a refused login says more than its kind. */
static enum hindrance of_code(enum reply_code code, enum hindrance otherwise)
{
	switch (code) {
	case REPLY_CODE_IN_USE:
		return HINDRANCE_IN_USE;
	case REPLY_CODE_LOGIN_DELAY:
		return HINDRANCE_TOO_SOON;
	case REPLY_CODE_SYS_TEMP:
		return HINDRANCE_PASSING;
	case REPLY_CODE_SYS_PERM:
		return HINDRANCE_PERSON;
	case REPLY_CODE_AUTH:
		return HINDRANCE_LOGIN;
	case REPLY_CODE_NONE:
	case REPLY_CODE_OTHER:
		break;
	}
	return otherwise;
}

enum hindrance hindrance_of(const struct fault *f, enum reply_code code)
{
	switch (f->code) {
	case FAULT_NONE:
		return HINDRANCE_NONE;
	case FAULT_INTERRUPT:
		return HINDRANCE_STOPPED;
	case FAULT_USAGE:
	case FAULT_ACCESS:
		return HINDRANCE_PERSON;
	case FAULT_LOGIN:
		/* Words win: Gmail says [AUTH] when there were too many logins. */
		return says_too_often(f->text) ? HINDRANCE_TOO_SOON
					       : of_code(code, HINDRANCE_LOGIN);
	case FAULT_PROTOCOL:
	case FAULT_REACH:
		return of_code(
			code, says_too_often(f->text) ? HINDRANCE_TOO_SOON : HINDRANCE_PASSING);
	case FAULT_SYSTEM:
	case FAULT_MEMORY:
	case FAULT_LIMIT:
	case FAULT_MISSING:
	case FAULT_FORMAT:
	case FAULT_DAMAGE:
	case FAULT_BUSY:
	case FAULT_WRITE:
		break;
	}
	return HINDRANCE_PASSING;
}
