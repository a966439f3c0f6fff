#include "daemon/secret_command.h"

#include "archive/limits.h"
#include "daemon/secret_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

struct secret_command {
	pid_t pid; /* 0: reaped */
	int out, process, poll;
	int64_t deadline_ms;
	uint32_t timeout_ms;
	char *text; /* LIMIT_SECRET bytes, wiped in the end */
	size_t len;
	bool too_long;
};

static int watch(int poll, int fd, struct fault *f)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "epoll");
	return 0;
}

/* Our signal handlers and mask are not the command's, nor our descriptors. */
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

static int spawn(const char *command, int out, pid_t *ret)
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
	r = r ? r : posix_spawn(ret, shell, &files, &attributes, arguments, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attributes);
	free(arguments[2]);
	return r;
}

static int start(struct secret_command *c, const char *command, struct fault *f)
{
	int pipes[2];

	c->poll = epoll_create1(EPOLL_CLOEXEC);
	if (c->poll < 0 || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "cannot run a command");
	c->out = pipes[0];
	int in CLEANUP(fd_closep) = pipes[1];
	/* Only our end does not block: the command's is as commands expect it. */
	if (fcntl(in, F_SETFL, 0) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "fcntl");
	pid_t pid = 0;
	int r = spawn(command, in, &pid);
	if (r != 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, r, "cannot run /bin/sh");
	c->pid = pid;
	c->process = pidfd_open(pid, 0);
	if (c->process < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "pidfd_open");
	if (watch(c->poll, c->out, f) < 0)
		return -1;
	return watch(c->poll, c->process, f);
}

int secret_command_begin(
	const char *command, uint32_t timeout_ms, struct secret_command **ret, struct fault *f)
{
	struct secret_command *c CLEANUP(secret_command_freep) = calloc(1, sizeof *c);

	if (!c)
		return fault_memory(f);
	c->out = c->process = c->poll = -1;
	c->text = malloc(LIMIT_SECRET);
	if (!c->text)
		return fault_memory(f);
	c->deadline_ms = monotonic_ms() + timeout_ms;
	c->timeout_ms = timeout_ms;
	if (start(c, command, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

struct secret_command *secret_command_free(struct secret_command *c)
{
	if (!c)
		return NULL;
	if (c->pid > 0) {
		(void)kill(-c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
	}
	fd_closep(&c->out);
	fd_closep(&c->process);
	fd_closep(&c->poll);
	if (c->text)
		explicit_bzero(c->text, LIMIT_SECRET);
	free(c->text);
	free(c);
	return NULL;
}

void secret_command_freep(struct secret_command **c)
{
	*c = secret_command_free(*c);
}

int secret_command_fd(const struct secret_command *c)
{
	return c->poll;
}

int64_t secret_command_deadline_ms(const struct secret_command *c)
{
	return c->deadline_ms;
}

/* Reads what is there. At the end of the output the pipe leaves the poll, or it would stay
 * readable while the process lives on. */
static int drain(struct secret_command *c, struct fault *f)
{
	char beyond[512];

	while (c->out >= 0) {
		bool full = c->len == LIMIT_SECRET;
		ssize_t n = full ? read(c->out, beyond, sizeof beyond)
				 : read(c->out, c->text + c->len, LIMIT_SECRET - c->len);

		explicit_bzero(beyond, sizeof beyond);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno,
				"cannot read what the command prints");
		if (n == 0)
			fd_closep(&c->out);
		else if (full)
			c->too_long = true;
		else
			c->len += (size_t)n;
	}
	return 0;
}

static int judge(const siginfo_t *end, struct fault *f)
{
	if (end->si_code == CLD_EXITED && end->si_status == 0)
		return 0;
	if (end->si_code == CLD_EXITED)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, end->si_status,
			"the command ended with status %d; run it by hand to see why",
			end->si_status);
	return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, end->si_status,
		"the command was ended by signal %d", end->si_status);
}

int secret_command_step(struct secret_command *c, struct secret *ret, struct fault *f)
{
	siginfo_t end = {0};

	if (drain(c, f) < 0)
		return -1;
	if (waitid(P_PIDFD, (id_t)c->process, &end, WEXITED | WNOHANG) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno, "waitid");
	if (end.si_pid == 0 && monotonic_ms() < c->deadline_ms)
		return SECRET_COMMAND_WAIT;
	if (end.si_pid == 0)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"the command did not end within %u s", c->timeout_ms / 1000);
	c->pid = 0;
	/* What it left in the pipe; a child of its own may still hold the other end open. */
	if (drain(c, f) < 0 || judge(&end, f) < 0)
		return -1;
	if (c->too_long)
		return fault_set(f, FAULT_ACCESS, SCOPE_ACCOUNT, 0,
			"the command prints more than %d bytes", (int)LIMIT_SECRET);
	return secret_take_line(slice_of(c->text, c->len), "the command prints", ret, f);
}
