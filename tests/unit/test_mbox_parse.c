#include "cli/mbox_dialect.h"
#include "cli/mbox_parse.h"
#include "cli/mboxrd.h"
#include "tests/unit/check.h"
#include "tests/unit/mbox_apart.h"

#define DATE "Mon Jan  5 10:20:30 2015"
#define FROM "From a@b " DATE "\n"

static struct mbox_counts counts; /* of the last one */

/* Whatever the pieces are, and whether lengths can be looked up. */
static void expect_bytes(struct slice in, enum mbox_dialect dialect, const char *wanted)
{
	struct apart a = {.out = buffer_make(4 * MIB)};

	for (size_t piece = 1; piece <= in.len + 1; piece++) {
		for (int lookup = MBOX_CANNOT_ASK; lookup <= MBOX_CAN_ASK; lookup++) {
			apart_take(&a, in, piece, dialect, (enum mbox_lookup)lookup);
			assert_string_equal(buffer_text(&a.out), wanted);
			if (piece > 1)
				assert_memory_equal(&counts, &a.parser.counts, sizeof counts);
			counts = a.parser.counts;
		}
	}
	buffer_deinit(&a.out);
}

static void expect(const char *in, enum mbox_dialect dialect, const char *wanted)
{
	expect_bytes(slice_text(in), dialect, wanted);
}

static void expect_all(const char *in, const char *wanted)
{
	for (enum mbox_dialect i = MBOX_ANY; i <= MBOX_CL2; i++)
		expect(in, i, wanted);
}

static void a_message_ends_before_an_empty_line_and_a_from_line(void **state)
{
	(void)state;
	expect_all(FROM "A: 1\n\nx\n\n" FROM "A: 2\n\ny\n\n\n", "[A: 1\n\nx\n][A: 2\n\ny\n\n]");
	assert_int_equal(counts.messages, 2);
	expect_all("From a@b " DATE "\r\nA: 1\r\n\r\nx\r\n\r\nFrom b " DATE "\r\nB: 2\r\n\r\n\r\n",
		"[A: 1\r\n\r\nx\r\n][B: 2\r\n\r\n]");
	assert_int_equal(counts.no_blank, 0);
	/* Whatever comes behind it. */
	expect_all(FROM "A: 1\n\nx\n\n" FROM "no header\n", "[A: 1\n\nx\n][no header\n]");
	expect_all(FROM "A: 1\n\nx\n\n" FROM, "[A: 1\n\nx\n][]");
}

static void a_header_alone_and_nothing_at_all_are_messages(void **state)
{
	(void)state;
	expect_all("", "");
	expect_all(FROM, "[]");
	expect_all(FROM "\n" FROM "\n", "[][]");
	expect_all(FROM "A: 1\n\n" FROM "B: 2\n\n\n" FROM "C: 3\n\n", "[A: 1\n][B: 2\n\n][C: 3\n]");
	assert_int_equal(counts.messages, 3);
}

static void the_end_of_the_file_ends_a_message_as_it_is(void **state)
{
	(void)state;
	expect_all(FROM "A: 1\n\nx\n", "[A: 1\n\nx\n]");
	assert_int_equal(counts.unended, 0);
	expect_all(FROM "A: 1\n\nx", "[A: 1\n\nx]");
	assert_int_equal(counts.unended, 1);
	expect_all(FROM "A: 1\n\nx\nFro", "[A: 1\n\nx\nFro]");
	expect_all(FROM "A: 1\n\nx\n\r", "[A: 1\n\nx\n\r]");
	expect_all(FROM "A: 1\n\nx\n>", "[A: 1\n\nx\n>]");
	expect_all(FROM "A: 1\n\nx\n\nFrom b " DATE, "[A: 1\n\nx\n][]");
}

static void a_from_line_without_an_empty_one_needs_a_header(void **state)
{
	(void)state;
	expect_all(FROM "A: 1\n\nx\n" FROM "B: 2\n\ny\n", "[A: 1\n\nx\n][B: 2\n\ny\n]");
	assert_int_equal(counts.no_blank, 1);
	expect_all(FROM "A: 1\n" FROM "B: 2\n\ny\n", "[A: 1\n][B: 2\n\ny\n]");
	expect_all(FROM "A: 1\n\nx\n" FROM "no header\n", "[A: 1\n\nx\n" FROM "no header\n]");
	assert_int_equal(counts.from_text, 1);
	assert_int_equal(counts.from_dated, 1);
	expect_all(FROM "A: 1\n\nx\n" FROM, "[A: 1\n\nx\n" FROM "]");
	assert_int_equal(counts.from_dated, 1);
}

static void from_lines_without_a_date_are_text_and_are_counted(void **state)
{
	static const char TEXT[] = FROM "A: 1\n\nFrom here on\n\nFrom there\nFrom \n\nFrom\nx\n";

	(void)state;
	expect_all(TEXT, "[A: 1\n\nFrom here on\n\nFrom there\nFrom \n\nFrom\nx\n]");
	assert_int_equal(counts.from_text, 3);
	assert_int_equal(counts.from_dated, 0);
	assert_int_equal(counts.from_first, sizeof FROM - 1 + 6);
}

static void a_file_without_dates_is_told_apart_by_headers(void **state)
{
	(void)state;
	expect_all("From 1@xxx\nA: 1\n\nFrom here\n\nFrom there\nx\n\nFrom 2@xxx\nB: 2\n\ny\n",
		"[A: 1\n\nFrom here\n\nFrom there\nx\n][B: 2\n\ny\n]");
	assert_int_equal(counts.from_text, 2);
	expect_all(FROM "A: 1\n\nx\n\nFrom 2@xxx\nB: 2\n\ny\n",
		"[A: 1\n\nx\n\nFrom 2@xxx\nB: 2\n\ny\n]");
}

static void a_second_from_line_belongs_to_the_same_message(void **state)
{
	(void)state;
	expect_all(FROM "From x " DATE "\nFrom y " DATE "\nA: 1\n\nx\n", "[A: 1\n\nx\n]");
	assert_int_equal(counts.messages, 1);
	assert_int_equal(counts.doubled, 2);
}

static void what_stands_before_the_first_message_is_junk(void **state)
{
	(void)state;
	expect_all("\xef\xbb\xbf" FROM "A: 1\n\nx\n", "[A: 1\n\nx\n]");
	expect_all("\n\r\n\n" FROM "A: 1\n\nx\n", "[A: 1\n\nx\n]");
	assert_int_equal(counts.junk, 0);
	expect("junk\n>From x\n\nno\n\n" FROM "A: 1\n\nx\n", MBOX_RD,
		"{junk\n>From x\n\nno\n}[A: 1\n\nx\n]");
	assert_int_equal(counts.junk, 17);
	/* Only there a "From " line needs no date. */
	expect_all("From nobody\nA: 1\n\nx\n", "[A: 1\n\nx\n]");
}

static void brackets_go_as_the_dialect_says(void **state)
{
	static const char TEXT[] =
		FROM ">From h\n\n>From a\n>>From b\n>>>From c\n> From\n>Fro\n>\n";

	(void)state;
	expect(TEXT, MBOX_O, "[>From h\n\nFrom a\n>>From b\n>>>From c\n> From\n>Fro\n>\n]");
	expect(TEXT, MBOX_CL, "[>From h\n\nFrom a\n>>From b\n>>>From c\n> From\n>Fro\n>\n]");
	expect(TEXT, MBOX_RD, "[From h\n\nFrom a\n>From b\n>>From c\n> From\n>Fro\n>\n]");
	assert_int_equal(counts.quoted, 2);
	assert_int_equal(counts.quoted_more, 2);
	assert_int_equal(counts.unquoted, 4);
	expect(TEXT, MBOX_CL2, "[>From h\n\n>From a\n>>From b\n>>>From c\n> From\n>Fro\n>\n]");
	expect(TEXT, MBOX_ANY, "[>From h\n\n>From a\n>>From b\n>>>From c\n> From\n>Fro\n>\n]");
	assert_int_equal(counts.unquoted, 0);
}

static void a_right_length_holds_whatever_the_body_is(void **state)
{
	static const char TEXT[] =
		FROM "Content-Length: 54\n\nx\n\n" FROM "B: 2\n\n>From y\n\nz\n\n" FROM "C: 3\n\n";

	(void)state;
	expect(TEXT, MBOX_CL2,
		"[Content-Length: 54\n\nx\n\n" FROM "B: 2\n\n>From y\n\nz\n][C: 3\n]");
	assert_int_equal(counts.length_right, 1);
	assert_int_equal(counts.from_counted, 1);
	expect(TEXT, MBOX_CL, "[Content-Length: 54\n\nx\n\n" FROM "B: 2\n\nFrom y\n\nz\n][C: 3\n]");
	expect(TEXT, MBOX_RD, "[Content-Length: 54\n\nx\n][B: 2\n\nFrom y\n\nz\n][C: 3\n]");
}

static void a_length_gives_a_last_line_without_end(void **state)
{
	(void)state;
	expect(FROM "Content-Length: 1\n\nx\n" FROM "content-length:  2 \n\nxy\n", MBOX_CL2,
		"[Content-Length: 1\n\nx][content-length:  2 \n\nxy]");
	assert_int_equal(counts.no_blank, 0);
	expect(FROM "Content-Length: 0\n\n\n" FROM "Content-Length: 0\n\n", MBOX_CL2,
		"[Content-Length: 0\n\n][Content-Length: 0\n\n]");
	expect(FROM "Content-Length: 1\r\n\r\nx\r\n" FROM "Content-Length: 3\n\nx\n\n" FROM,
		MBOX_CL, "[Content-Length: 1\r\n\r\nx][Content-Length: 3\n\nx\n\n][]");
	assert_int_equal(counts.no_blank, 1);
	expect(FROM "Content-Length: 2\n\nx\n\n\n\n", MBOX_CL, "[Content-Length: 2\n\nx\n]");
}

static void a_wrong_length_means_nothing(void **state)
{
	static const char *const wrong[] = {
		"0", "1", "2", "6", "50", "9223372036854775807", "18446744073709551615", NULL};

	(void)state;
	for (const char *const *w = wrong; *w; w++) {
		char in[256], out[128];

		(void)snprintf(in, sizeof in,
			FROM "Content-Length: %s\n\nxyz\n\n" FROM "B: 2\n\ny\n\n" FROM "C: 3\n",
			*w);
		(void)snprintf(
			out, sizeof out, "[Content-Length: %s\n\nxyz\n][B: 2\n\ny\n][C: 3\n]", *w);
		expect(in, MBOX_CL2, out);
		assert_int_equal(counts.length_right, 0);
		assert_int_equal(counts.length_wrong, 1);
	}
	expect(FROM "Content-Length: x\nContent-Length:\n\nx\n", MBOX_CL2,
		"[Content-Length: x\nContent-Length:\n\nx\n]");
	assert_int_equal(counts.length_wrong, 0);
}

static void a_length_in_a_body_is_none(void **state)
{
	(void)state;
	expect(FROM "A: 1\n\nContent-Length: 1\n\nx\n\n" FROM "B: 2\n", MBOX_CL2,
		"[A: 1\n\nContent-Length: 1\n\nx\n][B: 2\n]");
	assert_int_equal(counts.length_right + counts.length_wrong, 0);
	expect(FROM "A: 1\n" FROM "Content-Length: 1\n\nx\n\n" FROM "B: 2\n", MBOX_CL2,
		"[A: 1\n][Content-Length: 1\n\nx\n][B: 2\n]");
}

static void nul_bytes_are_bytes(void **state)
{
	static const char IN[] = FROM "A: 1\n\nx\0y\n\0From z\n\n" FROM "B: 2\n";
	static const char WANTED[] = "[A: 1\n\nx\0y\n\0From z\n][B: 2\n]";
	struct apart a = {.out = buffer_make(MIB)};

	(void)state;
	for (size_t piece = 1; piece < sizeof IN; piece++) {
		apart_take(&a, slice_of(IN, sizeof IN - 1), piece, MBOX_RD, MBOX_CAN_ASK);
		assert_int_equal(a.out.len, sizeof WANTED - 1);
		assert_memory_equal(a.out.data, WANTED, a.out.len);
	}
	buffer_deinit(&a.out);
}

static void fill(struct buffer *to, const char *text, size_t times)
{
	struct fault f;

	while (times-- > 0)
		assert_int_equal(buffer_append_text(to, text, &f), 0);
}

/* Lines that are longer than any window, at each place where lines are looked at. */
static void lines_of_any_length_pass_through(void **state)
{
	static const char *const places[] = {FROM, FROM "A: 1\n\nx\n\n", FROM "A: 1\n\nFrom ",
		FROM "A: 1\n\n>", FROM "A: 1\n\n>>", FROM "A: 1\n\n\nFrom x Mon Jan"};
	struct buffer in = buffer_make(4 * MIB), wanted = buffer_make(4 * MIB);
	struct apart a = {.out = buffer_make(4 * MIB)};

	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		buffer_clear(&in);
		buffer_clear(&wanted);
		fill(&in, places[i], 1);
		fill(&in, "0123456789", 130000);
		fill(&wanted, "[", 1);
		fill(&wanted, (const char *)buffer_text(&in) + sizeof FROM - 1, 1);
		fill(&wanted, "\n][B: 2\n]", 1);
		fill(&in, "\n\n" FROM "B: 2\n", 1);
		for (size_t piece = 99999; piece < 2 * MIB; piece += 600001) {
			apart_take(&a, buffer_slice(&in), piece, MBOX_CL, MBOX_CANNOT_ASK);
			assert_true(
				slice_compare(buffer_slice(&a.out), buffer_slice(&wanted)) == 0);
		}
	}
	buffer_deinit(&in);
	buffer_deinit(&wanted);
	buffer_deinit(&a.out);
}

static void any_number_of_brackets_is_one_less(void **state)
{
	struct buffer in = buffer_make(4 * MIB), wanted = buffer_make(4 * MIB);
	struct apart a = {.out = buffer_make(4 * MIB)};

	(void)state;
	fill(&in, FROM "A: 1\n\n", 1);
	fill(&in, ">", 1500000);
	fill(&in, "From x\n", 1);
	fill(&wanted, "[A: 1\n\n", 1);
	fill(&wanted, ">", 1499999);
	fill(&wanted, "From x\n]", 1);
	for (size_t piece = 77777; piece < 2 * MIB; piece += 600001) {
		apart_take(&a, buffer_slice(&in), piece, MBOX_RD, MBOX_CANNOT_ASK);
		assert_true(slice_compare(buffer_slice(&a.out), buffer_slice(&wanted)) == 0);
		assert_int_equal(a.parser.counts.quoted_more, 1);
	}
	buffer_deinit(&in);
	buffer_deinit(&wanted);
	buffer_deinit(&a.out);
}

static void a_length_too_far_away_is_not_followed_without_looking(void **state)
{
	struct buffer in = buffer_make(4 * MIB);
	struct apart a = {.out = buffer_make(4 * MIB)};

	(void)state;
	fill(&in, FROM "Content-Length: 1500041\n\n", 1);
	fill(&in, "012345678\n", 150000);
	fill(&in, "\n" FROM "x: y\n", 1);
	fill(&in, "\n\n" FROM "B: 2\n", 1);
	apart_take(&a, buffer_slice(&in), 65536, MBOX_CL2, MBOX_CANNOT_ASK);
	assert_int_equal(a.parser.counts.length_unknown, 1);
	assert_int_equal(a.parser.counts.messages, 3);
	apart_take(&a, buffer_slice(&in), 65536, MBOX_CL2, MBOX_CAN_ASK);
	assert_int_equal(a.parser.counts.length_right, 1);
	assert_int_equal(a.parser.counts.messages, 2);
	buffer_deinit(&in);
	buffer_deinit(&a.out);
}

/* ---- What cli/mboxrd.h writes ---------------------------------------------------------------- */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

static const char SEPARATOR[] = FROM;

/* Of words that are likely to be taken for something else. */
static void random_message(uint32_t *seed, struct buffer *to)
{
	static const char *const words[] = {"From ", ">", ">From ", "\n", "\n\n", "\n\nFrom ",
		SEPARATOR, "A: 1\n", "Content-Length: 7\n", "x", "\r", "\r\n", DATE, "\nFrom", ">>",
		" ", "F", "\xef\xbb\xbf"};
	size_t n = next_random(seed) % 12;

	buffer_clear(to);
	while (n-- > 0)
		fill(to, words[next_random(seed) % (sizeof words / sizeof *words)], 1);
}

static void write_message(struct slice m, struct buffer *mbox)
{
	struct mboxrd w;
	struct fault f;

	mboxrd_begin(&w, 0, MBOXRD_KEPT);
	assert_int_equal(mboxrd_add(&w, m, mbox, &f), 0);
	assert_int_equal(mboxrd_end(&w, mbox, &f), 0);
}

static void what_we_write_is_read_back(void **state)
{
	struct buffer m = buffer_make(MIB), mbox = buffer_make(MIB), wanted = buffer_make(MIB);
	struct apart a = {.out = buffer_make(MIB)};
	uint32_t seed = 20260131;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		buffer_clear(&mbox);
		buffer_clear(&wanted);
		for (uint32_t n = next_random(&seed) % 5; n > 0; n--) {
			random_message(&seed, &m);
			write_message(buffer_slice(&m), &mbox);
			fill(&wanted, "[", 1);
			fill(&wanted, buffer_text(&m), 1);
			if (m.len > 0 && m.data[m.len - 1] != '\n')
				fill(&wanted, "\n", 1);
			fill(&wanted, "]", 1);
		}
		apart_take(&a, buffer_slice(&mbox), 1 + next_random(&seed) % 64, MBOX_RD,
			MBOX_CANNOT_ASK);
		assert_string_equal(buffer_text(&a.out), buffer_text(&wanted));
	}
	buffer_deinit(&m);
	buffer_deinit(&mbox);
	buffer_deinit(&wanted);
	buffer_deinit(&a.out);
}

static void dialects_have_names(void **state)
{
	enum mbox_dialect d = MBOX_ANY;

	(void)state;
	assert_int_equal(mbox_dialect_parse("mboxcl2", &d), 0);
	assert_int_equal(d, MBOX_CL2);
	assert_int_equal(mbox_dialect_parse("mbox", &d), 1);
	assert_string_equal(mbox_dialect_name(MBOX_RD), "mboxrd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_ends_before_an_empty_line_and_a_from_line),
		TEST(a_header_alone_and_nothing_at_all_are_messages),
		TEST(the_end_of_the_file_ends_a_message_as_it_is),
		TEST(a_from_line_without_an_empty_one_needs_a_header),
		TEST(from_lines_without_a_date_are_text_and_are_counted),
		TEST(a_file_without_dates_is_told_apart_by_headers),
		TEST(a_second_from_line_belongs_to_the_same_message),
		TEST(what_stands_before_the_first_message_is_junk),
		TEST(brackets_go_as_the_dialect_says),
		TEST(a_right_length_holds_whatever_the_body_is),
		TEST(a_length_gives_a_last_line_without_end),
		TEST(a_wrong_length_means_nothing),
		TEST(a_length_in_a_body_is_none),
		TEST(nul_bytes_are_bytes),
		TEST(lines_of_any_length_pass_through),
		TEST(any_number_of_brackets_is_one_less),
		TEST(a_length_too_far_away_is_not_followed_without_looking),
		TEST(what_we_write_is_read_back),
		TEST(dialects_have_names),
	};

	return cmocka_run_group_tests_name("mbox_parse", tests, NULL, NULL);
}
