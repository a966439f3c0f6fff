/* What popkeep-worker is shut in with: it has the descriptors that it was started with, memory that
 * cannot be executed, and nothing else. No path can be opened, looked up or changed (Landlock
 * without a single rule, and no system call that takes a path), there is no socket, no other
 * process, no program, no signal but its own abort(). A refused call fails with EPERM, a call of
 * another architecture ends the process.
 *
 * With AddressSanitizer the list is the same: it looks for leaks when a program exits, and a
 * process that is shut in so ends by _exit(). */
#pragma once

#include "daemon/sandbox.h"

/* Once, before any thread. What loads late (OpenSSL's providers, character sets) must be loaded.
 * As sandbox_enter(). */
int worker_sandbox_enter(
	enum sandbox_mode mode, struct sandbox_state *ret, struct fault *f) MUST_CHECK;

/* For sandbox_seccomp.c: what a filter (scmp_filter_ctx) that denies all else allows. 0, or a
 * negative errno. */
int worker_sandbox_rules(void *filter) MUST_CHECK;
