#include "daemon/poller.h"

#include "archive/limits.h"
#include "daemon/poll.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum { PROGRESS_MS = 250 };

struct queued_event {
	struct poller_event event;
	TAILQ_ENTRY(queued_event) link;
};

struct poller {
	struct network *network;
	struct session_tools tools;
	struct intake *intake;
	struct store *store;
	struct spool_pool *spools;
	struct admission *admission;
	TAILQ_HEAD(polls, poll) waiting, active;
	TAILQ_HEAD(, queued_event) events;
	atomic_bool stop;
	bool stopping;
	uint64_t tickets, remembered; /* of healths: given out; durable */
	bool turn_due;		      /* somebody asked for something since the last turn */
};

/* ---- Life ------------------------------------------------------------------------------------ */

static uint32_t or_default(uint32_t configured, uint32_t otherwise)
{
	return configured ? configured : otherwise;
}

int poller_open(const struct poller_options *options, struct poller **ret, struct fault *f)
{
	struct poller *p CLEANUP(poller_closep) = calloc(1, sizeof *p);

	if (!p)
		return fault_memory(f);
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->active);
	TAILQ_INIT(&p->events);
	/* The intake first: opening for writing replays what a crash left, before anybody reads. */
	if (network_open(&p->network, f) < 0 ||
		intake_open(options->archive_folder, options->cache_dir, p->network, &p->intake,
			f) < 0 ||
		store_open(options->archive_folder, options->cache_dir, STORE_READ, &p->store, f) <
			0 ||
		spool_pool_open(options->archive_folder, &p->spools, f) < 0 ||
		admission_new(or_default(options->max_sessions, LIMIT_SESSIONS),
			or_default(options->max_sessions_per_server, LIMIT_SESSIONS_SERVER),
			&p->admission, f) < 0)
		return -1;
	p->tools = (struct session_tools){p->network, p->intake, p->store, p->spools};
	*ret = TAKE(p);
	return 0;
}

static void free_polls(struct polls *all)
{
	struct poll *one;

	while ((one = TAILQ_FIRST(all))) {
		TAILQ_REMOVE(all, one, link);
		(void)poll_free(one);
	}
}

struct poller *poller_close(struct poller *p)
{
	struct queued_event *e;

	if (!p)
		return NULL;
	while ((e = TAILQ_FIRST(&p->events))) {
		TAILQ_REMOVE(&p->events, e, link);
		if (e->event.kind == POLLER_DONE)
			(void)poll_free(e->event.poll);
		free(e);
	}
	free_polls(&p->waiting);
	free_polls(&p->active);
	p->admission = admission_free(p->admission);
	intake_close(p->intake);
	store_close(p->store);
	network_close(p->network);
	spool_pool_close(p->spools);
	free(p);
	return NULL;
}

void poller_closep(struct poller **p)
{
	*p = poller_close(*p);
}

void poller_set_caps(struct poller *p, uint32_t max_sessions, uint32_t max_sessions_per_server)
{
	admission_set_caps(p->admission, or_default(max_sessions, LIMIT_SESSIONS),
		or_default(max_sessions_per_server, LIMIT_SESSIONS_SERVER));
}

bool poller_is_idle(const struct poller *p)
{
	return TAILQ_EMPTY(&p->waiting) && TAILQ_EMPTY(&p->active);
}

uint32_t poller_active(const struct poller *p)
{
	return admission_active(p->admission);
}

struct store *poller_store(struct poller *p)
{
	return p->store;
}

void poller_stop(struct poller *p)
{
	atomic_store(&p->stop, true);
	network_wake(p->network);
}

/* ---- Events --------------------------------------------------------------------------------- */

static struct poller_event *push(struct poller *p, enum poller_event_kind kind, struct poll *one)
{
	struct queued_event *e = calloc(1, sizeof *e);

	if (!e)
		return NULL; /* told less; nothing is lost */
	e->event.kind = kind;
	e->event.poll = one;
	e->event.owner = one ? one->owner : NULL;
	e->event.account = one ? one->account : NULL;
	TAILQ_INSERT_TAIL(&p->events, e, link);
	return &e->event;
}

static void push_notice(struct poller *p, struct poll *one, const char *text)
{
	struct poller_event *e = push(p, POLLER_NOTICE, one);

	if (e)
		(void)snprintf(e->text, sizeof e->text, "%s", text);
}

static void push_progress(struct poller *p, struct poll *one)
{
	int64_t now = monotonic_ms();

	if (now < one->progress_at || session_counts(one->session)->to_fetch == 0)
		return;
	one->progress_at = now + PROGRESS_MS;
	struct poller_event *e = push(p, POLLER_PROGRESS, one);
	if (e)
		poll_fill_counts(one, e);
}

/* Takes one that has ended out of the lists; where there is no memory to tell it, it stays and is
 * told later. */
static void finish(struct poller *p, struct polls *list, struct poll *one)
{
	struct poller_event *e = push(p, POLLER_DONE, one);

	if (!e)
		return;
	poll_fill_counts(one, e);
	e->fault = one->fault;
	e->hindrance = one->hindrance;
	e->login_delay_s = one->login_delay_s;
	TAILQ_REMOVE(list, one, link);
	admission_leave(p->admission, &one->place);
}

int poller_take(struct poller *p, struct poller_event *ret)
{
	struct queued_event *e = TAILQ_FIRST(&p->events);

	if (!e)
		return 0;
	TAILQ_REMOVE(&p->events, e, link);
	*ret = e->event;
	free(e);
	if (ret->kind == POLLER_DONE)
		ret->poll = poll_free(ret->poll);
	return POLLER_EVENT;
}

/* ---- Polls come and go ----------------------------------------------------------------------- */

int poller_add(struct poller *p, const struct account *account, void *owner, struct poll **ret,
	struct fault *f)
{
	struct poll *one = NULL;

	if (poll_new(&p->tools, account, owner, &one, f) < 0)
		return -1;
	if (admission_add(p->admission, &one->place, account->host, account->port, f) < 0) {
		(void)poll_free(one);
		return -1;
	}
	TAILQ_INSERT_TAIL(&p->waiting, one, link);
	p->turn_due = true;
	if (ret)
		*ret = one;
	return 0;
}

void poller_give(struct poller *p, struct poll *one, struct secret secret)
{
	p->turn_due = true;
	if (one->state == POLL_SECRET)
		poll_give(one, secret);
	else
		secret_deinit(&secret);
}

void poller_refuse(struct poller *p, struct poll *one, const struct fault *f)
{
	p->turn_due = true;
	if (one->state == POLL_SECRET)
		poll_end(one, f, hindrance_of(f, REPLY_CODE_NONE));
}

void poller_cancel(struct poller *p, struct poll *one, const struct fault *why)
{
	bool waits = one->state == POLL_QUEUED;

	p->turn_due = true;
	poll_stop(one, why);
	if (waits)
		finish(p, &p->waiting, one);
}

int poller_put_health(
	struct poller *p, const struct health *h, uint64_t *ret_ticket, struct fault *f)
{
	struct item *item = item_new_health(h, f);

	if (!item)
		return -1;
	*ret_ticket = item->tag = ++p->tickets;
	intake_put(p->intake, item);
	/* Somebody may look at once. */
	intake_hurry(p->intake);
	return 0;
}

uint64_t poller_remembered(const struct poller *p)
{
	return p->remembered;
}

/* Without the question nobody would ever answer it. */
static void ask_secret(struct poller *p, struct poll *one)
{
	struct fault f;

	poll_begin(one);
	if (push(p, POLLER_SECRET, one))
		return;
	(void)fault_memory(&f);
	poll_end(one, &f, hindrance_of(&f, REPLY_CODE_NONE));
	p->turn_due = true;
}

static void begin_polls(struct poller *p)
{
	struct admission_entry *e;

	while ((e = admission_next(p->admission))) {
		struct poll *one =
			(struct poll *)(void *)((char *)e - offsetof(struct poll, place));

		TAILQ_REMOVE(&p->waiting, one, link);
		TAILQ_INSERT_TAIL(&p->active, one, link);
		if (one->state == POLL_QUEUED)
			ask_secret(p, one);
		else
			p->turn_due = true; /* cancelled, and still to be told */
	}
}

static void note_replaced(struct poller *p, struct poll *one)
{
	char text[FAULT_TEXT_MAX];

	(void)snprintf(text, sizeof text,
		"the account's server or user changed: %s at %s is a new maildrop (number %" PRIu64
		"), its UIDLs start anew; what was kept before stays",
		one->account->user, one->maildrop.server, one->maildrop.number);
	push_notice(p, one, text);
}

static void take_answers(struct poller *p)
{
	struct maildrop_answer answer;

	while (intake_take_maildrop(p->intake, &answer)) {
		struct poll *one = answer.owner;
		int outcome = answer.outcome;

		poll_register(one, &answer);
		if (outcome == MAILDROP_REPLACED)
			note_replaced(p, one);
	}
}

static void take_items(struct poller *p)
{
	struct item *item;

	while ((item = intake_take(p->intake))) {
		if (item->kind == ITEM_HEALTH)
			p->remembered = item->tag;
		else
			session_settle((struct session *)(uintptr_t)item->cookie, item);
		item_free(item);
	}
}

static void take_notices(struct poller *p)
{
	char *text;

	while ((text = intake_take_notice(p->intake))) {
		push_notice(p, NULL, text);
		free(text);
	}
}

static void stop_all(struct poller *p)
{
	struct poll *one;
	struct fault f;

	p->stopping = true;
	fault_record(&f, FAULT_INTERRUPT, SCOPE_ACCOUNT, 0,
		"interrupted; what had arrived whole is archived, run it again to go on");
	TAILQ_FOREACH(one, &p->active, link)
	poll_stop(one, &f);
	TAILQ_FOREACH(one, &p->waiting, link)
	poll_stop(one, &f);
}

static void finish_ended(struct poller *p, struct polls *list)
{
	struct poll *one = TAILQ_FIRST(list);

	while (one) {
		struct poll *next = TAILQ_NEXT(one, link);

		if (one->state == POLL_ENDED)
			finish(p, list, one);
		one = next;
	}
}

static void step_poll(struct poller *p, struct poll *one)
{
	char notice[FAULT_TEXT_MAX];

	while (poll_step(one, notice) == POLL_NOTICE)
		push_notice(p, one, notice);
	if (one->state == POLL_RUNNING)
		push_progress(p, one);
}

/* ---- The loop ------------------------------------------------------------------------------- */

int poller_turn(struct poller *p, struct fault *f)
{
	struct poll *one;

	p->turn_due = false;
	if (intake_has_failed(p->intake, f))
		return -1;
	take_notices(p);
	take_answers(p);
	take_items(p);
	if (atomic_load(&p->stop) && !p->stopping) {
		stop_all(p);
		finish_ended(p, &p->waiting);
	}
	TAILQ_FOREACH(one, &p->active, link)
	{
		if (poll_is_due(one))
			step_poll(p, one);
	}
	finish_ended(p, &p->active);
	begin_polls(p);
	return 0;
}

static int least_timeout(const struct poller *p, int timeout_ms)
{
	const struct poll *one;
	int least = timeout_ms;

	TAILQ_FOREACH(one, &p->active, link)
	{
		int left = poll_timeout(one);

		least = least < 0 || left < least ? left : least;
	}
	return least;
}

int poller_wait(struct poller *p, struct pollfd *extra, size_t n, int timeout_ms, struct fault *f)
{
	bool work = p->turn_due || !TAILQ_EMPTY(&p->events);

	return network_wait(p->network, extra, n, work ? 0 : least_timeout(p, timeout_ms), f);
}

int poller_next(struct poller *p, struct poller_event *ret, struct fault *f)
{
	for (;;) {
		if (poller_take(p, ret))
			return POLLER_EVENT;
		if (poller_is_idle(p))
			return 0;
		if (poller_turn(p, f) < 0)
			return -1;
		if (TAILQ_EMPTY(&p->events) && poller_wait(p, NULL, 0, 1000, f) < 0)
			return -1;
	}
}
