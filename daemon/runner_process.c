/* One answer at a time waits for room in the socket, and as long as it does, nothing else is done:
 * so there is no queue of secrets, and a service that does not read is not worked for. */
#include "daemon/runner_process.h"

#include "daemon/harden.h"
#include "daemon/runner_alerts.h"
#include "daemon/runner_upkeep.h"
#include "daemon/secret_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { SOCKET = 3 };

struct job {
	struct secret_command *command; /* NULL: free */
	const char *key;		/* "password-command" */
	uint64_t tag;
	char account[LIMIT_ACCOUNT_NAME + 8];
};

struct ask {
	uint64_t tag, place;
	char account[LIMIT_ACCOUNT_NAME + 8];
};

struct process {
	int signals; /* readable: the service's process is gone */
	const char *path, *archive;
	const struct runner_times *times;
	struct config *config;
	struct job jobs[LIMIT_RUNNER_COMMANDS];
	struct ask asks[LIMIT_RUNNER_ASKS]; /* a ring: commands that wait for a free job */
	size_t first, asks_n;
	struct runner_alerts alerts;
	struct runner_upkeep upkeep;
	struct runner_message out;
	size_t out_len; /* 0: nothing waits to be sent */
	bool is_mute;	/* nobody reads answers any more */
	int64_t end_ms; /* the service is gone, and this is when we are; 0: it is there */
};

static void answer(struct process *p, int kind, uint64_t tag, const struct secret *secret,
	const struct fault *fault)
{
	if (p->is_mute && kind == RUNNER_COMPLAINT)
		(void)dprintf(STDERR_FILENO, "popkeepd: %s\n", fault->text);
	if (!p->is_mute)
		p->out_len = runner_message_make(&p->out, kind, tag, secret, fault);
}

static void drop_answer(struct process *p)
{
	explicit_bzero(&p->out, sizeof p->out);
	p->out_len = 0;
}

static void end_jobs(struct process *p)
{
	for (size_t i = 0; i < LIMIT_RUNNER_COMMANDS; i++)
		secret_command_freep(&p->jobs[i].command);
	p->asks_n = 0;
}

static void begin_end(struct process *p)
{
	if (p->end_ms)
		return;
	p->is_mute = true;
	p->end_ms = monotonic_ms() + p->times->stop_ms;
	drop_answer(p);
	end_jobs(p);
	runner_upkeep_stop(&p->upkeep);
}

/* 1: sent, or there is nobody; 0: no room. */
static int send_answer(struct process *p)
{
	ssize_t n = send(SOCKET, &p->out, p->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	/* Nobody is there: but what was asked for before, an alert perhaps, is still to be read. */
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		p->is_mute = true;
	/* Where an answer is lost the service would wait for it for ever. It ends with us. */
	else if (n < 0)
		begin_end(p);
	drop_answer(p);
	return 1;
}

static struct job *free_job(struct process *p)
{
	for (size_t i = 0; i < LIMIT_RUNNER_COMMANDS; i++) {
		if (!p->jobs[i].command)
			return &p->jobs[i];
	}
	return NULL;
}

static bool is_pipe(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* What can be read at once. */
static int read_now(const struct account *a, struct secret *ret, struct fault *f)
{
	if (a->secret_source == SECRET_ASK ||
		(a->secret_source == SECRET_NONE && secret_is_needed(a)))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"account %s: nobody is there to ask for the password; give "
			"password-command, password-file, credential or token-command",
			a->name);
	if (a->secret_source == SECRET_FILE && is_pipe(a->secret_value))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"account %s: password-file is a pipe, which gives the password only once; "
			"give a file, or password-command",
			a->name);
	return secret_read(a, ret, f);
}

static void give(struct process *p, uint64_t tag, const struct account *a)
{
	struct secret secret CLEANUP(secret_deinit) = {0};
	struct fault f = {0};

	if (read_now(a, &secret, &f) < 0)
		answer(p, RUNNER_SECRET, tag, NULL, &f);
	else
		answer(p, RUNNER_SECRET, tag, &secret, NULL);
}

static void begin_job(struct process *p, struct job *job, uint64_t tag, const struct account *a)
{
	struct fault f = {0};

	job->key = a->secret_source == SECRET_COMMAND ? "password-command" : "token-command";
	job->tag = tag;
	(void)snprintf(job->account, sizeof job->account, "%s", a->name);
	if (secret_command_begin(a->secret_value, p->times->secret_ms, &job->command, &f) == 0)
		return;
	fault_add_prefix(&f, "account %s: %s", a->name, job->key);
	answer(p, RUNNER_SECRET, tag, NULL, &f);
}

/* Answers, or begins a command. WAIT_FOR_JOB: there is no free job, and nothing was done. */
enum { WAIT_FOR_JOB = 1 };
static int serve(struct process *p, uint64_t tag, uint64_t place, const char *name)
{
	const struct account *a = config_account(p->config, name);
	struct fault f = {0};

	if (!a || (place && place != account_place(a))) {
		fault_record(&f, FAULT_MISSING, SCOPE_ACCOUNT, 0,
			a ? "account %s: its configuration was changed while it was read; reload "
			    "the service"
			  : "account %s: not in the configuration that is in force",
			name);
		answer(p, RUNNER_SECRET, tag, NULL, &f);
		return 0;
	}
	if (a->secret_source != SECRET_COMMAND && a->secret_source != SECRET_TOKEN_COMMAND) {
		give(p, tag, a);
		return 0;
	}
	struct job *job = free_job(p);
	if (!job)
		return WAIT_FOR_JOB;
	begin_job(p, job, tag, a);
	return 0;
}

static void on_ask(struct process *p, const struct runner_request *q)
{
	struct fault f = {0};

	if (p->is_mute || serve(p, q->tag, q->place, q->account) != WAIT_FOR_JOB)
		return;
	if (p->asks_n == LIMIT_RUNNER_ASKS) {
		fault_record(&f, FAULT_LIMIT, SCOPE_ACCOUNT, 0,
			"account %s: %d others wait for their password", q->account,
			LIMIT_RUNNER_ASKS);
		answer(p, RUNNER_SECRET, q->tag, NULL, &f);
		return;
	}
	struct ask *ask = &p->asks[(p->first + p->asks_n++) % LIMIT_RUNNER_ASKS];
	ask->tag = q->tag;
	ask->place = q->place;
	(void)snprintf(ask->account, sizeof ask->account, "%s", q->account);
}

static void load(struct process *p)
{
	struct config *c = NULL;
	struct fault f = {0};

	if (config_load(p->path, &c, &f) < 0) {
		answer(p, RUNNER_RELOADED, 0, NULL, &f);
		return;
	}
	(void)config_free(p->config);
	p->config = c;
	answer(p, RUNNER_RELOADED, 0, NULL, NULL);
}

/* In the upkeep child: what the commands of its parent printed is not for it. They run on. */
static void forget(struct process *p)
{
	for (size_t i = 0; i < LIMIT_RUNNER_COMMANDS; i++)
		p->jobs[i].command = secret_command_forget(p->jobs[i].command);
	drop_answer(p);
}

static const char *archive_of(const struct process *p)
{
	const char *archive = p->archive ? p->archive : p->config->archive;

	return archive ? archive : "";
}

static void on_upkeep(struct process *p, const struct runner_request *q)
{
	struct upkeep_plan plan = {p->config, archive_of(p), q->event, q->text};
	pid_t runner = getpid();
	struct fault f = {0};
	int socket = -1;

	if (q->event & UPKEEP_END)
		runner_upkeep_stop(&p->upkeep);
	else if (p->upkeep.pid == 0) {
		int r = runner_upkeep_fork(&p->upkeep, &socket, &f);

		if (r == UPKEEP_CHILD) {
			forget(p);
			upkeep_process(socket, runner, &plan);
		}
		if (r < 0)
			answer(p, RUNNER_UPKEEP, NEWS_ENDED, NULL, &f);
	}
}

/* 1: there was something to tell. */
static int step_upkeep(struct process *p)
{
	struct upkeep_report r;
	struct fault f = {0};

	if (runner_upkeep_step(&p->upkeep, &r) != UPKEEP_TOLD)
		return 0;
	fault_record(&f, (enum fault_code)r.code, SCOPE_ARCHIVE, 0, "%s", r.text);
	answer(p, RUNNER_UPKEEP, r.news, NULL, &f);
	return 1;
}

/* 1: there was one, or the end; 0: nothing now. */
static int receive(struct process *p)
{
	struct runner_request q;
	ssize_t n = recv(SOCKET, &q, sizeof q, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	/* Said once, where the service went without reading all: what it sent comes behind it. */
	if (n < 0 && errno == ECONNRESET)
		return 1;
	/* Whoever sends nonsense is not the service that was started. */
	if (n <= 0 || runner_request_check(&q, (size_t)n) < 0)
		begin_end(p);
	else if (q.kind == REQUEST_SECRET)
		on_ask(p, &q);
	else if (q.kind == REQUEST_ALERT)
		runner_alerts_add(&p->alerts, &q);
	else if (q.kind == REQUEST_UPKEEP)
		on_upkeep(p, &q);
	else
		load(p);
	return 1;
}

/* 1: it ended, and was answered. */
static int step_job(struct process *p, struct job *job)
{
	struct secret secret CLEANUP(secret_deinit) = {0};
	struct fault f = {0};
	int r = secret_command_step(job->command, &secret, &f);

	if (r == SECRET_COMMAND_WAIT)
		return 0;
	if (r < 0)
		fault_add_prefix(&f, "account %s: %s", job->account, job->key);
	answer(p, RUNNER_SECRET, job->tag, &secret, r < 0 ? &f : NULL);
	secret_command_freep(&job->command);
	return 1;
}

static int step_jobs(struct process *p)
{
	for (size_t i = 0; i < LIMIT_RUNNER_COMMANDS; i++) {
		if (p->jobs[i].command && step_job(p, &p->jobs[i]))
			return 1;
	}
	if (p->asks_n == 0)
		return 0;
	struct ask ask = p->asks[p->first];
	if (serve(p, ask.tag, ask.place, ask.account) == WAIT_FOR_JOB)
		return 0;
	p->first = (p->first + 1) % LIMIT_RUNNER_ASKS;
	p->asks_n--;
	return 1;
}

/* Does one thing that gives one answer at most. 0: there is nothing to do now. */
static int step(struct process *p)
{
	struct fault f = {0};

	if (p->out_len > 0)
		return send_answer(p);
	int r = runner_alerts_step(&p->alerts, p->config, archive_of(p), &f);
	if (r < 0)
		answer(p, RUNNER_COMPLAINT, 0, NULL, &f);
	if (r != 0 || step_upkeep(p))
		return 1;
	if (p->end_ms)
		return 0;
	return step_jobs(p) || receive(p);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void wait_for_work(struct process *p)
{
	struct pollfd polls[5 + LIMIT_RUNNER_COMMANDS];
	int64_t until = p->end_ms ? p->end_ms : INT64_MAX;
	bool sends = p->out_len > 0;
	nfds_t n = 0;

	polls[n++] = (struct pollfd){.fd = p->end_ms ? -1 : p->signals, .events = POLLIN};
	polls[n++] =
		(struct pollfd){.fd = p->end_ms ? -1 : SOCKET, .events = sends ? POLLOUT : POLLIN};
	if (!sends && p->alerts.child.pid > 0) {
		polls[n++] = (struct pollfd){.fd = p->alerts.child.process, .events = POLLIN};
		until = earlier(until, p->alerts.deadline_ms);
	}
	if (!sends && p->upkeep.pid > 0) {
		polls[n++] = (struct pollfd){.fd = p->upkeep.process, .events = POLLIN};
		polls[n++] = (struct pollfd){.fd = p->upkeep.socket, .events = POLLIN};
	}
	for (size_t i = 0; !sends && i < LIMIT_RUNNER_COMMANDS; i++) {
		const struct secret_command *c = p->jobs[i].command;

		if (!c)
			continue;
		polls[n++] = (struct pollfd){.fd = secret_command_fd(c), .events = POLLIN};
		until = earlier(until, secret_command_deadline_ms(c));
	}
	int64_t left = until - monotonic_ms();
	left = left < 0 ? 0 : left < INT32_MAX ? left : -1;
	if (poll(polls, n, (int)left) > 0 && polls[0].revents)
		begin_end(p);
}

/* The service decides when it ends; a terminal's Ctrl-C reaches us too. */
static int set_signals(pid_t parent)
{
	sigset_t gone;

	for (int number = 1; number < SIGRTMIN; number++)
		(void)signal(number, SIG_DFL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&gone);
	(void)sigaddset(&gone, SIGUSR1);
	(void)sigprocmask(SIG_SETMASK, &gone, NULL);
	/* No signal that kills: commands are to be ended first. */
	(void)prctl(PR_SET_PDEATHSIG, SIGUSR1);
	if (getppid() != parent)
		return -1;
	return signalfd(-1, &gone, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int set_descriptors(int socket)
{
	if (socket != SOCKET && dup2(socket, SOCKET) < 0)
		return -1;
	if (close_range(SOCKET + 1, ~0U, 0) < 0 || fcntl(SOCKET, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	int null CLEANUP(fd_closep) = open("/dev/null", O_RDWR | O_CLOEXEC);
	return null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ? -1 : 0;
}

/* They are the service's, and not for commands. */
static void clean_environment(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
		"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		(void)unsetenv(names[i]);
}

static bool has_children(const struct process *p)
{
	return !runner_alerts_idle(&p->alerts) || p->upkeep.pid > 0;
}

static void run(struct process *p)
{
	load(p);
	if (!p->config) {
		(void)send_answer(p);
		return;
	}
	while (!p->end_ms || (has_children(p) && monotonic_ms() < p->end_ms)) {
		if (!step(p))
			wait_for_work(p);
	}
}

/* Before anybody can be answered. */
static _Noreturn void give_up(const char *what)
{
	(void)dprintf(STDERR_FILENO,
		"popkeepd: the process that gives out passwords cannot begin: %s: %s\n", what,
		strerror(errno));
	_exit(1);
}

_Noreturn void runner_process(int socket, pid_t parent, const char *config_path,
	const char *archive, const struct runner_times *times)
{
	struct process *p = calloc(1, sizeof *p);

	process_harden();
	(void)prctl(PR_SET_NAME, "popkeep-runner");
	if (!p || set_descriptors(socket) < 0)
		give_up("memory, descriptors or /dev/null");
	p->path = config_path;
	p->archive = archive;
	p->times = times;
	runner_alerts_init(&p->alerts, times->alert_ms);
	runner_upkeep_init(&p->upkeep);
	p->signals = set_signals(parent);
	if (p->signals < 0)
		give_up("signals");
	clean_environment();
	run(p);
	end_jobs(p);
	runner_alerts_deinit(&p->alerts);
	runner_upkeep_deinit(&p->upkeep);
	_exit(0);
}
