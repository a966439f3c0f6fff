/* One run of a password-command or token-command, in steps, so that an event loop can wait for it
 * beside others: begin, poll fd for reading until the deadline, step, … , free. */
#pragma once

#include "daemon/secret.h"

struct secret_command;

/* Runs command by /bin/sh -c, in a process group of its own, with /dev/null as stdin and our
 * stderr. It has timeout_ms to end. FAULT_SYSTEM. */
int secret_command_begin(const char *command, uint32_t timeout_ms, struct secret_command **ret,
	struct fault *f) MUST_CHECK;
/* Ends the group at once (SIGKILL) if it still runs, and wipes what was read. Returns NULL. */
struct secret_command *secret_command_free(struct secret_command *c);
void secret_command_freep(struct secret_command **c);
/* In a process that was forked from the one that began it: wipes what was read, and leaves the
 * command and its descriptors alone. Returns NULL. */
struct secret_command *secret_command_forget(struct secret_command *c);

/* Readable when a step has something to do. Borrowed. */
int secret_command_fd(const struct secret_command *c);
/* Of the monotonic clock: when a step will give up. */
int64_t secret_command_deadline_ms(const struct secret_command *c);

enum { SECRET_COMMAND_WAIT = 1 };
/* Never blocks. 0: *ret is the secret, the first line of what was printed. FAULT_ACCESS, scope
 * account: the command failed, printed nothing usable, or did not end in time. */
int secret_command_step(struct secret_command *c, struct secret *ret, struct fault *f) MUST_CHECK;
