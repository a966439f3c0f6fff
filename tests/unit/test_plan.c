#include "daemon/plan.h"

#include "archive/limits.h"
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

enum { NOW = 1000000, MAX = 5000 };

struct mail {
	uint32_t number;
	const char *uidl;
	uint64_t size;
};

struct row {
	const char *uidl;
	enum known_state state;
	uint64_t size, copies;
	enum refusal reason;
	uint32_t tries;
	moment_ms next_try;
	bool accepted;
};

/* Rows of known things, in the order that the catalog gives. */
#define KEPT(uidl, size, copies)                                                                   \
	{                                                                                          \
		uidl, KNOWN_KEPT, size, copies, 0, 0, 0, false                                     \
	}
#define PENDING(uidl, size)                                                                        \
	{                                                                                          \
		uidl, KNOWN_PENDING, size, 0, 0, 0, 0, false                                       \
	}
#define VANISHED(uidl, size)                                                                       \
	{                                                                                          \
		uidl, KNOWN_VANISHED, size, 0, 0, 0, 0, false                                      \
	}
#define REFUSED(uidl, size, reason, tries, next)                                                   \
	{                                                                                          \
		uidl, KNOWN_REFUSED, size, 0, reason, tries, next, false                           \
	}
#define ACCEPTED(uidl, size)                                                                       \
	{                                                                                          \
		uidl, KNOWN_REFUSED, size, 0, REFUSAL_RETR_FAILED, 9, 0, true                      \
	}

#define ACCEPTED_VANISHED(uidl, size)                                                              \
	{                                                                                          \
		uidl, KNOWN_VANISHED, size, 0, 0, 0, 0, true                                       \
	}

struct rows {
	const struct row *row;
	size_t n, next;
	char uidl[LIMIT_UIDL];
	size_t fail_at; /* the row whose reading fails */
};

/* The UIDL is overwritten at each call, as a cursor's may be. */
static int next_row(void *context, struct known *ret, struct fault *f)
{
	struct rows *r = context;

	memset(r->uidl, '~', sizeof r->uidl);
	if (r->next == r->fail_at)
		return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0, "no row");
	if (r->next == r->n)
		return 0;
	const struct row *row = &r->row[r->next++];
	size_t len = strlen(row->uidl);
	memcpy(r->uidl, row->uidl, len);
	*ret = (struct known){.uidl = slice_of(r->uidl, len),
		.state = row->state,
		.listed_size = row->size,
		.copies = row->copies,
		.reason = row->reason,
		.tries = row->tries,
		.next_try = row->next_try,
		.accepted = row->accepted};
	return KNOWN_ROW;
}

/* A listing, its plan, and the plan as text. */
struct bench {
	struct listing listing;
	struct plan plan;
	struct rows rows;
	struct fault fault;
	struct buffer text;
};

static void read_listing(struct listing *l, const struct mail *mail, size_t n)
{
	char line[128];
	struct fault f;

	listing_init(l);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(line, sizeof line, "%u %s", mail[i].number, mail[i].uidl);
		assert_int_equal(listing_add_uidl(l, slice_text(line), &f), 0);
	}
	listing_uidl_end(l);
	for (size_t i = 0; i < n; i++) {
		if (mail[i].size == SIZE_UNKNOWN)
			continue;
		(void)snprintf(line, sizeof line, "%u %llu", mail[i].number,
			(unsigned long long)mail[i].size);
		assert_int_equal(listing_add_size(l, slice_text(line), &f), 0);
	}
	listing_sort(l);
}

static int make(struct bench *b, const struct mail *mail, size_t mail_n, const struct row *row,
	size_t row_n, enum sizes sizes)
{
	const struct plan_terms terms = {NOW, MAX, sizes};

	read_listing(&b->listing, mail, mail_n);
	plan_init(&b->plan);
	b->text = buffer_make(64 * KIB);
	b->rows.row = row;
	b->rows.n = row_n;
	return plan_make(&b->plan, &b->listing, (struct known_source){next_row, &b->rows}, &terms,
		&b->fault);
}

static void unmake(struct bench *b)
{
	plan_deinit(&b->plan);
	listing_deinit(&b->listing);
	buffer_deinit(&b->text);
}

#define ADD(...) assert_int_equal(buffer_append_format(&b->text, &b->fault, __VA_ARGS__), 0)

/* Each message by number with its verdict and, when it differs, as what it counts: A, P, R. */
static void add_verdicts(struct bench *b)
{
	static const char *const words[] = {"kept", "new", "again", "retry", "refused", "large"};
	static const enum counted usual[] = {COUNTED_ARCHIVED, COUNTED_PENDING, COUNTED_PENDING,
		COUNTED_REFUSED, COUNTED_REFUSED, COUNTED_REFUSED};

	for (uint32_t number = 1; number < 50; number++) {
		for (size_t e = 0; e < b->listing.n; e++) {
			if (b->listing.entries[e].number != number)
				continue;
			enum verdict v = plan_verdict(&b->plan, e);
			enum counted c = plan_counted(&b->plan, e);
			ADD("%u:%s%s ", number, words[v],
				c == usual[v]		? ""
				: c == COUNTED_ARCHIVED ? "/A"
							: "/?");
		}
	}
}

static void add_list(struct bench *b, const char *name, const struct entry_list *list)
{
	if (list->n == 0)
		return;
	ADD("| %s", name);
	for (size_t i = 0; i < list->n; i++)
		ADD(" %u", b->listing.entries[list->at[i]].number);
	ADD(" ");
}

static const char *plan_text(struct bench *b)
{
	const struct sums *s = &b->plan.sums;

	add_verdicts(b);
	add_list(b, "fetch", &b->plan.fetch);
	add_list(b, "large", &b->plan.too_large);
	add_list(b, "pending", &b->plan.pending);
	if (b->plan.vanished_n > 0)
		ADD("| gone");
	for (size_t i = 0; i < b->plan.vanished_n; i++) {
		struct slice uidl = plan_gone_uidl(&b->plan, &b->plan.vanished[i]);
		ADD(" %.*s", (int)uidl.len, (const char *)uidl.data);
	}
	ADD("%s| %u=%u+%u+%u -%u", b->plan.vanished_n > 0 ? " " : "", (unsigned)s->listed,
		(unsigned)s->archived, (unsigned)s->pending, (unsigned)s->refused,
		(unsigned)s->vanished);
	assert_int_equal(s->listed, s->archived + s->pending + s->refused);
	return buffer_text(&b->text);
}

static void check(const struct mail *mail, size_t mail_n, const struct row *row, size_t row_n,
	enum sizes sizes, const char *want)
{
	struct bench b = {.rows = {.fail_at = SIZE_MAX}};

	assert_int_equal(make(&b, mail, mail_n, row, row_n, sizes), 0);
	assert_string_equal(plan_text(&b), want);
	unmake(&b);
}

#define N(array)		       (sizeof(array) / sizeof *(array))
#define CHECK(mail, rows, sizes, want) check(mail, N(mail), rows, N(rows), sizes, want)

static void a_first_listing_is_fetched_whole(void **state)
{
	static const struct mail mail[] = {{1, "c", 10}, {2, "a", 20}, {3, "b", SIZE_UNKNOWN}};

	(void)state;
	check(mail, 3, NULL, 0, SIZES_COMPARED,
		"1:new 2:new 3:new | fetch 1 2 3 | pending 2 3 1 | 3=0+3+0 -0");
}

static void what_is_kept_is_not_fetched(void **state)
{
	static const struct mail mail[] = {{1, "a", 10}, {2, "b", 20}, {3, "c", 30}};
	static const struct row rows[] = {
		KEPT("a", 10, 1), KEPT("aa", 10, 1), KEPT("b", 20, 1), KEPT("z", 20, 1)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:kept 2:kept 3:new | fetch 3 | pending 3 | 3=2+1+0 -0");
}

static void an_empty_listing_forgets_nothing_kept(void **state)
{
	static const struct row rows[] = {KEPT("a", 10, 1), PENDING("b", 5), VANISHED("c", 5)};

	(void)state;
	check(NULL, 0, rows, N(rows), SIZES_COMPARED, "| gone b | 0=0+0+0 -2");
}

static void what_is_pending_already_is_not_said_again(void **state)
{
	static const struct mail mail[] = {{1, "a", 10}, {2, "b", 20}};
	static const struct row rows[] = {PENDING("a", 10)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:new 2:new | fetch 1 2 | pending 2 | 2=0+2+0 -0");
}

static void a_vanished_one_that_is_back_is_pending(void **state)
{
	static const struct mail mail[] = {{1, "a", 10}};
	static const struct row rows[] = {VANISHED("a", 10), VANISHED("b", 10)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:new | fetch 1 | pending 1 | 1=0+1+0 -1");
}

static void pending_and_refused_ones_vanish_but_accepted_ones_do_not(void **state)
{
	static const struct mail mail[] = {{1, "x", 10}};
	static const struct row rows[] = {PENDING("a", 10),
		REFUSED("b", 10, REFUSAL_TOO_LARGE, 1, 0), ACCEPTED("c", 10), PENDING("d", 10),
		KEPT("x", 10, 1), PENDING("y", 10)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:kept | gone a b d y | 1=1+0+0 -4");
}

static void what_vanished_counts_until_it_is_accepted(void **state)
{
	static const struct mail mail[] = {{1, "c", 10}};
	static const struct row rows[] = {VANISHED("a", 10), ACCEPTED_VANISHED("b", 10),
		ACCEPTED_VANISHED("c", 10), VANISHED("d", 10)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:new | fetch 1 | pending 1 | 1=0+1+0 -2");
}

static void beside_a_kept_one_another_vanishes_where_its_size_is_gone(void **state)
{
	static const struct mail mail[] = {{1, "x", 10}};
	static const struct row other[] = {KEPT("x", 10, 1), PENDING("x", 20)};
	static const struct row same[] = {KEPT("x", 10, 1), PENDING("x", 10)};

	(void)state;
	CHECK(mail, other, SIZES_COMPARED, "1:kept | gone x | 1=1+0+0 -1");
	CHECK(mail, other, SIZES_UNRELIABLE, "1:kept | 1=1+0+0 -0");
	CHECK(mail, same, SIZES_COMPARED, "1:kept | 1=1+0+0 -0");
	check(NULL, 0, same, N(same), SIZES_COMPARED, "| gone x | 0=0+0+0 -1");
}

static void more_listed_than_kept_are_all_fetched(void **state)
{
	static const struct mail mail[] = {{1, "x", 10}, {2, "x", 30}, {3, "x", 20}};
	static const struct row rows[] = {KEPT("x", 20, 1)};

	(void)state;
	/* One counts as archived: the one that is fetched first, whichever it is. */
	CHECK(mail, rows, SIZES_COMPARED,
		"1:again/A 2:again 3:again | fetch 1 2 3 | pending 3 | 3=1+2+0 -0");
	CHECK(mail, rows, SIZES_UNRELIABLE,
		"1:again/A 2:again 3:again | fetch 1 2 3 | pending 3 | 3=1+2+0 -0");
}

static void copies_count_as_that_many(void **state)
{
	static const struct mail mail[] = {{1, "x", 10}, {2, "x", 10}, {3, "x", 10}};
	static const struct row two[] = {KEPT("x", 10, 2)}, three[] = {KEPT("x", 10, 3)};

	(void)state;
	CHECK(mail, two, SIZES_COMPARED,
		"1:again/A 2:again/A 3:again | fetch 1 2 3 | pending 3 | 3=2+1+0 -0");
	CHECK(mail, three, SIZES_COMPARED, "1:kept 2:kept 3:kept | 3=3+0+0 -0");
}

static void kept_rows_may_come_in_any_order_of_size(void **state)
{
	static const struct mail mail[] = {{1, "x", 10}, {2, "x", 20}, {3, "x", 15}};
	static const struct row rows[] = {KEPT("x", 20, 1), KEPT("x", 10, 1), KEPT("x", 15, 1)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:kept 2:kept 3:kept | 3=3+0+0 -0");
}

static void another_size_under_a_known_uidl_is_another_message(void **state)
{
	static const struct mail mail[] = {{1, "x", 11}};
	static const struct mail two[] = {{1, "x", 11}, {2, "x", 10}};
	static const struct mail no_size[] = {{1, "x", SIZE_UNKNOWN}};
	static const struct row rows[] = {KEPT("x", 10, 1)};
	static const struct row more[] = {KEPT("x", 10, 1), KEPT("x", 12, 1)};
	static const struct row unknown[] = {KEPT("x", SIZE_UNKNOWN, 1)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:again | fetch 1 | pending 1 | 1=0+1+0 -0");
	CHECK(two, more, SIZES_COMPARED, "1:again/A 2:again | fetch 1 2 | pending 2 | 2=1+1+0 -0");
	CHECK(mail, rows, SIZES_UNRELIABLE, "1:kept | 1=1+0+0 -0");
	CHECK(mail, unknown, SIZES_COMPARED, "1:kept | 1=1+0+0 -0");
	CHECK(no_size, rows, SIZES_COMPARED, "1:kept | 1=1+0+0 -0");
}

static void a_refused_one_waits_until_it_is_due_accepted_or_not(void **state)
{
	static const struct mail mail[] = {{1, "a", 10}, {2, "b", 10}, {3, "c", 10}};
	static const struct row rows[] = {REFUSED("a", 10, REFUSAL_RETR_FAILED, 1, NOW + 1),
		REFUSED("b", 10, REFUSAL_TRUNCATED, 1, NOW), ACCEPTED("c", 10)};
	struct bench b = {.rows = {.fail_at = SIZE_MAX}};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED, "1:refused 2:retry 3:retry | fetch 2 3 | 3=0+0+3 -0");
	assert_int_equal(make(&b, mail, 3, rows, 3, SIZES_COMPARED), 0);
	assert_int_equal(plan_refusal(&b.plan, 1), REFUSAL_TRUNCATED);
	assert_int_equal(plan_refusal(&b.plan, 0), REFUSAL_RETR_FAILED);
	unmake(&b);
}

static void what_is_too_large_is_refused_without_fetching(void **state)
{
	static const struct mail mail[] = {
		{1, "b", MAX + 1}, {2, "a", MAX}, {3, "c", SIZE_UNKNOWN}, {4, "a0", MAX * 2}};
	static const struct row rows[] = {VANISHED("b", MAX + 1)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED,
		"1:large 2:new 3:new 4:large | fetch 2 3 | large 1 4 | pending 2 3 | 4=0+2+2 -0");
}

static void a_too_large_one_is_due_when_the_maximum_allows_it(void **state)
{
	static const struct mail fits[] = {{1, "a", MAX}}, not_yet[] = {{1, "a", MAX + 1}};
	static const struct row once[] = {REFUSED("a", MAX + 1, REFUSAL_TOO_LARGE, 1, NOW + 9)};
	static const struct row often[] = {REFUSED("a", MAX, REFUSAL_TOO_LARGE, 2, NOW + 9)};
	static const struct row due[] = {REFUSED("a", MAX, REFUSAL_TOO_LARGE, 2, NOW)};

	(void)state;
	CHECK(fits, once, SIZES_COMPARED, "1:retry | fetch 1 | 1=0+0+1 -0");
	CHECK(fits, often, SIZES_COMPARED, "1:refused | 1=0+0+1 -0");
	CHECK(fits, due, SIZES_COMPARED, "1:retry | fetch 1 | 1=0+0+1 -0");
	CHECK(not_yet, due, SIZES_COMPARED, "1:refused | 1=0+0+1 -0");
}

static void a_refusal_blocks_no_other_message_of_its_uidl(void **state)
{
	static const struct mail mail[] = {{1, "", 10}, {2, "", 10}, {3, "", 30}, {4, "", 40}};
	static const struct row rows[] = {
		KEPT("", 10, 1), REFUSED("", 30, REFUSAL_RETR_FAILED, 1, NOW + 1)};
	static const struct row all[] = {
		KEPT("", 10, 2), KEPT("", 40, 1), REFUSED("", 30, REFUSAL_RETR_FAILED, 1, NOW + 1)};

	(void)state;
	CHECK(mail, rows, SIZES_COMPARED,
		"1:again/A 2:again 3:refused 4:again | fetch 1 2 4 | pending 2 | 4=1+2+1 -0");
	CHECK(mail, all, SIZES_COMPARED, "1:kept 2:kept 3:refused 4:kept | 4=3+0+1 -0");
	CHECK(mail, all, SIZES_UNRELIABLE, "1:kept 2:kept 3:kept 4:refused | 4=3+0+1 -0");
}

static void without_sizes_a_large_one_hides_no_new_one(void **state)
{
	static const struct mail mail[] = {{1, "x", MAX + 1}, {2, "x", 50}};
	static const struct row rows[] = {KEPT("x", SIZE_UNKNOWN, 1)};
	static const struct mail unknown[] = {{1, "x", MAX + 1}, {2, "x", SIZE_UNKNOWN}};
	static const struct row then[] = {
		KEPT("x", SIZE_UNKNOWN, 1), REFUSED("x", MAX + 1, REFUSAL_TOO_LARGE, 1, NOW + 1)};

	(void)state;
	/* Which of the two is kept is not known, so that the small one is fetched. */
	CHECK(mail, rows, SIZES_COMPARED, "1:large 2:again/A | fetch 2 | large 1 | 2=1+0+1 -0");
	CHECK(unknown, rows, SIZES_COMPARED, "1:large 2:again/A | fetch 2 | large 1 | 2=1+0+1 -0");
	CHECK(mail, then, SIZES_COMPARED, "1:refused 2:kept | 2=1+0+1 -0");
}

static void a_renumbered_maildrop_is_noticed(void **state)
{
	static const struct mail mail[] = {{1, "p", 10}, {2, "q", 20}, {3, "q", 20}};
	static const struct row rows[] = {KEPT("a", 10, 1), KEPT("b", 20, 1)};
	static const struct row one[] = {KEPT("a", 10, 1), KEPT("q", 20, 2)};
	static const struct row pending[] = {PENDING("a", 10)};
	struct bench b = {.rows = {.fail_at = SIZE_MAX}};

	(void)state;
	assert_int_equal(make(&b, mail, 3, rows, 2, SIZES_COMPARED), 0);
	assert_true(b.plan.renumbered);
	assert_int_equal(b.plan.repeated, 2);
	assert_int_equal(b.plan.fetch_bytes, 50);
	unmake(&b);
	b = (struct bench){.rows = {.fail_at = SIZE_MAX}};
	assert_int_equal(make(&b, mail, 3, one, 2, SIZES_COMPARED), 0);
	assert_false(b.plan.renumbered);
	unmake(&b);
	b = (struct bench){.rows = {.fail_at = SIZE_MAX}};
	assert_int_equal(make(&b, mail, 3, pending, 1, SIZES_COMPARED), 0);
	assert_false(b.plan.renumbered);
	unmake(&b);
	b = (struct bench){.rows = {.fail_at = SIZE_MAX}};
	assert_int_equal(make(&b, mail, 0, rows, 2, SIZES_COMPARED), 0);
	assert_false(b.plan.renumbered);
	unmake(&b);
}

static void the_sums_follow_what_was_done(void **state)
{
	static const struct mail mail[] = {{1, "a", 10}, {2, "b", 10}, {3, "c", 10}, {4, "d", 10}};
	static const struct row rows[] = {
		REFUSED("c", 10, REFUSAL_RETR_FAILED, 1, 0), KEPT("d", 10, 1)};
	struct bench b = {.rows = {.fail_at = SIZE_MAX}};

	(void)state;
	assert_int_equal(make(&b, mail, 4, rows, 2, SIZES_COMPARED), 0);
	plan_set_archived(&b.plan, 0);
	plan_set_archived(&b.plan, 0);
	plan_set_refused(&b.plan, 1);
	plan_set_archived(&b.plan, 2);
	plan_set_archived(&b.plan, 3);
	assert_int_equal(b.plan.sums.archived, 3);
	assert_int_equal(b.plan.sums.pending, 0);
	assert_int_equal(b.plan.sums.refused, 1);
	assert_int_equal(plan_verdict(&b.plan, 2), VERDICT_RETRY);
	unmake(&b);
}

static void a_source_that_fails_fails_the_plan(void **state)
{
	static const struct mail mail[] = {{1, "a", 10}};
	static const struct row rows[] = {KEPT("a", 10, 1), KEPT("b", 10, 1)};

	(void)state;
	for (size_t fail_at = 0; fail_at <= 2; fail_at++) {
		struct bench b = {.rows = {.fail_at = fail_at}};
		assert_int_equal(make(&b, mail, 1, rows, 2, SIZES_COMPARED), -1);
		assert_int_equal(b.fault.code, FAULT_DAMAGE);
		assert_null(b.plan.marks);
		unmake(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_first_listing_is_fetched_whole),
		TEST(what_is_kept_is_not_fetched),
		TEST(an_empty_listing_forgets_nothing_kept),
		TEST(what_is_pending_already_is_not_said_again),
		TEST(a_vanished_one_that_is_back_is_pending),
		TEST(pending_and_refused_ones_vanish_but_accepted_ones_do_not),
		TEST(what_vanished_counts_until_it_is_accepted),
		TEST(beside_a_kept_one_another_vanishes_where_its_size_is_gone),
		TEST(more_listed_than_kept_are_all_fetched),
		TEST(copies_count_as_that_many),
		TEST(kept_rows_may_come_in_any_order_of_size),
		TEST(another_size_under_a_known_uidl_is_another_message),
		TEST(a_refused_one_waits_until_it_is_due_accepted_or_not),
		TEST(what_is_too_large_is_refused_without_fetching),
		TEST(a_too_large_one_is_due_when_the_maximum_allows_it),
		TEST(a_refusal_blocks_no_other_message_of_its_uidl),
		TEST(without_sizes_a_large_one_hides_no_new_one),
		TEST(a_renumbered_maildrop_is_noticed),
		TEST(the_sums_follow_what_was_done),
		TEST(a_source_that_fails_fails_the_plan),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
