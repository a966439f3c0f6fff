#include "daemon/worker_start.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/quantity.h"
#include "daemon/sanitizer.h"
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { FDS_MAX = WORKER_SOURCE + LIMIT_REPACK_SOURCES, CANNOT_RUN = 127, TICK_MS = 100 };

/* ---- Where it is ----------------------------------------------------------------------------- */

static int find_named(const char *named, char ret[static PATH_MAX], struct fault *f)
{
	char text[256];
	int n = snprintf(ret, PATH_MAX, "%s", named);

	if (n > 0 && n < PATH_MAX && access(ret, X_OK) == 0)
		return 0;
	int error = n < PATH_MAX ? errno : ENAMETOOLONG;
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, error,
		"POPKEEP_WORKER names %s, which cannot be run",
		escape_text(slice_text(named), text, sizeof text));
}

int worker_find(char ret[static PATH_MAX], struct fault *f)
{
	static const char *const places[] = {
		"popkeep-worker", "../daemon/popkeep-worker", "../libexec/popkeep/popkeep-worker"};
	const char *named = secure_getenv("POPKEEP_WORKER");
	char self[PATH_MAX], text[256];

	if (named && named[0])
		return find_named(named, ret, f);
	ssize_t len = readlink("/proc/self/exe", self, sizeof self);
	while (len > 0 && self[len - 1] != '/')
		len--;
	for (size_t i = 0; len > 0 && i < sizeof places / sizeof *places; i++) {
		int n = snprintf(ret, PATH_MAX, "%.*s%s", (int)len, self, places[i]);

		if (n < PATH_MAX && access(ret, X_OK) == 0)
			return 0;
	}
	(void)snprintf(ret, PATH_MAX, "%s", POPKEEP_WORKER_INSTALLED);
	if (access(ret, X_OK) == 0)
		return 0;
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, ENOENT,
		"the program popkeep-worker is missing: it is neither beside %s nor %s; install it "
		"again, or let POPKEEP_WORKER name it",
		len > 0 ? escape_text(slice_of(self, (size_t)len), text, sizeof text)
			: "this program",
		POPKEEP_WORKER_INSTALLED);
}

int worker_patience(struct worker_starter *w, int64_t *ret_silence_ms, struct fault *f)
{
	const char *value = secure_getenv("POPKEEP_WORKER_TIMEOUT");
	char text[64];
	uint64_t ms = 0;

	if (value && value[0] && (quantity_duration(value, &ms) != 0 || ms < 1 || ms > INT32_MAX))
		return fault_set(f, FAULT_USAGE, SCOPE_SESSION, 0,
			"POPKEEP_WORKER_TIMEOUT is \"%s\", which is no duration like 30s or 5m",
			escape_text(slice_text(value), text, sizeof text));
	*ret_silence_ms = (int64_t)ms;
	if (ms > 0 && (int64_t)ms < w->start_ms)
		w->start_ms = (int64_t)ms;
	return 0;
}

/* ---- The child ------------------------------------------------------------------------------- */

struct launch {
	const char *program;
	char *arguments[5];
	pid_t parent;
	int fd[FDS_MAX]; /* what becomes 0, 1, ... */
	int fds;
};

/* First out of the way of each other, then where they belong. */
static int move_descriptors(struct launch *l)
{
	for (int i = 0; i < l->fds; i++) {
		l->fd[i] = fcntl(l->fd[i], F_DUPFD, l->fds);
		if (l->fd[i] < 0)
			return -1;
	}
	for (int i = 0; i < l->fds; i++) {
		if (dup2(l->fd[i], i) < 0)
			return -1;
	}
	return close_range((unsigned)l->fds, ~0U, 0);
}

static void reset_signals(void)
{
	const struct sigaction usual = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &usual, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_worker(struct launch *l)
{
	char *const environment[] = {NULL};
	char line[LIMIT_WORKER_TEXT];

	(void)setpgid(0, 0);
	reset_signals();
	/* The parent may have gone before this took hold. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != l->parent ||
		move_descriptors(l) < 0)
		_exit(CANNOT_RUN);
	(void)execve(l->program, l->arguments, environment);
	int n = snprintf(line, sizeof line, "failed it cannot be run: %s\n", strerror(errno));
	if (write(WORKER_STATUS, line, (size_t)n) < 0)
		_exit(CANNOT_RUN);
	_exit(CANNOT_RUN);
}

/* ---- How it ends ----------------------------------------------------------------------------- */

static void close_ends(struct worker_starter *w)
{
	fd_closep(&w->ends.request);
	fd_closep(&w->ends.out);
	fd_closep(&w->ends.status);
}

/* Until the process has ended; false: it has not. */
static bool wait_until(const struct worker_starter *w, int64_t deadline)
{
	struct pollfd p = {.fd = w->process, .events = POLLIN};

	for (;;) {
		int64_t left = deadline - monotonic_ms();
		int r = poll(&p, 1, left > 0 ? (int)left : 0);

		if (r > 0)
			return true;
		if (r == 0 || errno != EINTR)
			return false;
	}
}

/* The whole group, and reaped. */
static void kill_worker(struct worker_starter *w, siginfo_t *ret)
{
	(void)kill(-w->pid, SIGKILL);
	(void)kill(w->pid, SIGKILL);
	while (waitid(P_PID, (id_t)w->pid, ret, WEXITED) < 0 && errno == EINTR)
		;
	w->pid = 0;
	fd_closep(&w->process);
}

static int tell_end(const siginfo_t *end, struct fault *f)
{
	if (end->si_code == CLD_EXITED && end->si_status == 0)
		return 0;
	if (end->si_code == CLD_EXITED)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, end->si_status,
			"popkeep-worker ended with status %d", end->si_status);
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, end->si_status,
		"popkeep-worker was ended by signal %d (%s)", end->si_status,
		strsignal(end->si_status));
}

static int end_worker(struct worker_starter *w, struct fault *f)
{
	siginfo_t end = {0};

	close_ends(w);
	if (w->pid == 0)
		return 0;
	int64_t patience = w->stop && w->stop() ? 0 : LIMIT_WORKER_STOP_MS;
	bool ended = wait_until(w, monotonic_ms() + patience);
	kill_worker(w, &end); /* what has ended stays as it ended */
	if (ended)
		return tell_end(&end, f);
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
		"popkeep-worker did not end by itself and was killed");
}

/* ---- How it begins --------------------------------------------------------------------------- */

enum { GREETING_ENDED = 1 };

/* One line and not a byte more: what follows is the job's. GREETING_ENDED: nothing more comes. */
static int read_line(struct worker_starter *w, char line[static LIMIT_WORKER_TEXT], struct fault *f)
{
	int64_t deadline = monotonic_ms() + w->start_ms;
	size_t len = 0;

	for (;;) {
		struct pollfd p = {.fd = w->ends.status, .events = POLLIN};
		int64_t left = deadline - monotonic_ms();

		if (w->stop && w->stop())
			return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped");
		if (left <= 0)
			return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
				"it did not say within %g s that it is there",
				(double)w->start_ms / 1000);
		if (poll(&p, 1, TICK_MS) <= 0)
			continue;
		ssize_t n = read(w->ends.status, line + len, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || len == LIMIT_WORKER_TEXT - 1)
			return GREETING_ENDED;
		if (line[len] == '\n')
			break;
		len++;
	}
	line[len] = '\0';
	return 0;
}

/* What follows `beginning` in text, or NULL. */
static const char *behind(const char *text, const char *beginning)
{
	size_t len = strlen(beginning);

	return strncmp(text, beginning, len) == 0 ? text + len : NULL;
}

static int believe(struct worker_starter *w, const char *line, struct fault *f)
{
	const char *complete = behind(line, WORKER_GREETING "complete ");
	const char *incomplete = behind(line, WORKER_GREETING "incomplete ");
	const char *failed = behind(line, "failed ");
	char text[LIMIT_WORKER_TEXT];

	if (failed)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "%s",
			escape_again(slice_text(failed), text, sizeof text));
	if (!complete && (!incomplete || w->mode == SANDBOX_REQUIRED))
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"it says \"%s\": it is no popkeep-worker of this version",
			escape_text(slice_text(line), text, sizeof text));
	w->sandbox.incomplete = !complete;
	(void)escape_again(slice_text(complete ? complete : incomplete), w->sandbox.text,
		sizeof w->sandbox.text);
	return 0;
}

static int await_greeting(struct worker_starter *w, struct fault *f)
{
	char line[LIMIT_WORKER_TEXT];
	int r = read_line(w, line, f);

	if (r == 0)
		return believe(w, line, f);
	if (r < 0)
		return -1;
	struct fault how = {0};
	if (end_worker(w, &how) < 0)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, how.error,
			"it says nothing that popkeep-worker would say: %s", how.text);
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
		"it ended without saying that it is there: it is no popkeep-worker");
}

static int open_pipe(int *ret_read, int *ret_write, struct fault *f)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "pipe");
	*ret_read = ends[0];
	*ret_write = ends[1];
	return 0;
}

static int launch(struct worker_starter *w, struct launch *l, struct fault *f)
{
	l->parent = getpid();
	pid_t pid = fork();
	if (pid < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "fork");
	if (pid == 0)
		become_worker(l);
	(void)setpgid(pid, pid); /* whoever comes first */
	w->pid = pid;
	w->process = pidfd_open(pid, 0);
	if (w->process < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "pidfd_open");
	return 0;
}

/* The worker's ends of the pipes are closed here when it has them. What sanitizers say must be
 * heard, so that with them stderr stays ours. */
static int start_with_pipes(
	struct worker_starter *w, const char *program, const struct seal_fds *fds, struct fault *f)
{
	int request CLEANUP(fd_closep) = -1;
	int out CLEANUP(fd_closep) = -1;
	int status CLEANUP(fd_closep) = -1;
	int null CLEANUP(fd_closep) = open("/dev/null", O_RDWR | O_CLOEXEC);
	char seal[] = "seal", indexes[] = "index";
	char required[] = "required", best[] = "best", sources[24];
	char name[] = "popkeep-worker";

	if (null < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "/dev/null");
	if (open_pipe(&request, &w->ends.request, f) < 0 || open_pipe(&w->ends.out, &out, f) < 0 ||
		open_pipe(&w->ends.status, &status, f) < 0)
		return -1;
	(void)snprintf(sources, sizeof sources, "%zu", fds->sources);
	struct launch l = {
		.program = program,
		.arguments = {name, w->verb == WORKER_INDEX ? indexes : seal,
			w->mode == SANDBOX_REQUIRED ? required : best, sources},
		.fd = {request, out, WITH_ADDRESS_SANITIZER ? STDERR_FILENO : null, status,
			fds->scratch >= 0 ? fds->scratch : null,
			fds->ledger >= 0 ? fds->ledger : null},
		.fds = WORKER_SOURCE + (int)fds->sources,
	};
	for (size_t i = 0; i < fds->sources; i++)
		l.fd[WORKER_SOURCE + i] = fds->source[i];
	return launch(w, &l, f);
}

static int start(
	void *context, const struct seal_fds *fds, struct seal_worker *ret, struct fault *f)
{
	struct worker_starter *w = (struct worker_starter *)context;
	char program[PATH_MAX], text[256];

	if (fds->sources < 1 || fds->sources > LIMIT_REPACK_SOURCES)
		return fault_set(f, FAULT_LIMIT, SCOPE_ARCHIVE, 0,
			"a worker takes 1 to %d segments", LIMIT_REPACK_SOURCES);
	if (worker_find(program, f) < 0)
		return -1;
	worker_starter_deinit(w);
	if (start_with_pipes(w, program, fds, f) < 0 || await_greeting(w, f) < 0) {
		worker_starter_deinit(w);
		return fault_prefix(f, "popkeep-worker (%s)",
			escape_text(slice_text(program), text, sizeof text));
	}
	*ret = w->ends;
	return 0;
}

static int end(void *context, struct fault *f)
{
	return end_worker((struct worker_starter *)context, f);
}

void worker_starter_init(struct worker_starter *w, enum sandbox_mode mode)
{
	*w = WORKER_STARTER_NONE;
	w->mode = mode;
}

void worker_starter_deinit(struct worker_starter *w)
{
	siginfo_t ignored;

	close_ends(w);
	if (w->pid > 0)
		kill_worker(w, &ignored);
	fd_closep(&w->process);
}

struct seal_starter worker_starter(struct worker_starter *w)
{
	return (struct seal_starter){start, end, w};
}
