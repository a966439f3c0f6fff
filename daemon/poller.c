#include "daemon/poller.h"

#include "archive/limits.h"
#include "daemon/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum { PROGRESS_MS = 250, FIRST_RECONNECT_MS = 500 };

/* One poll of one account: its maildrop's lock, and one session after another until it is done. */
struct poll {
	const struct account *account;
	const struct secret *secret;
	enum { POLL_QUEUED, POLL_ASKED, POLL_PAUSED, POLL_RUNNING, POLL_ENDED } state;
	struct maildrop maildrop;
	bool locked;
	struct trouble trouble;
	struct session *session;
	struct session_counts before; /* of the sessions that have ended */
	uint64_t sessions, barren;    /* barren: the last ones, which brought no message */
	int64_t began, resume, progress_at;
	int64_t in_use_ms; /* paused so far for a maildrop that our own dropped session locks */
	bool has_sums;
	struct sums sums;
	struct fault fault;
	struct poll *next;
};

struct queued_event {
	struct poller_event event;
	struct queued_event *next;
};

struct poller {
	struct poller_options options;
	char *folder;
	struct network *network;
	struct session_tools tools;
	struct intake *intake;
	struct store *store;
	struct spool_pool *spools;
	struct poll *first, **end;
	struct queued_event *events, **events_end;
	atomic_bool stop;
	bool stopping;
};

/* ---- Life ------------------------------------------------------------------------------------ */

int poller_open(const struct poller_options *options, struct poller **ret, struct fault *f)
{
	struct poller *p CLEANUP(poller_closep) = calloc(1, sizeof *p);

	if (!p)
		return fault_memory(f);
	p->options = *options;
	if (p->options.max_sessions == 0)
		p->options.max_sessions = LIMIT_SESSIONS;
	if (p->options.max_sessions_per_server == 0)
		p->options.max_sessions_per_server = LIMIT_SESSIONS_SERVER;
	p->end = &p->first;
	p->events_end = &p->events;
	/* The intake first: opening for writing replays what a crash left, before anybody reads. */
	if (network_open(&p->network, f) < 0 ||
		intake_open(options->archive_folder, options->cache_dir, p->network, &p->intake,
			f) < 0 ||
		store_open(options->archive_folder, options->cache_dir, STORE_READ, &p->store, f) <
			0 ||
		spool_pool_open(options->archive_folder, &p->spools, f) < 0)
		return -1;
	p->tools = (struct session_tools){p->network, p->intake, p->store, p->spools};
	*ret = TAKE(p);
	return 0;
}

static void poll_free(struct poll *one)
{
	session_free(one->session);
	trouble_deinit(&one->trouble);
	maildrop_deinit(&one->maildrop);
	free(one);
}

struct poller *poller_close(struct poller *p)
{
	if (!p)
		return NULL;
	while (p->first) {
		struct poll *one = p->first;

		p->first = one->next;
		poll_free(one);
	}
	while (p->events) {
		struct queued_event *e = p->events;

		p->events = e->next;
		free(e);
	}
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

int poller_add(struct poller *p, const struct account *account, const struct secret *secret,
	struct fault *f)
{
	struct poll *one = calloc(1, sizeof *one);

	if (!one)
		return fault_memory(f);
	one->account = account;
	one->secret = secret;
	one->began = monotonic_ms();
	*p->end = one;
	p->end = &one->next;
	return 0;
}

void poller_stop(struct poller *p)
{
	atomic_store(&p->stop, true);
	network_wake(p->network);
}

/* ---- Events --------------------------------------------------------------------------------- */

static struct poller_event *push(
	struct poller *p, enum poller_event_kind kind, const struct account *account)
{
	struct queued_event *e = calloc(1, sizeof *e);

	if (!e)
		return NULL; /* told less; nothing is lost */
	e->event.kind = kind;
	e->event.account = account;
	*p->events_end = e;
	p->events_end = &e->next;
	return &e->event;
}

static void push_notice(struct poller *p, const struct account *account, const char *text)
{
	struct poller_event *e = push(p, POLLER_NOTICE, account);

	if (e)
		(void)snprintf(e->text, sizeof e->text, "%s", text);
}

/* The sums over all sessions of the poll, the present one included. */
static struct session_counts total(const struct poll *one)
{
	struct session_counts sum = one->before;

	if (!one->session)
		return sum;
	const struct session_counts *now = session_counts(one->session);
	sum.to_fetch = sum.fetched + now->to_fetch;
	sum.to_fetch_bytes = sum.fetched_bytes + now->to_fetch_bytes;
	sum.fetched += now->fetched;
	sum.fetched_bytes += now->fetched_bytes;
	sum.new_messages += now->new_messages;
	sum.duplicates += now->duplicates;
	sum.new_bytes += now->new_bytes;
	sum.settled += now->settled;
	sum.retrieve_ms += now->retrieve_ms;
	return sum;
}

static void fill_counts(const struct poll *one, struct poller_event *e)
{
	struct session_counts sum = total(one);

	e->to_fetch = sum.to_fetch;
	e->to_fetch_bytes = sum.to_fetch_bytes;
	e->fetched = sum.fetched;
	e->fetched_bytes = sum.fetched_bytes;
	e->new_messages = sum.new_messages;
	e->duplicates = sum.duplicates;
	e->new_bytes = sum.new_bytes;
	e->retrieve_ms = sum.retrieve_ms;
	e->sessions = one->sessions;
	e->sums = one->sums;
	e->elapsed_ms = monotonic_ms() - one->began;
}

static void push_progress(struct poller *p, struct poll *one)
{
	int64_t now = monotonic_ms();

	if (now < one->progress_at)
		return;
	one->progress_at = now + PROGRESS_MS;
	struct poller_event *e = push(p, POLLER_PROGRESS, one->account);
	if (e)
		fill_counts(one, e);
}

static void end_poll(struct poller *p, struct poll *one)
{
	struct poller_event *e = push(p, POLLER_DONE, one->account);

	if (one->locked)
		intake_release_maildrop(p->intake, one->maildrop.number);
	one->locked = false;
	one->state = POLL_ENDED;
	if (!e)
		return;
	fill_counts(one, e);
	e->fault = one->fault;
}

/* ---- One session after another -------------------------------------------------------------- */

static void end_with(struct poller *p, struct poll *one, const struct fault *f)
{
	one->fault = *f;
	end_poll(p, one);
}

static void begin_session(struct poller *p, struct poll *one)
{
	struct fault f = {0};

	one->sessions++;
	one->state = POLL_RUNNING;
	if (session_new(&p->tools, one->account, one->secret, &one->maildrop, &one->trouble,
		    &one->session, &f) < 0)
		end_with(p, one, &f);
}

/* Milliseconds to the next session, or <0 for none: a session that broke is worth another where it
 * got something done, or where only our own session before it stands in the way. */
static int64_t reconnect_after(struct poll *one, const struct session *s)
{
	const struct fault *f = session_fault(s);

	if (f->code != FAULT_PROTOCOL || one->sessions >= LIMIT_RECONNECTS)
		return -1;
	if (session_was_in_use(s)) {
		int64_t pause = one->in_use_ms ? one->in_use_ms : FIRST_RECONNECT_MS;

		if (one->sessions < 2 || one->in_use_ms + pause > LIMIT_IN_USE_MS)
			return -1;
		one->in_use_ms += pause;
		return pause;
	}
	const struct session_counts *c = session_counts(s);
	one->barren = c->new_messages + c->duplicates > 0 ? 0 : one->barren + 1;
	if (f->scope > SCOPE_SESSION || c->settled == 0 || one->barren > LIMIT_BARREN)
		return -1;
	one->in_use_ms = 0;
	return 0;
}

static void end_session(struct poller *p, struct poll *one)
{
	struct session *s = one->session;
	int64_t pause = reconnect_after(one, s);

	one->fault = *session_fault(s);
	one->before = total(one);
	if (session_sums(s, &one->sums))
		one->has_sums = true;
	one->session = session_free(s);
	if (pause < 0 || p->stopping) {
		end_poll(p, one);
		return;
	}
	one->resume = monotonic_ms() + pause;
	one->state = POLL_PAUSED;
}

static void run_session(struct poller *p, struct poll *one)
{
	char notice[FAULT_TEXT_MAX];
	int r;

	while ((r = session_step(one->session, notice)) == SESSION_NOTICE)
		push_notice(p, one->account, notice);
	if (session_counts(one->session)->to_fetch > 0)
		push_progress(p, one);
	if (r == 0)
		end_session(p, one);
}

/* ---- The loop ------------------------------------------------------------------------------- */

static bool same_server(const struct account *a, const struct account *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Whether the caps let another account begin. */
static bool may_begin(const struct poller *p, const struct poll *one)
{
	uint32_t all = 0, server = 0;

	for (const struct poll *other = p->first; other; other = other->next) {
		if (other->state == POLL_QUEUED || other->state == POLL_ENDED)
			continue;
		all++;
		server += same_server(other->account, one->account);
	}
	return all < p->options.max_sessions && server < p->options.max_sessions_per_server;
}

static void begin_polls(struct poller *p)
{
	struct fault f = {0};

	for (struct poll *one = p->first; one; one = one->next) {
		if (one->state == POLL_PAUSED && monotonic_ms() >= one->resume)
			begin_session(p, one);
		if (one->state != POLL_QUEUED || !may_begin(p, one))
			continue;
		one->state = POLL_ASKED;
		one->began = monotonic_ms();
		if (intake_ask_maildrop(p->intake, one->account, one, &f) < 0)
			end_with(p, one, &f);
	}
}

static void note_maildrop(struct poller *p, const struct poll *one, int outcome)
{
	char text[FAULT_TEXT_MAX];
	const struct account *a = one->account;

	if (outcome == MAILDROP_REPLACED) {
		(void)snprintf(text, sizeof text,
			"the account's server or user changed: %s at %s is a new maildrop (number "
			"%" PRIu64 "), its UIDLs start anew; what was kept before stays",
			a->user, one->maildrop.server, one->maildrop.number);
		push_notice(p, a, text);
	}
}

static void take_answers(struct poller *p)
{
	struct maildrop_answer answer;

	while (intake_take_maildrop(p->intake, &answer)) {
		struct poll *one = answer.owner;

		one->maildrop = answer.maildrop;
		if (answer.outcome < 0) {
			end_with(p, one, &answer.fault);
			continue;
		}
		one->locked = true;
		one->sums = one->maildrop.sums;
		note_maildrop(p, one, answer.outcome);
		begin_session(p, one);
	}
}

static void take_items(struct poller *p)
{
	struct item *item;

	while ((item = intake_take(p->intake))) {
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
	struct fault f;

	p->stopping = true;
	fault_record(&f, FAULT_INTERRUPT, SCOPE_ACCOUNT, 0,
		"interrupted; what had arrived whole is archived, run it again to go on");
	for (struct poll *one = p->first; one; one = one->next) {
		if (one->session)
			session_stop(one->session, &f);
		else if (one->state == POLL_QUEUED || one->state == POLL_PAUSED)
			end_with(p, one, &f);
	}
}

/* Removes those that have ended and were told. */
static void sweep(struct poller *p)
{
	struct poll **at = &p->first;

	while (*at) {
		struct poll *one = *at;

		if (one->state != POLL_ENDED) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		poll_free(one);
	}
	p->end = at;
}

static int timeout_ms(const struct poller *p)
{
	int least = 1000;

	for (const struct poll *one = p->first; one; one = one->next) {
		int64_t left = one->state == POLL_RUNNING  ? session_timeout(one->session)
			       : one->state == POLL_PAUSED ? one->resume - monotonic_ms()
							   : least;
		least = left < 0 ? 0 : left < least ? (int)left : least;
	}
	return least;
}

/* One turn of the loop, without waiting. */
static int turn(struct poller *p, struct fault *f)
{
	if (intake_has_failed(p->intake, f))
		return -1;
	take_notices(p);
	take_answers(p);
	take_items(p);
	if (atomic_load(&p->stop) && !p->stopping)
		stop_all(p);
	begin_polls(p);
	for (struct poll *one = p->first; one; one = one->next) {
		if (one->state == POLL_RUNNING)
			run_session(p, one);
	}
	return 0;
}

int poller_next(struct poller *p, struct poller_event *ret, struct fault *f)
{
	for (;;) {
		if (p->events) {
			struct queued_event *e = p->events;

			p->events = e->next;
			if (!p->events)
				p->events_end = &p->events;
			*ret = e->event;
			free(e);
			return POLLER_EVENT;
		}
		sweep(p);
		if (!p->first)
			return 0;
		if (turn(p, f) < 0)
			return -1;
		if (!p->events && network_wait(p->network, NULL, 0, timeout_ms(p), f) < 0)
			return -1;
	}
}
