#include "daemon/runner_upkeep.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

void runner_upkeep_init(struct runner_upkeep *u)
{
	*u = (struct runner_upkeep){.process = -1, .socket = -1};
}

void runner_upkeep_deinit(struct runner_upkeep *u)
{
	if (u->pid > 0) {
		(void)kill(-u->pid, SIGKILL);
		(void)kill(u->pid, SIGKILL); /* it may not have its group yet */
		(void)waitpid(u->pid, NULL, 0);
	}
	u->pid = 0;
	fd_closep(&u->process);
	fd_closep(&u->socket);
}

int runner_upkeep_fork(struct runner_upkeep *u, int *ret_socket, struct fault *f)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "socketpair");
	int ours CLEANUP(fd_closep) = sockets[0];
	int its CLEANUP(fd_closep) = sockets[1];
	pid_t pid = fork();
	if (pid < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "fork");
	if (pid == 0) {
		*ret_socket = fd_take(&its);
		return UPKEEP_CHILD;
	}
	u->pid = pid;
	u->socket = fd_take(&ours);
	u->process = pidfd_open(pid, 0);
	if (u->process >= 0)
		return 0;
	(void)fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "pidfd_open");
	runner_upkeep_deinit(u);
	return -1;
}

void runner_upkeep_stop(const struct runner_upkeep *u)
{
	if (u->pid > 0)
		(void)kill(u->pid, SIGTERM);
}

/* One packet; whoever sends anything else is not the child that was forked. */
static int receive(struct runner_upkeep *u, struct upkeep_report *ret)
{
	ssize_t n;

	if (u->socket < 0)
		return 0;
	do {
		n = recv(u->socket, ret, sizeof *ret, MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n == sizeof *ret && ret->news > 0 && ret->news < NEWS_ENDED &&
		ret->code <= FAULT_INTERRUPT && memchr(ret->text, '\0', sizeof ret->text))
		return UPKEEP_TOLD;
	fd_closep(&u->socket);
	return 0;
}

static void tell_end(struct upkeep_report *ret, const siginfo_t *end)
{
	*ret = (struct upkeep_report){.news = NEWS_ENDED};
	if (end->si_code == CLD_EXITED && end->si_status == 0)
		return;
	ret->code = FAULT_SYSTEM;
	if (end->si_code == CLD_EXITED)
		(void)snprintf(ret->text, sizeof ret->text,
			"the process that does the upkeep ended with status %d", end->si_status);
	else
		(void)snprintf(ret->text, sizeof ret->text,
			"the process that does the upkeep was ended by signal %d%s", end->si_status,
			end->si_status == SIGKILL ? " (was memory short?)" : "");
}

int runner_upkeep_step(struct runner_upkeep *u, struct upkeep_report *ret)
{
	siginfo_t end = {0};

	if (u->pid == 0)
		return 0;
	/* What it said before it ended is still to be read. */
	int r = waitid(P_PIDFD, (id_t)u->process, &end, WEXITED | WNOHANG | WNOWAIT);
	if (receive(u, ret) == UPKEEP_TOLD)
		return UPKEEP_TOLD;
	if (r < 0 || end.si_pid == 0)
		return 0;
	tell_end(ret, &end);
	runner_upkeep_deinit(u); /* its worker goes with it */
	return UPKEEP_TOLD;
}
