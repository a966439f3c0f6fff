#include "tests/unit/check.h"

#include "daemon/admission.h"

enum { MANY = 12 };

struct world {
	struct admission *a;
	struct admission_entry e[MANY];
};

static int set_up(void **state)
{
	static struct world w;
	struct fault f;

	w = (struct world){0};
	assert_int_equal(admission_new(4, 2, &w.a, &f), 0);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	w->a = admission_free(w->a);
	return 0;
}

static void add(struct world *w, size_t i, const char *host)
{
	struct fault f;

	assert_int_equal(admission_add(w->a, &w->e[i], host, 995, &f), 0);
}

static void a_server_gets_no_more_than_its_cap(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 3; i++)
		add(w, i, "slow");
	assert_ptr_equal(admission_next(w->a), &w->e[0]);
	assert_ptr_equal(admission_next(w->a), &w->e[1]);
	assert_null(admission_next(w->a));
	admission_leave(w->a, &w->e[0]);
	assert_ptr_equal(admission_next(w->a), &w->e[2]);
}

static void all_together_get_no_more_than_their_cap(void **state)
{
	struct world *w = *state;
	const char *hosts[] = {"a", "b", "c", "d", "e"};

	for (size_t i = 0; i < 5; i++)
		add(w, i, hosts[i]);
	for (size_t i = 0; i < 4; i++)
		assert_non_null(admission_next(w->a));
	assert_null(admission_next(w->a));
	assert_int_equal(admission_active(w->a), 4);
	admission_leave(w->a, &w->e[2]);
	assert_ptr_equal(admission_next(w->a), &w->e[4]);
}

static void servers_take_turns(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 6; i++)
		add(w, i, "many");
	add(w, 6, "one");
	assert_ptr_equal(admission_next(w->a), &w->e[0]);
	assert_ptr_equal(admission_next(w->a), &w->e[6]);
	assert_ptr_equal(admission_next(w->a), &w->e[1]);
}

static void one_that_waits_may_leave(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 4; i++)
		add(w, i, "slow");
	assert_ptr_equal(admission_next(w->a), &w->e[0]);
	admission_leave(w->a, &w->e[1]);
	assert_ptr_equal(admission_next(w->a), &w->e[2]);
	admission_leave(w->a, &w->e[3]);
	admission_leave(w->a, &w->e[3]);
	admission_leave(w->a, &w->e[0]);
	assert_null(admission_next(w->a));
}

static void another_port_is_another_server(void **state)
{
	struct world *w = *state;
	struct fault f;

	add(w, 0, "host");
	add(w, 1, "host");
	assert_int_equal(admission_add(w->a, &w->e[2], "host", 110, &f), 0);
	for (size_t i = 0; i < 3; i++)
		assert_non_null(admission_next(w->a));
}

static void a_raised_cap_lets_those_begin_that_wait(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 4; i++)
		add(w, i, "slow");
	assert_non_null(admission_next(w->a));
	assert_non_null(admission_next(w->a));
	assert_null(admission_next(w->a));
	admission_set_caps(w->a, 4, 3);
	assert_ptr_equal(admission_next(w->a), &w->e[2]);
	assert_null(admission_next(w->a));
	admission_set_caps(w->a, 4, 1);
	admission_leave(w->a, &w->e[0]);
	assert_null(admission_next(w->a));
}

int main(void)
{
#define WITH_WORLD(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_WORLD(a_server_gets_no_more_than_its_cap),
		WITH_WORLD(all_together_get_no_more_than_their_cap),
		WITH_WORLD(servers_take_turns),
		WITH_WORLD(one_that_waits_may_leave),
		WITH_WORLD(another_port_is_another_server),
		WITH_WORLD(a_raised_cap_lets_those_begin_that_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
