/* The trusted side of the index: what is written of what workers say, and what is known of it. */
#include "archive/handle.h"
#include "archive/index.h"
#include "archive/index_record.h"
#include "archive/index_work.h"
#include "tests/crash/forked.h"
#include "tests/unit/archived.h"

#include <stdio.h>

/* ---- Workers --------------------------------------------------------------------------------- */

static int works(struct forked *w, const struct seal_fds *fds)
{
	struct fault f;

	(void)w;
	return index_work(fds, NULL, &f) < 0 ? 1 : 0;
}

static int put(int fd, const void *data, size_t len)
{
	return write(fd, data, len) == (ssize_t)len ? 0 : 1;
}

static int say(const struct seal_fds *fds, const char *text)
{
	return put(fds->status, text, strlen(text));
}

static int put_record(const struct seal_fds *fds, uint32_t number, const char *subject)
{
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(INDEX_RECORD_MOST + 64 * KIB);
	const struct index_record r = {
		.number = number, .read = true, .text = {[INDEX_SUBJECT] = slice_text(subject)}};
	struct fault f;

	return index_record_format(&r, &b, &f) < 0 ? 1 : put(fds->out, b.data, b.len);
}

static int dies(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	(void)put_record(fds, 0, "lost");
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
	return 1;
}

static int says_nothing(struct forked *w, const struct seal_fds *fds)
{
	(void)w, (void)fds;
	return 0;
}

static int hangs(struct forked *w, const struct seal_fds *fds)
{
	(void)w, (void)fds;
	while (pause() < 0)
		;
	return 1;
}

static int fails(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	return say(fds, "failed of no \x1b[31m memory\n");
}

static int leaves_one_out(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	for (uint32_t i = 0; i < 4; i++)
		(void)put_record(fds, i, "lie");
	return say(fds, "done\n");
}

static int leaves_the_first_out(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	(void)put_record(fds, 1, "lie");
	return say(fds, "done\n");
}

static int says_one_twice(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	(void)put_record(fds, 0, "lie");
	(void)put_record(fds, 0, "lie");
	return say(fds, "done\n");
}

static int says_too_many(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	for (uint32_t i = 0; i < 6; i++)
		(void)put_record(fds, i, "lie");
	return say(fds, "done\n");
}

static int says_half_a_record(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	for (uint32_t i = 0; i < 5; i++)
		(void)put_record(fds, i, "lie");
	(void)put(fds->out, "\x05", 1);
	return say(fds, "done\n");
}

static int says_a_huge_one(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	(void)put(fds->out, "\xff\xff\xff\x7f", 4);
	return say(fds, "done\n");
}

static int says_what_is_no_text(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	(void)put_record(fds, 0, "a\nb");
	return say(fds, "done\n");
}

static int says_what_is_no_utf8(struct forked *w, const struct seal_fds *fds)
{
	(void)w;
	(void)put_record(fds, 0, "\xff");
	return say(fds, "done\n");
}

static int says_a_subject_too_long(struct forked *w, const struct seal_fds *fds)
{
	static char text[LIMIT_INDEX_SUBJECT + 2];

	(void)w;
	memset(text, 'x', sizeof text - 1);
	(void)put_record(fds, 0, text);
	return say(fds, "done\n");
}

static int says_noise(struct forked *w, const struct seal_fds *fds)
{
	static const uint8_t noise[65536];

	(void)w;
	while (put(fds->out, noise, sizeof noise) == 0)
		;
	return 1;
}

/* ---- What is asked --------------------------------------------------------------------------- */

static int run(
	struct world *w, struct forked *worker, enum index_care care, struct index_result *ret)
{
	const struct index_job job = {
		.starter = {forked_start, forked_end, worker}, .care = care, .silence_ms = 300};

	if (!worker->instead)
		worker->instead = works;
	*ret = (struct index_result){0};
	return store_index(w->store, &job, ret, &w->f);
}

static void index_all(struct world *w, enum index_care care, uint64_t expected)
{
	struct forked worker = {0};
	struct index_result result;

	ok(w, run(w, &worker, care, &result));
	assert_int_equal(result.indexed, expected);
}

static void expect_state(struct world *w, uint64_t messages, uint64_t indexed, uint64_t unread)
{
	struct index_state s;

	ok(w, store_index_state(w->store, &s, &w->f));
	assert_int_equal(s.messages, messages);
	assert_int_equal(s.indexed, indexed);
	assert_int_equal(s.unread, unread);
	assert_int_equal(s.oldest != 0, indexed < messages);
}

/* The rows say what the messages say, and the words are theirs. */
static void expect_rows(struct world *w, uint64_t expected)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	uint64_t n = 0;

	ok(w, find_open(w->store, NULL, NULL, &c, &w->f));
	while (find_next(c, &m, &w->f) == FIND_ROW) {
		struct indexed x CLEANUP(indexed_deinit) = {0};

		if (store_indexed(w->store, &m, &x, &w->f) != 0)
			continue;
		assert_string_equal(x.from, "anna@example.com");
		n++;
	}
	assert_int_equal(n, expected);
}

static int64_t in_search(struct world *w, const char *query)
{
	sqlite3 *db = NULL;
	int64_t number = -1;

	assert_int_equal(sqlite3_open(path_of(w, "search/search.db"), &db), SQLITE_OK);
	if (sqlite3_exec(db, query, take_number, &number, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	return number;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void what_was_kept_is_indexed_once(void **state)
{
	struct world *w = *state;

	expect_state(w, 0, 0, 0);
	keep(w, 0, 5);
	expect_state(w, 5, 0, 0);
	index_all(w, INDEX_QUICK, 5);
	expect_state(w, 5, 5, 0);
	expect_rows(w, 5);
	index_all(w, INDEX_QUICK, 0);
	keep(w, 5, 3);
	expect_state(w, 8, 5, 0);
	index_all(w, INDEX_THOROUGH, 3);
	expect_rows(w, 8);
	assert_int_equal(in_search(w, "SELECT count(*) FROM words WHERE words MATCH 'anna'"), 8);
	index_all(w, INDEX_ANEW, 8);
	expect_rows(w, 8);
}

static void messages_of_sealed_segments_are_indexed(void **state)
{
	struct world *w = *state;
	const struct seal_due all = {0};
	struct forked sealer = {0};
	const struct seal_job job = forked_job(&sealer);
	struct seal_result sealed;

	for (unsigned i = 0; i < 3; i++)
		keep_attachment(w, i, 0);
	keep(w, 10, 20);
	ok(w, store_seal(w->store, &all, &job, &sealed, &w->f));
	keep(w, 40, 5);
	index_all(w, INDEX_QUICK, 28);
	expect_state(w, 28, 28, 0);
	assert_int_equal(in_search(w, "SELECT count(*) FROM header WHERE attachments = 1"), 3);
}

static void only_one_process_indexes(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct index_result result;

	keep(w, 0, 2);
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->other, &w->f));
	assert_int_equal(turn_try(w->other->lock_fd, TURN_INDEX, &w->f), 0);
	assert_int_equal(run(w, &worker, INDEX_QUICK, &result), -1);
	assert_int_equal(w->f.code, FAULT_BUSY);
	turn_release(w->other->lock_fd, TURN_INDEX);
	index_all(w, INDEX_QUICK, 2);
}

static void a_worker_that_dies_hangs_or_lies_changes_nothing(void **state)
{
	static const struct {
		int (*instead)(struct forked *w, const struct seal_fds *fds);
		const char *why;
	} bad[] = {
		{dies, "killed by 11"},
		{says_nothing, "ended without a word"},
		{hangs, "no sign of life"},
		{fails, "of no \\x1b[31m memory"},
		{leaves_one_out, "left out messages"},
		{leaves_the_first_out, "not asked for"},
		{says_one_twice, "not asked for"},
		{says_too_many, "not asked for"},
		{says_half_a_record, "left out messages"},
		{says_a_huge_one, "longer than records are"},
		{says_what_is_no_text, "what cannot be"},
		{says_what_is_no_utf8, "what cannot be"},
		{says_a_subject_too_long, "what cannot be"},
		{says_noise, "lies"},
	};
	struct world *w = *state;

	keep(w, 0, 5);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct forked worker = {.instead = bad[i].instead};
		struct index_result result;

		assert_int_equal(run(w, &worker, INDEX_QUICK, &result), -1);
		if (!strstr(w->f.text, bad[i].why))
			fail_msg("%s: %s", bad[i].why, w->f.text);
		assert_int_equal(w->f.code, FAULT_SYSTEM);
		assert_int_equal(result.indexed, 0);
		expect_state(w, 5, 0, 0);
		assert_int_equal(in_search(w, "SELECT count(*) FROM header"), 0);
	}
	index_all(w, INDEX_QUICK, 5);
	expect_rows(w, 5);
}

static void a_message_that_is_not_what_was_kept_gets_no_row(void **state)
{
	struct world *w = *state;
	struct index_result result;
	struct forked worker = {0};

	keep(w, 0, 3);
	keep_of(w, 10, 1, "other");
	/* The last bytes of the second segment: its only frame. */
	flip(w, "segments/000002.open.tar.zst", size_of(w, "segments/000002.open.tar.zst") - 20);
	ok(w, run(w, &worker, INDEX_QUICK, &result));
	assert_int_equal(result.indexed, 3);
	assert_int_equal(result.failed, 1);
	expect_state(w, 4, 3, 1);
	worker.runs = 0;
	ok(w, run(w, &worker, INDEX_QUICK, &result));
	assert_int_equal(worker.runs, 0);
	flip(w, "segments/000002.open.tar.zst", size_of(w, "segments/000002.open.tar.zst") - 20);
	index_all(w, INDEX_THOROUGH, 1);
	expect_state(w, 4, 4, 0);
	expect_rows(w, 4);
}

static void rows_of_lost_messages_go(void **state)
{
	struct world *w = *state;
	struct forked worker = {0};
	struct index_result result;

	keep(w, 0, 4);
	index_all(w, INDEX_QUICK, 4);
	sql(w, "INSERT INTO lost (id, digest) SELECT id, digest FROM message ORDER BY id LIMIT 1");
	sql(w, "UPDATE segment SET messages = messages - 1");
	sql(w, "DELETE FROM message WHERE id = (SELECT min(id) FROM message)");
	ok(w, run(w, &worker, INDEX_QUICK, &result));
	assert_int_equal(result.removed, 1);
	expect_state(w, 3, 3, 0);
	assert_int_equal(in_search(w, "SELECT count(*) FROM words WHERE words MATCH 'anna'"), 3);
}

static void a_row_of_another_message_is_replaced(void **state)
{
	struct world *w = *state;

	keep(w, 0, 4);
	index_all(w, INDEX_QUICK, 4);
	assert_int_equal(in_search(w, "UPDATE header SET digest = zeroblob(32) WHERE id = "
				      "(SELECT min(id) FROM header)"),
		-1);
	expect_rows(w, 3);
	index_all(w, INDEX_THOROUGH, 1);
	expect_rows(w, 4);
	assert_int_equal(in_search(w, "SELECT count(*) FROM words WHERE words MATCH 'anna'"), 4);
	assert_int_equal(
		in_search(w, "DELETE FROM header WHERE id = (SELECT max(id) FROM header)"), -1);
	index_all(w, INDEX_THOROUGH, 1);
	expect_rows(w, 4);
	expect_state(w, 4, 4, 0);
}

static void an_index_of_another_state_of_the_archive_begins_anew(void **state)
{
	struct world *w = *state;
	char *notice;

	keep(w, 0, 4);
	index_all(w, INDEX_QUICK, 4);
	assert_int_equal(in_search(w, "UPDATE state SET done = 999"), -1);
	expect_state(w, 4, 0, 0);
	index_all(w, INDEX_QUICK, 4);
	notice = store_take_notice(w->store);
	assert_non_null(notice);
	assert_non_null(strstr(notice, "begins anew"));
	free(notice);
	expect_rows(w, 4);
}

static int stop_at_once(void *context, uint64_t done, uint64_t all)
{
	(void)done, (void)all;
	return ++*(unsigned *)context > 2;
}

static void what_was_read_before_it_was_stopped_stays(void **state)
{
	struct world *w = *state;
	struct forked worker = {.instead = works};
	struct index_result result = {0};
	unsigned calls = 0;
	const struct index_job job = {.starter = {forked_start, forked_end, &worker},
		.progress = stop_at_once,
		.progress_context = &calls};

	keep(w, 0, 300);
	assert_int_equal(store_index(w->store, &job, &result, &w->f), -1);
	assert_int_equal(w->f.code, FAULT_INTERRUPT);
	expect_state(w, 300, result.indexed, 0);
	index_all(w, INDEX_QUICK, 300 - result.indexed);
	expect_state(w, 300, 300, 0);
	expect_rows(w, 300);
}

static void a_rebuilt_catalog_keeps_the_index(void **state)
{
	struct world *w = *state;

	keep(w, 0, 4);
	index_all(w, INDEX_QUICK, 4);
	rebuild(w);
	expect_state(w, 4, 4, 0);
	index_all(w, INDEX_THOROUGH, 0);
	expect_rows(w, 4);
}

static void a_damaged_index_counts_for_nothing_and_begins_anew(void **state)
{
	struct world *w = *state;

	keep(w, 0, 4);
	index_all(w, INDEX_QUICK, 4);
	reopen(w);
	FILE *file = fopen(path_of(w, "search/search.db"), "w");
	assert_non_null(file);
	for (int i = 0; i < 3000; i++)
		(void)fputs("rubbish ", file);
	assert_int_equal(fclose(file), 0);
	(void)unlink(path_of(w, "search/search.db-wal"));
	expect_state(w, 4, 0, 0);
	index_all(w, INDEX_QUICK, 4);
	expect_state(w, 4, 4, 0);
	expect_rows(w, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(what_was_kept_is_indexed_once),
		WORLD_DROP_TEST(messages_of_sealed_segments_are_indexed),
		WORLD_DROP_TEST(only_one_process_indexes),
		WORLD_DROP_TEST(a_worker_that_dies_hangs_or_lies_changes_nothing),
		WORLD_DROP_TEST(a_message_that_is_not_what_was_kept_gets_no_row),
		WORLD_DROP_TEST(rows_of_lost_messages_go),
		WORLD_DROP_TEST(a_row_of_another_message_is_replaced),
		WORLD_DROP_TEST(an_index_of_another_state_of_the_archive_begins_anew),
		WORLD_DROP_TEST(what_was_read_before_it_was_stopped_stays),
		WORLD_DROP_TEST(a_rebuilt_catalog_keeps_the_index),
		WORLD_DROP_TEST(a_damaged_index_counts_for_nothing_and_begins_anew),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
