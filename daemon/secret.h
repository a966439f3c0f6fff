/* Getting an account's password or token, without a trace: in memory that is wiped, never in an
 * argument list, an error or a log. */
#pragma once

#include "daemon/account.h"

/* Owning; wiped by secret_deinit(). Not locked in memory; a core is the unit's to forbid. */
struct secret {
	char *text; /* NUL-terminated, without the line's end */
	size_t len;
};

void secret_deinit(struct secret *s);

/* False where the mechanism that the account's auth forces works without (EXTERNAL, GSSAPI). */
bool secret_is_needed(const struct account *a);

/* Blocks for LIMIT_SECRET_MS at most. A file that group or others can read is refused
 * (FAULT_ACCESS), and so is one that is neither ours nor root's. A command that fails, hangs, or
 * prints nothing, more than LIMIT_SECRET or a NUL is named with the account, never with its output.
 * SECRET_ASK and a terminal: asks on /dev/tty without echo. SECRET_NONE
 * gives an empty one where none is needed. */
int secret_read(const struct account *a, struct secret *ret, struct fault *f) MUST_CHECK;
