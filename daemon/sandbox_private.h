/* The two halves of sandbox.h. */
#pragma once

#include "daemon/sandbox.h"

enum { SANDBOX_LACKS = 1, SANDBOX_LACK_MAX = 96 };

/* Each: 0 in force, *ret_abi is Landlock's version; SANDBOX_LACKS: nothing changed, lack says what
 * the kernel does not have, and it could be had nowhere else in the process. FAULT_SYSTEM,
 * FAULT_MEMORY. no_new_privs must be set. */
int sandbox_landlock(const struct sandbox_plan *plan, int *ret_abi,
	char lack[static SANDBOX_LACK_MAX], struct fault *f) MUST_CHECK;
/* As on a kernel whose Landlock has this version, at most that of the running one. */
int sandbox_landlock_as(int abi, const struct sandbox_plan *plan,
	char lack[static SANDBOX_LACK_MAX], struct fault *f) MUST_CHECK;
int sandbox_seccomp(const struct sandbox_plan *plan, char lack[static SANDBOX_LACK_MAX],
	struct fault *f) MUST_CHECK;
