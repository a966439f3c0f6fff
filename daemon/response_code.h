/* Status lines of POP3 and the extended response codes in them (RFC 2449 section 8, RFC 3206). */
#pragma once

#include "archive/bytes.h"

#include <stdbool.h>

enum status_indicator { STATUS_OK, STATUS_ERR, STATUS_CONTINUE, STATUS_OTHER };

/* How a line (without its end) begins: "+OK", "-ERR", "+ " or "+" alone (RFC 5034), or none of
 * them. Case as in RFC 1939: upper. */
enum status_indicator status_indicator(struct slice line);
/* What follows the indicator and its space: the server's text, response code included. */
struct slice status_text(struct slice line);

enum response_code {
	RESPONSE_NONE,
	RESPONSE_AUTH,	      /* user or password are wrong */
	RESPONSE_IN_USE,      /* another session has the maildrop */
	RESPONSE_LOGIN_DELAY, /* too soon after the last session */
	RESPONSE_SYS_TEMP,    /* try again later */
	RESPONSE_SYS_PERM,    /* a person must do something */
	RESPONSE_OTHER	      /* one that is not known here */
};

/* Of a status line. Levels below a known code ("SYS/TEMP/X") mean the same; any case. */
enum response_code response_code(struct slice line);
