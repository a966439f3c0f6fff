/* The system calls that the worker keeps. It is handed all it works on as descriptors, so that it
 * needs reading, writing and memory; what makes descriptors is not among them. fstat() is left out
 * on purpose: the C library calls newfstatat() for it, which would look at any path. */
#include "daemon/worker_sandbox.h"

#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const int allowed[] = {
	/* the descriptors it has */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fadvise64_64),
	SCMP_SYS(arm_fadvise64_64),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(close),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(futex_time64),
	SCMP_SYS(getrandom), /* malloc() */
	SCMP_SYS(sysinfo),   /* qsort() of the C library up to 2.36 */
	/* time */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	/* its own end, and what a signal interrupts */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(sched_yield),
};

static int allow_where(scmp_filter_ctx filter, const int *calls, size_t n,
	const struct scmp_arg_cmp *compare, unsigned compare_n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i], compare_n, compare);
	return r;
}

/* Memory, not files; and never to be executed. */
static int allow_memory(scmp_filter_ctx filter)
{
	static const int map[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2)};
	static const int protect[] = {SCMP_SYS(mprotect)};
	const struct scmp_arg_cmp data[] = {
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
		SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS | MAP_PRIVATE,
			MAP_ANONYMOUS | MAP_PRIVATE),
	};
	int r = allow_where(filter, map, LENGTH(map), data, 2);

	return r < 0 ? r : allow_where(filter, protect, LENGTH(protect), data, 1);
}

/* It never forks, so its number stays its own. */
static int allow_abort(scmp_filter_ctx filter)
{
	static const int calls[] = {SCMP_SYS(tgkill)};
	const struct scmp_arg_cmp itself[] = {
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()),
		SCMP_A2(SCMP_CMP_EQ, SIGABRT),
	};

	return allow_where(filter, calls, LENGTH(calls), itself, 2);
}

int worker_sandbox_rules(void *filter)
{
	int r = allow_where(filter, allowed, LENGTH(allowed), NULL, 0);

	if (r == 0)
		r = allow_memory(filter);
	return r == 0 ? allow_abort(filter) : r;
}

int worker_sandbox_enter(enum sandbox_mode mode, struct sandbox_state *ret, struct fault *f)
{
	const struct sandbox_plan plan = {.who = SANDBOX_WORKER, .mode = mode};

	return sandbox_enter(&plan, ret, f);
}
