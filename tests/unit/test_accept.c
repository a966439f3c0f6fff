/* Accepting refusals and what vanished, and how it stands in ledger, sums and a rebuilt catalog. */
#include "archive/accept.h"
#include "archive/check.h"
#include "archive/limits.h"
#include "tests/unit/world.h"

static void refuse(struct world *w, const char *uidl)
{
	struct item *i = item_new(ITEM_REFUSAL, w->drop.number, &w->f);

	assert_non_null(i);
	ok(w, buffer_append_text(&i->uidl, uidl, &w->f));
	i->reason = REFUSAL_FRAMING;
	commit_one(w, i);
}

/* A listing's item with these sums; the UIDLs vanish. */
static struct item *listing(struct world *w, struct sums sums, const char *const *gone, size_t n)
{
	struct item *i = item_new(ITEM_LISTING, w->drop.number, &w->f);

	assert_non_null(i);
	i->sums = sums;
	i->complete = true;
	i->vanished = calloc(n + 1, sizeof *i->vanished);
	assert_non_null(i->vanished);
	for (; i->vanished_n < n; i->vanished_n++) {
		i->vanished[i->vanished_n].uidl = buffer_make(LIMIT_UIDL);
		ok(w, buffer_append_text(
			      &i->vanished[i->vanished_n].uidl, gone[i->vanished_n], &w->f));
	}
	return i;
}

static void vanish(struct world *w, const char *const *gone, size_t n)
{
	commit_one(w, listing(w, (struct sums){.vanished = n}, gone, n));
}

static int accept_one(struct world *w, const char *uidl)
{
	int r = store_accept(
		w->store, w->drop.number, slice_text(uidl), "lost with the old server", &w->f);

	ok(w, r);
	return r;
}

static struct sums sums(struct world *w)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};

	ok(w, store_maildrop(w->store, "anna", "pop.example.com", "anna", &m, &w->f));
	return m.sums;
}

static bool is_accepted(struct world *w, const char *uidl, enum known_state in_state)
{
	struct known_cursor *c CLEANUP(known_closep) = NULL;
	struct known k;

	ok(w, known_open_unkept(w->store, w->drop.number, &c, &w->f));
	while (known_next(c, &k, &w->f) == KNOWN_ROW) {
		if (slice_compare(k.uidl, slice_text(uidl)) == 0) {
			assert_int_equal(k.state, in_state);
			return k.accepted;
		}
	}
	fail_msg("no row of %s", uidl);
	return false;
}

static unsigned count_lines(struct world *w, const char *with)
{
	struct ledger_lines *l CLEANUP(ledger_lines_closep) = NULL;
	struct slice line;
	uint64_t number;
	unsigned n = 0;

	ok(w, ledger_lines_open(w->store, 0, &l, &w->f));
	while (ledger_lines_next(l, &line, &number, &w->f) == LEDGER_LINE)
		n += memmem(line.data, line.len, with, strlen(with)) != NULL;
	return n;
}

static void rebuild(struct world *w)
{
	struct rebuild_sums rebuilt;

	store_close(w->store);
	w->store = NULL;
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &rebuilt, &w->f));
	assert_int_equal(rebuilt.passed_over, 0);
	reopen(w);
}

static void accepting_a_refusal_leaves_it_refused_and_tells_why(void **state)
{
	struct world *w = *state;

	refuse(w, "a b");
	assert_int_equal(accept_one(w, "a b"), 0);
	assert_true(is_accepted(w, "a b", KNOWN_REFUSED));
	assert_int_equal(sums(w).refused, 1);
	assert_int_equal(count_lines(w, "event=accept"), 1);
	assert_int_equal(count_lines(w, "maildrop=1 uidl=a%20b reason=framing "
					"text=lost%20with%20the%20old%20server"),
		1);
	rebuild(w);
	assert_true(is_accepted(w, "a b", KNOWN_REFUSED));
	assert_int_equal(sums(w).refused, 1);
}

static void accepting_what_vanished_takes_it_out_of_the_sum(void **state)
{
	struct world *w = *state;
	static const char *const gone[] = {"x", "y"};

	vanish(w, gone, 2);
	assert_int_equal(accept_one(w, "x"), 0);
	assert_int_equal(sums(w).vanished, 1);
	assert_true(is_accepted(w, "x", KNOWN_VANISHED));
	assert_false(is_accepted(w, "y", KNOWN_VANISHED));
	assert_int_equal(count_lines(w, "uidl=x reason=vanished text="), 1);
	rebuild(w);
	assert_int_equal(sums(w).vanished, 1);
	assert_true(is_accepted(w, "x", KNOWN_VANISHED));
	assert_false(is_accepted(w, "y", KNOWN_VANISHED));
}

static void accepting_twice_or_nothing_writes_nothing(void **state)
{
	struct world *w = *state;

	refuse(w, "a");
	assert_int_equal(accept_one(w, "a"), 0);
	unsigned lines = count_lines(w, "v=1");
	assert_int_equal(accept_one(w, "a"), ACCEPT_ALREADY);
	assert_int_equal(accept_one(w, "b"), ACCEPT_NOTHING);
	assert_int_equal(count_lines(w, "v=1"), lines);
}

static void a_reason_must_be_given_and_has_a_cap(void **state)
{
	struct world *w = *state;
	char longest[LIMIT_ACCEPT_REASON + 2];

	refuse(w, "a");
	memset(longest, 'r', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(store_accept(w->store, w->drop.number, slice_text("a"), "", &w->f), -1);
	assert_int_equal(w->f.code, FAULT_USAGE);
	assert_int_equal(
		store_accept(w->store, w->drop.number, slice_text("a"), longest, &w->f), -1);
	assert_int_equal(w->f.code, FAULT_USAGE);
	longest[LIMIT_ACCEPT_REASON] = '\0';
	assert_int_equal(
		store_accept(w->store, w->drop.number, slice_text("a"), longest, &w->f), 0);
}

static void an_accepted_refusal_that_fails_again_stays_accepted(void **state)
{
	struct world *w = *state;

	refuse(w, "a");
	assert_int_equal(accept_one(w, "a"), 0);
	refuse(w, "a");
	assert_true(is_accepted(w, "a", KNOWN_REFUSED));
	rebuild(w);
	assert_true(is_accepted(w, "a", KNOWN_REFUSED));
}

static void what_vanishes_again_is_counted_again(void **state)
{
	struct world *w = *state;
	static const char *const gone[] = {"x"};

	vanish(w, gone, 1);
	assert_int_equal(accept_one(w, "x"), 0);
	assert_int_equal(sums(w).vanished, 0);
	vanish(w, gone, 1);
	assert_int_equal(sums(w).vanished, 1);
	assert_false(is_accepted(w, "x", KNOWN_VANISHED));
	rebuild(w);
	assert_int_equal(sums(w).vanished, 1);
}

static void sums_counted_before_the_accept_do_not_bring_it_back(void **state)
{
	struct world *w = *state;
	static const char *const gone[] = {"x", "y"};

	vanish(w, gone, 2);
	assert_int_equal(accept_one(w, "x"), 0);
	unsigned polls = count_lines(w, "event=poll");
	commit_one(w, listing(w, (struct sums){.vanished = 2}, NULL, 0));
	assert_int_equal(sums(w).vanished, 1);
	assert_int_equal(count_lines(w, "event=poll"), polls);
	rebuild(w);
	assert_int_equal(sums(w).vanished, 1);
}

static void all_of_a_kind_are_accepted_at_once(void **state)
{
	struct world *w = *state;
	static const char *const gone[] = {"x", "y"};
	uint64_t n = 99;

	refuse(w, "a");
	refuse(w, "b");
	refuse(w, "");
	vanish(w, gone, 2);
	assert_int_equal(accept_one(w, "a"), 0);
	ok(w, store_accept_all(w->store, w->drop.number, KNOWN_REFUSED, "too old", &n, &w->f));
	assert_int_equal(n, 2);
	assert_int_equal(sums(w).vanished, 2);
	ok(w, store_accept_all(w->store, w->drop.number, KNOWN_VANISHED, "too old", &n, &w->f));
	assert_int_equal(n, 2);
	assert_int_equal(sums(w).vanished, 0);
	ok(w, store_accept_all(w->store, w->drop.number, KNOWN_VANISHED, "too old", &n, &w->f));
	assert_int_equal(n, 0);
}

static void more_than_a_group_holds_are_accepted_in_several(void **state)
{
	enum { MANY = LIMIT_GROUP_ITEMS + 10 };
	struct world *w = *state;
	struct batch g CLEANUP(batch_deinit);
	uint64_t n = 0;

	batch_init(&g);
	for (unsigned k = 0; k < MANY; k++) {
		struct item *i = item_new(ITEM_REFUSAL, w->drop.number, &w->f);

		assert_non_null(i);
		ok(w, buffer_append_format(&i->uidl, &w->f, "u%u", k));
		i->reason = REFUSAL_FRAMING;
		batch_add(&g, i);
	}
	ok(w, store_commit(w->store, &g, &w->f));
	unsigned commits = count_lines(w, "event=commit");
	ok(w, store_accept_all(w->store, w->drop.number, KNOWN_REFUSED, "a flood", &n, &w->f));
	assert_int_equal(n, MANY);
	assert_int_equal(count_lines(w, "event=accept"), MANY);
	assert_int_equal(count_lines(w, "event=commit"), commits + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(accepting_a_refusal_leaves_it_refused_and_tells_why),
		WORLD_DROP_TEST(accepting_what_vanished_takes_it_out_of_the_sum),
		WORLD_DROP_TEST(accepting_twice_or_nothing_writes_nothing),
		WORLD_DROP_TEST(a_reason_must_be_given_and_has_a_cap),
		WORLD_DROP_TEST(an_accepted_refusal_that_fails_again_stays_accepted),
		WORLD_DROP_TEST(what_vanishes_again_is_counted_again),
		WORLD_DROP_TEST(sums_counted_before_the_accept_do_not_bring_it_back),
		WORLD_DROP_TEST(all_of_a_kind_are_accepted_at_once),
		WORLD_DROP_TEST(more_than_a_group_holds_are_accepted_in_several),
	};

	return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
