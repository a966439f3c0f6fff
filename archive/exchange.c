#include "archive/exchange.h"

#include "archive/decimal.h"
#include "archive/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum {
	IN_SIZE = 256 * 1024,
	STATUS_SIZE = LIMIT_WORKER_TEXT + 64,
	TICK_MS = 500, /* so that whoever asked can stop the job */
};

enum verdict { VERDICT_NONE, VERDICT_DONE, VERDICT_FAILED };

struct exchange {
	const struct exchange_job *job;
	struct seal_worker worker;
	int64_t alive; /* when the worker last gave a sign of life */
	bool out_ended, status_ended;

	/* The request: what is formatted and not written yet. */
	struct buffer request;
	size_t request_at;
	bool request_formatted, request_ended;

	/* The status pipe: the line that is not complete yet. */
	char line[STATUS_SIZE];
	size_t line_len;
	uint64_t done, all;
	enum verdict verdict;
	char why[LIMIT_WORKER_TEXT];

	uint8_t in[IN_SIZE];
};

static void exchange_freep(struct exchange **x)
{
	if (*x)
		buffer_deinit(&(*x)->request);
	free(*x);
	*x = NULL;
}

int exchange_lie(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "the worker %s", what);
}

/* ---- The request ----------------------------------------------------------------------------- */

static int format_request(struct exchange *x, struct fault *f)
{
	buffer_clear(&x->request);
	x->request_at = 0;
	int r = x->job->request(x->job->context, &x->request, f);
	x->request_formatted = r == EXCHANGE_REQUEST_ENDS;
	return r < 0 ? -1 : 0;
}

/* write() to a pipe that nobody reads must not kill the program, which may have its own mind about
 * the signal: it is held back for the call, and taken away if the call caused it. */
static ssize_t write_quietly(int fd, const void *data, size_t len)
{
	sigset_t pipe_only, before, waiting;

	(void)sigemptyset(&pipe_only);
	(void)sigaddset(&pipe_only, SIGPIPE);
	(void)sigpending(&waiting);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	ssize_t n = write(fd, data, len);
	int error = errno;
	if (n < 0 && error == EPIPE && !sigismember(&waiting, SIGPIPE))
		(void)sigtimedwait(&pipe_only, NULL, &(struct timespec){0});
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return n;
}

/* A worker that does not want the rest of its request will be asked by its output. */
static int write_request(struct exchange *x, struct fault *f)
{
	while (!x->request_ended) {
		if (x->request_at == x->request.len) {
			x->request_ended = x->request_formatted;
			if (x->request_ended || format_request(x, f) < 0)
				return x->request_ended ? 0 : -1;
		}
		ssize_t n = write_quietly(x->worker.request, x->request.data + x->request_at,
			x->request.len - x->request_at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0 && errno != EPIPE)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
				"cannot send popkeep-worker its request");
		if (n < 0) {
			x->request_ended = true;
			return 0;
		}
		x->request_at += (size_t)n;
	}
	return 0;
}

/* ---- What it says ---------------------------------------------------------------------------- */

/* Two numbers. */
static int take_progress(struct exchange *x, struct slice said, struct fault *f)
{
	uint64_t done, all;

	if (decimal_take(&said, &done) != 0 || decimal_skip_spaces(&said) != 1 ||
		!decimal_parse(said, &all) || done > all)
		return exchange_lie(f, "said something that cannot be read");
	/* One that only talks is not alive, nor one that goes back and forth. */
	if (done <= x->done)
		return 0;
	x->alive = monotonic_ms();
	x->done = done;
	x->all = all;
	return 0;
}

static int take_line(struct exchange *x, struct fault *f)
{
	static const char progress[] = "progress ", failed[] = "failed ";

	if (x->verdict != VERDICT_NONE)
		return exchange_lie(f, "went on after its end");
	if (strncmp(x->line, progress, sizeof progress - 1) == 0)
		return take_progress(x, slice_text(x->line + sizeof progress - 1), f);
	if (strcmp(x->line, "done") == 0) {
		x->verdict = VERDICT_DONE;
		return 0;
	}
	if (strncmp(x->line, failed, sizeof failed - 1) != 0)
		return exchange_lie(f, "said something that cannot be read");
	x->verdict = VERDICT_FAILED;
	(void)escape_again(slice_text(x->line + sizeof failed - 1), x->why, sizeof x->why);
	return 0;
}

/* >0: there may be more. */
static int read_status(struct exchange *x, struct fault *f)
{
	char in[1024];
	ssize_t n = read(x->worker.status, in, sizeof in);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	if (n < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read from the worker");
	x->status_ended = n == 0;
	for (ssize_t i = 0; i < n; i++) {
		if (in[i] == '\0' || x->line_len == sizeof x->line - 1)
			return exchange_lie(f, "said something that cannot be read");
		bool ends = in[i] == '\n';
		x->line[x->line_len++] = ends ? '\0' : in[i];
		if (!ends)
			continue;
		x->line_len = 0;
		if (take_line(x, f) < 0)
			return -1;
	}
	return n > 0;
}

/* ---- What it makes --------------------------------------------------------------------------- */

static int read_out(struct exchange *x, struct fault *f)
{
	ssize_t n = read(x->worker.out, x->in, sizeof x->in);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	if (n < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read from the worker");
	if (n == 0) {
		x->out_ended = true;
		return 0;
	}
	int r = x->job->take(x->job->context, slice_of(x->in, (size_t)n), f);
	x->alive = monotonic_ms(); /* what it had to wait for us is not its silence */
	return r;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static int wait_for_any(struct exchange *x, struct fault *f)
{
	struct pollfd p[] = {
		{.fd = x->out_ended ? -1 : x->worker.out, .events = POLLIN},
		{.fd = x->status_ended ? -1 : x->worker.status, .events = POLLIN},
		{.fd = x->request_ended ? -1 : x->worker.request, .events = POLLOUT},
	};

	if (poll(p, sizeof p / sizeof *p, TICK_MS) < 0 && errno != EINTR)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "poll");
	return 0;
}

static int64_t patience(int64_t silence_ms)
{
	return silence_ms ? silence_ms : LIMIT_WORKER_MS;
}

int64_t exchange_deadline(uint64_t bytes, int64_t silence_ms)
{
	return monotonic_ms() + 4 * patience(silence_ms) +
	       (int64_t)(bytes / LIMIT_WORKER_RATE) * 1000;
}

static int check_time(struct exchange *x, struct fault *f)
{
	const struct exchange_job *job = x->job;
	int64_t most = patience(job->silence_ms);

	if (job->progress && job->progress(job->progress_context, x->done, x->all) != 0)
		return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped");
	if (monotonic_ms() - x->alive > most)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"the worker gave no sign of life for %g s", (double)most / 1000);
	if (monotonic_ms() > job->deadline_ms)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"the worker was not done in the time that so much mail may take");
	return job->idle ? job->idle(job->context, f) : 0;
}

static int talk(struct exchange *x, struct fault *f)
{
	x->alive = monotonic_ms();
	while (!x->out_ended || !x->status_ended) {
		if (wait_for_any(x, f) < 0 || check_time(x, f) < 0 || write_request(x, f) < 0)
			return -1;
		if (!x->status_ended && read_status(x, f) < 0)
			return -1;
		if (!x->out_ended && read_out(x, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static int do_not_block(const struct seal_worker *w, struct fault *f)
{
	const int all[] = {w->request, w->out, w->status};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		int flags = fcntl(all[i], F_GETFL);

		if (flags < 0 || fcntl(all[i], F_SETFL, flags | O_NONBLOCK) < 0)
			return fault_errno(
				f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "a worker's pipe");
	}
	return 0;
}

static int judge(struct exchange *x, struct fault *f)
{
	if (x->verdict == VERDICT_DONE)
		return 0;
	if (x->verdict == VERDICT_NONE)
		return exchange_lie(f, "ended without a word");
	fault_record(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "the worker: %s", x->why);
	return EXCHANGE_FAILED;
}

int exchange_run(const struct exchange_job *job, struct fault *f)
{
	struct exchange *x CLEANUP(exchange_freep) = malloc(sizeof *x);
	struct fault ending = {0};

	if (!x)
		return fault_memory(f);
	memset(x, 0, offsetof(struct exchange, in));
	x->job = job;
	x->request = buffer_make((size_t)2 * EXCHANGE_PIECE);
	if (job->starter->start(job->starter->context, job->fds, &x->worker, f) < 0)
		return -1;
	int r = do_not_block(&x->worker, f) < 0 ? -1 : talk(x, f);
	int ended = job->starter->end(job->starter->context, &ending);
	if (r < 0 || x->verdict == VERDICT_FAILED)
		return r < 0 ? -1 : judge(x, f);
	/* How it ended says more than that it said nothing. */
	if (ended < 0) {
		*f = ending;
		return -1;
	}
	return judge(x, f);
}
