/* The digests of what groups appended to open segments: who makes them, and when they go. What
 * verify says of them is in test_verify.c. */
#include "archive/file.h"
#include "archive/handle.h"
#include "archive/stretch.h"
#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

#define SEGMENT "segments/000001.open.tar.zst"

/* Of segment 1, which must lie one behind the other from `from` to the end of the file, each with
 * the digest of its bytes. How many. */
static unsigned stretches_from(struct world *w, uint64_t from)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	int fd CLEANUP(fd_closep) = open(path_of(w, SEGMENT), O_RDONLY | O_CLOEXEC);
	struct digest found;
	struct stretch t;
	unsigned n = 0;
	int r;

	assert_true(fd >= 0);
	ok(w, hasher_new(&h, &w->f));
	while ((r = stretch_next(w->store->catalog, 1, from, &t, &w->f)) == 0) {
		assert_int_equal(t.offset, from);
		assert_true(t.length > 0);
		from += t.length;
		assert_int_equal(file_add_to_hasher(fd, t.offset, from, h), 0);
		hasher_end(h, &found);
		assert_int_equal(digest_compare(&found, &t.digest), 0);
		n++;
	}
	assert_int_equal(r, CATALOG_NONE);
	assert_int_equal(from, size_of(w, SEGMENT));
	return n;
}

static bool has_any(struct world *w, uint64_t segment)
{
	struct stretch t;
	int r = w->store ? stretch_next(w->store->catalog, segment, 0, &t, &w->f) : -1;

	ok(w, r);
	return r == 0;
}

static void each_group_has_the_digest_of_what_it_appended(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	keep(w, 5, 1);
	reopen(w);
	keep(w, 6, 3);
	keep(w, 0, 5); /* known: nothing is appended */
	assert_int_equal(stretches_from(w, 0), 3);
}

static void copy_in(struct world *w, const char *from, const char *to)
{
	char command[400];

	(void)snprintf(command, sizeof command, "cp %s %s", path_of(w, from), path_of(w, to));
	assert_int_equal(system(command), 0); /* NOLINT: a test's own paths */
}

/* As a power cut takes the catalog's last transactions. */
static void replay_makes_one_of_what_the_catalog_lacks(void **state)
{
	struct world *w = *state;
	off_t before;

	keep(w, 0, 5);
	before = size_of(w, SEGMENT);
	w->store = store_close(w->store);
	copy_in(w, "catalog.db", "saved");
	reopen(w);
	keep(w, 5, 2);
	keep(w, 7, 2);
	assert_int_equal(stretches_from(w, 0), 3);
	w->store = store_close(w->store);
	copy_in(w, "saved", "catalog.db");
	int fd CLEANUP(fd_closep) = open(path_of(w, SEGMENT), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "torn", 4), 4);
	reopen(w);
	assert_int_equal(stretches_from(w, (uint64_t)before), 1);
	keep(w, 9, 1);
	assert_int_equal(stretches_from(w, 0), 3);
	assert_int_equal(damages(w), 0);
}

static void a_group_that_never_happened_leaves_none(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	int fd CLEANUP(fd_closep) = open(path_of(w, SEGMENT), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "torn", 4), 4);
	reopen(w);
	assert_int_equal(stretches_from(w, 0), 1);
}

static void rebuild_makes_one_of_each_open_segment(void **state)
{
	struct world *w = *state;

	keep(w, 0, 5);
	keep(w, 5, 5);
	keep_of(w, 10, 1, "short");
	rebuild(w);
	assert_int_equal(stretches_from(w, 0), 1);
	assert_true(has_any(w, 2));
	keep(w, 11, 1);
	assert_int_equal(stretches_from(w, 0), 2);
	assert_int_equal(damages(w), 0);
}

static void they_go_when_the_segment_is_sealed(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct seal_job job = forked_job(&worker);
	const struct seal_due due = {0};
	struct seal_result sealed;

	keep(w, 0, 5);
	assert_true(has_any(w, 1));
	assert_int_equal(store_seal(w->store, &due, &job, &sealed, &w->f), 0);
	keep(w, 5, 1);
	assert_false(has_any(w, 1));
	assert_false(has_any(w, 2));
	assert_true(has_any(w, 3));
	rebuild(w);
	assert_false(has_any(w, 2));
	assert_true(has_any(w, 3));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_begin_with_drop, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_group_has_the_digest_of_what_it_appended),
		CASE(replay_makes_one_of_what_the_catalog_lacks),
		CASE(a_group_that_never_happened_leaves_none),
		CASE(rebuild_makes_one_of_each_open_segment),
		CASE(they_go_when_the_segment_is_sealed),
	};

	return cmocka_run_group_tests_name("stretch", tests, NULL, NULL);
}
