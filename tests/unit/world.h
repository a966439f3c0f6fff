/* An archive of a test's own, which most tests of the library begin with. */
#pragma once

#include "archive/batch.h"
#include "archive/maildrop.h"
#include "archive/store.h"
#include "tests/unit/folder.h"

struct world {
	char path[64];
	struct store *store;	 /* for writing */
	struct store *other;	 /* a second handle, as another process has one; or NULL */
	struct spool_pool *pool; /* where there is a maildrop */
	struct maildrop drop;	 /* number 0: none */
	struct fault f;
};

static inline void ok(struct world *w, int r)
{
	if (r < 0)
		print_error("%s\n", w->f.text);
	assert_true(r >= 0);
}

static inline void reopen(struct world *w)
{
	store_close(w->store);
	w->store = NULL;
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f));
}

/* An empty archive: *state is the world. */
static inline int world_begin(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	folder_make(w->path);
	*state = w;
	ok(w, store_create(w->path, NULL, &w->f));
	reopen(w);
	return 0;
}

/* One that has the maildrop of anna. */
static inline int world_begin_with_drop(void **state)
{
	(void)world_begin(state);
	struct world *w = *state;

	ok(w, spool_pool_open(w->path, &w->pool, &w->f));
	ok(w, store_maildrop(w->store, "anna", "pop.example.com", "anna", &w->drop, &w->f));
	return 0;
}

static inline int world_end(void **state)
{
	struct world *w = *state;

	maildrop_deinit(&w->drop);
	store_close(w->store);
	store_close(w->other);
	spool_pool_close(w->pool);
	folder_remove(w->path);
	free(w);
	return 0;
}

/* A group of this item alone, which is taken over. */
static inline enum item_outcome commit_one(struct world *w, struct item *item)
{
	struct batch g CLEANUP(batch_deinit);

	assert_non_null(item);
	batch_init(&g);
	batch_add(&g, item);
	ok(w, store_commit(w->store, &g, &w->f));
	return g.first->outcome;
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
#define WORLD_DROP_TEST(name)                                                                      \
	cmocka_unit_test_setup_teardown(name, world_begin_with_drop, world_end)
