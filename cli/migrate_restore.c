/* Each mailbox in a process of its own, forked from this one, which owns no archive and no
 * connection: it asks for the password, becomes the archive's owner, restores, and tells through a
 * pipe, in frames of one size, what happens. */
#include "cli/migrate.h"

#include "archive/condition.h"
#include "archive/escape.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "archive/record.h"
#include "cli/query.h"
#include "cli/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum { TELL_MS = 300, WAIT_MS = 200 };

enum frame_kind { FRAME_NOTE, FRAME_FAILED, FRAME_PROGRESS, FRAME_END };

struct frame {
	enum frame_kind kind;
	struct digest digest;
	char folder[LIMIT_FOLDER + 1];
	char text[FAULT_TEXT_MAX];
	uint64_t bytes;
	struct restore_sums sums;
	struct fault how;
};

/* ---- In the process of one mailbox ----------------------------------------------------------- */

struct worker {
	const struct migrate_plan *plan;
	struct migrate_mailbox *mailbox;
	int out;
	struct frame frame;
	int64_t told;
};

static void put(struct worker *w)
{
	const uint8_t *at = (const uint8_t *)&w->frame;

	for (size_t left = sizeof w->frame; left > 0;) {
		ssize_t n = write(w->out, at, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(STATUS_FAILED); /* nobody listens any more */
		at += n;
		left -= (size_t)n;
	}
}

static int tell(void *context, const struct restore_event *e)
{
	struct worker *w = (struct worker *)context;
	int64_t now = monotonic_ms();

	memset(&w->frame, 0, sizeof w->frame);
	switch (e->kind) {
	case RESTORE_FAILED:
		w->frame.digest = e->message->digest;
		(void)snprintf(w->frame.folder, sizeof w->frame.folder, "%s", e->path);
		/* FALLTHROUGH */
	case RESTORE_NOTE:
		w->frame.kind = e->kind == RESTORE_NOTE ? FRAME_NOTE : FRAME_FAILED;
		(void)snprintf(w->frame.text, sizeof w->frame.text, "%s", e->text);
		put(w);
		break;
	case RESTORE_PROGRESS:
		if (now - w->told >= TELL_MS) {
			w->told = now;
			w->frame.kind = FRAME_PROGRESS;
			w->frame.bytes = e->done;
			put(w);
		}
		break;
	case RESTORE_FOLDER:
		break;
	}
	return stop_requested();
}

/* The maildrops of this account, for what its imports knew. FAULT_MISSING: it has none. */
static int find_drops(
	struct store *s, const char *account, uint64_t **ret, size_t *ret_n, struct fault *f)
{
	struct maildrop *all = NULL;
	size_t n = 0, found = 0;
	char text[128];

	if (store_maildrops(s, &all, &n, f) < 0)
		return -1;
	uint64_t *numbers = calloc(n + 1, sizeof *numbers);
	for (size_t i = 0; numbers && i < n; i++) {
		if (strcmp(all[i].name, account) == 0)
			numbers[found++] = all[i].number;
	}
	maildrops_free(all, n);
	if (!numbers)
		return fault_memory(f);
	if (found == 0) {
		free(numbers);
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "the archive has no account %s",
			escape_text(slice_text(account), text, sizeof text));
	}
	*ret = numbers;
	*ret_n = found;
	return 0;
}

static int set_query(struct query *q, const char *account, struct fault *f)
{
	struct condition *c = condition_new(CONDITION_ACCOUNT, f);

	if (!c)
		return -1;
	c->text = strdup(account);
	if (!c->text) {
		condition_free(c);
		return fault_memory(f);
	}
	return query_set(q, c, f);
}

static int record(struct worker *w, struct store *s, const struct query *q, struct fault *f)
{
	const struct restore_sums *sums = &w->mailbox->sums;
	const struct record r = {.kind = RECORD_RESTORE,
		.query = slice_text(q->canonical ? q->canonical : ""),
		.target = slice_text(w->mailbox->target.shown),
		.messages = sums->at_target,
		.bytes = sums->at_target_bytes,
		.failed = sums->wanted - sums->at_target - sums->gone};

	/* A run that brought nothing is no event. */
	if (w->plan->look_only || sums->sent == 0)
		return 0;
	return store_record(s, &r, f);
}

static int restore(struct worker *w, struct store *s, const struct secret *secret, struct fault *f)
{
	struct migrate_mailbox *m = w->mailbox;
	const struct run *run = w->plan->run;
	struct query q CLEANUP(query_deinit) = {0};
	uint64_t *drops CLEANUP(freep) = NULL;
	size_t drops_n = 0;
	const struct restore_watch watch = {tell, w};

	if (set_query(&q, m->row->account, f) < 0 ||
		find_drops(s, m->row->account, &drops, &drops_n, f) < 0)
		return -1;
	char *journal CLEANUP(freep) = restore_journal_path(run->folder, run->cache_dir,
		m->target.account.host ? m->target.account.host : "", m->target.place);
	if (!journal)
		return fault_memory(f);
	const char *template = w->plan->template;
	const struct restore_order order = {.store = s,
		.wanted = q.wanted,
		.rules = {.root = m->target.folder,
			.template = template	       ? template
				    : m->target.folder ? NULL
						       : "{folder}",
			.account = m->row->account,
			.maildrops = drops,
			.maildrops_n = drops_n,
			.flags = w->plan->flags},
		.target = m->target.place,
		.maildir = m->target.maildir,
		.account = &m->target.account,
		.secret = secret,
		.journal = journal,
		.spool = run->folder,
		.connections = w->plan->connections,
		.gone = GONE_STAYS,
		.look_only = w->plan->look_only,
		.compare = w->plan->compare};
	int r = restore_execute(&order, &watch, &m->sums, f);
	struct fault recorded;
	if (record(w, s, &q, &recorded) < 0 && r == 0) {
		*f = recorded;
		return -1;
	}
	return r;
}

static int work(struct worker *w, struct fault *f)
{
	const struct run *run = w->plan->run;
	const struct account *a = &w->mailbox->target.account;
	struct secret secret CLEANUP(secret_deinit) = {0};
	struct store *s CLEANUP(store_closep) = NULL;

	if (!w->mailbox->target.maildir && secret_is_needed(a) && secret_read(a, &secret, f) < 0)
		return -1;
	if (store_become_owner(run->folder, f) < 0 ||
		store_open(run->folder, run->cache_dir, STORE_WRITE, &s, f) < 0)
		return -1;
	return restore(w, s, &secret, f);
}

static _Noreturn void be_worker(
	const struct migrate_plan *plan, struct migrate_mailbox *mailbox, int out)
{
	struct worker w = {.plan = plan, .mailbox = mailbox, .out = out};
	struct fault how = {.code = FAULT_NONE};

	if (work(&w, &how) == 0)
		how.code = FAULT_NONE;
	memset(&w.frame, 0, sizeof w.frame);
	w.frame.kind = FRAME_END;
	w.frame.sums = mailbox->sums;
	w.frame.how = how;
	put(&w);
	_exit(STATUS_DONE);
}

/* ---- In the process of all ------------------------------------------------------------------- */

struct running {
	pid_t pid; /* 0: none */
	int in;
	struct migrate_mailbox *mailbox;
	struct frame frame; /* as far as it was read */
	size_t filled;
	uint64_t bytes; /* done so far */
};

struct pool {
	struct migrate_plan *plan;
	const struct migrate_watch *watch;
	struct running *all; /* plan->jobs */
	size_t next;
	unsigned running;
	bool told_to_stop;
	uint64_t ended, bytes;
};

static int start(struct pool *p, struct running *r, struct migrate_mailbox *m, struct fault *f)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot make a pipe");
	/* Not twice, by both processes. */
	(void)fflush(stdout);
	progress_clear(&p->plan->run->progress);
	*r = (struct running){.in = ends[0], .mailbox = m};
	r->pid = fork();
	if (r->pid == 0) {
		for (unsigned i = 0; i < p->plan->jobs; i++) {
			if (p->all[i].pid != 0 || &p->all[i] == r)
				(void)close(p->all[i].in);
		}
		be_worker(p->plan, m, ends[1]);
	}
	int error = errno;
	(void)close(ends[1]);
	if (r->pid > 0) {
		p->running++;
		return 0;
	}
	(void)close(ends[0]);
	r->pid = 0;
	return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, error, "cannot start a process");
}

static void take_frame(struct pool *p, struct running *r)
{
	struct frame *frame = &r->frame;
	const struct migrate_watch *w = p->watch;

	frame->folder[sizeof frame->folder - 1] = '\0';
	frame->text[sizeof frame->text - 1] = '\0';
	switch (frame->kind) {
	case FRAME_NOTE:
		w->note(w->context, r->mailbox, frame->text);
		break;
	case FRAME_FAILED:
		w->failed(w->context, r->mailbox, &frame->digest, frame->folder, frame->text);
		break;
	case FRAME_PROGRESS:
		r->bytes = frame->bytes;
		break;
	case FRAME_END:
		r->mailbox->sums = frame->sums;
		r->mailbox->how = frame->how;
		r->mailbox->ended = true;
		break;
	}
}

/* Its process has closed the pipe: it ends. */
static void reap(struct pool *p, struct running *r)
{
	int status = 0;

	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)close(r->in);
	r->pid = 0;
	p->running--;
	p->ended++;
	p->bytes += r->mailbox->sums.bytes;
	if (!r->mailbox->ended)
		fault_record(&r->mailbox->how, FAULT_SYSTEM, SCOPE_ACCOUNT, 0,
			"its process ended (%s %d); the same command goes on",
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	r->mailbox->ended = true;
	p->watch->ended(p->watch->context, r->mailbox);
}

static void take(struct pool *p, struct running *r)
{
	ssize_t n = read(r->in, (uint8_t *)&r->frame + r->filled, sizeof r->frame - r->filled);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		reap(p, r);
		return;
	}
	r->filled += (size_t)n;
	if (r->filled == sizeof r->frame) {
		r->filled = 0;
		take_frame(p, r);
	}
}

static int fill(struct pool *p, struct fault *f)
{
	for (unsigned i = 0; i < p->plan->jobs && !stop_requested(); i++) {
		if (p->all[i].pid == 0 && p->next < p->plan->n &&
			start(p, &p->all[i], &p->plan->all[p->next++], f) < 0)
			return -1;
	}
	return 0;
}

static int wait_and_take(struct pool *p, struct fault *f)
{
	struct pollfd fds[LIMIT_MIGRATE_JOBS];
	nfds_t n = 0;
	uint64_t bytes = p->bytes;

	for (unsigned i = 0; i < p->plan->jobs; i++) {
		if (p->all[i].pid != 0) {
			bytes += p->all[i].bytes;
			fds[n++] = (struct pollfd){.fd = p->all[i].in, .events = POLLIN};
		}
	}
	p->watch->progress(p->watch->context, p->ended, bytes);
	if (poll(fds, n, WAIT_MS) < 0 && errno != EINTR)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_SESSION, errno, "cannot wait");
	n = 0;
	for (unsigned i = 0; i < p->plan->jobs; i++) {
		if (p->all[i].pid != 0 && fds[n++].revents)
			take(p, &p->all[i]);
	}
	return 0;
}

/* From a terminal Ctrl-C reaches all; a signal to this process alone does not. Once: a second one
 * would end them where they are. */
static void pass_on_stop(struct pool *p)
{
	if (!stop_requested() || p->told_to_stop)
		return;
	p->told_to_stop = true;
	for (unsigned i = 0; i < p->plan->jobs; i++) {
		if (p->all[i].pid != 0)
			(void)kill(p->all[i].pid, SIGTERM);
	}
}

int migrate_restore(struct migrate_plan *plan, const struct migrate_watch *w, struct fault *f)
{
	struct pool p = {.plan = plan, .watch = w};
	int r = 0;

	p.all = calloc(plan->jobs, sizeof *p.all);
	if (!p.all)
		return fault_memory(f);
	do {
		if (r == 0)
			r = fill(&p, f);
		/* What runs is waited for in any case. */
		pass_on_stop(&p);
		if (p.running > 0 && wait_and_take(&p, f) < 0)
			r = -1;
	} while (p.running > 0 || (r == 0 && p.next < plan->n && !stop_requested()));
	free(p.all);
	if (r == 0 && stop_requested())
		return fault_set(f, FAULT_INTERRUPT, SCOPE_SESSION, 0,
			"stopped; the same command goes on from here");
	return r;
}
