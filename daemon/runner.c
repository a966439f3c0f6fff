#include "daemon/runner_private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int gone(struct fault *f)
{
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
		"the process that gives out passwords and runs alert-command is gone");
}

static int failed(struct fault *f, const char *what)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", what);
}

static int fork_process(const char *config_path, const char *archive,
	const struct runner_times *times, struct runner *r, struct fault *f)
{
	int sockets[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return failed(f, "socketpair");
	r->socket = sockets[0];
	int other CLEANUP(fd_closep) = sockets[1];
	pid_t pid = fork();
	if (pid < 0)
		return failed(f, "fork");
	if (pid == 0)
		runner_process(fd_take(&other), parent, config_path, archive, times);
	r->pid = pid;
	r->process = pidfd_open(pid, 0);
	return r->process < 0 ? failed(f, "pidfd_open") : 0;
}

static int watch(struct runner *r, int how, struct fault *f)
{
	bool writes = r->sent < r->queue.len;
	struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0)};

	return epoll_ctl(r->poll, how, r->socket, &event) < 0 ? failed(f, "epoll") : 0;
}

static int wait_for_start(struct runner *r, struct fault *f)
{
	int64_t deadline = monotonic_ms() + LIMIT_RUNNER_START_MS;
	struct runner_answer answer;
	int kind = RUNNER_NOTHING;

	while (kind == RUNNER_NOTHING) {
		struct pollfd p = {.fd = r->socket, .events = POLLIN};
		int64_t left = deadline - monotonic_ms();

		if (left <= 0)
			return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
				"the configuration could not be read within %d s",
				LIMIT_RUNNER_START_MS / 1000);
		(void)poll(&p, 1, (int)left);
		kind = runner_take(r, &answer, f);
	}
	if (kind < 0)
		return -1;
	if (answer.fault.code == FAULT_NONE)
		return 0;
	*f = answer.fault;
	return -1;
}

int runner_start_timed(const char *config_path, const char *archive,
	const struct runner_times *times, struct runner **ret, struct fault *f)
{
	struct runner *r CLEANUP(runner_stopp) = calloc(1, sizeof *r);

	if (!r)
		return fault_memory(f);
	r->process = r->socket = -1;
	r->queue = buffer_make(LIMIT_RUNNER_QUEUE * sizeof(struct runner_request));
	r->stop_ms = times->stop_ms;
	r->poll = epoll_create1(EPOLL_CLOEXEC);
	if (r->poll < 0)
		return failed(f, "epoll");
	if (fork_process(config_path, archive, times, r, f) < 0 || watch(r, EPOLL_CTL_ADD, f) < 0 ||
		wait_for_start(r, f) < 0)
		return -1;
	*ret = TAKE(r);
	return 0;
}

int runner_start(const char *config_path, const char *archive, struct runner **ret, struct fault *f)
{
	static const struct runner_times times = {
		.secret_ms = LIMIT_SECRET_MS,
		.alert_ms = LIMIT_ALERT_MS,
		.stop_ms = LIMIT_RUNNER_STOP_MS,
	};

	return runner_start_timed(config_path, archive, &times, ret, f);
}

/* What is queued is sent; answers are read, since the runner may wait for room for them. */
static void send_rest(struct runner *r)
{
	int64_t deadline = monotonic_ms() + r->stop_ms;
	struct runner_answer answer;
	struct fault f;

	while (r->sent < r->queue.len && monotonic_ms() < deadline) {
		struct pollfd p = {.fd = r->poll, .events = POLLIN};

		(void)poll(&p, 1, (int)(deadline - monotonic_ms()));
		int kind = runner_take(r, &answer, &f);
		if (kind < 0)
			return;
		if (kind != RUNNER_NOTHING)
			secret_deinit(&answer.secret);
	}
}

static void wait_for_end(struct runner *r)
{
	int64_t deadline = monotonic_ms() + r->stop_ms + 1000, left;
	struct pollfd p = {.fd = r->process, .events = POLLIN};

	/* It goes by itself; killed it would leave its commands behind. */
	while (r->process >= 0 && !p.revents && (left = deadline - monotonic_ms()) > 0)
		(void)poll(&p, 1, (int)left);
	/* A sandbox may forbid us to; then it is left to the end of this process. */
	bool ends = p.revents || kill(r->pid, SIGKILL) == 0;
	(void)waitpid(r->pid, NULL, ends ? 0 : WNOHANG);
}

struct runner *runner_stop(struct runner *r)
{
	if (!r)
		return NULL;
	if (r->pid > 0)
		send_rest(r);
	fd_closep(&r->socket);
	if (r->pid > 0)
		wait_for_end(r);
	fd_closep(&r->process);
	fd_closep(&r->poll);
	buffer_deinit(&r->queue);
	free(r);
	return NULL;
}

void runner_stopp(struct runner **r)
{
	*r = runner_stop(*r);
}

int runner_fd(const struct runner *r)
{
	return r->poll;
}

/* 0, also when the socket has no room; <0: the runner is gone. */
static int flush(struct runner *r, struct fault *f)
{
	bool wrote_before = r->sent < r->queue.len;

	while (r->sent < r->queue.len) {
		ssize_t n = send(r->socket, r->queue.data + r->sent, sizeof(struct runner_request),
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return wrote_before ? watch(r, EPOLL_CTL_MOD, f) : 0;
		if (n < 0)
			return gone(f);
		r->sent += (size_t)n;
	}
	buffer_clear(&r->queue);
	r->sent = 0;
	return wrote_before ? watch(r, EPOLL_CTL_MOD, f) : 0;
}

static int request(struct runner *r, const struct runner_request *q, struct fault *f)
{
	if (flush(r, f) < 0)
		return -1;
	if (r->sent > 0) {
		r->queue.len -= r->sent;
		memmove(r->queue.data, r->queue.data + r->sent, r->queue.len);
		r->sent = 0;
	}
	if (buffer_append(&r->queue, q, sizeof *q, f) < 0)
		return -1;
	return flush(r, f);
}

int runner_ask(struct runner *r, const char *account, uint64_t place, uint64_t tag, struct fault *f)
{
	struct runner_request q = {.kind = REQUEST_SECRET, .tag = tag, .place = place};

	if (!account_name_is_valid(account))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "this is no account's name");
	if (r->asks >= LIMIT_RUNNER_ASKS)
		return fault_set(f, FAULT_LIMIT, SCOPE_ACCOUNT, 0,
			"account %s: %d others wait for their password", account,
			LIMIT_RUNNER_ASKS);
	(void)snprintf(q.account, sizeof q.account, "%s", account);
	if (request(r, &q, f) < 0)
		return -1;
	r->asks++;
	return 0;
}

int runner_alert(struct runner *r, const struct alert *a, struct fault *f)
{
	struct runner_request q = {
		.kind = REQUEST_ALERT, .event = (uint32_t)a->event, .since = a->since};

	if (a->account && !account_name_is_valid(a->account))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "this is no account's name");
	(void)snprintf(q.account, sizeof q.account, "%s", a->account ? a->account : "");
	(void)snprintf(q.text, sizeof q.text, "%s", a->text ? a->text : "");
	return request(r, &q, f);
}

int runner_reload(struct runner *r, struct fault *f)
{
	struct runner_request q = {.kind = REQUEST_RELOAD};

	return request(r, &q, f);
}

int runner_upkeep(struct runner *r, unsigned wish, const char *text, struct fault *f)
{
	struct runner_request q = {.kind = REQUEST_UPKEEP, .event = wish};

	(void)snprintf(q.text, sizeof q.text, "%s", text ? text : "");
	return request(r, &q, f);
}

int runner_take(struct runner *r, struct runner_answer *ret, struct fault *f)
{
	ssize_t n = -1;

	/* What came before the runner went is still to be read. */
	int sent = flush(r, f);
	do {
		n = recv(r->socket, &r->in, sizeof r->in, MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return sent < 0 ? -1 : RUNNER_NOTHING;
	if (n <= 0)
		return gone(f);
	int kind = runner_message_read(&r->in, (size_t)n, ret, f);
	explicit_bzero(&r->in, sizeof r->in);
	if (kind == RUNNER_SECRET && r->asks > 0)
		r->asks--;
	return kind;
}
