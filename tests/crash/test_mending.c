/* Crashes and damage that are made by hand, where waiting for chance would be long. */
#include "archive/check.h"
#include "archive/find.h"
#include "archive/known.h"
#include "archive/limits.h"
#include "tests/unit/world.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct store *open_store(struct world *w)
{
	struct store *s = NULL;

	ok(w, store_open(w->path, NULL, STORE_WRITE, &s, &w->f));
	return s;
}

static void add(struct world *w, struct batch *b, unsigned i, const char *uidl, const char *class_)
{
	char text[64];
	struct item *item = item_new(ITEM_MESSAGE, w->drop.number, &w->f);

	assert_non_null(item);
	(void)snprintf(text, sizeof text, "Subject: %u\r\n\r\nbody of %u\r\n", i, i);
	ok(w, spool_new(w->pool, &item->spool, &w->f));
	ok(w, spool_write(item->spool, slice_text(text), &w->f));
	spool_finish(item->spool);
	item->class_ = class_;
	ok(w, buffer_append_text(&item->uidl, uidl, &w->f));
	batch_add(b, item);
}

static void commit(struct world *w, struct store *s, struct batch *b)
{
	ok(w, store_commit(s, b, &w->f));
	batch_deinit(b);
}

static void keep(struct world *w, struct store *s, unsigned i, const char *uidl)
{
	struct batch b;

	batch_init(&b);
	add(w, &b, i, uidl, NULL);
	commit(w, s, &b);
}

static uint64_t count(struct world *w, struct store *s)
{
	uint64_t messages = 0, bytes;

	ok(w, find_count(s, NULL, &messages, &bytes, &w->f));
	return messages;
}

static unsigned damages(struct world *w, struct store *s)
{
	struct verify *v CLEANUP(verify_closep) = NULL;
	struct damage d;
	unsigned n = 0;
	int r;

	ok(w, verify_open(s, VERIFY_FULL, &v, &w->f));
	while ((r = verify_step(v, &d, &w->f)) > 0) {
		if (r == VERIFY_DAMAGE && n++ < 3)
			print_message("# %s\n", d.text);
	}
	ok(w, r);
	return n;
}

static char *path_of(struct world *w, const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof path, "%s/%s", w->path, name);
	return path;
}

static void close_all(struct world *w)
{
	w->store = store_close(w->store);
	w->other = store_close(w->other);
}

static void copy_file(struct world *w, const char *from, const char *to)
{
	char command[256];

	(void)snprintf(command, sizeof command, "cp %s/%s %s/%s", w->path, from, w->path, to);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own paths */
}

static void save_catalog(struct world *w)
{
	close_all(w);
	copy_file(w, "catalog.db", "saved");
	w->store = open_store(w);
}

static void bring_back_catalog(struct world *w)
{
	close_all(w);
	copy_file(w, "saved", "catalog.db");
}

#define SEGMENT "segments/000001.open.tar.zst"
#define LEDGER	"ledger/000001.log"

static off_t size_of(struct world *w, const char *name)
{
	struct stat st;

	return stat(path_of(w, name), &st) == 0 ? st.st_size : -1;
}

static void overwrite(
	struct world *w, const char *name, off_t from, off_t end, uint8_t byte, bool flip)
{
	int fd CLEANUP(fd_closep) = open(path_of(w, name), O_RDWR);
	uint8_t old = 0;

	assert_true(fd >= 0);
	for (; from < end; from++) {
		if (flip)
			assert_int_equal(pread(fd, &old, 1, from), 1);
		uint8_t now = flip ? (uint8_t)~old : byte;
		assert_int_equal(pwrite(fd, &now, 1, from), 1);
	}
}

/* ---- Numbers of maildrops ------------------------------------------------------------------- */

static void register_as(struct world *w, struct store *s, const char *name, uint64_t number)
{
	struct maildrop m;

	ok(w, store_maildrop(s, name, "pop.example.com", name, &m, &w->f));
	assert_string_equal(m.name, name);
	assert_int_equal(m.number, number);
	maildrop_deinit(&m);
}

static void a_number_that_another_process_gave_before_it_died_is_not_given_again(void **state)
{
	struct world *w = *state;
	off_t before = size_of(w, LEDGER);

	/* The ledger group of one that died before its catalog transaction. */
	save_catalog(w);
	register_as(w, w->store, "bert", 2);
	copy_file(w, LEDGER, "ledger.longer");
	bring_back_catalog(w);
	assert_int_equal(truncate(path_of(w, LEDGER), before), 0);
	w->store = open_store(w);
	copy_file(w, "ledger.longer", LEDGER);
	register_as(w, w->store, "carl", 3);
	register_as(w, w->store, "bert", 2);
}

static void a_number_that_was_given_after_a_rebuild_is_not_given_again(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;

	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	w->other = open_store(w);
	register_as(w, w->other, "bert", 2);
	register_as(w, w->store, "carl", 3);
	register_as(w, w->store, "bert", 2);
}

/* ---- Torn groups ----------------------------------------------------------------------------- */

static void sectors_that_never_came_inside_one_line_are_a_torn_group(void **state)
{
	struct world *w = *state;
	char uidl[LIMIT_UIDL + 1];

	keep(w, w->store, 1, "a");
	save_catalog(w);
	off_t before = size_of(w, LEDGER);
	memset(uidl, 'x', LIMIT_UIDL);
	uidl[LIMIT_UIDL] = '\0';
	keep(w, w->store, 2, uidl);
	bring_back_catalog(w);
	overwrite(w, LEDGER, before + 200, before + 200 + 512, 0, false);
	w->store = open_store(w);
	assert_int_equal(count(w, w->store), 1);
	keep(w, w->store, 2, uidl);
	assert_int_equal(damages(w, w->store), 0);
}

static void a_torn_group_may_hold_a_uidl_that_looks_like_a_commit_line(void **state)
{
	struct world *w = *state;
	struct batch b;

	keep(w, w->store, 1, "a");
	save_catalog(w);
	batch_init(&b);
	add(w, &b, 2, "event=commit", NULL);
	add(w, &b, 3, "b", NULL);
	commit(w, w->store, &b);
	bring_back_catalog(w);
	assert_int_equal(truncate(path_of(w, LEDGER), size_of(w, LEDGER) - 20), 0);
	w->store = open_store(w);
	assert_int_equal(count(w, w->store), 1);
	assert_int_equal(damages(w, w->store), 0);
}

static void a_changed_byte_in_the_last_group_is_damage(void **state)
{
	struct world *w = *state;

	save_catalog(w);
	off_t before = size_of(w, LEDGER);
	keep(w, w->store, 2, "event=commit");
	bring_back_catalog(w);
	overwrite(w, LEDGER, before + 60, before + 61, 'y', false);
	assert_int_equal(store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f), -1);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
}

/* ---- Damage behind the catalog's end --------------------------------------------------------- */

static void bytes_of_a_message_that_the_ledger_keeps_are_never_cut(void **state)
{
	struct world *w = *state;

	keep(w, w->store, 1, "a");
	save_catalog(w);
	off_t before = size_of(w, SEGMENT);
	keep(w, w->store, 2, "b");
	off_t after = size_of(w, SEGMENT);
	bring_back_catalog(w);
	overwrite(w, SEGMENT, before + 20, before + 40, 0, true);
	w->store = open_store(w);
	assert_int_equal(count(w, w->store), 2);
	assert_int_equal(size_of(w, SEGMENT), after);
	keep(w, w->store, 3, "c");
	assert_int_equal(size_of(w, SEGMENT), after); /* it went to a new segment */
	assert_true(damages(w, w->store) > 0);
}

/* ---- Many classes, and a rebuild under open handles ----------------------------------------- */

static void more_classes_than_segments_can_be_open_go_on(void **state)
{
	struct world *w = *state;
	static char class_[20][8];
	char uidl[8];

	for (unsigned n = 0; n < 20; n++) {
		struct batch b;

		batch_init(&b);
		for (unsigned i = n > 0 ? n - 1 : 0; i <= n; i++) {
			(void)snprintf(class_[i], sizeof class_[i], "c%u", i);
			(void)snprintf(uidl, sizeof uidl, "u%u-%u", n, i);
			add(w, &b, n * 100 + i, uidl, class_[i]);
		}
		commit(w, w->store, &b);
	}
	assert_int_equal(count(w, w->store), 39);
	assert_int_equal(damages(w, w->store), 0);
}

static void cursors_outlive_a_rebuild_by_another_process(void **state)
{
	struct world *w = *state;
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct known_cursor *k CLEANUP(known_closep) = NULL;
	struct message m;
	struct known known;
	struct rebuild_sums sums;

	for (unsigned i = 0; i < 3; i++)
		keep(w, w->store, i, (const char *[]){"a", "b", "c"}[i]);
	ok(w, find_open(w->store, NULL, NULL, &c, &w->f));
	ok(w, known_open(w->store, w->drop.number, &k, &w->f));
	assert_int_equal(find_next(c, &m, &w->f), FIND_ROW);
	assert_int_equal(known_next(k, &known, &w->f), KNOWN_ROW);
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	assert_int_equal(count(w, w->store), 3); /* opens the new catalog */
	assert_int_equal(find_next(c, &m, &w->f), FIND_ROW);
	ok(w, message_check(w->store, &m, &w->f));
	assert_int_equal(known_next(k, &known, &w->f), KNOWN_ROW);
	keep(w, w->store, 7, "d");
	assert_int_equal(find_next(c, &m, &w->f), FIND_ROW);
	assert_int_equal(find_next(c, &m, &w->f), 0);
	assert_int_equal(damages(w, w->store), 0);
}

static void a_rebuild_leaves_the_catalog_of_those_who_have_it_open_alone(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;

	w->other = open_store(w);
	keep(w, w->store, 1, "a");
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	keep(w, w->other, 2, "b"); /* in the new one */
	keep(w, w->store, 3, "c"); /* closes the old one */
	keep(w, w->other, 4, "d");
	assert_int_equal(count(w, w->store), 4);
	assert_int_equal(count(w, w->other), 4);
	assert_int_equal(damages(w, w->store), 0);
}

static void the_mark_of_a_failed_write_begins_new_files_after_a_rebuild_too(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;

	keep(w, w->store, 1, "a");
	close_all(w);
	int fd CLEANUP(fd_closep) = open(path_of(w, "write-failed"), O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	w->store = open_store(w);
	keep(w, w->store, 2, "b");
	assert_true(size_of(w, "segments/000002.open.tar.zst") > 0);
	assert_true(size_of(w, "ledger/000002.log") > 0);
	assert_int_equal(size_of(w, "write-failed"), -1);
	assert_int_equal(damages(w, w->store), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(
			a_number_that_another_process_gave_before_it_died_is_not_given_again),
		WORLD_DROP_TEST(a_number_that_was_given_after_a_rebuild_is_not_given_again),
		WORLD_DROP_TEST(sectors_that_never_came_inside_one_line_are_a_torn_group),
		WORLD_DROP_TEST(a_torn_group_may_hold_a_uidl_that_looks_like_a_commit_line),
		WORLD_DROP_TEST(a_changed_byte_in_the_last_group_is_damage),
		WORLD_DROP_TEST(bytes_of_a_message_that_the_ledger_keeps_are_never_cut),
		WORLD_DROP_TEST(more_classes_than_segments_can_be_open_go_on),
		WORLD_DROP_TEST(cursors_outlive_a_rebuild_by_another_process),
		WORLD_DROP_TEST(a_rebuild_leaves_the_catalog_of_those_who_have_it_open_alone),
		WORLD_DROP_TEST(the_mark_of_a_failed_write_begins_new_files_after_a_rebuild_too),
	};

	return cmocka_run_group_tests_name("mending", tests, NULL, NULL);
}
