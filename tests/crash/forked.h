/* A worker for tests and the driver: a forked process that does the work, or what a test has
 * instead of it. No sandbox. */
#pragma once

#include "archive/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct forked {
	/* What the process does; its exit status. NULL: the work. */
	int (*instead)(struct forked *w, const struct seal_fds *fds);
	void *context;
	/* In this process, once it runs: what happens meanwhile. */
	void (*meanwhile)(void *context);
	pid_t pid;
	unsigned runs;
	int request, out, status; /* our ends */
};

static inline int forked_work(struct forked *w, const struct seal_fds *fds)
{
	struct fault f;

	(void)w;
	return seal_work(fds, &f) < 0 ? 1 : 0;
}

static inline void forked_run(
	struct forked *w, const struct seal_fds *fds, int request[2], int out[2], int status[2])
{
	struct seal_fds own = *fds;

	own.request = request[0];
	own.out = out[1];
	own.status = status[1];
	(void)close(request[1]);
	(void)close(out[0]);
	(void)close(status[0]);
	_exit(w->instead ? w->instead(w, &own) : forked_work(w, &own));
}

static inline int forked_start(
	void *context, const struct seal_fds *fds, struct seal_worker *ret, struct fault *f)
{
	struct forked *w = context;
	int request[2], out[2], status[2];

	if (pipe2(request, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
		pipe2(status, O_CLOEXEC) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "pipe");
	w->pid = fork();
	if (w->pid < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "fork");
	if (w->pid == 0)
		forked_run(w, fds, request, out, status);
	(void)close(request[0]);
	(void)close(out[1]);
	(void)close(status[1]);
	*ret = (struct seal_worker){
		w->request = request[1], w->out = out[0], w->status = status[0]};
	w->runs++;
	if (w->meanwhile)
		w->meanwhile(w->context);
	return 0;
}

static inline int forked_end(void *context, struct fault *f)
{
	struct forked *w = context;
	int status = 0;

	(void)close(w->request);
	(void)close(w->out);
	(void)close(w->status);
	(void)kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0)
		;
	/* One that closed its pipes may be killed on its last steps. */
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "the worker was killed by %d",
			WTERMSIG(status));
	return 0;
}

static inline struct seal_job forked_job(struct forked *w)
{
	return (struct seal_job){
		.options = SEAL_OPTIONS_DEFAULT, .starter = {forked_start, forked_end, w}};
}
