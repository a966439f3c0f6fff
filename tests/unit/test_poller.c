/* The poller where there is no memory for an event: no poll may hang for ever. Sessions are tested
 * against servers, tests/integration/. */
#include "daemon/poller.h"

#include "tests/unit/check.h"
#include "tests/unit/folder.h"

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static size_t failing; /* allocations from this size on fail, once; 0: none */

void *__wrap_calloc(size_t n, size_t size)
{
	if (failing && n * size >= failing) {
		failing = 0;
		return NULL;
	}
	return __real_calloc(n, size);
}

struct world {
	char path[64];
	struct poller *poller;
	struct account account;
	struct poll *poll;
	struct fault f;
};

static char name[] = "anna", host[] = "127.0.0.1";

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct poller_options options = {.archive_folder = w->path};

	folder_make(w->path);
	assert_int_equal(store_create(w->path, NULL, &w->f), 0);
	assert_int_equal(poller_open(&options, &w->poller, &w->f), 0);
	w->account = (struct account){.name = name, .user = name, .host = host, .port = 1};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	w->poller = poller_close(w->poller);
	folder_remove(w->path);
	free(w);
	return 0;
}

static void add(struct world *w)
{
	assert_int_equal(poller_add(w->poller, &w->account, w, &w->poll, &w->f), 0);
}

static struct poller_event next(struct world *w)
{
	struct poller_event e = {0};

	for (int turns = 0; !poller_take(w->poller, &e); turns++) {
		assert_in_range(turns, 0, 5);
		assert_int_equal(poller_turn(w->poller, &w->f), 0);
	}
	return e;
}

static void a_poll_whose_secret_cannot_be_asked_for_ends(void **state)
{
	struct world *w = *state;

	add(w);
	failing = sizeof(struct poller_event);
	struct poller_event e = next(w);
	assert_int_equal(failing, 0);
	assert_int_equal(e.kind, POLLER_DONE);
	assert_int_equal(e.fault.code, FAULT_MEMORY);
	assert_int_equal(e.hindrance, HINDRANCE_PASSING);
	assert_true(poller_is_idle(w->poller));
	assert_int_equal(poller_active(w->poller), 0);
}

static void a_cancelled_poll_stays_so_when_it_cannot_be_told_at_once(void **state)
{
	struct world *w = *state;
	struct fault why;

	add(w);
	fault_record(&why, FAULT_INTERRUPT, SCOPE_ACCOUNT, 0, "not wanted any more");
	failing = sizeof(struct poller_event);
	poller_cancel(w->poller, w->poll, &why);
	assert_int_equal(failing, 0);
	struct poller_event e = next(w);
	assert_int_equal(e.kind, POLLER_DONE);
	assert_int_equal(e.hindrance, HINDRANCE_STOPPED);
	assert_true(poller_is_idle(w->poller));
	assert_int_equal(poller_active(w->poller), 0);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_poll_whose_secret_cannot_be_asked_for_ends),
		WORLD_TEST(a_cancelled_poll_stays_so_when_it_cannot_be_told_at_once),
	};

	return cmocka_run_group_tests_name("poller", tests, NULL, NULL);
}
