#include "cli/import_writer.h"

#include <pthread.h>
#include <signal.h>

struct import_writer {
	struct store *store;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t changed;
	struct batch batch; /* under way, or done */
	enum { WRITER_IDLE, WRITER_BUSY, WRITER_DONE, WRITER_STOP } state;
	int result;
	struct fault fault;
};

static void lock(struct import_writer *w)
{
	(void)pthread_mutex_lock(&w->mutex);
}

static void unlock(struct import_writer *w)
{
	(void)pthread_mutex_unlock(&w->mutex);
}

static void *run(void *context)
{
	struct import_writer *w = context;

	lock(w);
	for (;;) {
		while (w->state == WRITER_IDLE || w->state == WRITER_DONE)
			(void)pthread_cond_wait(&w->changed, &w->mutex);
		if (w->state == WRITER_STOP)
			break;
		unlock(w);
		struct fault f = {0};
		int r = store_commit(w->store, &w->batch, &f);
		lock(w);
		w->result = r;
		w->fault = f;
		w->state = WRITER_DONE;
		(void)pthread_cond_broadcast(&w->changed);
	}
	unlock(w);
	return NULL;
}

/* Signals are the main thread's. */
int import_writer_open(struct store *s, struct import_writer **ret, struct fault *f)
{
	struct import_writer *w = calloc(1, sizeof *w);
	sigset_t all, before;

	if (!w)
		return fault_memory(f);
	w->store = s;
	batch_init(&w->batch);
	(void)pthread_mutex_init(&w->mutex, NULL);
	(void)pthread_cond_init(&w->changed, NULL);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&w->thread, NULL, run, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		(void)pthread_cond_destroy(&w->changed);
		(void)pthread_mutex_destroy(&w->mutex);
		free(w);
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, error, "cannot start the writer");
	}
	*ret = w;
	return 0;
}

static void wait_until_done(struct import_writer *w)
{
	while (w->state == WRITER_BUSY)
		(void)pthread_cond_wait(&w->changed, &w->mutex);
}

struct import_writer *import_writer_close(struct import_writer *w)
{
	if (!w)
		return NULL;
	lock(w);
	wait_until_done(w);
	w->state = WRITER_STOP;
	(void)pthread_cond_broadcast(&w->changed);
	unlock(w);
	(void)pthread_join(w->thread, NULL);
	batch_deinit(&w->batch);
	(void)pthread_cond_destroy(&w->changed);
	(void)pthread_mutex_destroy(&w->mutex);
	free(w);
	return NULL;
}

/* The end of an empty batch points into itself. */
static void move(struct batch *to, struct batch *from)
{
	if (from->items == 0) {
		batch_init(to);
		return;
	}
	*to = *from;
	batch_init(from);
}

void import_writer_put(struct import_writer *w, struct batch *g)
{
	lock(w);
	move(&w->batch, g);
	w->state = WRITER_BUSY;
	(void)pthread_cond_broadcast(&w->changed);
	unlock(w);
}

int import_writer_wait(struct import_writer *w, struct batch *ret_done, struct fault *f)
{
	int r = 0;

	lock(w);
	wait_until_done(w);
	if (w->state == WRITER_DONE) {
		r = w->result;
		w->state = WRITER_IDLE;
	}
	if (r < 0) {
		*f = w->fault;
		batch_deinit(&w->batch);
	} else {
		move(ret_done, &w->batch);
	}
	unlock(w);
	return r;
}
