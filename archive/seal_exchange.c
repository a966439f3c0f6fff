/* The other end of a worker's pipes. What comes out of it is bytes of a file and nothing more:
 * seal_check.c finds out what they are. Here only time, space and the end are watched: everything
 * goes through one poll(), the request is written while output is read, and nothing blocks. */
#include "archive/decimal.h"
#include "archive/escape.h"
#include "archive/file.h"
#include "archive/seal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

enum {
	IN_SIZE = 256 * 1024,
	REQUEST_SIZE = 64 * 1024, /* of it that is formatted ahead */
	STATUS_SIZE = LIMIT_WORKER_TEXT + 64,
	TICK_MS = 500, /* so that whoever asked can stop the job */
};

enum verdict { VERDICT_NONE, VERDICT_DONE, VERDICT_FAILED };

struct exchange {
	struct store *s;
	struct seal_plan *p;
	const struct seal_job *job;
	struct seal_worker worker;
	int to; /* seal.tmp */
	struct hasher *hasher;
	uint64_t written, most; /* bytes of the file, and how many it may have */
	int64_t alive;		/* when the worker last gave a sign of life */
	int64_t deadline;	/* when it has to be done, alive or not */
	bool out_ended, status_ended;

	/* The request: what is formatted and not written yet. */
	struct buffer request;
	size_t request_at, next_mail;
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
	if (!*x)
		return;
	hasher_free((*x)->hasher);
	buffer_deinit(&(*x)->request);
	fd_closep(&(*x)->to);
	free(*x);
	*x = NULL;
}

static int lie(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "the worker %s", what);
}

/* ---- The request ----------------------------------------------------------------------------- */

static int format_request(struct exchange *x, struct fault *f)
{
	buffer_clear(&x->request);
	x->request_at = 0;
	if (x->next_mail == 0 &&
		seal_request_begin(&x->job->options, x->p->sources, &x->request, f) < 0)
		return -1;
	while (x->next_mail < x->p->mails && x->request.len < REQUEST_SIZE) {
		if (seal_request_mail(&x->p->mail[x->next_mail++], &x->request, f) < 0)
			return -1;
	}
	if (x->next_mail < x->p->mails)
		return 0;
	x->request_formatted = true;
	return seal_request_end(&x->request, f);
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
		return lie(f, "said something that cannot be read");
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
		return lie(f, "went on after its end");
	if (strncmp(x->line, progress, sizeof progress - 1) == 0)
		return take_progress(x, slice_text(x->line + sizeof progress - 1), f);
	if (strcmp(x->line, "done") == 0) {
		x->verdict = VERDICT_DONE;
		return 0;
	}
	if (strncmp(x->line, failed, sizeof failed - 1) != 0)
		return lie(f, "said something that cannot be read");
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
			return lie(f, "said something that cannot be read");
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
	x->alive = monotonic_ms();
	if ((uint64_t)n > x->most - x->written)
		return lie(f, "made more bytes than a segment of these messages can have");
	if (file_write_at(x->to, slice_of(x->in, (size_t)n), x->written) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot write segments/" FILE_SEAL_TMP);
	hasher_add(x->hasher, x->in, (size_t)n);
	x->written += (uint64_t)n;
	return 1;
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

static int64_t patience(const struct seal_job *job)
{
	return job->silence_ms ? job->silence_ms : LIMIT_WORKER_MS;
}

int64_t seal_deadline(const struct seal_plan *p, const struct seal_job *job)
{
	return monotonic_ms() + 4 * patience(job) + (int64_t)(p->bytes / LIMIT_WORKER_RATE) * 1000;
}

static int check_time(struct exchange *x, struct fault *f)
{
	int64_t most = patience(x->job);

	if (x->job->progress && x->job->progress(x->job->progress_context, x->done, x->all) != 0)
		return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped");
	if (monotonic_ms() - x->alive > most)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"the worker gave no sign of life for %g s", (double)most / 1000);
	if (monotonic_ms() > x->deadline)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"the worker was not done in the time that so much mail may take");
	return 0;
}

static int talk(struct exchange *x, struct fault *f)
{
	x->alive = monotonic_ms();
	x->deadline = seal_deadline(x->p, x->job);
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

static int open_exchange(struct store *s, struct seal_plan *p, const struct seal_job *job,
	struct exchange **ret, struct fault *f)
{
	struct exchange *x CLEANUP(exchange_freep) = malloc(sizeof *x);

	if (!x)
		return fault_memory(f);
	memset(x, 0, offsetof(struct exchange, in));
	x->s = s;
	x->p = p;
	x->job = job;
	x->request = buffer_make(REQUEST_SIZE * 2);
	/* zstd makes what it cannot compress larger by less than an eighth. */
	uint64_t each = p->bytes + p->mails * LIMIT_SEALED_EACH + p->ledger_size;
	x->most = each + each / 8 + LIMIT_SEALED_REST;
	x->to = openat(s->segments_fd, FILE_SEAL_TMP, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (x->to < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot make segments/" FILE_SEAL_TMP);
	if (hasher_new(&x->hasher, f) < 0)
		return -1;
	*ret = TAKE(x);
	return 0;
}

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

/* The worker's scratch file lies where the archive does. */
static bool is_full(struct store *s)
{
	struct statvfs fs;

	return fstatvfs(s->folder_fd, &fs) == 0 && fs.f_bavail * fs.f_frsize < LIMIT_SEALED_REST;
}

static int judge(struct exchange *x, struct fault *f)
{
	if (x->verdict == VERDICT_FAILED)
		return fault_set(f, is_full(x->s) ? FAULT_WRITE : FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
			"the worker: %s", x->why);
	return x->verdict == VERDICT_DONE ? 0 : lie(f, "ended without a word");
}

/* The room that the worker needs, or a full disk would look like its fault. Where that cannot be
 * had in advance, it goes on. */
static int open_scratch(const struct exchange *x, int *ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) = file_open_unlinked(x->s->folder_fd);

	if (fd < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot make a temporary file in the archive");
	if (x->p->bytes > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)x->p->bytes) < 0 &&
		(errno == ENOSPC || errno == EDQUOT))
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"a temporary file of %" PRIu64 " MiB in the archive",
			x->p->bytes / MIB + 1);
	*ret = fd_take(&fd);
	return 0;
}

/* Runs the worker to its end, whatever happens. */
static int run(struct exchange *x, struct fault *f)
{
	const struct seal_starter *starter = &x->job->starter;
	int source[LIMIT_REPACK_SOURCES];
	struct fault ending = {0};
	int scratch CLEANUP(fd_closep) = -1;

	if (open_scratch(x, &scratch, f) < 0)
		return -1;
	for (size_t i = 0; i < x->p->sources; i++)
		source[i] = x->p->source[i].fd;
	const struct seal_fds fds = {.request = -1,
		.out = -1,
		.status = -1,
		.scratch = scratch,
		.ledger = x->p->ledger_fd,
		.source = source,
		.sources = x->p->sources};
	if (starter->start(starter->context, &fds, &x->worker, f) < 0)
		return -1;
	int r = do_not_block(&x->worker, f) < 0 ? -1 : talk(x, f);
	int ended = starter->end(starter->context, &ending);
	if (r < 0 || x->verdict == VERDICT_FAILED)
		return r < 0 ? -1 : judge(x, f);
	/* How it ended says more than that it said nothing. */
	if (ended < 0) {
		*f = ending;
		return -1;
	}
	return judge(x, f);
}

static int make_durable(struct exchange *x, struct sealed_file *ret, struct fault *f)
{
	if (fchmod(x->to, 0440) < 0 || fdatasync(x->to) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot sync segments/" FILE_SEAL_TMP);
	ret->size = x->written;
	hasher_end(x->hasher, &ret->digest);
	return 0;
}

int seal_exchange(struct store *s, struct seal_plan *p, const struct seal_job *job,
	struct sealed_file *ret, struct fault *f)
{
	struct exchange *x CLEANUP(exchange_freep) = NULL;
	struct sealed_file file = {0};

	if (open_exchange(s, p, job, &x, f) < 0)
		return -1;
	if (run(x, f) < 0 || make_durable(x, &file, f) < 0) {
		(void)unlinkat(s->segments_fd, FILE_SEAL_TMP, 0);
		return -1;
	}
	*ret = file;
	return 0;
}
