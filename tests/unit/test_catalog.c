/* The statements of catalog.db against a fresh schema. */
#include "archive/catalog.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"
#include "tests/unit/schema.h"

#define WITH_CATALOG(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static struct catalog *catalog;
static char folder[64];

static int setup(void **state)
{
	char path[128];
	struct fault f;

	(void)state;
	folder_make(folder);
	(void)snprintf(path, sizeof path, "%s/catalog.db", folder);
	if (catalog_open(path, CATALOG_CREATE, &catalog, &f) < 0)
		return -1;
	return catalog_begin_places(catalog, &f);
}

static int teardown(void **state)
{
	(void)state;
	catalog = catalog_close(catalog);
	folder_remove(folder);
	return 0;
}

static void every_statement_prepares_on_a_fresh_schema(void **state)
{
	struct fault f;

	(void)state;
	for (int i = 0; i < SQL_COUNT; i++)
		assert_non_null(catalog_statement(catalog, (enum catalog_statement)i, &f));
}

static void every_statement_prepares_on_the_first_schema_brought_up_to_date(void **state)
{
	char path[128];
	struct fault f;

	(void)state;
	assert_int_equal(sqlite3_exec(catalog_handle(catalog), SCHEMA_BACK_TO_1, NULL, NULL, NULL),
		SQLITE_OK);
	catalog = catalog_close(catalog);
	(void)snprintf(path, sizeof path, "%s/catalog.db", folder);
	assert_int_equal(catalog_open(path, CATALOG_WRITE, &catalog, &f), 0);
	assert_int_equal(catalog_begin_places(catalog, &f), 0);
	every_statement_prepares_on_a_fresh_schema(state);
	assert_int_equal(
		sqlite3_exec(catalog_handle(catalog), "DROP INDEX maildrop_name", NULL, NULL, NULL),
		SQLITE_OK);
}

static void a_later_schema_is_refused_and_left_alone(void **state)
{
	char path[128];
	struct fault f;
	struct catalog *other = NULL;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/catalog.db", folder);
	assert_int_equal(
		sqlite3_exec(catalog_handle(catalog), "PRAGMA user_version = 99", NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(catalog_open(path, CATALOG_WRITE, &other, &f), -1);
	assert_int_equal(f.code, FAULT_FORMAT);
	assert_non_null(strstr(f.text, "later version"));
	assert_null(other);
}

/* Those that look at all rows of a table, each with the reason why it may. */
static bool may_scan(enum catalog_statement which)
{
	static const enum catalog_statement may[] = {
		SQL_TOTALS,	   /* `status`: counts and sizes of all */
		SQL_ALL_HEALTH,	   /* `status`: the few accounts that are not well */
		SQL_MOVE_TO_PLACE, /* a seal: the places of the new segment, which are there for it
				    */
		SQL_UIDL_OF_MESSAGE, /* its index is made when a message is lost */
		SQL_OPEN_SEGMENT,    /* from the newest, and stops at the first that is open */
		SQL_COUNT_LOST,	     /* none, or a few */
		SQL_COUNT_KEPT,	     /* of the segments */
		SQL_COUNT_KEPT_OLD,  /* for a reader, until somebody writes */
	};

	for (size_t i = 0; i < sizeof may / sizeof *may; i++) {
		if (may[i] == which)
			return true;
	}
	return false;
}

static bool scans(const char *sql)
{
	char text[2048];
	sqlite3_stmt *plan = NULL;
	bool found = false;

	(void)snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", sql);
	assert_int_equal(
		sqlite3_prepare_v2(catalog_handle(catalog), text, -1, &plan, NULL), SQLITE_OK);
	while (sqlite3_step(plan) == SQLITE_ROW) {
		const char *step = (const char *)sqlite3_column_text(plan, 3);

		found = found ||
			(strncmp(step, "SCAN ", 5) == 0 && strcmp(step, "SCAN CONSTANT ROW") != 0);
	}
	(void)sqlite3_finalize(plan);
	return found;
}

static void no_hot_statement_scans_a_whole_table(void **state)
{
	static const char *const sql[] = {
#define TEXT_OF(name, text) [SQL_##name] = (text),
		CATALOG_STATEMENTS(TEXT_OF)
#undef TEXT_OF
	};

	(void)state;
	for (int i = 0; i < SQL_COUNT; i++) {
		if (scans(sql[i]) != may_scan((enum catalog_statement)i))
			fail_msg("%s: %s", scans(sql[i]) ? "scans" : "need not be listed", sql[i]);
	}
}

static int read_number(void *to, int columns, char **values, char **names)
{
	(void)columns, (void)names;
	*(char *)to = values[0][0];
	return 0;
}

static void temporary_tables_stay_in_memory(void **state)
{
	char store = 0;

	(void)state;
	assert_int_equal(sqlite3_exec(catalog_handle(catalog), "PRAGMA temp_store", read_number,
				 &store, NULL),
		SQLITE_OK);
	assert_int_equal(store, '2');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CATALOG(every_statement_prepares_on_a_fresh_schema),
		WITH_CATALOG(every_statement_prepares_on_the_first_schema_brought_up_to_date),
		WITH_CATALOG(no_hot_statement_scans_a_whole_table),
		WITH_CATALOG(temporary_tables_stay_in_memory),
		WITH_CATALOG(a_later_schema_is_refused_and_left_alone),
	};

	return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
