/* Memory that runs out at each allocation in turn: a clean fault, nothing lost, nothing leaked. */
#include "archive/accept.h"
#include "archive/batch.h"
#include "archive/check.h"
#include "archive/find.h"
#include "archive/known.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "tests/crash/starving.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

/* ---- What is done while memory runs out ----------------------------------------------------- */

struct world {
	char path[64];
	struct store *store; /* open before, for those who need one */
	struct spool_pool *pool;
	struct maildrop drop;
	struct batch group;
	unsigned next; /* message */
	struct fault f;
};

static void ok(struct world *w, int r)
{
	if (r < 0)
		print_error("%s\n", w->f.text);
	assert_true(r >= 0);
}

static void add(struct world *w)
{
	char text[64], uidl[16];
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	assert_non_null(item);
	(void)snprintf(text, sizeof text, "Subject: %u\r\n\r\nbody\r\n", w->next);
	(void)snprintf(uidl, sizeof uidl, "u%u", w->next++);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	spool_finish(item->spool);
	ok(w, buffer_append_text(&item->uidl, uidl, &w->f));
	batch_add(&w->group, item);
}

static int open_it(struct world *w)
{
	struct store *s CLEANUP(store_closep) = NULL;

	return store_open(w->path, NULL, STORE_WRITE, &s, &w->f);
}

static int commit_it(struct world *w)
{
	return store_commit(w->store, &w->group, &w->f);
}

static int find_it(struct world *w)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	int r;

	if (find_open(w->store, NULL, NULL, &c, &w->f) < 0)
		return -1;
	while ((r = find_next(c, &m, &w->f)) == FIND_ROW) {
		if (message_check(w->store, &m, &w->f) < 0)
			return -1;
	}
	return r;
}

static int know_it(struct world *w)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;
	int r;

	if (known_open(w->store, w->drop.number, &c, &w->f) < 0)
		return -1;
	while ((r = known_next(c, &k, &w->f)) == KNOWN_ROW)
		;
	return r;
}

static int verify_it(struct world *w)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage d;
	int r;

	if (verify_open(w->store, VERIFY_FULL, &v, &w->f) < 0)
		return -1;
	while ((r = verify_step(v, &d, &w->f)) > 0) {
		if (r == VERIFY_DAMAGE) /* lack of memory is no damage */
			fail_msg("%s", d.text);
	}
	return r;
}

static int rebuild_it(struct world *w)
{
	struct rebuild_sums sums = {0};
	int r = store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f);

	assert_int_equal(sums.missing, 0);
	assert_int_equal(sums.passed_over, 0);
	return r;
}

static int register_it(struct world *w)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};

	return store_maildrop(w->store, "bert", "pop.example.com", "bert", &m, &w->f) < 0 ? -1 : 0;
}

/* ---- Trying --------------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	folder_make(w->path);
	*state = w;
	batch_init(&w->group);
	ok(w, store_create(w->path, NULL, &w->f));
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f));
	ok(w, spool_pool_open(w->path, &w->pool, &w->f));
	ok(w, store_maildrop(w->store, "anna", "pop.example.com", "anna", &w->drop, &w->f));
	for (int i = 0; i < 3; i++) {
		add(w);
		ok(w, commit_it(w));
		batch_deinit(&w->group);
		batch_init(&w->group);
	}
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	(void)starve_end();
	batch_deinit(&w->group);
	maildrop_deinit(&w->drop);
	store_close(w->store);
	spool_pool_close(w->pool);
	folder_remove(w->path);
	free(w);
	return 0;
}

static uint64_t count(struct world *w)
{
	uint64_t messages = 0, bytes;

	ok(w, find_count(w->store, NULL, &messages, &bytes, &w->f));
	return messages;
}

/* Fails the n-th allocation of `what` for each n until it gets along without; prepare: before each
 * try. Then all is as it was. */
static void runs_out(struct world *w, int (*what)(struct world *), void (*prepare)(struct world *))
{
	const bool every = getenv("POPKEEP_CRASH_ALL") != NULL;
	unsigned failed = 0, stale = 0;
	long n = 0;

	/* Each of the first, then fewer and fewer; with POPKEEP_CRASH_ALL each of all. */
	for (;;) {
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
		/* SQLite can tell a lack of memory once more at the next call; not twice. */
		stale = !reached && r < 0 ? stale + 1 : 0;
		if (stale > 1)
			fail_msg("with all its memory: %s", w->f.text);
		if (!reached && r == 0)
			break;
		if (!stale)
			n += every ? 1 : 1 + n / 50;
	}
	print_message("# about %ld allocations, %u failures\n", n, failed);
	assert_true(failed > 0);
	assert_int_equal(verify_it(w), 0);
}

static void opening(void **state)
{
	struct world *w = *state;

	runs_out(w, open_it, NULL);
	assert_int_equal(count(w), 3);
}

static void one_more(struct world *w)
{
	if (w->group.items == 0) /* a group that failed is tried again */
		add(w);
}

static int commit_and_forget(struct world *w)
{
	int r = commit_it(w);

	if (r == 0) {
		batch_deinit(&w->group);
		batch_init(&w->group);
	}
	return r;
}

static void committing(void **state)
{
	struct world *w = *state;

	runs_out(w, commit_and_forget, one_more);
	batch_deinit(&w->group);
	batch_init(&w->group);
	assert_int_equal(count(w), w->next);
}

/* Frames and lines behind what the catalog knows: the catalog of before comes back. */
static void forget_last_group(struct world *w)
{
	char command[512];

	w->store = store_close(w->store);
	(void)snprintf(command, sizeof command,
		"cd %s && if [ -e saved ]; then cp saved catalog.db; else cp catalog.db saved; fi",
		w->path);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own paths */
	ok(w, store_open(w->path, NULL, STORE_READ, &w->store, &w->f));
}

static void replaying(void **state)
{
	struct world *w = *state;

	forget_last_group(w);
	w->store = store_close(w->store);
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f));
	for (int i = 0; i < 3; i++) {
		add(w);
		ok(w, commit_and_forget(w));
	}
	runs_out(w, open_it, forget_last_group);
	assert_int_equal(count(w), 6);
}

static void finding_and_reading(void **state)
{
	runs_out(*state, find_it, NULL);
}

static void comparing_with_a_listing(void **state)
{
	runs_out(*state, know_it, NULL);
}

static void verifying(void **state)
{
	runs_out(*state, verify_it, NULL);
}

static void rebuilding(void **state)
{
	struct world *w = *state;

	runs_out(w, rebuild_it, NULL);
	assert_int_equal(count(w), 3);
}

static void registering(void **state)
{
	runs_out(*state, register_it, NULL);
}

static int tell_health(struct world *w)
{
	char name[] = "anna", text[] = "no route to the server";
	struct health h = {
		.account = name, .text = text, .state = HEALTH_FAILING, .code = FAULT_REACH};
	struct batch g CLEANUP(batch_deinit);
	struct health *all;
	size_t n;

	batch_init(&g);
	struct item *i = item_new_health(&h, &w->f);
	if (!i)
		return -1;
	batch_add(&g, i);
	if (store_commit(w->store, &g, &w->f) < 0 || store_health(w->store, &all, &n, &w->f) < 0)
		return -1;
	health_free(all, n);
	return n == 1 ? 0 : -1;
}

static void telling_how_polls_went(void **state)
{
	runs_out(*state, tell_health, NULL);
}

static int accept_all(struct world *w)
{
	uint64_t n;

	return store_accept_all(
		w->store, w->drop.number, KNOWN_REFUSED, "not to be had", &n, &w->f);
}

static void refuse_one(struct world *w)
{
	struct batch g CLEANUP(batch_deinit);
	struct item *i = item_new(ITEM_REFUSAL, w->drop.number, &w->f);

	batch_init(&g);
	assert_non_null(i);
	ok(w, buffer_append_format(&i->uidl, &w->f, "r%u", w->next++));
	i->reason = REFUSAL_FRAMING;
	batch_add(&g, i);
	ok(w, store_commit(w->store, &g, &w->f));
}

static void accepting(void **state)
{
	struct world *w = *state;
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;

	runs_out(w, accept_all, refuse_one);
	ok(w, known_open_unkept(w->store, w->drop.number, &c, &w->f));
	while (known_next(c, &k, &w->f) == KNOWN_ROW)
		assert_true(k.accepted);
}

#define CASE(name)                                                                                 \
	{                                                                                          \
		"memory runs out while " #name, name, setup, teardown, NULL                        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(opening),
		CASE(committing),
		CASE(replaying),
		CASE(finding_and_reading),
		CASE(comparing_with_a_listing),
		CASE(verifying),
		CASE(rebuilding),
		CASE(registering),
		CASE(telling_how_polls_went),
		CASE(accepting),
	};

	assert_int_equal(starve_begin(), 0);
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
