/* What stood in the way of a poll, as far as it decides when the next one is. What people read is
 * the fault beside it. */
#pragma once

#include "archive/fault.h"
#include "daemon/reply.h"

enum hindrance {
	HINDRANCE_NONE,	   /* the poll went well */
	HINDRANCE_PASSING, /* network, TLS, a server out of order, [SYS/TEMP]: try again, more and
			      more slowly */
	HINDRANCE_LOGIN,   /* user, password or token refused: a few more tries lock the account */
	HINDRANCE_IN_USE, /* [IN-USE], RFC 2449: another session, perhaps a dropped one of ours, has
			     the maildrop */
	HINDRANCE_TOO_SOON, /* [LOGIN-DELAY], RFC 2449, or words about too many logins: slow down */
	HINDRANCE_PERSON,   /* [SYS/PERM], RFC 3206, a secret that is not to be had, a configuration
			       that cannot work: a person has to do something */
	HINDRANCE_STOPPED   /* by us: the service ends, the account goes, the disk is full */
};

/* From the failure and, where the login was refused, the server's response code. */
enum hindrance hindrance_of(const struct fault *f, enum reply_code code);
