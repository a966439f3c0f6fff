#include "daemon/upkeep.h"

#include "archive/index.h"
#include "archive/limits.h"
#include "archive/upkeep.h"
#include "daemon/handover.h"
#include "daemon/worker_start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

enum { SOCKET = 3, NICENESS = 10 };

struct work {
	const struct upkeep_plan *plan;
	struct store *store;
	struct worker_starter starter;
};

static volatile sig_atomic_t stopped;

static bool stop_requested(void)
{
	return stopped;
}

static void on_stop(int number)
{
	(void)number;
	stopped = 1;
}

/* ---- Telling ----------------------------------------------------------------------------------
 */

/* Waits while nobody reads. Where nobody is there any more, the archive remembers. */
static void tell(enum upkeep_news news, enum fault_code code, const char *text)
{
	struct upkeep_report r = {.news = (uint32_t)news, .code = (uint32_t)code};

	(void)snprintf(r.text, sizeof r.text, "%s", text);
	while (send(SOCKET, &r, sizeof r, MSG_NOSIGNAL) < 0 && errno == EINTR && !stopped)
		;
}

static void tell_notices(struct work *w)
{
	for (char *text; (text = store_take_notice(w->store));) {
		tell(NEWS_NOTICE, FAULT_NONE, text);
		free(text);
	}
}

/* A handle whose write failed writes nothing any more, and another one may. */
static int open_again(struct work *w, struct fault *f)
{
	store_closep(&w->store);
	return store_open(w->plan->archive, w->plan->config->cache_dir, STORE_WRITE, &w->store, f);
}

static void note(struct work *w, enum upkeep_job job, const struct fault *outcome)
{
	struct fault ignored;

	if (store_put_upkeep(w->store, job, outcome, &ignored) < 0 && outcome &&
		open_again(w, &ignored) == 0)
		(void)!store_put_upkeep(w->store, job, outcome, &ignored);
}

/* What ends because it was asked to is no failure, whatever it says. */
static void tell_failure(enum upkeep_news news, const struct fault *f)
{
	if (stopped || f->code == FAULT_INTERRUPT)
		return;
	tell(f->code == FAULT_BUSY ? NEWS_BUSY : news, f->code, f->text);
}

/* ---- Sealing ----------------------------------------------------------------------------------
 */

static int on_progress(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
	(void)context, (void)done_bytes, (void)all_bytes;
	return stopped;
}

/* Of the segments that are due the one with the most mail. */
static int find_largest(struct work *w, struct unsealed *ret, struct fault *f)
{
	const struct seal_due *due = &w->plan->config->seal_due;
	moment_ms old = moment_now() - due->age_ms;
	struct unsealed u = {0};
	int r;

	while ((r = store_next_unsealed(w->store, u.segment, &u, f)) == UNSEALED_SEGMENT) {
		if ((u.bytes >= due->bytes || u.first <= old) && u.bytes >= ret->bytes)
			*ret = u;
	}
	return r;
}

/* The worker's scratch file holds all of its mail, and so may the sealed segment. A disk that
 * sealing filled would fail those who bring mail. */
static int check_room(struct work *w, struct fault *f)
{
	struct unsealed largest = {0};
	struct statvfs fs;

	if (find_largest(w, &largest, f) < 0)
		return -1;
	if (statvfs(w->plan->archive, &fs) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", w->plan->archive);
	uint64_t has = (uint64_t)fs.f_bavail * fs.f_frsize, needs = 2 * largest.bytes;
	if (has >= needs)
		return 0;
	return fault_set(f, FAULT_WRITE, SCOPE_SESSION, ENOSPC,
		"too little room to seal segment %" PRIu64 ": that takes up to %" PRIu64
		" MB for a while, and %" PRIu64 " MB are free; make room",
		largest.segment, needs / 1000000 + 1, has / 1000000);
}

static void tell_sealed(struct work *w, const struct seal_result *r)
{
	char text[FAULT_TEXT_MAX];

	(void)snprintf(text, sizeof text,
		"sealed segment %" PRIu64 ": %" PRIu64 " message%s, %" PRIu64 " bytes in %" PRIu64
		" on disk, before %" PRIu64,
		r->segment, r->messages, r->messages == 1 ? "" : "s", r->bytes, r->size,
		r->from_size);
	tell(NEWS_SANDBOX, FAULT_NONE, w->starter.sandbox.text);
	tell(NEWS_SEALED, FAULT_NONE, text);
}

/* 0: nothing that is due is left. */
static int seal_all(struct work *w, struct fault *f)
{
	const struct config *c = w->plan->config;
	struct seal_job job = {.options = c->seal_options,
		.starter = worker_starter(&w->starter),
		.progress = on_progress};
	struct seal_result result;
	int r;

	if (worker_patience(&w->starter, &job.silence_ms, f) < 0)
		return -1;
	for (;;) {
		if (check_room(w, f) < 0)
			return -1;
		r = store_seal(w->store, &c->seal_due, &job, &result, f);
		tell_notices(w);
		if (r != 0)
			return r < 0 ? -1 : 0;
		tell_sealed(w, &result);
		note(w, UPKEEP_SEAL, NULL);
	}
}

/* -1: a write to the archive failed. */
static int seal(struct work *w)
{
	struct upkeep before = {0};
	struct fault f = {0};

	if (seal_all(w, &f) == 0) {
		if (store_get_upkeep(w->store, UPKEEP_SEAL, &before, &f) == 0 &&
			before.code != FAULT_NONE)
			note(w, UPKEEP_SEAL, NULL);
		tell(NEWS_SEAL_WELL, FAULT_NONE, "");
		return 0;
	}
	bool died = f.code == FAULT_WRITE && store_write_failed(w->store) == STORE_WRITE_FAILED;
	if (!stopped && f.code != FAULT_BUSY && f.code != FAULT_INTERRUPT)
		note(w, UPKEEP_SEAL, &f);
	tell_failure(died ? NEWS_WRITE_FAILED : NEWS_SEAL_FAILED, &f);
	return died ? -1 : 0;
}

/* ---- Handing over -----------------------------------------------------------------------------
 */

static int is_stopped(void *context)
{
	(void)context;
	return stopped;
}

static void on_handed(void *context, const char *path)
{
	(void)context;
	tell(NEWS_HANDED, FAULT_NONE, path);
}

static void hand_over(struct work *w)
{
	struct handover_job job = {.command = w->plan->config->seal_command,
		.timeout_ms = LIMIT_HANDOVER_MS,
		.stop = is_stopped,
		.handed = on_handed};
	struct fault f = {0};

	if (!job.command || stopped)
		return;
	if (handover_run(w->store, &job, &f) == 0)
		tell(NEWS_COMMAND_WELL, FAULT_NONE, "");
	else
		tell_failure(f.code == FAULT_WRITE ? NEWS_WRITE_FAILED : NEWS_COMMAND_FAILED, &f);
	tell_notices(w);
}

/* ---- Indexing ---------------------------------------------------------------------------------
 */

static int index_new(struct work *w, struct index_result *ret, struct fault *f)
{
	struct index_job job = {
		.care = w->plan->wish & UPKEEP_INDEX_ALL ? INDEX_THOROUGH : INDEX_QUICK,
		.starter = worker_starter(&w->starter),
		.progress = on_progress,
	};

	w->starter.verb = WORKER_INDEX;
	int r = worker_patience(&w->starter, &job.silence_ms, f);
	if (r == 0)
		r = store_index(w->store, &job, ret, f);
	w->starter.verb = WORKER_SEAL;
	tell_notices(w);
	return r;
}

/* A cache: that it cannot be written is no failure of the archive's. */
static void index_all(struct work *w)
{
	struct index_result result = {0};
	struct upkeep before = {0};
	struct fault f = {0};
	char text[FAULT_TEXT_MAX];

	int r = index_new(w, &result, &f);
	if (result.indexed + result.failed > 0) {
		(void)snprintf(text, sizeof text,
			"indexed %" PRIu64 " message%s; %" PRIu64 " could not be read",
			result.indexed, result.indexed == 1 ? "" : "s", result.failed);
		tell(NEWS_SANDBOX, FAULT_NONE, w->starter.sandbox.text);
		tell(NEWS_INDEXED, FAULT_NONE, text);
	}
	if (r == 0) {
		struct fault ignored;

		if (store_get_upkeep(w->store, UPKEEP_INDEX, &before, &ignored) == 0 &&
			(before.code != FAULT_NONE || result.indexed > 0))
			note(w, UPKEEP_INDEX, NULL);
		tell(NEWS_INDEX_WELL, FAULT_NONE, "");
		return;
	}
	if (!stopped && f.code != FAULT_BUSY && f.code != FAULT_INTERRUPT)
		note(w, UPKEEP_INDEX, &f);
	tell_failure(NEWS_INDEX_FAILED, &f);
}

/* ---- The process ------------------------------------------------------------------------------
 */

static void work(struct work *w)
{
	struct fault f = {0};

	if (open_again(w, &f) < 0) {
		tell_failure(f.code == FAULT_WRITE ? NEWS_WRITE_FAILED : NEWS_SEAL_FAILED, &f);
		return;
	}
	tell_notices(w);
	if (w->plan->wish & UPKEEP_NOTE) {
		struct fault died = {0};

		fault_record(&died, FAULT_SYSTEM, SCOPE_SESSION, 0, "%s", w->plan->note);
		note(w, w->plan->wish & UPKEEP_INDEX_NEW ? UPKEEP_INDEX : UPKEEP_SEAL, &died);
		return;
	}
	if (w->plan->wish & UPKEEP_SEAL_DUE && seal(w) < 0)
		return;
	/* The seal-command may take hours. */
	if (w->plan->wish & (UPKEEP_INDEX_NEW | UPKEEP_INDEX_ALL) && !stopped)
		index_all(w);
	if (w->plan->wish & UPKEEP_HAND_OVER)
		hand_over(w);
}

/* Those who fetch mail come first. Where the unit forbids it, it is done all the same. */
static void step_back(void)
{
	const long process = 1, best_effort_last = 2 << 13 | 7; /* linux/ioprio.h */

	(void)setpriority(PRIO_PROCESS, 0, NICENESS);
	(void)syscall(SYS_ioprio_set, process, 0L, best_effort_last);
}

static void set_signals(void)
{
	struct sigaction stop = {.sa_handler = on_stop}; /* no SA_RESTART: what waits ends */
	sigset_t none;

	(void)sigaction(SIGTERM, &stop, NULL);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn void upkeep_process(int socket, pid_t parent, const struct upkeep_plan *plan)
{
	struct work w = {.plan = plan};

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_NAME, "popkeep-upkeep");
	set_signals();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent || (socket != SOCKET && dup3(socket, SOCKET, O_CLOEXEC) < 0) ||
		close_range(SOCKET + 1, ~0U, 0) < 0)
		_exit(1);
	step_back();
	worker_starter_init(&w.starter, plan->config->sandbox);
	w.starter.stop = stop_requested;
	work(&w);
	worker_starter_deinit(&w.starter);
	store_closep(&w.store);
	_exit(0);
}
