#include "daemon/sandbox.h"

#include "daemon/sandbox_private.h"

#include "archive/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

/* A sanitizer for threads has one of its own. */
#if defined(__SANITIZE_THREAD__)
#define OWN_THREADS 2
#else
#define OWN_THREADS 1
#endif

static int refuse_threads(struct fault *f)
{
	DIR *tasks CLEANUP(dir_closep) = opendir("/proc/self/task");
	int n = 0;

	if (!tasks) /* no /proc: then nobody can tell */
		return 0;
	for (const struct dirent *entry; (entry = readdir(tasks));)
		n += entry->d_name[0] != '.';
	if (n > OWN_THREADS)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"sandbox: %d threads run already and would stay outside", n);
	return 0;
}

/* The configuration asks for what the kernel has not: trying again changes nothing. */
static int refuse_lack(const char *lack, struct fault *f)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"sandbox = \"required\", but there is %s: use a kernel that has Landlock (Linux "
		"5.13 or "
		"later, \"landlock\" in its lsm= option) and seccomp, or set sandbox = \"best\"",
		lack);
}

int sandbox_enter(const struct sandbox_plan *plan, struct sandbox_state *ret, struct fault *f)
{
	struct sandbox_state state = {0};
	char landlock[SANDBOX_LACK_MAX];
	char seccomp[SANDBOX_LACK_MAX] = "seccomp";
	int abi = 0;

	if (refuse_threads(f) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "sandbox: no_new_privs");
	int r = sandbox_landlock(plan, &abi, landlock, f);
	if (r < 0)
		return -1;
	if (r == SANDBOX_LACKS && plan->mode == SANDBOX_REQUIRED)
		return refuse_lack(landlock, f);
	if (r == 0)
		(void)snprintf(landlock, sizeof(landlock), "Landlock %d", abi);
	state.incomplete = r == SANDBOX_LACKS;
	r = sandbox_seccomp(plan, seccomp, f);
	if (r < 0)
		return -1;
	if (r == SANDBOX_LACKS && plan->mode == SANDBOX_REQUIRED)
		return refuse_lack(seccomp, f);
	state.incomplete = state.incomplete || r == SANDBOX_LACKS;
	(void)snprintf(state.text, sizeof(state.text), "%s, %s", landlock, seccomp);
	*ret = state;
	return 0;
}
