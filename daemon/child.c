#include "daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

static int set_up(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *files, int out)
{
	sigset_t all, none;
	int r = 0;

	sigemptyset(&none);
	sigfillset(&all);
	r = r ? r
	      : posix_spawnattr_setflags(attributes,
			POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	r = r ? r : posix_spawnattr_setpgroup(attributes, 0);
	r = r ? r : posix_spawnattr_setsigdefault(attributes, &all);
	r = r ? r : posix_spawnattr_setsigmask(attributes, &none);
	r = r ? r : posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);
	r = r ? r : posix_spawn_file_actions_adddup2(files, out, 1);
	r = r ? r : posix_spawn_file_actions_addclosefrom_np(files, 3);
	return r;
}

static int spawn(const char *command, int out, char *const *environment, pid_t *ret)
{
	char shell[] = "/bin/sh", option[] = "-c";
	char *arguments[] = {shell, option, strdup(command), NULL};
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t files;

	if (!arguments[2])
		return ENOMEM;
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawn_file_actions_init(&files);
	int r = set_up(&attributes, &files, out);
	r = r ? r : posix_spawn(ret, shell, &files, &attributes, arguments, environment);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attributes);
	free(arguments[2]);
	return r;
}

/* entry: "NAME=value" */
static bool names_one_of(const char *entry, char *const *extra)
{
	size_t len = strcspn(entry, "=");

	for (; *extra; extra++) {
		if (strncmp(entry, *extra, len) == 0 && (*extra)[len] == '=')
			return true;
	}
	return false;
}

/* Borrows every text; the list is the caller's, for free(). NULL when out of memory. */
static char **join_environments(char *const *extra)
{
	size_t n = 0, used = 0;

	for (char **e = environ; e && *e; e++)
		n++;
	for (char *const *e = extra; *e; e++)
		n++;
	char **all = calloc(n + 1, sizeof *all);
	for (char *const *e = extra; all && *e; e++)
		all[used++] = *e;
	for (char **e = environ; all && e && *e; e++) {
		if (!names_one_of(*e, extra))
			all[used++] = *e;
	}
	return all;
}

static int open_pipe(int *ret_in, int *ret_out, struct fault *f)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "cannot run a command");
	*ret_out = pipes[0];
	*ret_in = pipes[1];
	/* Only our end does not block: the command's is as commands expect it. */
	if (fcntl(pipes[1], F_SETFL, 0) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "fcntl");
	return 0;
}

static struct child take(struct child *c)
{
	struct child taken = *c;

	*c = CHILD_NONE;
	return taken;
}

int child_start(const char *command, enum child_output output, char *const *extra,
	struct child *ret, struct fault *f)
{
	static char *const nothing[] = {NULL};
	struct child c CLEANUP(child_deinit) = CHILD_NONE;
	char **environment CLEANUP(freep) = join_environments(extra ? extra : nothing);
	int in CLEANUP(fd_closep) = -1;
	pid_t pid = 0;

	if (!environment)
		return fault_memory(f);
	if (output == CHILD_PIPE && open_pipe(&in, &c.out, f) < 0)
		return -1;
	int r = spawn(command, output == CHILD_PIPE ? in : 2, environment, &pid);
	if (r != 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, r, "cannot run /bin/sh");
	c.pid = pid;
	c.process = pidfd_open(pid, 0);
	if (c.process < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "pidfd_open");
	*ret = take(&c);
	return 0;
}

void child_deinit(struct child *c)
{
	if (c->pid > 0) {
		(void)kill(-c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
	}
	c->pid = 0;
	fd_closep(&c->process);
	fd_closep(&c->out);
}

int child_end(struct child *c, struct fault *f)
{
	siginfo_t end = {0};

	if (waitid(P_PIDFD, (id_t)c->process, &end, WEXITED | WNOHANG) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "waitid");
	if (end.si_pid == 0)
		return CHILD_RUNS;
	c->pid = 0;
	if (end.si_code == CLD_EXITED && end.si_status == 0)
		return 0;
	if (end.si_code == CLD_EXITED)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, end.si_status,
			"the command ended with status %d; run it by hand to see why",
			end.si_status);
	return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, end.si_status,
		"the command was ended by signal %d", end.si_status);
}
