/* Memory that runs out at each allocation in turn while an archive is sealed, repacked, copied,
 * read and checked: a clean fault, nothing lost, nothing leaked. */
#include "archive/batch.h"
#include "archive/check.h"
#include "archive/copy.h"
#include "archive/find.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "archive/seal.h"
#include "tests/crash/forked.h"
#include "tests/crash/starving.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <stdio.h>
#include <sys/mman.h>

enum { PART = 24 * 1024 };

struct world {
	char path[64], copy[80];
	struct store *store;
	struct spool_pool *pool;
	struct maildrop drop;
	struct forked worker;
	unsigned next; /* message */
	struct fault f;
};

static void ok(struct world *w, int r)
{
	if (r < 0)
		print_error("%s\n", w->f.text);
	assert_true(r >= 0);
}

/* ---- Mail ------------------------------------------------------------------------------------ */

/* A base64 part, the same in all: 76 characters a line. */
static void write_part(struct world *w, struct spool *spool)
{
	static const char line[] =
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4\r\n";

	for (size_t done = 0; done < PART; done += 57)
		ok(w, spool_write(spool, slice_text(line), &w->f));
}

static void keep_one(struct world *w)
{
	struct batch g CLEANUP(batch_deinit);
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	batch_init(&g);
	assert_non_null(item);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	char head[128];
	(void)snprintf(head, sizeof head,
		"Subject: %u\r\nContent-Transfer-Encoding: base64\r\n\r\n", w->next);
	ok(w, spool_write(item->spool, slice_text(head), &w->f));
	write_part(w, item->spool);
	spool_finish(item->spool);
	ok(w, buffer_append_format(&item->uidl, &w->f, "u%u", w->next++));
	batch_add(&g, item);
	ok(w, store_commit(w->store, &g, &w->f));
}

/* The worker has all its memory. */
static int work_alone(struct forked *forked, const struct seal_fds *fds)
{
	(void)starve_end();
	return forked_work(forked, fds);
}

static int seal_once(struct world *w)
{
	static const struct seal_due all = {0};
	struct seal_job job = forked_job(&w->worker);
	struct seal_result made;

	return store_seal(w->store, &all, &job, &made, &w->f);
}

static void seal_some(struct world *w, unsigned segments)
{
	for (unsigned i = 0; i < segments; i++) {
		keep_one(w);
		keep_one(w);
		ok(w, seal_once(w));
	}
}

/* ---- Trying ---------------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	folder_make(w->path);
	(void)snprintf(w->copy, sizeof w->copy, "%s.copy", w->path);
	*state = w;
	w->worker.instead = work_alone;
	ok(w, store_create(w->path, NULL, &w->f));
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f));
	ok(w, spool_pool_open(w->path, &w->pool, &w->f));
	ok(w, store_maildrop(w->store, "anna", "pop.example.com", "anna", &w->drop, &w->f));
	seal_some(w, 2);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	(void)starve_end();
	maildrop_deinit(&w->drop);
	store_close(w->store);
	spool_pool_close(w->pool);
	folder_remove(w->path);
	folder_remove(w->copy);
	free(w);
	return 0;
}

static int verify(struct world *w)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage d;
	int r;

	if (verify_open(w->store, VERIFY_FULL, &v, &w->f) < 0)
		return -1;
	while ((r = verify_step(v, &d, &w->f)) > 0) {
		if (r == VERIFY_DAMAGE) /* lack of memory is no damage */
			fail_msg("%s: %s", d.file, d.text);
	}
	return r;
}

static int read_all(struct world *w)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	unsigned found = 0;
	int r;

	if (find_open(w->store, NULL, NULL, &c, &w->f) < 0)
		return -1;
	while ((r = find_next(c, &m, &w->f)) == FIND_ROW) {
		if (message_check(w->store, &m, &w->f) < 0)
			return -1;
		found++;
	}
	if (r == 0)
		assert_int_equal(found, w->next);
	return r;
}

/* As in test_memory.c. */
static void runs_out(struct world *w, int (*what)(struct world *), void (*prepare)(struct world *))
{
	const bool every = getenv("POPKEEP_CRASH_ALL") != NULL;
	unsigned failed = 0, stale = 0;

	for (long n = 0;;) {
		if (prepare)
			prepare(w);
		w->f = (struct fault){0};
		starve_at(n);
		int r = what(w);
		bool reached = starve_end();
		if (r < 0) {
			failed++;
			assert_int_not_equal(w->f.code, FAULT_NONE);
			if (w->f.code == FAULT_DAMAGE || w->f.code == FAULT_WRITE)
				fail_msg("allocation %ld: %s", n, w->f.text);
		}
		stale = !reached && r < 0 ? stale + 1 : 0;
		if (stale > 1)
			fail_msg("with all its memory: %s", w->f.text);
		if (!reached && r == 0)
			break;
		if (!stale)
			n += every ? 1 : 1 + n / 30;
	}
	print_message("# %u failures\n", failed);
	assert_true(failed > 0);
	ok(w, read_all(w));
	ok(w, verify(w));
}

static void sealing(void **state)
{
	runs_out(*state, seal_once, keep_one);
}

static int repack_once(struct world *w)
{
	struct seal_job job = forked_job(&w->worker);
	struct seal_result made;

	return store_repack(w->store, GIB, &job, &made, &w->f);
}

/* What was repacked although an allocation had failed is followed by something new. */
static void something_to_repack(struct world *w)
{
	struct store_totals totals;

	ok(w, store_totals(w->store, &totals, &w->f));
	if (totals.segments < 2)
		seal_some(w, 1);
}

static void repacking(void **state)
{
	runs_out(*state, repack_once, something_to_repack);
}

static int copy_once(struct world *w)
{
	struct copy_sums sums;

	return store_copy(w->store, w->copy, COPY_NEW, NULL, &sums, &w->f);
}

static void copying(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;

	runs_out(w, copy_once, keep_one);
	w->store = store_close(w->store);
	ok(w, store_rebuild(w->copy, NULL, NULL, NULL, &sums, &w->f));
	ok(w, store_open(w->copy, NULL, STORE_READ, &w->store, &w->f));
	ok(w, read_all(w));
	ok(w, verify(w));
}

static int open_and_read(struct world *w)
{
	w->store = store_close(w->store);
	if (store_open(w->path, NULL, STORE_READ, &w->store, &w->f) < 0)
		return -1;
	return read_all(w);
}

static void reading_recipes(void **state)
{
	runs_out(*state, open_and_read, NULL);
}

static void verifying_recipes(void **state)
{
	runs_out(*state, verify, NULL);
}

static int rebuild(struct world *w)
{
	struct rebuild_sums sums = {0};
	int r = store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f);

	assert_int_equal(sums.missing, 0);
	return r;
}

static void rebuilding_from_sealed_segments(void **state)
{
	runs_out(*state, rebuild, NULL);
}

/* ---- The worker's side ----------------------------------------------------------------------- */

/* What a job has asked of it, to be asked again. */
struct asked {
	struct buffer request;
	int ledger, source;
};

static struct asked asked;

static int copy_of(int fd)
{
	int to = memfd_create("copy", MFD_CLOEXEC);
	char block[4096];
	off_t at = 0;

	for (ssize_t n; (n = pread(fd, block, sizeof block, at)) > 0; at += n)
		assert_int_equal(write(to, block, (size_t)n), n);
	return to;
}

static void read_request(struct world *w)
{
	char block[4096];

	asked.request = buffer_make(MIB);
	assert_int_equal(fcntl(w->worker.request, F_SETFL, 0), 0);
	for (ssize_t n; (n = read(w->worker.request, block, sizeof block)) > 0;)
		ok(w, buffer_append(&asked.request, block, (size_t)n, &w->f));
}

/* Takes what it is asked, and gives up. */
static int ask_start(
	void *context, const struct seal_fds *fds, struct seal_worker *ret, struct fault *f)
{
	struct world *w = context;
	int pipes[3][2];

	(void)f;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
	asked.ledger = copy_of(fds->ledger);
	asked.source = copy_of(fds->source[0]);
	w->worker.request = pipes[0][0];
	(void)close(pipes[1][1]);
	(void)close(pipes[2][1]);
	*ret = (struct seal_worker){pipes[0][1], pipes[1][0], pipes[2][0]};
	w->worker.out = pipes[0][1];
	w->worker.status = pipes[1][0];
	w->worker.pid = pipes[2][0];
	return 0;
}

static int ask_end(void *context, struct fault *f)
{
	struct world *w = context;

	(void)f;
	(void)close(w->worker.out);
	read_request(w);
	(void)close(w->worker.request);
	(void)close(w->worker.status);
	(void)close((int)w->worker.pid);
	return 0;
}

static int work_once(struct world *w)
{
	int request = memfd_create("request", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC),
	    status = memfd_create("status", MFD_CLOEXEC),
	    scratch = memfd_create("scratch", MFD_CLOEXEC);
	struct seal_fds fds = {request, out, status, scratch, asked.ledger, &asked.source, 1};

	assert_int_equal(
		write(request, asked.request.data, asked.request.len), (ssize_t)asked.request.len);
	assert_int_equal(lseek(request, 0, SEEK_SET), 0);
	int r = seal_work(&fds, &w->f);
	for (int *fd = (int[]){request, out, status, scratch, -1}; *fd >= 0; fd++)
		(void)close(*fd);
	return r;
}

static void the_worker_works(void **state)
{
	static const struct seal_due all = {0};
	struct world *w = *state;
	struct seal_job job = {.options = SEAL_OPTIONS_DEFAULT, .starter = {ask_start, ask_end, w}};
	struct seal_result made;

	keep_one(w);
	keep_one(w);
	assert_true(store_seal(w->store, &all, &job, &made, &w->f) < 0);
	assert_true(asked.request.len > 0);
	runs_out(w, work_once, NULL);
	buffer_deinit(&asked.request);
	(void)close(asked.ledger);
	(void)close(asked.source);
}

#define CASE(name)                                                                                 \
	{                                                                                          \
		"memory runs out while " #name, name, setup, teardown, NULL                        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(sealing),
		CASE(repacking),
		CASE(copying),
		CASE(reading_recipes),
		CASE(verifying_recipes),
		CASE(rebuilding_from_sealed_segments),
		CASE(the_worker_works),
	};

	assert_int_equal(starve_begin(), 0);
	return cmocka_run_group_tests_name("memory of sealing", tests, NULL, NULL);
}
