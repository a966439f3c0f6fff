/* Conditions answered from the catalog and from an index that was made by hand. */
#include "archive/find_sql.h"
#include "archive/handle.h"
#include "archive/search_db.h"
#include "tests/unit/archived.h"

#include <inttypes.h>

/* ---- Conditions ------------------------------------------------------------------------------ */

static struct condition *leaf(enum condition_kind kind, const char *text)
{
	struct fault f;
	struct condition *c = condition_new(kind, &f);

	assert_non_null(c);
	c->text = text ? strdup(text) : NULL;
	return c;
}

static struct condition *span(enum condition_kind kind, int64_t low, int64_t high)
{
	struct condition *c = leaf(kind, NULL);

	c->low = low;
	c->high = high;
	return c;
}

static struct condition *words(enum condition_field field, const char *text)
{
	struct condition *c = leaf(CONDITION_WORDS, text);

	c->field = field;
	return c;
}

static struct condition *prefix(const char *text)
{
	struct condition *c = words(FIELD_ANY, text);

	c->prefix = true;
	return c;
}

static struct condition *join(
	enum condition_kind kind, struct condition *left, struct condition *right)
{
	struct condition *c = leaf(kind, NULL);

	c->left = left;
	c->right = right;
	return c;
}

static struct condition *not_(struct condition *c)
{
	return join(CONDITION_NOT, c, NULL);
}

static struct condition *both(struct condition *left, struct condition *right)
{
	return join(CONDITION_AND, left, right);
}

static struct condition *either(struct condition *left, struct condition *right)
{
	return join(CONDITION_OR, left, right);
}

/* ---- An archive of messages 0 to 4, and what its index says -----------------------------------
 */

enum { MESSAGES = 5 };

struct row {
	int64_t date; /* 0: none */
	const char *sender, *recipients, *copied, *subject, *message_id;
	int attachments;
	const char *names;
};

static const struct row known[MESSAGES] = {
	{1000, "Anna M\xc3\xbcller <anna@example.com>", "bob@example.com", "", "Quarterly report",
		"one@example.com", 0, ""},
	{2000, "bob@example.com", "anna@example.com", "carol@example.com", "Re: report, quarterly",
		"two@example.com", 1, "Bilanz 2026.pdf"},
	{0, "Carol", "undisclosed", "", "invoice NEAR you", "", 0, ""},
	{3000, "anna@example.org", "list@example.com", "", "Invoices", "four@example.com", 2,
		"a.txt\nb.txt"},
	{4000, "dave", "erin", "", "\"quoted\" AND so on", "five@example.com", 0, ""},
};

/* Message i in *ret, oldest first. */
static void list_messages(struct world *w, struct message ret[static MESSAGES])
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	int i = MESSAGES;

	memset(ret, 0, MESSAGES * sizeof *ret);
	ok(w, find_open(w->store, NULL, NULL, &c, &w->f));
	while (find_next(c, &m, &w->f) == FIND_ROW) {
		ret[--i] = m;
		ret[i].account = ret[i].class_ = NULL;
	}
	assert_int_equal(i, 0);
}

static void bind_string(sqlite3_stmt *s, int at, const char *text)
{
	assert_int_equal(sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC), SQLITE_OK);
}

static void put(struct search_db *d, const struct message *m, const struct row *r)
{
	struct fault f;
	sqlite3_stmt *header = search_db_statement(d, SEARCH_PUT_HEADER, &f);
	sqlite3_stmt *text = search_db_statement(d, SEARCH_PUT_WORDS, &f);

	(void)sqlite3_bind_int64(header, 1, (int64_t)m->id);
	(void)sqlite3_bind_blob(header, 2, m->digest.byte, DIGEST_LEN, SQLITE_STATIC);
	if (r->date)
		(void)sqlite3_bind_int64(header, 3, r->date);
	const char *const column[] = {r->sender, r->recipients, r->copied, r->subject};
	for (int i = 0; i < 4; i++) {
		bind_string(header, 5 + i, column[i]);
		bind_string(text, 2 + i, column[i]);
	}
	bind_string(header, 9, r->message_id);
	(void)sqlite3_bind_int(header, 10, r->attachments);
	bind_string(header, 11, r->names);
	(void)sqlite3_bind_int64(text, 1, (int64_t)m->id);
	bind_string(text, 6, r->names);
	assert_int_equal(search_db_run(d, header, &f), 0);
	assert_int_equal(search_db_run(d, text, &f), 0);
}

static void index_messages(struct world *w, const struct message *m, unsigned n)
{
	struct search_db *d = NULL;
	struct search_state state = {.indexed = n};

	ok(w, search_db_open(w->store->search_path, w->store->id, SEARCH_WRITE, &d, NULL, &w->f));
	ok(w, search_db_begin(d, &w->f));
	for (unsigned i = 0; i < n; i++) {
		put(d, &m[i], &known[i]);
		state.done = m[i].id;
		state.digest = m[i].digest;
	}
	ok(w, search_db_set_state(d, w->store->id, &state, &w->f));
	ok(w, search_db_commit(d, &w->f));
	search_db_close(d);
}

/* The first n of the five are indexed. */
static void make(struct world *w, unsigned n)
{
	struct message m[MESSAGES];

	keep(w, 0, MESSAGES);
	list_messages(w, m);
	if (n > 0)
		index_messages(w, m, n);
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* "31": messages 3 and 1, newest first. Takes wanted. */
static void expect(struct world *w, struct condition *wanted, const char *found, unsigned unindexed)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m, all[MESSAGES];
	char got[MESSAGES + 1] = "";
	uint64_t n = 0, bytes = 0, unknown = 0;
	size_t len = 0;
	int r;

	list_messages(w, all);
	ok(w, find_open(w->store, wanted, NULL, &c, &w->f));
	while ((r = find_next(c, &m, &w->f)) == FIND_ROW) {
		for (unsigned i = 0; i < MESSAGES; i++) {
			if (all[i].id == m.id)
				got[len++] = (char)('0' + i);
		}
	}
	ok(w, r);
	assert_string_equal(got, found);
	ok(w, find_count(w->store, wanted, &n, &bytes, &w->f));
	assert_int_equal(n, len);
	ok(w, find_unindexed(w->store, wanted, &unknown, &w->f));
	assert_int_equal(unknown, unindexed);
	condition_free(wanted);
}

static void what_the_catalog_knows_needs_no_index(void **state)
{
	struct world *w = *state;
	struct message m[MESSAGES];
	char hex[DIGEST_HEX + 1];

	make(w, 0);
	list_messages(w, m);
	digest_hex(&m[2].digest, hex);
	expect(w, leaf(CONDITION_ID, hex), "2", 0);
	expect(w, not_(leaf(CONDITION_ID, hex)), "4310", 0);
	expect(w, leaf(CONDITION_ACCOUNT, "anna"), "43210", 0);
	expect(w, leaf(CONDITION_ACCOUNT, "bob"), "", 0);
	expect(w, both(leaf(CONDITION_ACCOUNT, "anna"), leaf(CONDITION_ID, hex)), "2", 0);
	expect(w, either(leaf(CONDITION_ACCOUNT, "bob"), leaf(CONDITION_ID, hex)), "2", 0);
	expect(w, span(CONDITION_SIZE, 0, (int64_t)m[0].size_bytes), "", 0);
	expect(w, span(CONDITION_SIZE, (int64_t)m[0].size_bytes, INT64_MAX), "43210", 0);
	expect(w, span(CONDITION_ARCHIVED, INT64_MIN, m[4].archived + 1), "43210", 0);
	expect(w, span(CONDITION_ARCHIVED, m[4].archived + 1, INT64_MAX), "", 0);
}

static void an_id_that_is_none_is_refused(void **state)
{
	struct world *w = *state;
	struct find_cursor *c = NULL;
	char id[] = "xyz";
	const struct condition wanted = {.kind = CONDITION_ID, .text = id};

	assert_int_equal(find_open(w->store, &wanted, NULL, &c, &w->f), -1);
	assert_int_equal(w->f.code, FAULT_USAGE);
}

static void without_an_index_nothing_is_known_of_headers(void **state)
{
	struct world *w = *state;

	make(w, 0);
	expect(w, words(FIELD_FROM, "anna"), "", 5);
	expect(w, not_(words(FIELD_FROM, "anna")), "", 5);
	expect(w, leaf(CONDITION_ATTACHMENT, NULL), "", 5);
	expect(w, both(leaf(CONDITION_ACCOUNT, "bob"), words(FIELD_FROM, "anna")), "", 0);
	expect(w, either(leaf(CONDITION_ACCOUNT, "anna"), words(FIELD_FROM, "anna")), "43210", 0);
}

static void words_are_found_in_their_field(void **state)
{
	struct world *w = *state;

	make(w, MESSAGES);
	expect(w, words(FIELD_FROM, "anna"), "30", 0);
	expect(w, words(FIELD_TO, "anna"), "1", 0);
	expect(w, words(FIELD_CC, "carol"), "1", 0);
	expect(w, words(FIELD_SUBJECT, "report"), "10", 0);
	expect(w, words(FIELD_ANY, "carol"), "21", 0);
	expect(w, words(FIELD_ANY, "bilanz"), "1", 0);
	expect(w, words(FIELD_FROM, "report"), "", 0);
}

static void case_and_diacritics_do_not_matter_and_order_does(void **state)
{
	struct world *w = *state;

	make(w, MESSAGES);
	expect(w, words(FIELD_FROM, "MULLER"), "0", 0);
	expect(w, words(FIELD_FROM, "m\xc3\xbcller"), "0", 0);
	expect(w, words(FIELD_SUBJECT, "quarterly report"), "0", 0);
	expect(w, words(FIELD_SUBJECT, "report quarterly"), "1", 0);
	expect(w, words(FIELD_ANY, "anna@example.com"), "10", 0);
	expect(w, prefix("invoi"), "32", 0);
	expect(w, words(FIELD_ANY, "invoi"), "", 0);
}

static void nothing_that_somebody_writes_is_syntax(void **state)
{
	static const char *const odd[] = {"\"", "\"\"", "a\" OR \"b", "subject : report",
		"{subject}", "NEAR(a b)", "^anna", "-anna", "a + b", "'; DROP TABLE message; --",
		"%s", "?1", "("};
	struct world *w = *state;

	make(w, MESSAGES);
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		struct condition *c CLEANUP(condition_freep) = words(FIELD_ANY, odd[i]);
		struct condition *a CLEANUP(condition_freep) = leaf(CONDITION_ACCOUNT, odd[i]);
		struct condition *m CLEANUP(condition_freep) = leaf(CONDITION_MESSAGE_ID, odd[i]);
		uint64_t n, bytes;

		ok(w, find_count(w->store, c, &n, &bytes, &w->f));
		ok(w, find_count(w->store, a, &n, &bytes, &w->f));
		assert_int_equal(n, 0);
		ok(w, find_count(w->store, m, &n, &bytes, &w->f));
		assert_int_equal(n, 0);
	}
	expect(w, words(FIELD_SUBJECT, "invoice near"), "2", 0);
	expect(w, words(FIELD_SUBJECT, "\"quoted\" and"), "4", 0);
	expect(w, words(FIELD_SUBJECT, "NEAR(you)"), "2", 0);
}

static void dates_ids_and_attachments(void **state)
{
	struct world *w = *state;

	make(w, MESSAGES);
	expect(w, span(CONDITION_DATE, 2000, INT64_MAX), "431", 0);
	expect(w, span(CONDITION_DATE, INT64_MIN, 2000), "0", 0);
	expect(w, span(CONDITION_DATE, 2000, 3000), "1", 0);
	/* One without a date is neither before nor after. */
	expect(w, not_(span(CONDITION_DATE, 2000, 3000)), "4320", 0);
	expect(w, leaf(CONDITION_MESSAGE_ID, "two@example.com"), "1", 0);
	expect(w, leaf(CONDITION_MESSAGE_ID, "TWO@example.com"), "", 0);
	expect(w, leaf(CONDITION_ATTACHMENT, NULL), "31", 0);
	expect(w, not_(leaf(CONDITION_ATTACHMENT, NULL)), "420", 0);
}

static void trees_of_both(void **state)
{
	struct world *w = *state;

	make(w, MESSAGES);
	expect(w, both(words(FIELD_FROM, "anna"), words(FIELD_SUBJECT, "invoices")), "3", 0);
	expect(w, either(words(FIELD_FROM, "dave"), words(FIELD_FROM, "carol")), "42", 0);
	expect(w, both(words(FIELD_FROM, "anna"), not_(words(FIELD_ANY, "quarterly"))), "3", 0);
	expect(w, either(words(FIELD_FROM, "dave"), leaf(CONDITION_ATTACHMENT, NULL)), "431", 0);
	expect(w,
		both(leaf(CONDITION_ACCOUNT, "anna"),
			both(leaf(CONDITION_ATTACHMENT, NULL), words(FIELD_ANY, "pdf"))),
		"1", 0);
	expect(w, not_(either(words(FIELD_FROM, "anna"), words(FIELD_FROM, "bob"))), "42", 0);
}

/* a OR b AND (a OR b AND (...)), whose innermost is a word in an index, and the same with NOT. */
static void a_query_as_deep_as_it_may_be_is_answered(void **state)
{
	struct world *w = *state;

	make(w, MESSAGES);
	for (int negated = 0; negated < 2; negated++) {
		struct condition *c =
			either(words(FIELD_FROM, "dave"), leaf(CONDITION_ACCOUNT, "x"));

		for (int i = 0; i < LIMIT_QUERY_NESTING; i += negated ? 2 : 1) {
			c = negated ? not_(c) : c;
			c = either(leaf(CONDITION_ACCOUNT, "bob"),
				both(leaf(CONDITION_ACCOUNT, "anna"), c));
		}
		expect(w, c, "4", 0);
	}
}

static void what_is_not_indexed_is_neither_found_nor_forgotten(void **state)
{
	struct world *w = *state;
	struct message m[MESSAGES];
	char hex[DIGEST_HEX + 1];

	make(w, 3);
	list_messages(w, m);
	digest_hex(&m[4].digest, hex);
	expect(w, words(FIELD_FROM, "anna"), "0", 2);
	expect(w, not_(words(FIELD_FROM, "anna")), "21", 2);
	expect(w, not_(leaf(CONDITION_ATTACHMENT, NULL)), "20", 2);
	expect(w, span(CONDITION_DATE, 0, 5000), "10", 2);
	/* Of message 4 alone it is not known. */
	expect(w, both(leaf(CONDITION_ID, hex), words(FIELD_FROM, "dave")), "", 1);
	expect(w, either(leaf(CONDITION_ID, hex), words(FIELD_FROM, "dave")), "4", 1);
	expect(w, both(leaf(CONDITION_ACCOUNT, "bob"), words(FIELD_FROM, "dave")), "", 0);
}

static void one_that_could_not_be_read_is_counted(void **state)
{
	struct world *w = *state;
	struct search_db *d = NULL;

	make(w, MESSAGES);
	ok(w, search_db_open(w->store->search_path, w->store->id, SEARCH_WRITE, &d, NULL, &w->f));
	struct message m[MESSAGES];
	uint64_t gone;
	list_messages(w, m);
	ok(w, search_db_begin(d, &w->f));
	ok(w, search_db_delete(d, m[0].id, &gone, &w->f));
	sqlite3_stmt *again = search_db_statement(d, SEARCH_PUT_AGAIN, &w->f);
	(void)sqlite3_bind_int64(again, 1, (int64_t)m[0].id);
	(void)sqlite3_bind_blob(again, 2, m[0].digest.byte, DIGEST_LEN, SQLITE_STATIC);
	(void)sqlite3_bind_int64(again, 3, 1);
	ok(w, search_db_run(d, again, &w->f));
	ok(w, search_db_commit(d, &w->f));
	search_db_close(d);
	expect(w, words(FIELD_FROM, "anna"), "3", 1);
}

static void a_row_of_other_bytes_counts_for_nothing(void **state)
{
	struct world *w = *state;
	struct message m[MESSAGES];

	keep(w, 0, MESSAGES);
	list_messages(w, m);
	for (unsigned i = 3; i < MESSAGES; i++)
		m[i].digest.byte[0] ^= 1;
	index_messages(w, m, MESSAGES);
	expect(w, words(FIELD_FROM, "anna"), "0", 2);
	expect(w, not_(words(FIELD_FROM, "anna")), "21", 2);
	expect(w, leaf(CONDITION_MESSAGE_ID, "five@example.com"), "", 2);
}

static void by_place_is_as_they_lie(void **state)
{
	static const struct find_options by_place = {FIND_BY_PLACE, 0};
	struct world *w = *state;
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	struct message m;
	struct location last = {0};
	unsigned n = 0;

	keep(w, 0, 3);
	keep_of(w, 3, 2, "other");
	sql(w, "UPDATE message SET segment = NULL, frame_offset = NULL, entry_offset = NULL "
	       "WHERE id = (SELECT min(id) FROM message)");
	ok(w, find_open(w->store, NULL, &by_place, &c, &w->f));
	while (find_next(c, &m, &w->f) == FIND_ROW) {
		assert_int_equal(m.located, n < 4);
		if (m.located)
			assert_true(m.at.segment > last.segment ||
				    m.at.frame_offset > last.frame_offset ||
				    (m.at.frame_offset == last.frame_offset &&
					    m.at.entry_offset > last.entry_offset));
		last = m.at;
		n++;
	}
	assert_int_equal(n, 5);
}

/* ---- Plans ----------------------------------------------------------------------------------- */

/* All steps of the plan, a line each. Takes wanted. */
static void plan_of(
	struct world *w, struct condition *wanted, const char *order, char *ret, size_t size)
{
	struct find_sql q CLEANUP(find_sql_deinit) = find_sql_make(INDEX_ATTACHED);
	sqlite3 *db = catalog_handle(w->store->catalog);
	sqlite3_stmt *plan = NULL;
	size_t len = 0;

	ok(w, store_attach_search(w->store, db, &w->f));
	ok(w, find_sql_add(&q, "EXPLAIN QUERY PLAN SELECT message.id, message.size", &w->f));
	ok(w, find_sql_where(&q, wanted, &w->f));
	ok(w, find_sql_add(&q, order, &w->f));
	assert_int_equal(sqlite3_prepare_v2(db, buffer_text(&q.text), -1, &plan, NULL), SQLITE_OK);
	ret[0] = '\0';
	while (sqlite3_step(plan) == SQLITE_ROW && len < size)
		len += (size_t)snprintf(
			ret + len, size - len, "%s\n", (const char *)sqlite3_column_text(plan, 3));
	(void)sqlite3_finalize(plan);
	condition_free(wanted);
}

static void expect_no_scan(struct world *w, struct condition *wanted)
{
	char plan[2048];

	plan_of(w, wanted, " ORDER BY message.id DESC LIMIT 50", plan, sizeof plan);
	if (strstr(plan, "SCAN message") || strstr(plan, "SCAN h") || strstr(plan, "SCAN header"))
		fail_msg("%s", plan);
}

static void what_the_index_answers_scans_no_table(void **state)
{
	struct world *w = *state;

	make(w, MESSAGES);
	expect_no_scan(w, leaf(CONDITION_ID, "ab12"));
	expect_no_scan(w, both(leaf(CONDITION_ACCOUNT, "anna"), leaf(CONDITION_ID, "ab12")));
	expect_no_scan(w, words(FIELD_FROM, "anna"));
	expect_no_scan(w, both(words(FIELD_FROM, "anna"), words(FIELD_ANY, "x")));
	expect_no_scan(w, both(leaf(CONDITION_ACCOUNT, "anna"), words(FIELD_ANY, "x")));
	expect_no_scan(w, both(words(FIELD_ANY, "x"), not_(words(FIELD_ANY, "y"))));
	expect_no_scan(w, span(CONDITION_DATE, 1000, 2000));
	expect_no_scan(w, leaf(CONDITION_MESSAGE_ID, "two@example.com"));
	expect_no_scan(w, both(words(FIELD_ANY, "x"), leaf(CONDITION_ATTACHMENT, NULL)));
}

static void the_order_of_places_is_that_of_an_index(void **state)
{
	struct world *w = *state;
	char plan[2048];

	make(w, MESSAGES);
	plan_of(w, leaf(CONDITION_ACCOUNT, "anna"),
		" ORDER BY message.segment NULLS LAST, message.frame_offset, message.entry_offset",
		plan, sizeof plan);
	if (!strstr(plan, "message_place") || strstr(plan, "TEMP B-TREE"))
		fail_msg("%s", plan);
	plan_of(w, leaf(CONDITION_ACCOUNT, "anna"), " ORDER BY message.id DESC", plan, sizeof plan);
	if (strstr(plan, "TEMP B-TREE"))
		fail_msg("%s", plan);
}

/* ---- When things are wrong ---------------------------------------------------------------------
 */

/* Junk in place of a table's first page. */
static void spoil(struct world *w, const char *table)
{
	uint8_t junk[4096];
	sqlite3 *db = NULL;
	int64_t page = 0;
	char text[128];

	memset(junk, 0xa5, sizeof junk);
	(void)snprintf(
		text, sizeof text, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	assert_int_equal(sqlite3_open(w->store->search_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, take_number, &page, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	assert_true(page > 1);
	int fd CLEANUP(fd_closep) = open(w->store->search_path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, junk, sizeof junk, (page - 1) * 4096), sizeof junk);
	reopen(w);
}

static void a_damaged_index_is_named(void **state)
{
	static const char *const tables[] = {"header", "words_data", "header_date"};
	struct world *w = *state;

	make(w, MESSAGES);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct condition *wanted CLEANUP(condition_freep) = words(FIELD_FROM, "anna");
		struct condition *date CLEANUP(condition_freep) = span(CONDITION_DATE, 0, 9000);
		struct message m[MESSAGES];
		uint64_t n, bytes;

		spoil(w, tables[i]);
		assert_int_equal(
			find_count(w->store, i == 2 ? date : wanted, &n, &bytes, &w->f), -1);
		assert_int_equal(w->f.code, FAULT_DAMAGE);
		assert_non_null(strstr(w->f.text, "popkeep index --rebuild"));
		store_close(w->store);
		(void)unlink(path_of(w, "search/search.db"));
		w->store = NULL;
		reopen(w);
		list_messages(w, m);
		index_messages(w, m, MESSAGES);
	}
}

static void a_commit_does_not_wait_for_who_indexes(void **state)
{
	struct world *w = *state;
	struct condition *wanted CLEANUP(condition_freep) = words(FIELD_FROM, "anna");
	struct search_db *d = NULL;
	uint64_t n, bytes;

	make(w, MESSAGES);
	ok(w, find_count(w->store, wanted, &n, &bytes, &w->f));
	ok(w, search_db_open(w->store->search_path, w->store->id, SEARCH_WRITE, &d, NULL, &w->f));
	ok(w, search_db_begin(d, &w->f));
	int64_t began = monotonic_ms();
	keep(w, MESSAGES, 1);
	assert_true(monotonic_ms() - began < 10000);
	search_db_rollback(d);
	search_db_close(d);
	ok(w, find_count(w->store, wanted, &n, &bytes, &w->f));
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DROP_TEST(what_the_catalog_knows_needs_no_index),
		WORLD_DROP_TEST(an_id_that_is_none_is_refused),
		WORLD_DROP_TEST(without_an_index_nothing_is_known_of_headers),
		WORLD_DROP_TEST(words_are_found_in_their_field),
		WORLD_DROP_TEST(case_and_diacritics_do_not_matter_and_order_does),
		WORLD_DROP_TEST(nothing_that_somebody_writes_is_syntax),
		WORLD_DROP_TEST(dates_ids_and_attachments),
		WORLD_DROP_TEST(trees_of_both),
		WORLD_DROP_TEST(a_query_as_deep_as_it_may_be_is_answered),
		WORLD_DROP_TEST(what_is_not_indexed_is_neither_found_nor_forgotten),
		WORLD_DROP_TEST(one_that_could_not_be_read_is_counted),
		WORLD_DROP_TEST(a_row_of_other_bytes_counts_for_nothing),
		WORLD_DROP_TEST(by_place_is_as_they_lie),
		WORLD_DROP_TEST(what_the_index_answers_scans_no_table),
		WORLD_DROP_TEST(the_order_of_places_is_that_of_an_index),
		WORLD_DROP_TEST(a_damaged_index_is_named),
		WORLD_DROP_TEST(a_commit_does_not_wait_for_who_indexes),
	};

	return cmocka_run_group_tests_name("find", tests, NULL, NULL);
}
