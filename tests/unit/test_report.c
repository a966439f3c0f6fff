#include "cli/report.h"

#include "tests/unit/world.h"

static moment_ms later; /* than all that is committed */

/* A maildrop whose last poll left so many pending; -1: never polled to the end. */
static void add_maildrop(struct world *w, const char *name, const char *server, int pending)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	struct batch g CLEANUP(batch_deinit);

	batch_init(&g);
	assert_true(store_maildrop(w->store, name, server, "user", &m, &w->f) >= 0);
	if (pending < 0)
		return;
	struct item *i = item_new(ITEM_LISTING, m.number, &w->f);
	assert_non_null(i);
	i->sums.listed = i->sums.pending = (uint64_t)pending;
	i->complete = true;
	batch_add(&g, i);
	assert_int_equal(store_commit(w->store, &g, &w->f), 0);
}

/* ---- With a configuration -------------------------------------------------------------------- */

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

/* Accounts of these names, each at its own server, polled every five minutes. */
static struct config *configure(struct world *w, const char *head, const char *const *names)
{
	struct config *c = NULL;
	char path[128];

	(void)snprintf(path, sizeof path, "%s.conf", w->path);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fprintf(file, "interval = \"5m\"\n%s\n", head);
	for (; *names; names++)
		(void)fprintf(file,
			"account \"%s\" {\nserver = \"pop3s://%s.example.com\"\n"
			"user = \"%s\"\npassword-command = \"true\"\n}\n",
			*names, *names, *names);
	assert_int_equal(fclose(file), 0);
	int r = config_load(path, &c, &w->f);
	(void)unlink(path);
	if (r < 0)
		fail_msg("%s", w->f.text);
	return c;
}

static void read_at(struct world *w, struct report *r, const struct config *c, uint64_t max_age_ms)
{
	const struct report_terms terms = {.now = later, .max_age_ms = max_age_ms};

	if (report_read(r, w->store, c, &terms, &w->f) < 0)
		fail_msg("%s", w->f.text);
}

static void fail_since(struct world *w, const char *name, enum health_state state, moment_ms since)
{
	struct health h = {.account = (char *)(uintptr_t)name,
		.state = state,
		.since = since,
		.tried = later,
		.failures = 2,
		.code = FAULT_LOGIN};
	struct batch g CLEANUP(batch_deinit);
	struct item *i = item_new_health(&h, &w->f);

	assert_non_null(i);
	batch_init(&g);
	batch_add(&g, i);
	assert_int_equal(store_commit(w->store, &g, &w->f), 0);
}

/* Polled, with nothing left to do, at the test's own time. */
static void add_polled(struct world *w, const char *name)
{
	struct maildrop m CLEANUP(maildrop_deinit) = {0};
	struct batch g CLEANUP(batch_deinit);
	char server[128];

	batch_init(&g);
	(void)snprintf(server, sizeof server, "%s.example.com", name);
	assert_true(store_maildrop(w->store, name, server, name, &m, &w->f) >= 0);
	struct item *i = item_new(ITEM_LISTING, m.number, &w->f);
	assert_non_null(i);
	i->complete = true;
	batch_add(&g, i);
	assert_int_equal(store_commit(w->store, &g, &w->f), 0);
}

static void configured_accounts_come_first_in_their_order(void **state)
{
	static const char *const names[] = {"zoe", "anna", "bert", NULL};
	struct world *w = *state;
	struct config *c CLEANUP(config_freep) = configure(w, "", names);
	struct report r CLEANUP(report_deinit) = {0};

	add_polled(w, "other");
	add_polled(w, "anna");
	add_polled(w, "zoe");
	read_at(w, &r, c, REPORT_ANY_AGE);
	assert_int_equal(r.n, 4);
	assert_string_equal(r.accounts[0].name, "zoe");
	assert_string_equal(r.accounts[0].maildrop->server, "zoe.example.com");
	assert_string_equal(r.accounts[1].name, "anna");
	assert_string_equal(r.accounts[1].maildrop->server, "anna.example.com");
	assert_string_equal(r.accounts[2].name, "bert");
	assert_null(r.accounts[2].maildrop);
	assert_string_equal(r.accounts[3].name, "other");
	assert_false(r.accounts[3].configured);
	assert_int_equal(r.attention, 1); /* bert was never polled */
}

static void a_failure_that_may_pass_needs_nobody_and_one_that_lasts_does(void **state)
{
	static const char *const names[] = {"anna", NULL};
	struct world *w = *state;
	struct config *c CLEANUP(config_freep) = configure(w, "", names);
	struct report now CLEANUP(report_deinit) = {0}, lasting CLEANUP(report_deinit) = {0};

	add_polled(w, "anna");
	fail_since(w, "anna", HEALTH_FAILING, later - 15 * MINUTE + 1);
	read_at(w, &now, c, REPORT_ANY_AGE);
	assert_int_equal(now.failing, 1);
	assert_int_equal(now.attention, 0);
	assert_int_equal(now.accounts[0].health->failures, 2);
	fail_since(w, "anna", HEALTH_FAILING, later - 15 * MINUTE);
	read_at(w, &lasting, c, REPORT_ANY_AGE);
	assert_int_equal(lasting.accounts[0].needs, NEEDS_POLLS);
}

static void a_long_interval_is_no_excuse_beyond_an_hour(void **state)
{
	static const char *const names[] = {"anna", NULL};
	struct world *w = *state;
	struct config *c CLEANUP(config_freep) = configure(w, "", names);
	struct report r CLEANUP(report_deinit) = {0};

	c->accounts[0].interval_ms = 24 * HOUR;
	add_polled(w, "anna");
	fail_since(w, "anna", HEALTH_FAILING, later - HOUR);
	read_at(w, &r, c, REPORT_ANY_AGE);
	assert_int_equal(r.accounts[0].needs, NEEDS_POLLS);
}

static void what_needs_a_person_is_told_at_once(void **state)
{
	static const char *const names[] = {"anna", "bert", NULL};
	struct world *w = *state;
	struct config *c CLEANUP(config_freep) = configure(w, "", names);
	struct report r CLEANUP(report_deinit) = {0};

	add_polled(w, "anna");
	add_polled(w, "bert");
	fail_since(w, "bert", HEALTH_ATTENTION, later);
	fail_since(w, "gone", HEALTH_ATTENTION, later); /* configured no more */
	read_at(w, &r, c, REPORT_ANY_AGE);
	assert_null(r.accounts[0].health);
	assert_int_equal(r.accounts[1].needs, NEEDS_POLLS);
	assert_int_equal(r.attention, 1);
}

static void an_account_is_stale_when_its_last_poll_is_too_long_ago(void **state)
{
	static const char *const names[] = {"anna", "bert", NULL};
	struct world *w = *state;
	struct config *c CLEANUP(config_freep) = configure(w, "", names);
	struct report any CLEANUP(report_deinit) = {0}, young CLEANUP(report_deinit) = {0},
			  old CLEANUP(report_deinit) = {0};

	add_polled(w, "anna");
	add_polled(w, "other"); /* nothing polls it */
	read_at(w, &any, c, REPORT_ANY_AGE);
	assert_int_equal(any.stale, 0);
	uint64_t age = (uint64_t)(later - any.accounts[0].maildrop->polled);
	read_at(w, &young, c, age);
	assert_false(young.accounts[0].stale);
	assert_true(young.accounts[1].stale); /* never polled */
	read_at(w, &old, c, age - 1);
	assert_int_equal(old.accounts[0].needs, NEEDS_FRESH);
	assert_int_equal(old.stale, 2);
}

static void without_a_configuration_what_was_polled_can_be_stale(void **state)
{
	struct world *w = *state;
	struct report r CLEANUP(report_deinit) = {0};

	add_polled(w, "anna");
	add_maildrop(w, "mistyped", "pop.exmaple.com", -1);
	read_at(w, &r, NULL, MINUTE);
	assert_int_equal(r.stale, 1);
	assert_true(r.accounts[0].stale);
}

static void a_full_disk_is_told(void **state)
{
	static const char *const names[] = {NULL};
	struct world *w = *state;
	struct config *c CLEANUP(config_freep) = configure(w, "min-free = \"1\"", names);
	struct report room CLEANUP(report_deinit) = {0}, full CLEANUP(report_deinit) = {0};

	read_at(w, &room, c, REPORT_ANY_AGE);
	assert_false(room.disk_full);
	c->min_free = UINT64_MAX;
	read_at(w, &full, c, REPORT_ANY_AGE);
	assert_true(full.disk_full);
}

static void a_running_service_is_seen(void **state)
{
	struct world *w = *state;
	struct report before CLEANUP(report_deinit) = {0}, after CLEANUP(report_deinit) = {0};

	read_at(w, &before, NULL, REPORT_ANY_AGE);
	assert_false(before.served);
	assert_int_equal(store_lock_service(w->store, &w->f), 0);
	read_at(w, &after, NULL, REPORT_ANY_AGE);
	assert_true(after.served);
}

/* ---- Without --------------------------------------------------------------------------------- */

static size_t attention(struct world *w)
{
	struct report r CLEANUP(report_deinit) = {0};
	const struct report_terms terms = {.now = moment_now(), .max_age_ms = REPORT_ANY_AGE};

	assert_int_equal(report_read(&r, w->store, NULL, &terms, &w->f), 0);
	return r.attention;
}

static void what_is_pending_needs_attention(void **state)
{
	struct world *w = *state;

	add_maildrop(w, "anna", "h", 3);
	assert_int_equal(attention(w), 1);
	add_maildrop(w, "anna", "h", 0);
	assert_int_equal(attention(w), 0);
}

static void what_an_account_left_on_its_old_server_needs_none(void **state)
{
	struct world *w = *state;

	add_maildrop(w, "anna", "old", 3);
	add_maildrop(w, "anna", "new", 0);
	assert_int_equal(attention(w), 0);
}

static void a_mistyped_url_that_was_never_polled_needs_none(void **state)
{
	struct world *w = *state;

	add_maildrop(w, "anna", "pop.exmaple.com", -1);
	assert_int_equal(attention(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_is_pending_needs_attention),
		WORLD_TEST(what_an_account_left_on_its_old_server_needs_none),
		WORLD_TEST(a_mistyped_url_that_was_never_polled_needs_none),
		WORLD_TEST(configured_accounts_come_first_in_their_order),
		WORLD_TEST(a_failure_that_may_pass_needs_nobody_and_one_that_lasts_does),
		WORLD_TEST(a_long_interval_is_no_excuse_beyond_an_hour),
		WORLD_TEST(what_needs_a_person_is_told_at_once),
		WORLD_TEST(an_account_is_stale_when_its_last_poll_is_too_long_ago),
		WORLD_TEST(without_a_configuration_what_was_polled_can_be_stale),
		WORLD_TEST(a_full_disk_is_told),
		WORLD_TEST(a_running_service_is_seen),
	};

	later = moment_now() + 24 * HOUR;
	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
