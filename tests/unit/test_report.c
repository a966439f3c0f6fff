#include "cli/report.h"

#include "archive/batch.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

struct world {
	char path[64];
	struct store *store;
	struct fault f;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	folder_make(w->path);
	*state = w;
	if (store_create(w->path, NULL, &w->f) < 0)
		return -1;
	return store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f);
}

static int teardown(void **state)
{
	struct world *w = *state;

	store_close(w->store);
	folder_remove(w->path);
	free(w);
	return 0;
}

/* A maildrop whose last poll left so many pending; -1: never polled to the end. */
static void add_maildrop(struct world *w, const char *name, const char *server, int pending)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	struct batch g CLEANUP(batch_deinit);

	batch_init(&g);
	assert_true(store_maildrop(w->store, name, server, "user", &m, &w->f) >= 0);
	if (pending < 0)
		return;
	struct item *i = item_new(ITEM_LISTING, m.number, &w->f);
	assert_non_null(i);
	i->sums.listed = i->sums.pending = (uint64_t)pending;
	i->complete = true;
	batch_add(&g, i);
	assert_int_equal(store_commit(w->store, &g, &w->f), 0);
}

static size_t attention(struct world *w)
{
	struct report r CLEANUP(report_deinit) = {0};

	assert_int_equal(report_read(&r, w->store, NULL, &w->f), 0);
	return r.attention;
}

static void what_is_pending_needs_attention(void **state)
{
	struct world *w = *state;

	add_maildrop(w, "anna", "h", 3);
	assert_int_equal(attention(w), 1);
	add_maildrop(w, "anna", "h", 0);
	assert_int_equal(attention(w), 0);
}

static void what_an_account_left_on_its_old_server_needs_none(void **state)
{
	struct world *w = *state;

	add_maildrop(w, "anna", "old", 3);
	add_maildrop(w, "anna", "new", 0);
	assert_int_equal(attention(w), 0);
}

static void a_mistyped_url_that_was_never_polled_needs_none(void **state)
{
	struct world *w = *state;

	add_maildrop(w, "anna", "pop.exmaple.com", -1);
	assert_int_equal(attention(w), 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_is_pending_needs_attention),
		WORLD_TEST(what_an_account_left_on_its_old_server_needs_none),
		WORLD_TEST(a_mistyped_url_that_was_never_polled_needs_none),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
