#include "cli/mboxrd.h"
#include "tests/unit/check.h"

#include "archive/limits.h"

#define DATE "Sat Jan 31 23:59:59 2026"
static const moment_ms JANUARY = INT64_C(1769903999999);

/* In pieces of `piece` bytes; returns what mboxrd_add() or _end() said last. */
static int encode(struct slice in, size_t piece, enum mboxrd_ends ends, struct buffer *out)
{
	struct mboxrd m;
	struct fault f;

	buffer_clear(out);
	mboxrd_begin(&m, JANUARY, ends);
	while (in.len > 0) {
		size_t n = in.len < piece ? in.len : piece;
		int r = mboxrd_add(&m, slice_of(in.data, n), out, &f);

		if (r != 0)
			return r;
		in = slice_of(in.data + n, in.len - n);
	}
	return mboxrd_end(&m, out, &f);
}

/* Whatever the pieces are. */
static void expect_ends(struct slice in, enum mboxrd_ends ends, const char *wanted)
{
	struct buffer out CLEANUP(buffer_deinit) = buffer_make(MIB);

	for (size_t piece = 1; piece <= in.len + 1; piece++) {
		assert_int_equal(encode(in, piece, ends, &out), 0);
		assert_string_equal(buffer_text(&out), wanted);
	}
}

static void expect(const char *in, const char *wanted)
{
	expect_ends(slice_text(in), MBOXRD_CRLF, wanted);
}

static void a_message_stands_between_its_from_line_and_an_empty_one(void **state)
{
	(void)state;
	expect("Subject: x\r\n\r\ntext\r\n", "From MAILER-DAEMON " DATE "\nSubject: x\n\ntext\n\n");
	expect("", "From MAILER-DAEMON " DATE "\n\n");
}

static void lines_that_begin_with_from_get_one_more_bracket(void **state)
{
	(void)state;
	expect("From here\r\n>From there\r\n>>>From x\r\nFrom\r\n From \r\n>Fro\r\nFFrom \r\n",
		"From MAILER-DAEMON " DATE
		"\n>From here\n>>From there\n>>>>From x\nFrom\n From \n>Fro\nFFrom \n\n");
	expect("a\r\nFrom ", "From MAILER-DAEMON " DATE "\na\n>From \n\n");
	expect("a\r\n>>Fro", "From MAILER-DAEMON " DATE "\na\n>>Fro\n\n");
}

static void a_last_line_without_end_gets_one(void **state)
{
	(void)state;
	expect("a\r\nb", "From MAILER-DAEMON " DATE "\na\nb\n\n");
	expect("a\r\nb\r", "From MAILER-DAEMON " DATE "\na\nb\r\n\n");
	expect("\r", "From MAILER-DAEMON " DATE "\n\r\n\n");
}

static void carriage_returns_that_end_no_line_stay(void **state)
{
	(void)state;
	expect("a\rb\r\r\n\r\n", "From MAILER-DAEMON " DATE "\na\rb\r\n\n\n");
	expect("\r\r\rFrom \r\n", "From MAILER-DAEMON " DATE "\n\r\r\rFrom \n\n");
}

static void a_bare_lf_keeps_the_line_ends_as_they_are(void **state)
{
	static const char MIXED[] = "a\r\nb\nFrom c\r\n";
	struct buffer out CLEANUP(buffer_deinit) = buffer_make(KIB);

	(void)state;
	for (size_t piece = 1; piece <= sizeof MIXED; piece++)
		assert_int_equal(
			encode(slice_text(MIXED), piece, MBOXRD_CRLF, &out), MBOXRD_BARE_LF);
	assert_int_equal(encode(slice_text("\n"), 1, MBOXRD_CRLF, &out), MBOXRD_BARE_LF);
	expect_ends(slice_text(MIXED), MBOXRD_KEPT,
		"From MAILER-DAEMON " DATE "\na\r\nb\n>From c\r\n\n");
}

static void a_plain_return_path_is_the_sender(void **state)
{
	(void)state;
	expect("Return-Path: <anna@example.com>\r\nX: y\r\n",
		"From anna@example.com " DATE "\nReturn-Path: <anna@example.com>\nX: y\n\n");
	expect("return-path:<a@b> \r\n", "From a@b " DATE "\nreturn-path:<a@b> \n\n");
}

static void any_other_return_path_is_not(void **state)
{
	static const char *const others[] = {"<>", "<a b@c>", "<@c>", "<a@>", "<a@b@c>", "a@b",
		"<a@b", "<a@b> x", "<a\x01@b>", "<a\xc3\xa4@b>", "<\"a\"@b>"};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		char in[64], wanted[128];

		(void)snprintf(in, sizeof in, "Return-Path: %s\r\n", others[i]);
		(void)snprintf(wanted, sizeof wanted,
			"From MAILER-DAEMON " DATE "\nReturn-Path: %s\n\n", others[i]);
		expect(in, wanted);
	}
}

static void a_first_line_of_any_length_passes_through(void **state)
{
	struct buffer in CLEANUP(buffer_deinit) = buffer_make(MIB),
			 wanted CLEANUP(buffer_deinit) = buffer_make(MIB);
	struct fault f;

	(void)state;
	for (size_t n = MBOXRD_FIRST_LINE - 3; n < MBOXRD_FIRST_LINE + 3; n++) {
		buffer_clear(&in);
		buffer_clear(&wanted);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buffer_append_text(&in, "x", &f), 0);
		assert_int_equal(
			buffer_append_format(&wanted, &f,
				"From MAILER-DAEMON " DATE "\n%s\n>From y\n\n", buffer_text(&in)),
			0);
		assert_int_equal(buffer_append_text(&in, "\r\nFrom y\r\n", &f), 0);
		expect(buffer_text(&in), buffer_text(&wanted));
	}
}

static void nul_bytes_pass_through(void **state)
{
	static const char IN[] = "a\0b\r\n", WANTED[] = "From MAILER-DAEMON " DATE "\na\0b\n\n";
	struct buffer out CLEANUP(buffer_deinit) = buffer_make(KIB);

	(void)state;
	assert_int_equal(encode(slice_of(IN, sizeof IN - 1), 2, MBOXRD_CRLF, &out), 0);
	assert_int_equal(out.len, sizeof WANTED - 1);
	assert_memory_equal(out.data, WANTED, out.len);
}

static int append(void *context, struct slice bytes, struct fault *f)
{
	return buffer_append((struct buffer *)context, bytes.data, bytes.len, f);
}

static int turn_back(
	struct slice in, size_t piece, enum mboxrd_ends ends, uint64_t size, struct buffer *out)
{
	struct mboxrd_back b;
	struct fault f;

	buffer_clear(out);
	mboxrd_back_begin(&b, ends, size, append, out);
	while (in.len > 0) {
		size_t n = in.len < piece ? in.len : piece;

		assert_int_equal(mboxrd_back_add(&b, slice_of(in.data, n), &f), 0);
		in = slice_of(in.data + n, in.len - n);
	}
	return mboxrd_back_end(&b, &f);
}

static void a_message_is_had_back_with_its_own_bytes(void **state)
{
	static const char *const all[] = {"Subject: x\r\n\r\ntext\r\n", "", "From ", "a\r\n>>Fro",
		">From x\r\nFrom y\r\n>>>From z\r\n>\r\n>>>\r\nFrom", "a\rb\r\r\nFrom\r\r",
		"\r\n\r\n", "one\ntwo\r\n>From three\nFrom four"};
	struct buffer out CLEANUP(buffer_deinit) = buffer_make(KIB),
			  back CLEANUP(buffer_deinit) = buffer_make(KIB);

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct slice in = slice_text(all[i]);
		enum mboxrd_ends ends = MBOXRD_CRLF;

		if (encode(in, in.len + 1, ends, &out) == MBOXRD_BARE_LF)
			assert_int_equal(encode(in, in.len + 1, ends = MBOXRD_KEPT, &out), 0);
		for (size_t piece = 1; piece <= out.len; piece++) {
			assert_int_equal(
				turn_back(buffer_slice(&out), piece, ends, in.len, &back), 0);
			assert_int_equal(back.len, in.len);
			assert_string_equal(buffer_text(&back), all[i]);
		}
	}
}

static void what_has_another_length_is_no_such_message(void **state)
{
	struct slice in = slice_text("From x y\nab\ncd\n\n");
	struct buffer out CLEANUP(buffer_deinit) = buffer_make(KIB);

	(void)state;
	assert_int_equal(turn_back(in, 3, MBOXRD_CRLF, 8, &out), 0);
	assert_int_equal(turn_back(in, 3, MBOXRD_CRLF, 11, &out), MBOXRD_OTHER);
	assert_int_equal(turn_back(in, 3, MBOXRD_CRLF, 5, &out), MBOXRD_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_stands_between_its_from_line_and_an_empty_one),
		TEST(lines_that_begin_with_from_get_one_more_bracket),
		TEST(a_last_line_without_end_gets_one),
		TEST(carriage_returns_that_end_no_line_stay),
		TEST(a_bare_lf_keeps_the_line_ends_as_they_are),
		TEST(a_plain_return_path_is_the_sender),
		TEST(any_other_return_path_is_not),
		TEST(a_first_line_of_any_length_passes_through),
		TEST(nul_bytes_pass_through),
		TEST(a_message_is_had_back_with_its_own_bytes),
		TEST(what_has_another_length_is_no_such_message),
	};

	return cmocka_run_group_tests_name("mboxrd", tests, NULL, NULL);
}
