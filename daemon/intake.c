#include "daemon/intake.h"

#include "archive/limits.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

enum { NOTICES_MAX = 256 };

struct question {
	char *name, *server, *user;
	struct maildrop_answer answer;
	struct question *next;
};

struct questions {
	struct question *first, **end;
};

struct intake {
	struct network *network;
	struct store *store; /* the thread's own once it runs */
	pthread_t thread;
	bool running;

	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t changed;
	struct batch queue, done;
	uint64_t queued; /* bytes in queue and in the commit under way */
	struct questions asked, answered;
	uint64_t held[LIMIT_CONNECTIONS]; /* maildrops that polls of this process have */
	size_t held_n;
	bool hurry, stop, failed;
	struct fault fault;
	char *notice[NOTICES_MAX];
	size_t notices;
};

static void lock(struct intake *i)
{
	(void)pthread_mutex_lock(&i->mutex);
}

static void unlock(struct intake *i)
{
	(void)pthread_mutex_unlock(&i->mutex);
}

/* ---- Questions ------------------------------------------------------------------------------- */

static void questions_init(struct questions *q)
{
	q->first = NULL;
	q->end = &q->first;
}

static void questions_add(struct questions *q, struct question *one)
{
	one->next = NULL;
	*q->end = one;
	q->end = &one->next;
}

static struct question *questions_take(struct questions *q)
{
	struct question *one = q->first;

	if (!one)
		return NULL;
	q->first = one->next;
	if (!q->first)
		q->end = &q->first;
	return one;
}

static void question_free(struct question *q)
{
	if (!q)
		return;
	free(q->name);
	free(q->server);
	free(q->user);
	maildrop_deinit(&q->answer.maildrop);
	free(q);
}

static void question_freep(struct question **q)
{
	question_free(*q);
}

int intake_ask_maildrop(
	struct intake *i, const struct account *account, void *owner, struct fault *f)
{
	struct question *q CLEANUP(question_freep) = calloc(1, sizeof *q);

	if (!q)
		return fault_memory(f);
	q->name = strdup(account->name);
	q->server = account_server(account);
	q->user = strdup(account->user);
	q->answer.owner = owner;
	if (!q->name || !q->server || !q->user)
		return fault_memory(f);
	lock(i);
	questions_add(&i->asked, TAKE(q));
	(void)pthread_cond_signal(&i->changed);
	unlock(i);
	return 0;
}

bool intake_take_maildrop(struct intake *i, struct maildrop_answer *ret)
{
	lock(i);
	struct question *q = questions_take(&i->answered);
	unlock(i);
	if (!q)
		return false;
	*ret = q->answer;
	q->answer.maildrop = (struct maildrop){0};
	question_free(q);
	return true;
}

/* The lock on disk keeps other processes off, not another poll of this one: an account that was
 * given another name while it is polled. Called with the mutex held. */
static int hold(struct intake *i, uint64_t number, struct fault *f)
{
	for (size_t k = 0; k < i->held_n; k++) {
		if (i->held[k] == number)
			return fault_set(f, FAULT_BUSY, SCOPE_ACCOUNT, 0,
				"its maildrop is being polled under another name");
	}
	if (i->held_n == LIMIT_CONNECTIONS)
		return fault_set(f, FAULT_LIMIT, SCOPE_ACCOUNT, 0, "%d accounts are polled already",
			LIMIT_CONNECTIONS);
	if (maildrop_lock(i->store, number, f) < 0)
		return -1;
	i->held[i->held_n++] = number;
	return 0;
}

void intake_release_maildrop(struct intake *i, uint64_t number)
{
	lock(i);
	for (size_t k = 0; k < i->held_n; k++) {
		if (i->held[k] == number) {
			i->held[k] = i->held[--i->held_n];
			break;
		}
	}
	/* One system call on a descriptor that lives as long as the intake: no need for the thread.
	 */
	maildrop_unlock(i->store, number);
	unlock(i);
}

enum { QUESTIONS_MAX = 64 }; /* answered together, by one commit */

static void fail(struct intake *i, const struct fault *f)
{
	if (!i->failed)
		i->fault = *f;
	i->failed = true;
}

/* In the thread. */
static void answer(struct intake *i, struct question **all, size_t n)
{
	struct maildrop_request request[QUESTIONS_MAX];
	struct fault f = {0};

	for (size_t k = 0; k < n; k++)
		request[k] = (struct maildrop_request){
			.name = all[k]->name, .server = all[k]->server, .user = all[k]->user};
	int r = store_register_maildrops(i->store, request, n, &f);
	for (size_t k = 0; k < n; k++) {
		struct maildrop_answer *a = &all[k]->answer;

		a->maildrop = request[k].maildrop;
		a->outcome = r < 0 ? -1 : request[k].outcome;
		a->fault = f;
		lock(i);
		if (r == 0 && hold(i, a->maildrop.number, &a->fault) < 0)
			a->outcome = -1;
		unlock(i);
	}
	if (r == 0 || f.code != FAULT_WRITE)
		return;
	lock(i);
	fail(i, &f);
	unlock(i);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void collect_notices(struct intake *i)
{
	for (char *text; (text = store_take_notice(i->store));) {
		if (i->notices < NOTICES_MAX)
			i->notice[i->notices++] = text;
		else
			free(text);
	}
}

/* What fits one group, from the front of the queue. */
static void take_group(struct intake *i, struct batch *ret)
{
	batch_init(ret);
	while (i->queue.first && ret->items < LIMIT_GROUP_ITEMS && ret->bytes < LIMIT_GROUP_BYTES)
		batch_add(ret, batch_take(&i->queue));
}

/* While one group is being written the next may gather. */
static bool is_full(const struct intake *i)
{
	return i->queue.bytes >= LIMIT_INTAKE_BYTES || i->queued >= 2 * LIMIT_INTAKE_BYTES ||
	       i->queue.items >= LIMIT_GROUP_ITEMS;
}

/* A queue that is full must be worked off whatever a group's own limits are: the sockets wait. */
static bool has_work(const struct intake *i)
{
	return i->asked.first || i->stop || (i->queue.items > 0 && (i->hurry || is_full(i))) ||
	       batch_is_due(&i->queue, monotonic_ms());
}

static void wait_for_work(struct intake *i)
{
	struct timespec until;

	while (!has_work(i)) {
		if (i->queue.items == 0) {
			(void)pthread_cond_wait(&i->changed, &i->mutex);
			continue;
		}
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += 50 * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		(void)pthread_cond_timedwait(&i->changed, &i->mutex, &until);
	}
}

/* Commits one group. Called and returns with the mutex held. */
static void commit(struct intake *i)
{
	struct batch group;
	struct fault f = {0};

	take_group(i, &group);
	uint64_t bytes = group.bytes;
	if (i->queue.items == 0)
		i->hurry = false;
	unlock(i);
	network_wake(i->network); /* the queue has room */
	int r = store_commit(i->store, &group, &f);
	lock(i);
	collect_notices(i);
	i->queued -= bytes;
	if (r < 0)
		fail(i, &f);
	for (struct item *item; r == 0 && (item = batch_take(&group));)
		batch_add(&i->done, item);
	batch_deinit(&group);
}

static void work(struct intake *i)
{
	struct question *asked[QUESTIONS_MAX];
	size_t n = 0;

	while (n < QUESTIONS_MAX && (asked[n] = questions_take(&i->asked)))
		n++;
	if (n > 0) {
		unlock(i);
		answer(i, asked, n);
		lock(i);
		collect_notices(i);
		for (size_t k = 0; k < n; k++)
			questions_add(&i->answered, asked[k]);
	} else if (i->queue.items > 0) {
		commit(i);
	}
}

static void *run(void *context)
{
	struct intake *i = context;

	lock(i);
	while (!i->failed) {
		wait_for_work(i);
		if (i->stop && !i->asked.first && i->queue.items == 0)
			break;
		work(i);
		network_wake(i->network);
	}
	unlock(i);
	network_wake(i->network);
	return NULL;
}

/* Signals are the main thread's. */
static int start(struct intake *i, struct fault *f)
{
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&i->thread, NULL, run, i);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, error, "cannot start the writer");
	i->running = true;
	return 0;
}

int intake_open(const char *folder, const char *cache_dir, struct network *network,
	struct intake **ret, struct fault *f)
{
	pthread_condattr_t monotonic;
	struct intake *i CLEANUP(intake_closep) = calloc(1, sizeof *i);

	if (!i)
		return fault_memory(f);
	i->network = network;
	batch_init(&i->queue);
	batch_init(&i->done);
	questions_init(&i->asked);
	questions_init(&i->answered);
	(void)pthread_mutex_init(&i->mutex, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&i->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	if (store_open(folder, cache_dir, STORE_WRITE, &i->store, f) < 0)
		return -1;
	collect_notices(i);
	if (start(i, f) < 0)
		return -1;
	*ret = TAKE(i);
	return 0;
}

static void drop_questions(struct questions *all)
{
	for (struct question *q; (q = questions_take(all));)
		question_free(q);
}

struct intake *intake_close(struct intake *i)
{
	if (!i)
		return NULL;
	if (i->running) {
		lock(i);
		i->stop = true;
		(void)pthread_cond_signal(&i->changed);
		unlock(i);
		(void)pthread_join(i->thread, NULL);
	}
	batch_deinit(&i->queue);
	batch_deinit(&i->done);
	drop_questions(&i->asked);
	drop_questions(&i->answered);
	for (size_t n = 0; n < i->notices; n++)
		free(i->notice[n]);
	store_close(i->store);
	(void)pthread_cond_destroy(&i->changed);
	(void)pthread_mutex_destroy(&i->mutex);
	free(i);
	return NULL;
}

void intake_closep(struct intake **i)
{
	*i = intake_close(*i);
}

/* ---- For the event loop ---------------------------------------------------------------------- */

bool intake_has_room(struct intake *i)
{
	lock(i);
	bool room = !is_full(i);
	unlock(i);
	return room;
}

void intake_put(struct intake *i, struct item *item)
{
	lock(i);
	uint64_t before = i->queue.bytes;
	batch_add(&i->queue, item);
	i->queued += i->queue.bytes - before;
	if (has_work(i) || i->queue.items == 1)
		(void)pthread_cond_signal(&i->changed);
	unlock(i);
}

void intake_hurry(struct intake *i)
{
	lock(i);
	i->hurry = i->queue.items > 0;
	if (i->hurry)
		(void)pthread_cond_signal(&i->changed);
	unlock(i);
}

struct item *intake_take(struct intake *i)
{
	lock(i);
	struct item *item = batch_take(&i->done);
	unlock(i);
	return item;
}

char *intake_take_notice(struct intake *i)
{
	lock(i);
	char *text = i->notices > 0 ? i->notice[0] : NULL;
	for (size_t n = 1; n < i->notices; n++)
		i->notice[n - 1] = i->notice[n];
	i->notices -= text != NULL;
	unlock(i);
	return text;
}

bool intake_has_failed(struct intake *i, struct fault *ret)
{
	lock(i);
	bool failed = i->failed;
	if (failed)
		*ret = i->fault;
	unlock(i);
	return failed;
}
