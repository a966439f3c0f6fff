#include "archive/limits.h"
#include "cli/query.h"
#include "cli/query_caret.h"
#include "cli/query_parse.h"
#include "tests/unit/check.h"

#include <locale.h>
#include <stdio.h>

static const struct option_spec options[] = {QUERY_OPTIONS, {NULL, 0, NULL, NULL}};
static const struct option_spec *const tables[] = {options, NULL};

/* What today is in these tests: 2026-03-31, 12:00 UTC. */
static const struct query_context context = {DATE_UTC, INT64_C(1774958400000)};

/* ---- Lines ----------------------------------------------------------------------------------- */

static struct query_lexer lexer;

/* line: pieces with | between them, which none of these queries has. */
static int read_line(const char *line, struct query *ret, struct fault *f)
{
	static char copy[4096];
	size_t len = strlen(line);
	struct condition *c = NULL;

	assert_true(len < sizeof copy);
	memcpy(copy, line, len);
	for (size_t i = 0; i < len; i++)
		copy[i] = copy[i] == '|' ? '\0' : copy[i];
	if (query_lexer_init(&lexer, slice_of(copy, len), f) < 0 ||
		query_parse(&lexer, &context, &c, f) < 0)
		return -1;
	return query_set(ret, c, f);
}

static void expect(const char *line, const char *canonical)
{
	struct query q CLEANUP(query_deinit) = {0}, again CLEANUP(query_deinit) = {0};
	struct fault f = {0};

	if (read_line(line, &q, &f) < 0)
		fail_msg("%s: %s", line, f.text);
	if (strcmp(q.canonical, canonical) != 0)
		fail_msg("%s: is %s, not %s", line, q.canonical, canonical);
	assert_int_equal(read_line(q.canonical, &again, &f), 0);
	assert_string_equal(again.canonical, canonical);
}

/* at, len: what of the line is marked. text: part of what is said. */
static void expect_wrong(const char *line, size_t at, size_t len, const char *text)
{
	struct query q = {0};
	struct fault f = {0};

	if (read_line(line, &q, &f) != -1)
		fail_msg("%s: is understood as %s", line, q.canonical);
	assert_int_equal(f.code, FAULT_USAGE);
	if (!strstr(f.text, text) || lexer.wrong_at != at || lexer.wrong_len != len)
		fail_msg(
			"%s: %s (at %zu, %zu long)", line, f.text, lexer.wrong_at, lexer.wrong_len);
}

static void words_side_by_side_must_all_hold(void **state)
{
	(void)state;
	expect("", "");
	expect("invoice", "invoice");
	expect("invoice from:anna", "invoice AND from:anna");
	expect("invoice AND from:anna", "invoice AND from:anna");
	expect("a|b|c|d|e", "a AND b AND c AND d AND e");
	expect("to:a cc:b subject:c", "to:a AND cc:b AND subject:c");
}

static void or_holds_less_tightly_than_and_and_not_most(void **state)
{
	(void)state;
	expect("from:a b OR c", "from:a AND b OR c");
	expect("from:a AND (b OR c)", "from:a AND (b OR c)");
	expect("NOT a b", "NOT a AND b");
	expect("NOT (a OR b) c", "NOT (a OR b) AND c");
	expect("NOT NOT a", "NOT NOT a");
	expect("(((a)))", "a");
	expect("a (b (c OR (d OR e)))", "a AND b AND (c OR d OR e)");
}

static void a_minus_is_a_not(void **state)
{
	(void)state;
	expect("a -from:b", "a AND NOT from:b");
	expect("-(a OR b) c", "NOT (a OR b) AND c");
	expect("-\"a b\"", "NOT \"a b\"");
	expect("anna-maria", "anna-maria");
}

static void operators_are_upper_case_and_keys_any(void **state)
{
	(void)state;
	expect("this|or|that|not|x", "this AND or AND that AND not AND x");
	expect("FROM:Anna Subject:X|y", "from:Anna AND subject:X AND y");
	expect("\"AND\" \"NOT\"", "\"AND\" AND \"NOT\"");
}

static void quotation_marks_hold_words_together(void **state)
{
	(void)state;
	expect("subject:\"quarterly report\"", "subject:\"quarterly report\"");
	expect("\"from:x (y)\"", "\"from:x (y)\"");
	expect("\"say \\\"hi\\\" \\\\ \\n\"", "\"say \\\"hi\\\" \\\\ \\\\n\"");
	expect("account:\"a b\"", "account:\"a b\"");
	expect("subject:\"anna\"", "subject:anna");
	expect("\"a|b\"", "\"a b\"");
	expect("archived:\"2026-01-31 10:00\"",
		"archived:>=2026-01-31T10:00:00.000Z AND archived:<2026-01-31T10:01:00.000Z");
	expect("archived:<\"2026-01-31 10:00\"", "archived:<2026-01-31T10:00:00.000Z");
}

static void an_argument_with_blanks_is_one_value(void **state)
{
	(void)state;
	expect("from:Anna Smith", "from:\"Anna Smith\"");
	expect("from:Anna Smith|OR|x", "from:\"Anna Smith\" OR x");
	expect("quarterly report", "\"quarterly report\"");
	expect("quarterly|report", "quarterly AND report");
	expect("subject:Re: invoice", "subject:\"Re: invoice\"");
	expect("subject:quarterly rep*", "subject:\"quarterly rep\"*");
}

static void but_not_one_that_is_written_in_the_language(void **state)
{
	(void)state;
	expect("anna OR bob", "anna OR bob");
	expect("from:anna to:bob", "from:anna AND to:bob");
	expect("from:anna -bob", "from:anna AND NOT bob");
	expect("from:anna (bob)", "from:anna AND bob");
	expect("from:anna \"b c\"", "from:anna AND \"b c\"");
	expect("account:anna bob", "account:anna AND bob");
}

static void a_star_is_any_word_that_begins_so(void **state)
{
	(void)state;
	expect("invoi*", "invoi*");
	expect("from:ann*", "from:ann*");
	expect("\"a b\"*", "\"a b\"*");
	expect_wrong("in*x", 0, 4, "at its end");
	expect_wrong("account:\"a\"*", 8, 4, "behind words");
	expect("account:a*", "account:\"a*\"");
}

static void comparisons_mean_what_they_say(void **state)
{
	(void)state;
	expect("size:>10", "size:>=11");
	expect("size:<10", "size:<10");
	expect("size:<=10K", "size:<10241");
	expect("size:10", "size:>=10 AND size:<11");
	expect("size:>=99999T", "size:>=109950063265972224");
	expect("size:>=9999999T", "size:>=1152921504606846976");
	expect("archived:2026-01-31",
		"archived:>=2026-01-31T00:00:00.000Z AND archived:<2026-02-01T00:00:00.000Z");
	expect("archived:>2026-01-31", "archived:>=2026-02-01T00:00:00.000Z");
	expect("archived:<=2026-01-31", "archived:<2026-02-01T00:00:00.000Z");
}

static void before_on_and_after_leave_nothing_out(void **state)
{
	(void)state;
	expect("before:2026-01-31", "date:<2026-01-31T00:00:00.000Z");
	expect("on:2026-01-31", "date:>=2026-01-31T00:00:00.000Z AND "
				"date:<2026-02-01T00:00:00.000Z");
	expect("after:2026-01-31", "date:>=2026-02-01T00:00:00.000Z");
	expect("date:2026", "date:>=2026-01-01T00:00:00.000Z AND date:<2027-01-01T00:00:00.000Z");
}

static void dates_can_be_months_years_and_so_long_ago(void **state)
{
	(void)state;
	expect("before:2026", "date:<2026-01-01T00:00:00.000Z");
	expect("after:2026", "date:>=2027-01-01T00:00:00.000Z");
	expect("date:>=2025-12", "date:>=2025-12-01T00:00:00.000Z");
	expect("date:<=2025-12", "date:<2026-01-01T00:00:00.000Z");
	expect("date:>=today", "date:>=2026-03-31T00:00:00.000Z");
	expect("before:Yesterday", "date:<2026-03-30T00:00:00.000Z");
	expect("date:>=7d", "date:>=2026-03-24T00:00:00.000Z");
	expect("after:2w", "date:>=2026-03-18T00:00:00.000Z");
	expect("before:1y", "date:<2025-03-31T00:00:00.000Z");
	/* There is no 31st of February. */
	expect("before:1m", "date:<2026-03-03T00:00:00.000Z");
	expect("before:2026-01-31T10:00+01:00", "date:<2026-01-31T09:00:00.000Z");
	expect("before:0001", "date:<1000-01-01T00:00:00.000Z");
	expect("after:9999", "date:>=9999-01-01T00:00:00.000Z");
}

static void spans_that_must_all_hold_become_one(void **state)
{
	(void)state;
	expect("size:>10 a size:>20 size:<90 size:<80", "size:>=21 AND size:<80 AND a");
	expect("size:>10 OR size:>20", "size:>=11 OR size:>=21");
	expect("NOT (size:>10 size:<20)", "NOT (size:>=11 AND size:<20)");
	expect("NOT on:2026-01-31", "NOT (date:>=2026-01-31T00:00:00.000Z AND "
				    "date:<2026-02-01T00:00:00.000Z)");
	expect("size:0", "size:>=0 AND size:<1");
}

static void the_other_keys(void **state)
{
	(void)state;
	expect("id:AB12", "id:ab12");
	expect("msgid:<a@b.example>", "msgid:a@b.example");
	expect("msgid:<<a>>", "msgid:a");
}

static void has_knows_attachments(void **state)
{
	(void)state;
	expect("has:attachment", "has:attachment");
	expect("has:Attachments", "has:attachment");
	expect_wrong("has:virus", 4, 5, "has:attachment");
}

static void what_is_wrong_is_marked(void **state)
{
	(void)state;
	expect_wrong("a form:anna", 2, 4, "did you mean from:?");
	expect_wrong("xyzzy:anna", 0, 5, "msgid");
	expect_wrong("a (b OR c", 2, 1, "never closed");
	expect_wrong("a b) c", 3, 1, "closes nothing");
	expect_wrong(")", 0, 1, "closes nothing");
	expect_wrong("a ( ) b", 2, 3, "nothing between");
	expect_wrong("a AND", 2, 3, "nothing behind");
	expect_wrong("(a OR )", 3, 2, "nothing behind");
	expect_wrong("OR a", 0, 2, "nothing in front");
	expect_wrong("a AND OR b", 6, 2, "nothing in front");
	expect_wrong("NOT", 0, 3, "nothing behind");
	expect_wrong("a \"b c", 2, 1, "never closed");
	expect_wrong("a \"\"", 2, 2, "between the quotation marks");
	expect_wrong("from: anna OR b", 0, 5, "behind from:");
	expect_wrong("size:big", 5, 3, "no size");
	expect_wrong("archived:", 0, 9, "behind archived:");
	expect_wrong("archived:>=2026-13-01", 9, 12, "no date");
	expect_wrong("on:7x", 3, 2, "no date");
	expect_wrong("id:xyz", 3, 3, "no id");
	expect_wrong("id:", 0, 3, "behind id:");
	expect_wrong("a|...", 2, 3, "no word");
	expect_wrong("msgid:<>", 6, 2, "no Message-ID");
	expect_wrong("ab\x01", 2, 1, "control");
	expect_wrong("\xc3\xa4\xff", 2, 1, "UTF-8");
}

static void a_query_has_its_limits(void **state)
{
	struct buffer deep CLEANUP(buffer_deinit) = buffer_make(4096);
	struct buffer many CLEANUP(buffer_deinit) = buffer_make(4096);
	struct query q = {0};
	struct fault f = {0};

	(void)state;
	for (int i = 0; i < LIMIT_QUERY_DEPTH + 1; i++)
		assert_int_equal(buffer_append_text(&deep, "NOT ", &f), 0);
	assert_int_equal(buffer_append_text(&deep, "a", &f), 0);
	expect_wrong(buffer_text(&deep), (size_t)LIMIT_QUERY_DEPTH * 4, 3, "too deeply");
	deep.len = 0;
	for (int i = 0; i < LIMIT_QUERY_NESTING; i++)
		assert_int_equal(buffer_append_text(&deep, "NOT ", &f), 0);
	assert_int_equal(buffer_append_text(&deep, "size:1", &f), 0);
	/* Its canonical text has parentheses. */
	assert_int_equal(read_line(buffer_text(&deep), &q, &f), -1);
	assert_non_null(strstr(f.text, "8 parentheses and NOTs"));
	assert_int_equal(read_line(buffer_text(&deep) + 4, &q, &f), 0);
	query_deinit(&q);
	for (int i = 0; i < LIMIT_QUERY_TERMS + 1; i++)
		assert_int_equal(buffer_append_text(&many, "a|", &f), 0);
	assert_int_equal(read_line(buffer_text(&many), &q, &f), 0 - 1);
	assert_non_null(strstr(f.text, "more than 256"));
	many.len = LIMIT_QUERY_TERMS * 2;
	assert_int_equal(read_line(buffer_text(&many), &q, &f), 0);
	query_deinit(&q);
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static int read_arguments(const char *words, struct query *ret, struct fault *f)
{
	static char copy[256], *argv[16];
	struct arguments a CLEANUP(arguments_deinit) = {0};
	int argc = 1;
	char *rest = copy;

	(void)snprintf(copy, sizeof copy, "%s", words);
	argv[0] = copy;
	for (char *word; (word = strsep(&rest, "|")) && argc < 15;)
		argv[argc++] = word;
	assert_int_equal(arguments_parse(&a, argc, argv, tables, f), 0);
	return query_read(ret, &a, true, f);
}

static void options_and_words_must_all_hold(void **state)
{
	static const char *const says[][2] = {
		{"--account|anna|--since=2026-01-31|--before|2026-03-01",
			"account:anna AND archived:>=2026-01-31T00:00:00.000Z AND "
			"archived:<2026-03-01T00:00:00.000Z"},
		{"--min-size|10K|--max-size|1M|--id|ab12",
			"size:>=10240 AND size:<1048577 AND id:ab12"},
		{"--account|a|b|OR|c", "account:a AND (b OR c)"},
		{"--account|a|b|c", "account:a AND b AND c"},
		{"--", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof says / sizeof *says; i++) {
		struct query q CLEANUP(query_deinit) = {0};
		struct fault f;

		assert_int_equal(read_arguments(says[i][0], &q, &f), 0);
		assert_string_equal(q.canonical, says[i][1]);
	}
}

static void a_wrong_option_is_named(void **state)
{
	static const char *const wrong[][2] = {{"--since|soon", "--since: \"soon\""},
		{"--min-size|x", "--min-size"}, {"--id|xyz", "--id"}, {"--account|", "--account"}};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct query q;
		struct fault f;

		assert_int_equal(read_arguments(wrong[i][0], &q, &f), -1);
		assert_int_equal(f.code, FAULT_USAGE);
		assert_non_null(strstr(f.text, wrong[i][1]));
	}
	struct query q;
	struct fault f;
	assert_int_equal(read_arguments("a||b", &q, &f), -1);
	assert_non_null(strstr(f.text, "argument 2 of the query is empty"));
}

/* ---- Marks ----------------------------------------------------------------------------------- */

static void expect_mark(const char *line, size_t at, size_t len, size_t columns, const char *lines)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(4096);
	struct fault f;

	assert_int_equal(query_caret(slice_text(line), at, len, columns, &to, &f), 0);
	assert_string_equal(buffer_text(&to), lines);
}

static void the_mark_stands_under_the_place(void **state)
{
	(void)state;
	expect_mark("a size:big", 7, 3, 80, "\n  a size:big\n         ^~~");
	expect_mark("a", 1, 0, 80, "\n  a\n   ^");
	/* As wide as they are shown: two columns, one, and four for each byte that is escaped. */
	expect_mark("\xe6\x97\xa5 \xc3\xa4 x", 7, 1, 80, "\n  \xe6\x97\xa5 \xc3\xa4 x\n       ^");
	expect_mark("\x01\x02z", 1, 1, 80, "\n  \\x01\\x02z\n      ^~~~");
}

static void a_long_line_is_cut_around_the_place(void **state)
{
	(void)state;
	expect_mark("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:x bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
		37, 1, 22, "\n  ...aa:x bbbbbbbbb...\n        ^");
	expect_mark(
		"x bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 0, 1, 22, "\n  x bbbbbbbbbbbbbbb...\n  ^");
	expect_mark("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa x", 35, 1, 22,
		"\n  ...aaaaaaaaaaaaaaa x\n                     ^");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words_side_by_side_must_all_hold),
		TEST(or_holds_less_tightly_than_and_and_not_most),
		TEST(a_minus_is_a_not),
		TEST(operators_are_upper_case_and_keys_any),
		TEST(quotation_marks_hold_words_together),
		TEST(an_argument_with_blanks_is_one_value),
		TEST(but_not_one_that_is_written_in_the_language),
		TEST(a_star_is_any_word_that_begins_so),
		TEST(comparisons_mean_what_they_say),
		TEST(before_on_and_after_leave_nothing_out),
		TEST(dates_can_be_months_years_and_so_long_ago),
		TEST(spans_that_must_all_hold_become_one),
		TEST(the_other_keys),
		TEST(has_knows_attachments),
		TEST(what_is_wrong_is_marked),
		TEST(a_query_has_its_limits),
		TEST(options_and_words_must_all_hold),
		TEST(a_wrong_option_is_named),
		TEST(the_mark_stands_under_the_place),
		TEST(a_long_line_is_cut_around_the_place),
	};

	(void)setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
