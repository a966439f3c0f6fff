/* search.db as a file: what is there when it is opened, and what is made of it. */
#include "archive/handle.h"
#include "archive/search_db.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

static const char ours[] = "0123456789abcdef0123456789abcdef";
static const char theirs[] = "fedcba9876543210fedcba9876543210";

static struct search_db *open_to_write(const char *archive, struct search_anew *ret)
{
	struct search_db *d = NULL;
	struct fault f;

	*ret = (struct search_anew){0};
	assert_int_equal(search_db_open("search.db", archive, SEARCH_WRITE, &d, ret, &f), 0);
	return d;
}

static void put_row(struct search_db *d, int64_t id)
{
	sqlite3_stmt *row, *words;
	struct fault f;

	assert_int_equal(search_db_begin(d, &f), 0);
	row = search_db_statement(d, SEARCH_PUT_HEADER, &f);
	words = search_db_statement(d, SEARCH_PUT_WORDS, &f);
	assert_non_null(row);
	assert_non_null(words);
	(void)sqlite3_bind_int64(row, 1, id);
	(void)sqlite3_bind_blob(row, 2, "d", 1, SQLITE_STATIC);
	for (int i = 5; i <= 11; i++)
		(void)sqlite3_bind_text(row, i, i == 10 ? "0" : "word", -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(words, 1, id);
	for (int i = 2; i <= 6; i++)
		(void)sqlite3_bind_text(words, i, "word", -1, SQLITE_STATIC);
	assert_int_equal(search_db_run(d, row, &f), 0);
	assert_int_equal(search_db_run(d, words, &f), 0);
	assert_int_equal(search_db_commit(d, &f), 0);
}

static uint64_t rows(struct search_db *d)
{
	struct fault f;
	sqlite3_stmt *s = search_db_statement(d, SEARCH_COUNT, &f);

	assert_non_null(s);
	assert_int_equal(search_db_step(d, s, &f), 1);
	uint64_t n = (uint64_t)sqlite3_column_int64(s, 0);
	(void)sqlite3_reset(s);
	return n;
}

/* A file with one row, closed. */
static void make_one(void)
{
	struct search_anew anew;
	struct search_db *d = open_to_write(ours, &anew);

	put_row(d, 7);
	search_db_close(d);
}

static void every_statement_prepares(void **state)
{
	struct search_anew anew;
	struct search_db *d = open_to_write(ours, &anew);
	struct fault f;

	(void)state;
	for (int i = 0; i < SEARCH_COUNT_OF_STATEMENTS; i++)
		assert_non_null(search_db_statement(d, (enum search_statement)i, &f));
	search_db_close(d);
}

static void a_reader_of_none_is_told_so_and_makes_none(void **state)
{
	struct search_db *d = NULL;
	struct fault f;

	(void)state;
	assert_int_equal(search_db_open("search.db", ours, SEARCH_READ, &d, NULL, &f), SEARCH_NONE);
	assert_null(d);
	assert_int_not_equal(access("search.db", F_OK), 0);
}

static void one_that_was_made_is_there_the_next_time(void **state)
{
	struct search_anew anew;
	struct search_db *d = open_to_write(ours, &anew);

	(void)state;
	assert_true(anew.anew);
	assert_string_equal(anew.why, "");
	put_row(d, 7);
	search_db_close(d);
	d = open_to_write(ours, &anew);
	assert_false(anew.anew);
	assert_int_equal(rows(d), 1);
	search_db_close(d);
}

static void expect_anew(const char *why)
{
	struct search_db *d = NULL;
	struct search_anew anew;
	struct fault f;

	assert_int_equal(search_db_open("search.db", ours, SEARCH_READ, &d, NULL, &f), SEARCH_NONE);
	d = open_to_write(ours, &anew);
	assert_true(anew.anew);
	assert_string_equal(anew.why, why);
	assert_int_equal(rows(d), 0);
	put_row(d, 1);
	search_db_close(d);
}

static void one_of_another_archive_begins_anew(void **state)
{
	struct search_anew anew;

	(void)state;
	struct search_db *d = open_to_write(theirs, &anew);
	put_row(d, 7);
	search_db_close(d);
	expect_anew("it was of another archive");
}

static void change(const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open("search.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

static void one_of_another_version_begins_anew(void **state)
{
	(void)state;
	make_one();
	change("PRAGMA user_version = 99");
	expect_anew("it was of another version of popkeep");
}

static void one_without_its_state_begins_anew(void **state)
{
	(void)state;
	make_one();
	change("DELETE FROM state");
	expect_anew("it was damaged");
}

static void a_file_of_other_bytes_begins_anew(void **state)
{
	(void)state;
	folder_put("search.db",
		"This is not a database, and longer than a header of one, which has a "
		"hundred bytes, so that it is looked at.\n");
	expect_anew("it was damaged");
}

static void one_whose_schema_is_broken_begins_anew(void **state)
{
	(void)state;
	make_one();
	change("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
	FILE *file = fopen("search.db", "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, 100, SEEK_SET), 0);
	for (int i = 0; i < 4000; i++)
		assert_int_not_equal(fputc(0x5a, file), EOF);
	assert_int_equal(fclose(file), 0);
	expect_anew("it was damaged");
}

static void emptying_it_leaves_a_reader_with_none(void **state)
{
	struct search_anew anew;
	struct search_db *reader = NULL;
	struct fault f;

	(void)state;
	make_one();
	assert_int_equal(search_db_open("search.db", ours, SEARCH_READ, &reader, NULL, &f), 0);
	assert_int_equal(rows(reader), 1);
	struct search_db *d = open_to_write(ours, &anew);
	assert_int_equal(search_db_empty(d, ours, &f), 0);
	assert_int_equal(rows(reader), 0);
	put_row(d, 1);
	put_row(d, 2);
	assert_int_equal(rows(reader), 2);
	search_db_close(reader);
	search_db_close(d);
	d = open_to_write(ours, &anew);
	assert_false(anew.anew);
	assert_int_equal(rows(d), 2);
	search_db_close(d);
}

static void a_deleted_row_takes_its_words_with_it(void **state)
{
	struct search_anew anew;
	struct search_db *d = open_to_write(ours, &anew);
	uint64_t gone;
	struct fault f;

	(void)state;
	put_row(d, 7);
	put_row(d, 8);
	assert_int_equal(search_db_delete(d, 7, &gone, &f), 0);
	assert_int_equal(gone, 1);
	assert_int_equal(search_db_delete(d, 7, &gone, &f), 0);
	assert_int_equal(gone, 0);
	assert_int_equal(rows(d), 1);
	search_db_close(d);
	change("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)");
}

/* ---- Beside the catalog ---------------------------------------------------------------------- */

static int attached_rows(sqlite3 *db)
{
	sqlite3_stmt *s = NULL;
	int n = -1;

	if (sqlite3_prepare_v2(db, "SELECT count(*) FROM search.header", -1, &s, NULL) ==
			SQLITE_OK &&
		sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int(s, 0);
	(void)sqlite3_finalize(s);
	return n;
}

static void it_is_attached_where_it_is_usable_and_follows_its_file(void **state)
{
	char path[] = "search.db", id[] = "0123456789abcdef0123456789abcdef";
	struct store s = {.search_path = path};
	sqlite3 *db = NULL;
	struct fault f;

	(void)state;
	memcpy(s.id, id, sizeof id);
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(store_attach_search(&s, db, &f), SEARCH_NONE);
	make_one();
	assert_int_equal(store_attach_search(&s, db, &f), 0);
	assert_int_equal(store_attach_search(&s, db, &f), 0);
	assert_int_equal(attached_rows(db), 1);
	assert_int_equal(rename("search.db", "old.db"), 0);
	assert_int_equal(store_attach_search(&s, db, &f), SEARCH_NONE);
	assert_int_equal(attached_rows(db), -1);
	make_one();
	change("INSERT INTO header SELECT 9, digest, date, received, sender, recipients, copied, "
	       "subject, message_id, attachments, names FROM header");
	assert_int_equal(store_attach_search(&s, db, &f), 0);
	assert_int_equal(attached_rows(db), 2);
	change("PRAGMA user_version = 99");
	assert_int_equal(store_attach_search(&s, db, &f), SEARCH_NONE);
	folder_put("search.db",
		"garbage that is no database at all, but long enough to be looked at "
		"as if it were one, if that is a hundred bytes\n");
	assert_int_equal(store_attach_search(&s, db, &f), SEARCH_NONE);
	(void)sqlite3_close(db);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, folder_enter, folder_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(every_statement_prepares),
		IN_FOLDER(a_reader_of_none_is_told_so_and_makes_none),
		IN_FOLDER(one_that_was_made_is_there_the_next_time),
		IN_FOLDER(one_of_another_archive_begins_anew),
		IN_FOLDER(one_of_another_version_begins_anew),
		IN_FOLDER(one_without_its_state_begins_anew),
		IN_FOLDER(a_file_of_other_bytes_begins_anew),
		IN_FOLDER(one_whose_schema_is_broken_begins_anew),
		IN_FOLDER(emptying_it_leaves_a_reader_with_none),
		IN_FOLDER(a_deleted_row_takes_its_words_with_it),
		IN_FOLDER(it_is_attached_where_it_is_usable_and_follows_its_file),
	};

	return cmocka_run_group_tests_name("search_db", tests, NULL, NULL);
}
