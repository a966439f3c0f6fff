#include "daemon/intake.h"

#include "tests/unit/check.h"
#include "tests/unit/folder.h"

struct world {
	char path[64];
	struct network *network;
	struct intake *intake;
	struct fault f;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	folder_make(w->path);
	assert_int_equal(store_create(w->path, NULL, &w->f), 0);
	assert_int_equal(network_open(&w->network, &w->f), 0);
	assert_int_equal(intake_open(w->path, NULL, w->network, &w->intake, &w->f), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	w->intake = intake_close(w->intake);
	w->network = network_close(w->network);
	folder_remove(w->path);
	free(w);
	return 0;
}

/* The outcome of asking for the maildrop of anna at host, under this name. */
static int ask(struct world *w, const char *name, uint64_t *ret_number, struct fault *ret_fault)
{
	char called[32], host[] = "pop.example.com", user[] = "anna";
	struct account account = {.name = called, .host = host, .user = user, .port = 995};
	struct maildrop_answer answer;

	(void)snprintf(called, sizeof called, "%s", name);
	assert_int_equal(intake_ask_maildrop(w->intake, &account, w, &w->f), 0);
	while (!intake_take_maildrop(w->intake, &answer))
		assert_int_equal(network_wait(w->network, NULL, 0, 1000, &w->f), 0);
	assert_ptr_equal(answer.owner, w);
	*ret_number = answer.maildrop.number;
	*ret_fault = answer.fault;
	maildrop_deinit(&answer.maildrop);
	return answer.outcome;
}

static void a_maildrop_is_polled_once_at_a_time_whatever_its_name(void **state)
{
	struct world *w = *state;
	uint64_t first, second;
	struct fault f;

	assert_int_equal(ask(w, "anna", &first, &f), MAILDROP_NEW);
	assert_int_equal(ask(w, "anna2", &second, &f), -1);
	assert_int_equal(f.code, FAULT_BUSY);
	intake_release_maildrop(w->intake, first);
	assert_int_equal(ask(w, "anna2", &second, &f), MAILDROP_KNOWN);
	assert_int_equal(second, first);
}

/* The lock on disk keeps others off until it is given back. */
static void another_process_has_to_wait_too(void **state)
{
	struct world *w = *state;
	struct store *other CLEANUP(store_closep) = NULL;
	uint64_t number;
	struct fault f;

	assert_int_equal(ask(w, "anna", &number, &f), MAILDROP_NEW);
	assert_int_equal(store_open(w->path, NULL, STORE_WRITE, &other, &f), 0);
	assert_int_equal(maildrop_lock(other, number, &f), -1);
	assert_int_equal(f.code, FAULT_BUSY);
	intake_release_maildrop(w->intake, number);
	assert_int_equal(maildrop_lock(other, number, &f), 0);
	assert_int_equal(ask(w, "anna", &number, &f), -1);
	assert_int_equal(f.code, FAULT_BUSY);
	maildrop_unlock(other, number);
	assert_int_equal(ask(w, "anna", &number, &f), MAILDROP_KNOWN);
}

#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(a_maildrop_is_polled_once_at_a_time_whatever_its_name),
		IN_WORLD(another_process_has_to_wait_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
