/* The system calls that the service loses (what the worker keeps is in worker_sandbox.c). A list of
 * what is denied, not of what is allowed: the C library, its name service modules, libcurl,
 * OpenSSL, SQLite and libsystemd of years to come must go on working with it, and none of what
 * stands here is anything that they need. For calls that no kernel had when this was written the
 * answer is "not implemented", which every library has to expect from an older kernel, so that what
 * is new is denied until somebody looked at it.
 *
 * A filter sees numbers only, never what a pointer points to. Where it compares an argument, mind
 * that the kernel looks at 32 bits of an int and the filter at 64: a rule that denies a value masks
 * the upper half, or the value could be had with rubbish in it. */
#include "daemon/sandbox_private.h"

#include "daemon/sanitizer.h"
#include "daemon/worker_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>

#define LOW32	      UINT64_C(0xffffffff)
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Denied whatever the arguments. Landlock does not cover changes of modes, owners, times and
 * extended attributes, nor truncate() before its version 3. */
static const int denied[] = {
	/* programs and processes */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(tkill),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(personality),
	SCMP_SYS(setpriority),
	SCMP_SYS(ioprio_set),
	SCMP_SYS(migrate_pages),
	SCMP_SYS(move_pages),
	/* users and name spaces */
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(setuid32),
	SCMP_SYS(setgid32),
	SCMP_SYS(setreuid32),
	SCMP_SYS(setregid32),
	SCMP_SYS(setresuid32),
	SCMP_SYS(setresgid32),
	SCMP_SYS(setfsuid32),
	SCMP_SYS(setfsgid32),
	SCMP_SYS(setgroups32),
	SCMP_SYS(capset),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(chroot),
	SCMP_SYS(pivot_root),
	/* mounts */
	SCMP_SYS(mount),
	SCMP_SYS(umount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(quotactl),
	/* files by their path, where Landlock does not look or not in each version */
	SCMP_SYS(truncate),
	SCMP_SYS(truncate64),
	SCMP_SYS(chmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(chown),
	SCMP_SYS(lchown),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(chown32),
	SCMP_SYS(lchown32),
	SCMP_SYS(fchown32),
	SCMP_SYS(setxattr),
	SCMP_SYS(lsetxattr),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(removexattr),
	SCMP_SYS(lremovexattr),
	SCMP_SYS(fremovexattr),
	SCMP_SYS(utime),
	SCMP_SYS(utimes),
	SCMP_SYS(futimesat),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(fanotify_mark),
	SCMP_SYS(acct),
	SCMP_SYS(uselib),
	/* the kernel and the machine */
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(reboot),
	SCMP_SYS(settimeofday),
	SCMP_SYS(stime),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_settime64),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(clock_adjtime64),
	SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(syslog),
	SCMP_SYS(vhangup),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(lookup_dcookie),
	SCMP_SYS(sysfs),
	SCMP_SYS(nfsservctl),
	/* ways to other processes */
	SCMP_SYS(listen),
	SCMP_SYS(shmget),
	SCMP_SYS(msgget),
	SCMP_SYS(semget),
	SCMP_SYS(mq_open),
	SCMP_SYS(mq_unlink),
};

/* Kerberos may keep its tickets in the kernel's keyring. */
static const int keyring[] = {SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl)};

/* What has a pointer to its flags, so that nothing can be said about them: the C library falls back
 * to clone() and openat(). And what other libraries ask for only to see whether it is there. */
static const int unknown[] = {SCMP_SYS(clone3), SCMP_SYS(openat2), SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)};

/* From here on calls have the same number on all machines, and are newer than Linux 5.9 (see the
 * head of the file). epoll_pwait2() is Linux 5.11. */
enum { FIRST_NEW = 440, KNOWN_NEW = 441, END_NEW = 512 };

/* Denied where all comparisons hold; unused ones are 0. */
struct condition {
	int call;
	unsigned n;
	struct scmp_arg_cmp compare[2];
};

#define FLAGS_ARE(arg, mask, value)                                                                \
	{                                                                                          \
		(arg), SCMP_CMP_MASKED_EQ, (mask), (value)                                         \
	}
#define HAS(arg, bits)	 FLAGS_ARE(arg, bits, bits)
#define LACKS(arg, bits) FLAGS_ARE(arg, bits, 0)
#define IS(arg, value)	 FLAGS_ARE(arg, LOW32, value)
#define IS_NOT(arg, value)                                                                         \
	{                                                                                          \
		(arg), SCMP_CMP_NE, (scmp_datum_t)(value), 0                                       \
	}
#define ABOVE(arg, value)                                                                          \
	{                                                                                          \
		(arg), SCMP_CMP_GT, (value), 0                                                     \
	}

static const struct condition conditions[] = {
	/* Opened for reading or for nothing (3), and truncated all the same: Landlock before
	 * version 3 does not see that. */
	{SCMP_SYS(open), 1, {FLAGS_ARE(1, O_ACCMODE | O_TRUNC, O_RDONLY | O_TRUNC)}},
	{SCMP_SYS(open), 1, {HAS(1, O_ACCMODE)}},
	{SCMP_SYS(openat), 1, {FLAGS_ARE(2, O_ACCMODE | O_TRUNC, O_RDONLY | O_TRUNC)}},
	{SCMP_SYS(openat), 1, {HAS(2, O_ACCMODE)}},
	/* Times are changed by descriptor only, as futimens() does. */
	{SCMP_SYS(utimensat), 1, {IS_NOT(1, 0)}},
	{SCMP_SYS(utimensat_time64), 1, {IS_NOT(1, 0)}},
	/* Modes by descriptor, and none that lets others do more than read or runs as somebody
	 * else: SQLite gives its -wal the mode of its database, and the metrics are for others. A
	 * folder that others may not enter stays closed. */
	{SCMP_SYS(fchmod), 1, {HAS(1, 01)}},
	{SCMP_SYS(fchmod), 1, {HAS(1, 02)}},
	{SCMP_SYS(fchmod), 1, {HAS(1, 02000)}},
	{SCMP_SYS(fchmod), 1, {HAS(1, 04000)}},
	/* Memory that can be written and executed, or was written and becomes executable. Loading
	 * libraries (name service, character sets) maps files executable, and that stays. */
	{SCMP_SYS(mmap), 1, {HAS(2, PROT_WRITE | PROT_EXEC)}},
	{SCMP_SYS(mmap2), 1, {HAS(2, PROT_WRITE | PROT_EXEC)}},
	{SCMP_SYS(mprotect), 1, {HAS(2, PROT_EXEC)}},
	{SCMP_SYS(pkey_mprotect), 1, {HAS(2, PROT_EXEC)}},
	{SCMP_SYS(shmat), 1, {HAS(2, SHM_EXEC)}},
	/* A process that gets our descriptor's signals. */
	{SCMP_SYS(fcntl), 1, {IS(1, F_SETOWN)}},
	{SCMP_SYS(fcntl), 1, {IS(1, F_SETOWN_EX)}},
	{SCMP_SYS(fcntl64), 1, {IS(1, F_SETOWN)}},
	{SCMP_SYS(fcntl64), 1, {IS(1, F_SETOWN_EX)}},
	{SCMP_SYS(ioctl), 1, {IS(1, FIOSETOWN)}},
	{SCMP_SYS(ioctl), 1, {IS(1, SIOCSPGRP)}},
	/* Typing into the terminal that it was started from. */
	{SCMP_SYS(ioctl), 1, {IS(1, TIOCSTI)}},
	{SCMP_SYS(ioctl), 1, {IS(1, TIOCLINUX)}},
	/* Limits of other processes. */
	{SCMP_SYS(prlimit64), 1, {IS_NOT(0, 0)}},
	/* Netlink as getaddrinfo() needs it: NETLINK_ROUTE is protocol 0. */
	{SCMP_SYS(socket), 2, {IS(0, AF_NETLINK), IS_NOT(2, 0)}},
	{SCMP_SYS(socket), 1, {ABOVE(0, AF_NETLINK)}},
#if !WITH_ADDRESS_SANITIZER
/* LeakSanitizer looks for leaks, when the program ends, from a process of its own that traces it.
 */
#ifdef __s390__
	{SCMP_SYS(clone), 1, {LACKS(1, CLONE_THREAD)}},
#else
	{SCMP_SYS(clone), 1, {LACKS(0, CLONE_THREAD)}},
#endif
	{SCMP_SYS(ptrace), 0, {{0}}},
#endif
};

/* One argument cannot be compared twice in a rule, so "none of these" is one rule for each other
 * value, and one for those above. */
static const int domains[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static int deny_all(scmp_filter_ctx filter, const int *calls, size_t n, int error)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), calls[i], 0);
	return r;
}

static int deny_new(scmp_filter_ctx filter)
{
	int r = 0;

	for (int call = FIRST_NEW; call < END_NEW && r == 0; call++) {
		if (call != KNOWN_NEW)
			r = deny_all(filter, &call, 1, ENOSYS);
	}
	return r;
}

static int deny_where(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; i < LENGTH(conditions) && r == 0; i++)
		r = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), conditions[i].call,
			conditions[i].n, conditions[i].compare);
	return r;
}

static int deny_if(scmp_filter_ctx filter, int call, const struct scmp_arg_cmp *compare)
{
	return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), call, 1, compare);
}

static int deny_domains(scmp_filter_ctx filter)
{
	int r = 0;

	for (int domain = 0; domain < AF_NETLINK && r == 0; domain++) {
		const struct scmp_arg_cmp is_it = IS(0, (scmp_datum_t)domain);
		bool allowed = false;

		for (size_t i = 0; i < LENGTH(domains); i++)
			allowed = allowed || domain == domains[i];
		if (!allowed)
			r = deny_if(filter, SCMP_SYS(socket), &is_it);
	}
	return r;
}

/* To this process alone, which abort() needs: it never forks, so its number stays its own. */
static int deny_signals(scmp_filter_ctx filter)
{
	static const int calls[] = {SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
		SCMP_SYS(rt_tgsigqueueinfo)};
	int r = 0;

	const struct scmp_arg_cmp other = IS_NOT(0, getpid());

	for (size_t i = 0; i < LENGTH(calls) && r == 0; i++)
		r = deny_if(filter, calls[i], &other);
	return r;
}

static int add_rules(scmp_filter_ctx filter, const struct sandbox_plan *plan)
{
	int r = deny_all(filter, denied, LENGTH(denied), EPERM);

	if (r == 0 && plan->kerberos == SANDBOX_WITHOUT_KERBEROS)
		r = deny_all(filter, keyring, LENGTH(keyring), EPERM);
	if (r == 0)
		r = deny_all(filter, unknown, LENGTH(unknown), ENOSYS);
	if (r == 0)
		r = deny_new(filter);
	if (r == 0)
		r = deny_where(filter);
	if (r == 0)
		r = deny_domains(filter);
	return r == 0 ? deny_signals(filter) : r;
}

static void filter_releasep(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
	*filter = NULL;
}

/* Calls by the numbers of another architecture end the process: libseccomp's default. */
int sandbox_seccomp(
	const struct sandbox_plan *plan, char lack[static SANDBOX_LACK_MAX], struct fault *f)
{
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
		(void)snprintf(lack, SANDBOX_LACK_MAX, "no seccomp on this kernel");
		return SANDBOX_LACKS;
	}
	bool worker = plan->who == SANDBOX_WORKER;
	scmp_filter_ctx filter CLEANUP(filter_releasep) =
		seccomp_init(worker ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
	if (!filter)
		return fault_memory(f);
	int r = worker ? worker_sandbox_rules(filter) : add_rules(filter, plan);
	if (r == -ENOMEM)
		return fault_memory(f);
	if (r < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, -r, "sandbox: the filter");
	r = seccomp_load(filter);
	if (r < 0) {
		(void)snprintf(lack, SANDBOX_LACK_MAX, "no seccomp (%s)", strerror(-r));
		return SANDBOX_LACKS;
	}
	return 0;
}
