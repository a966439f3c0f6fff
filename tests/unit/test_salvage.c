/* Salvage on a real folder: what is whole stays, what is lost is entered, and nothing else. */
#include "archive/known.h"
#include "archive/limits.h"
#include "archive/maildrop.h"
#include "archive/salvage.h"

#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

#define OPEN_1	 "segments/000001.open.tar.zst"
#define SEALED_2 "segments/000002.tar.zst"

enum { LOST_MAX = 64 };

struct told {
	unsigned n;
	struct digest digest[LOST_MAX];
};

static void note_lost(void *context, const struct message *m, const char *why)
{
	struct told *t = context;

	assert_true(why && why[0]);
	assert_true(t->n < LOST_MAX);
	t->digest[t->n++] = m->digest;
}

static int salvage(struct world *w, uint64_t segment, unsigned how, struct told *told,
	struct salvage_sums *ret)
{
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);

	*told = (struct told){0};
	return store_salvage(w->store, segment, how, &job, note_lost, told, ret, &w->f);
}

static void seal_all(struct world *w)
{
	static const struct seal_due all_due = {0};
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	struct seal_result r;

	assert_int_equal(store_seal(w->store, &all_due, &job, &r, &w->f), 0);
}

static struct sums sums_of(struct world *w)
{
	struct maildrop drop CLEANUP(maildrop_deinit) = {0};

	ok(w, store_maildrop(w->store, "anna", "pop.example.com", "anna", &drop, &w->f));
	return drop.sums;
}

static void a_segment_without_damage_is_left_alone(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;

	keep(w, 0, 5);
	assert_int_equal(salvage(w, 1, 0, &told, &sums), SEAL_NOTHING);
	keep(w, 5, 5);
	assert_false(exists(w, "segments/000002.open.tar.zst"));
	assert_int_equal(salvage(w, 7, 0, &told, &sums), -1);
	assert_int_equal(w->f.code, FAULT_MISSING);
}

/* Each group is a frame: damage in the second costs its messages. */
static off_t two_frames(struct world *w)
{
	keep(w, 0, 5);
	off_t end = size_of(w, OPEN_1);
	keep(w, 5, 5);
	return end;
}

static void whole_messages_of_a_damaged_open_segment_are_sealed_and_others_lost(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;
	off_t second = two_frames(w);

	flip(w, OPEN_1, second + 30);
	ok(w, salvage(w, 1, 0, &told, &sums));
	assert_int_equal(sums.sealed.segment, 2);
	assert_int_equal(sums.sealed.messages, 5);
	assert_int_equal(sums.lost, 5);
	assert_int_equal(told.n, 5);
	assert_true(exists(w, "segments/000001.damaged"));
	assert_false(exists(w, OPEN_1));
	assert_int_equal(count(w), 5);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
	assert_int_equal(damages(w), 0);
}

static void what_is_lost_is_pending_until_it_is_kept_again(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;
	off_t second = two_frames(w);
	struct sums before = sums_of(w);

	flip(w, OPEN_1, second + 30);
	ok(w, salvage(w, 1, 0, &told, &sums));
	struct sums now = sums_of(w);
	assert_int_equal(now.archived, 5);
	assert_int_equal(now.pending, before.pending + 5);
	assert_int_equal(now.listed, now.archived + now.pending + now.refused);
	rebuild_is_the_same(w);
	keep(w, 5, 5);
	now = sums_of(w);
	assert_int_equal(now.archived, 10);
	assert_int_equal(now.pending, before.pending);
	assert_int_equal(count(w), 10);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
	seal_all(w);
	rebuild_is_the_same(w);
	assert_int_equal(damages(w), 0);
}

static void a_sealed_segment_is_salvaged_into_another(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;

	keep(w, 0, 10);
	seal_all(w);
	flip(w, SEALED_2, size_of(w, SEALED_2) - 20); /* the seek table: no message */
	ok(w, salvage(w, 2, 0, &told, &sums));
	assert_int_equal(told.n, 0);
	assert_int_equal(sums.sealed.segment, 3);
	assert_int_equal(sums.sealed.messages, 10);
	assert_true(exists(w, "segments/000002.damaged"));
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
	every_message_reads(w);
}

static void a_segment_of_which_nothing_is_whole_leaves_an_empty_one(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;

	keep(w, 0, 10);
	seal_all(w);
	flip(w, SEALED_2, 40);
	ok(w, salvage(w, 2, 0, &told, &sums));
	assert_int_equal(told.n, 10);
	assert_int_equal(sums.sealed.messages, 0);
	assert_int_equal(count(w), 0);
	assert_int_equal(damages(w), 0);
	keep(w, 0, 10);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
	assert_int_equal(damages(w), 0);
}

static void looking_changes_nothing(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;
	off_t second = two_frames(w);

	flip(w, OPEN_1, second + 30);
	ok(w, salvage(w, 1, SALVAGE_LOOK, &told, &sums));
	assert_int_equal(told.n, 5);
	assert_int_equal(sums.sealed.segment, 0);
	assert_int_equal(count(w), 10);
	assert_true(exists(w, OPEN_1));
	assert_false(exists(w, "segments/000001.damaged"));
	flip(w, OPEN_1, second + 30);
	assert_int_equal(damages(w), 0);
}

static void a_missing_segment_is_given_up_only_when_asked(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;

	keep(w, 0, 4);
	seal_all(w);
	assert_int_equal(unlink(path_of(w, SEALED_2)), 0);
	assert_int_equal(salvage(w, 2, 0, &told, &sums), SALVAGE_ABSENT);
	assert_int_equal(sums.lost, 4);
	assert_int_equal(count(w), 4);
	ok(w, salvage(w, 2, SALVAGE_GIVE_UP, &told, &sums));
	assert_int_equal(told.n, 4);
	assert_int_equal(count(w), 0);
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
}

static void messages_in_no_segment_are_given_up_when_asked(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;
	off_t second = two_frames(w);

	flip(w, OPEN_1, second + 30);
	rebuild(w);
	assert_int_equal(salvage(w, 0, 0, &told, &sums), SALVAGE_ABSENT);
	ok(w, salvage(w, 0, SALVAGE_GIVE_UP, &told, &sums));
	assert_int_equal(told.n, 5);
	assert_int_equal(count(w), 5);
	ok(w, salvage(w, 1, 0, &told, &sums));
	assert_int_equal(told.n, 0);
	assert_int_equal(damages(w), 0);
	rebuild_is_the_same(w);
	assert_int_equal(salvage(w, 0, 0, &told, &sums), SEAL_NOTHING);
}

static int copy_file(const char *from, const char *to)
{
	char command[512];

	(void)snprintf(command, sizeof command, "cp %s %s", from, to);
	return system(command);
}

/* A second file with the same messages, as after a catalog that was made from a damaged ledger. */
static void what_lies_whole_elsewhere_is_not_lost(void **state)
{
	struct world *w = *state;
	struct salvage_sums sums;
	struct told told;

	two_frames(w);
	store_close(w->store);
	w->store = NULL;
	assert_int_equal(copy_file(path_of(w, OPEN_1), path_of(w, "spare")), 0);
	reopen(w);
	off_t end = size_of(w, OPEN_1);
	keep_of(w, 20, 5, "other");
	flip(w, OPEN_1, end - 40);
	/* The same entries behind those of the other class, before its catalog is made again. */
	store_close(w->store);
	w->store = NULL;
	char command[512];
	(void)snprintf(command, sizeof command,
		"cd %s && cat spare segments/000002.open.tar.zst > both && "
		"mv both segments/000002.open.tar.zst",
		w->path);
	assert_int_equal(system(command), 0);
	flip(w, OPEN_1, end - 40);
	struct rebuild_sums rebuilt;
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &rebuilt, &w->f));
	reopen(w);
	flip(w, OPEN_1, end - 40);
	ok(w, salvage(w, 1, 0, &told, &sums));
	assert_int_equal(told.n, 0);
	assert_int_equal(sums.moved, 5);
	assert_int_equal(count(w), 15);
	every_message_reads(w);
	assert_int_equal(damages(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(a_segment_without_damage_is_left_alone),
		WORLD_DROP_TEST(
			whole_messages_of_a_damaged_open_segment_are_sealed_and_others_lost),
		WORLD_DROP_TEST(what_is_lost_is_pending_until_it_is_kept_again),
		WORLD_DROP_TEST(a_sealed_segment_is_salvaged_into_another),
		WORLD_DROP_TEST(a_segment_of_which_nothing_is_whole_leaves_an_empty_one),
		WORLD_DROP_TEST(looking_changes_nothing),
		WORLD_DROP_TEST(a_missing_segment_is_given_up_only_when_asked),
		WORLD_DROP_TEST(messages_in_no_segment_are_given_up_when_asked),
		WORLD_DROP_TEST(what_lies_whole_elsewhere_is_not_lost),
	};

	return cmocka_run_group_tests_name("salvage", tests, NULL, NULL);
}
