#include "archive/handle.h"
#include "tests/unit/world.h"

static int take(struct world *w, const char *name, const char *server, const char *user,
	uint64_t *ret_number)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	int r = store_maildrop(w->store, name, server, user, &m, &w->f);

	*ret_number = m.number;
	return r;
}

static void a_maildrop_keeps_its_number_under_a_new_name(void **state)
{
	struct world *w = *state;
	uint64_t first, again;

	assert_int_equal(take(w, "anna", "h", "anna", &first), MAILDROP_NEW);
	assert_int_equal(take(w, "anna", "h", "anna", &again), MAILDROP_KNOWN);
	assert_int_equal(again, first);
	assert_int_equal(take(w, "anna2", "h", "anna", &again), MAILDROP_RENAMED);
	assert_int_equal(again, first);
}

static void another_server_or_user_under_the_name_is_another_maildrop(void **state)
{
	struct world *w = *state;
	uint64_t first, second, third;

	assert_int_equal(take(w, "anna", "h", "anna", &first), MAILDROP_NEW);
	assert_int_equal(take(w, "anna", "other", "anna", &second), MAILDROP_REPLACED);
	assert_int_equal(take(w, "anna", "other", "bert", &third), MAILDROP_REPLACED);
	assert_true(first < second && second < third);
}

/* What a process leaves that is killed between its ledger group and its catalog transaction. */
static void write_ledger_only(struct world *w, uint64_t number)
{
	struct ledger_at at;
	struct ledger_group g;
	uint64_t line;
	struct event e = {.kind = EVENT_ACCOUNT,
		.t = 1,
		.maildrop = number,
		.name = slice_text("killed"),
		.server = slice_text("killed"),
		.user = slice_text("killed")};

	assert_int_equal(catalog_get_state(w->store->catalog, store_id(w->store), &at, &w->f), 0);
	assert_int_equal(ledger_group_begin(&g, w->store->ledger_fd, &at, ROLL_WHEN_FULL,
				 store_id(w->store), 1, &w->f),
		0);
	assert_int_equal(ledger_group_add(&g, &e, &line, &w->f), 0);
	assert_int_equal(ledger_group_write(&g, w->store->ledger_fd, 1, &w->f), 0);
	ledger_group_deinit(&g);
}

static void a_number_that_stands_in_the_ledger_alone_is_not_given_again(void **state)
{
	struct world *w = *state;
	uint64_t first, mine, theirs;

	assert_int_equal(take(w, "anna", "h", "anna", &first), MAILDROP_NEW);
	write_ledger_only(w, first + 1);
	assert_int_equal(take(w, "bert", "h", "bert", &mine), MAILDROP_NEW);
	assert_int_equal(take(w, "killed", "killed", "killed", &theirs), MAILDROP_KNOWN);
	assert_int_equal(theirs, first + 1);
	assert_int_equal(mine, first + 2);
}

static uint64_t ledger_lines(struct world *w)
{
	struct ledger_at at;

	assert_int_equal(catalog_get_state(w->store->catalog, store_id(w->store), &at, &w->f), 0);
	return at.tree.size;
}

static void many_are_registered_in_one_group(void **state)
{
	struct world *w = *state;
	struct maildrop_request all[] = {
		{.name = "anna", .server = "h", .user = "anna"},
		{.name = "bert", .server = "h", .user = "bert"},
		{.name = "zoe", .server = "h", .user = "zoe"},
	};
	uint64_t first, before;

	assert_int_equal(take(w, "bert", "h", "bert", &first), MAILDROP_NEW);
	before = ledger_lines(w);
	assert_int_equal(store_register_maildrops(w->store, all, 3, &w->f), 0);
	assert_int_equal(all[0].outcome, MAILDROP_NEW);
	assert_int_equal(all[1].outcome, MAILDROP_KNOWN);
	assert_int_equal(all[2].outcome, MAILDROP_NEW);
	assert_int_equal(all[1].maildrop.number, first);
	assert_int_equal(all[0].maildrop.number, first + 1);
	assert_int_equal(all[2].maildrop.number, first + 2);
	assert_int_equal(ledger_lines(w) - before, 3); /* two, and the commit */
	for (size_t i = 0; i < 3; i++)
		maildrop_deinit(&all[i].maildrop);
}

static void one_maildrop_asked_for_twice_has_one_number(void **state)
{
	struct world *w = *state;
	struct maildrop_request all[] = {
		{.name = "anna", .server = "h", .user = "anna"},
		{.name = "other", .server = "h", .user = "anna"},
		{.name = "anna", .server = "h2", .user = "anna"},
		{.name = "anna", .server = "h", .user = "anna"},
	};

	assert_int_equal(store_register_maildrops(w->store, all, 4, &w->f), 0);
	assert_int_equal(all[0].outcome, MAILDROP_NEW);
	assert_int_equal(all[1].outcome, MAILDROP_RENAMED);
	assert_int_equal(all[1].maildrop.number, all[0].maildrop.number);
	assert_int_not_equal(all[2].maildrop.number, all[0].maildrop.number);
	assert_int_equal(all[3].maildrop.number, all[0].maildrop.number);
	for (size_t i = 0; i < 4; i++)
		maildrop_deinit(&all[i].maildrop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_maildrop_keeps_its_number_under_a_new_name),
		WORLD_TEST(another_server_or_user_under_the_name_is_another_maildrop),
		WORLD_TEST(many_are_registered_in_one_group),
		WORLD_TEST(one_maildrop_asked_for_twice_has_one_number),
		WORLD_TEST(a_number_that_stands_in_the_ledger_alone_is_not_given_again),
	};

	return cmocka_run_group_tests_name("maildrop", tests, NULL, NULL);
}
