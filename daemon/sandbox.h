/* Shuts the calling process in for good: Landlock says which files it reaches, seccomp which system
 * calls it has. Nothing takes it back, and what it forks is shut in with it.
 *
 * What is left to the process: below the write folders to read, write, make, rename and remove
 * files, folders and sockets; to read what the name service, TLS and the C library need (/etc,
 * /usr, /lib*, what names servers below /run, /proc/self) and the read paths; to connect to
 * anywhere; to serve sockets that listen already; threads. What it loses, among others: to run
 * programs, to fork, to trace or signal other processes, to listen, to bind a TCP port (Landlock
 * 4), to open devices, to let others write or run a file, to change owners, mounts, users, the
 * clock, to make memory both writable and executable. Refused calls fail with EPERM, unknown and
 * newer ones with ENOSYS, as on an older kernel: the C library falls back.
 *
 * /etc is read whole, since its files are replaced by others of the same name while the process
 * runs. A secret that the process should not be able to read even when it is taken over belongs
 * elsewhere; systemd's credentials (/run/credentials) are out of its reach. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"
#include "daemon/config.h"

#include <stdbool.h>
#include <stddef.h>

enum sandbox_kerberos {
	SANDBOX_WITHOUT_KERBEROS,
	SANDBOX_WITH_KERBEROS /* the ticket cache that KRB5CCNAME names, or the usual one, is read
			       */
};

enum sandbox_who {
	SANDBOX_SERVICE,
	SANDBOX_WORKER /* worker_sandbox.h: of all the rest, only the mode counts */
};

/* All borrowed, for the call. */
struct sandbox_plan {
	enum sandbox_who who;
	/* Folders that exist: archive, cache, runtime folder, the folder of the metrics' file. */
	const char *const *write_folders;
	size_t write_folders_n;
	/* Files, and folders with all below them; what is missing is passed over. A file is known
	 * by what it is now: where another will be renamed over it, name its folder. */
	const char *const *read_paths;
	size_t read_paths_n;
	enum sandbox_kerberos kerberos;
	enum sandbox_mode mode;
};

enum { SANDBOX_TEXT_MAX = 200 };

struct sandbox_state {
	char text[SANDBOX_TEXT_MAX]; /* for people: "Landlock 7, seccomp", "no Landlock on this
					kernel, seccomp" */
	bool incomplete;	     /* Landlock or seccomp is missing: the mode was SANDBOX_BEST */
};

/* Once in a process, after it became the user it runs as, after its helpers were forked, after its
 * sockets listen and before any thread begins: threads that run already would stay outside, so with
 * one the call is refused. A changed configuration cannot widen it; that takes a new process.
 * With SANDBOX_BEST, goes on with what the kernel has and says so in *ret.
 * FAULT_SYSTEM, and the process may be shut in by half: a write folder that cannot be opened; a
 * thread runs. FAULT_USAGE: with SANDBOX_REQUIRED, Landlock or seccomp are not to be had.
 * FAULT_MEMORY. */
int sandbox_enter(
	const struct sandbox_plan *plan, struct sandbox_state *ret, struct fault *f) MUST_CHECK;
