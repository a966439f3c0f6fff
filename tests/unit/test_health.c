/* How polls went, the service's lock, and groups that the ledger has nothing to tell of. */
#include "archive/handle.h"

#include "archive/check.h"
#include "archive/limits.h"
#include "tests/unit/schema.h"
#include "tests/unit/world.h"

#include <fcntl.h>
#include <sys/stat.h>

static void tell(struct world *w, const char *account, enum health_state state, const char *text)
{
	struct health h = {.account = (char *)(uintptr_t)account,
		.state = state,
		.since = 1000,
		.tried = 2000,
		.next = 3000,
		.failures = 4,
		.code = FAULT_LOGIN,
		.text = (char *)(uintptr_t)text};

	commit_one(w, item_new_health(&h, &w->f));
}

static uint64_t size_of(struct world *w, const char *name)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/%s", w->path, name);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void those_not_well_are_listed_by_name(void **state)
{
	struct world *w = *state;
	struct health *all = NULL;
	size_t n = 99;

	ok(w, store_health(w->store, &all, &n, &w->f));
	assert_int_equal(n, 0);
	tell(w, "bert", HEALTH_ATTENTION, "login refused");
	tell(w, "anna", HEALTH_FAILING, "no route");
	ok(w, store_health(w->store, &all, &n, &w->f));
	assert_int_equal(n, 2);
	assert_string_equal(all[0].account, "anna");
	assert_int_equal(all[0].state, HEALTH_FAILING);
	assert_string_equal(all[1].account, "bert");
	assert_int_equal(all[1].state, HEALTH_ATTENTION);
	assert_int_equal(all[1].since, 1000);
	assert_int_equal(all[1].tried, 2000);
	assert_int_equal(all[1].next, 3000);
	assert_int_equal(all[1].failures, 4);
	assert_int_equal(all[1].code, FAULT_LOGIN);
	assert_string_equal(all[1].text, "login refused");
	health_free(all, n);
}

static void one_that_is_well_again_has_no_row(void **state)
{
	struct world *w = *state;
	struct health *all = NULL;
	size_t n = 99;

	tell(w, "anna", HEALTH_FAILING, "no route");
	tell(w, "anna", HEALTH_WELL, NULL);
	ok(w, store_health(w->store, &all, &n, &w->f));
	assert_int_equal(n, 0);
	health_free(all, n);
}

static void a_long_text_is_cut_between_characters(void **state)
{
	struct world *w = *state;
	char text[LIMIT_HEALTH_TEXT + 10];
	struct health *all = NULL;
	size_t n = 0;

	memset(text, 'x', sizeof text);
	memcpy(text + LIMIT_HEALTH_TEXT - 1, "\xc3\xa4", 2);
	text[sizeof text - 1] = '\0';
	tell(w, "anna", HEALTH_FAILING, text);
	ok(w, store_health(w->store, &all, &n, &w->f));
	assert_int_equal(strlen(all[0].text), LIMIT_HEALTH_TEXT - 1);
	health_free(all, n);
}

static void health_is_not_in_the_ledger_and_rebuild_forgets_it(void **state)
{
	struct world *w = *state;
	struct rebuild_sums sums;
	struct health *all = NULL;
	size_t n = 99;
	uint64_t before = size_of(w, "ledger/000001.log");

	tell(w, "anna", HEALTH_FAILING, "no route");
	assert_int_equal(size_of(w, "ledger/000001.log"), before);
	store_close(w->store);
	w->store = NULL;
	ok(w, store_rebuild(w->path, NULL, NULL, NULL, &sums, &w->f));
	ok(w, store_open(w->path, NULL, STORE_READ, &w->store, &w->f));
	ok(w, store_health(w->store, &all, &n, &w->f));
	assert_int_equal(n, 0);
	health_free(all, n);
}

static void a_reader_of_a_catalog_from_before_finds_all_well(void **state)
{
	struct world *w = *state;
	struct health *all = NULL;
	size_t n = 99;

	assert_int_equal(
		sqlite3_exec(catalog_handle(w->store->catalog), SCHEMA_BACK_TO_2, NULL, NULL, NULL),
		SQLITE_OK);
	store_close(w->store);
	w->store = NULL;
	ok(w, store_open(w->path, NULL, STORE_READ, &w->store, &w->f));
	ok(w, store_health(w->store, &all, &n, &w->f));
	assert_int_equal(n, 0);
	health_free(all, n);
	store_close(w->store);
	w->store = NULL;
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f));
	tell(w, "anna", HEALTH_FAILING, "no route");
}

/* ---- Groups that the ledger has nothing to tell of ------------------------------------------- */

static struct item *poll_of(struct world *w, uint64_t maildrop, uint64_t listed)
{
	struct item *i = item_new(ITEM_LISTING, maildrop, &w->f);

	assert_non_null(i);
	i->sums.listed = i->sums.archived = listed;
	i->complete = true;
	return i;
}

static void a_poll_without_news_writes_the_catalog_only(void **state)
{
	struct world *w = *state;
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	struct maildrop *all = NULL;
	size_t n = 0;

	ok(w, store_maildrop(w->store, "anna", "h", "u", &m, &w->f));
	commit_one(w, poll_of(w, m.number, 7));
	uint64_t before = size_of(w, "ledger/000001.log");
	ok(w, store_maildrops(w->store, &all, &n, &w->f));
	moment_ms polled = all[0].polled;
	maildrops_free(all, n);
	while (moment_now() <= polled)
		;
	commit_one(w, poll_of(w, m.number, 7));
	assert_int_equal(size_of(w, "ledger/000001.log"), before);
	ok(w, store_maildrops(w->store, &all, &n, &w->f));
	assert_true(all[0].polled > polled);
	maildrops_free(all, n);
	commit_one(w, poll_of(w, m.number, 8));
	assert_true(size_of(w, "ledger/000001.log") > before);
}

/* Another process's catalog was lost, or it died before its transaction: what the catalog says of
 * the sums is not what the ledger says. */
static void a_poll_is_compared_with_what_the_ledger_says(void **state)
{
	struct world *w = *state;
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	char command[256];

	ok(w, store_maildrop(w->store, "anna", "h", "u", &m, &w->f));
	commit_one(w, poll_of(w, m.number, 7));
	store_close(w->store);
	w->store = NULL;
	(void)snprintf(command, sizeof command, "cp %s/catalog.db %s/saved", w->path, w->path);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own paths */
	ok(w, store_open(w->path, NULL, STORE_WRITE, &w->store, &w->f));
	commit_one(w, poll_of(w, m.number, 8));
	/* The handle stays open: the next group is the first to see the old catalog. */
	(void)snprintf(command, sizeof command,
		"cd %s && rm -f catalog.db-* && mv saved catalog.db", w->path);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
	uint64_t before = size_of(w, "ledger/000001.log");
	commit_one(w, poll_of(w, m.number, 7));
	assert_true(size_of(w, "ledger/000001.log") > before);
}

/* ---- The service's lock ---------------------------------------------------------------------- */

static void one_service_at_a_time(void **state)
{
	struct world *w = *state;
	struct store *other CLEANUP(store_closep) = NULL, *reader CLEANUP(store_closep) = NULL;

	ok(w, store_open(w->path, NULL, STORE_WRITE, &other, &w->f));
	ok(w, store_open(w->path, NULL, STORE_READ, &reader, &w->f));
	assert_int_equal(store_is_served(reader, &w->f), 0);
	ok(w, store_lock_service(w->store, &w->f));
	assert_int_equal(store_is_served(reader, &w->f), STORE_SERVED);
	assert_int_equal(store_is_served(w->store, &w->f), STORE_SERVED);
	assert_int_equal(store_lock_service(other, &w->f), -1);
	assert_int_equal(w->f.code, FAULT_BUSY);
	w->store = store_close(w->store);
	assert_int_equal(store_is_served(reader, &w->f), 0);
	ok(w, store_lock_service(other, &w->f));
}

static void what_was_put_into_the_catalog_is_safe_to_print(void **state)
{
	struct world *w = *state;
	struct health *all = NULL;
	size_t n = 0;

	tell(w, "anna", HEALTH_FAILING, "\x1b]0;title\a \\x07 \xe2\x80\xae");
	ok(w, store_health(w->store, &all, &n, &w->f));
	assert_int_equal(n, 1);
	assert_string_equal(all[0].text, "\\x1b]0;title\\x07 \\x07 \\xe2\\x80\\xae");
	health_free(all, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_was_put_into_the_catalog_is_safe_to_print),
		WORLD_TEST(those_not_well_are_listed_by_name),
		WORLD_TEST(one_that_is_well_again_has_no_row),
		WORLD_TEST(a_long_text_is_cut_between_characters),
		WORLD_TEST(health_is_not_in_the_ledger_and_rebuild_forgets_it),
		WORLD_TEST(a_reader_of_a_catalog_from_before_finds_all_well),
		WORLD_TEST(a_poll_without_news_writes_the_catalog_only),
		WORLD_TEST(a_poll_is_compared_with_what_the_ledger_says),
		WORLD_TEST(one_service_at_a_time),
	};

	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
