#include "archive/encoded_word.h"
#include "archive/escape.h"
#include "archive/header.h"
#include "tests/unit/check.h"

static void expect_field(struct slice message, enum header_field field, const char *text)
{
	struct header h CLEANUP(header_deinit) = {0};
	struct fault f;

	assert_int_equal(header_read(message, &h, &f), 0);
	assert_int_equal(h.field[field].len, strlen(text));
	assert_memory_equal(
		h.field[field].len ? h.field[field].data : (const uint8_t *)"", text, strlen(text));
}

static void expect_subject(const char *message, const char *text)
{
	expect_field(slice_text(message), HEADER_SUBJECT, text);
}

static void expect_decoded(const char *encoded, const char *text)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(HEADER_FIELD_MAX);
	struct fault f;

	assert_int_equal(header_decode(slice_text(encoded), &to, &f), 0);
	assert_non_null(buffer_text(&to));
	assert_string_equal(buffer_text(&to), text);
}

static void fields_are_found_whatever_their_case(void **state)
{
	(void)state;
	expect_subject("FROM: a\r\nsUbJeCt: Hello\r\n\r\n", "Hello");
	expect_field(slice_text("From : a@b\r\n\r\n"), HEADER_FROM, "a@b");
	expect_subject("Subject:\r\n\r\n", "");
}

static void folded_lines_become_one(void **state)
{
	(void)state;
	expect_subject("Subject: one\r\n two\r\n\tthree\r\nFrom: x\r\n\r\n", "one two\tthree");
	expect_subject("Subject: one\n two\n\n", "one two");
}

static void the_first_occurrence_counts(void **state)
{
	(void)state;
	expect_subject("Subject: first\r\nSubject: second\r\n\r\n", "first");
	expect_subject("Subject:\r\nSubject: second\r\n\r\n", "");
}

static void the_body_is_not_looked_at(void **state)
{
	(void)state;
	expect_subject("From: a\r\n\r\nSubject: in the body\r\n", "");
	expect_subject("From: a\n\nSubject: in the body\n", "");
}

static void a_message_without_a_header_is_all_body(void **state)
{
	struct header h CLEANUP(header_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(header_read(slice_text("hi there\r\nSubject: no\r\n\r\n"), &h, &f), 0);
	assert_int_equal(h.body, 0);
	assert_int_equal(h.field[HEADER_SUBJECT].len, 0);
	expect_subject("From somebody Sat Nov 21 20:36:32 2026\nSubject: yes\n\n", "yes");
}

static void the_body_begins_behind_the_empty_line(void **state)
{
	struct header h CLEANUP(header_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(header_read(slice_text("From: a\r\n\r\nbody"), &h, &f), 0);
	assert_int_equal(h.body, 11);
	assert_int_equal(header_read(slice_text("\r\nbody"), &h, &f), 0);
	assert_int_equal(h.body, 2);
	assert_int_equal(header_read(slice_text("From: a"), &h, &f), 0);
	assert_int_equal(h.body, 7);
	assert_int_equal(header_read(slice_text(""), &h, &f), 0);
	assert_int_equal(h.body, 0);
}

static void lines_that_are_no_fields_are_passed_over(void **state)
{
	(void)state;
	expect_subject(
		"From anna Mon Jan 1\r\n no field\r\n:\r\nnonsense\r\nSubject: x\r\n\r\n", "x");
	expect_subject(" Subject: folded\r\nSubject: x\r\n\r\n", "x");
}

static void a_nul_is_a_byte_like_any_other(void **state)
{
	static const char message[] = "Subject: a\0b\r\n\r\n";

	(void)state;
	struct header h CLEANUP(header_deinit) = {0};
	struct fault f;
	assert_int_equal(header_read(slice_of(message, sizeof message - 1), &h, &f), 0);
	assert_int_equal(h.field[HEADER_SUBJECT].len, 3);
	assert_memory_equal(h.field[HEADER_SUBJECT].data, "a\0b", 3);
}

static void encoded_words_are_decoded(void **state)
{
	(void)state;
	expect_decoded("=?UTF-8?B?w7xiZXI=?=", "\xc3\xbc"
					       "ber");
	expect_decoded("=?utf-8?q?=C3=BCber_uns?=", "\xc3\xbc"
						    "ber uns");
	expect_decoded("=?ISO-8859-1?Q?=FCber?= uns", "\xc3\xbc"
						      "ber uns");
	expect_decoded("a =?us-ascii?Q?b?= c", "a b c");
	expect_decoded("=?UTF-8*de?Q?b?=", "b");
}

static void windows_1252_has_its_own_characters(void **state)
{
	(void)state;
	expect_decoded("=?windows-1252?Q?=80=93?=", "\xe2\x82\xac\xe2\x80\x9c");
	/* What says ISO-8859-1 and has such bytes means the same. */
	expect_decoded("=?iso-8859-1?Q?=80?=", "\xe2\x82\xac");
}

static void other_charsets_go_through_iconv(void **state)
{
	(void)state;
	expect_decoded("=?ISO-8859-2?Q?=B1?=", "\xc4\x85");
	expect_decoded("=?KOI8-R?B?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82");
	expect_decoded("=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac");
}

static void blanks_between_encoded_words_do_not_count(void **state)
{
	(void)state;
	expect_decoded("=?UTF-8?Q?a?= =?UTF-8?Q?b?=", "ab");
	expect_decoded("=?UTF-8?Q?a?= \t =?ISO-8859-1?Q?b?= c", "ab c");
	expect_decoded("=?UTF-8?Q?a?= =?broken", "a =?broken");
}

static void a_character_cut_in_two_words_is_put_together(void **state)
{
	(void)state;
	expect_decoded("=?UTF-8?B?w7w=?= =?UTF-8?B?w7w=?=", "\xc3\xbc\xc3\xbc");
	expect_decoded("=?UTF-8?Q?=C3?= =?UTF-8?Q?=BC?=", "\xc3\xbc");
	expect_decoded("=?GB2312?Q?=D6?= =?gb2312?Q?=D0?=", "\xe4\xb8\xad");
}

static void malformed_words_stay_as_they_are(void **state)
{
	static const char *const malformed[] = {"=?", "=?UTF-8", "=?UTF-8?", "=?UTF-8?Q",
		"=?UTF-8?Q?", "=?UTF-8?Q?abc", "=?UTF-8?Q?abc?",
		"=?UTF-8?X?abc?=", "=??Q?abc?=", "=?UTF-8//IGNORE?Q?abc?=", "=?a b?Q?abc?=", "=",
		"?=", "===", "=?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?Q?abc?="};

	(void)state;
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
		expect_decoded(malformed[i], malformed[i]);
}

static void malformed_contents_do_no_harm(void **state)
{
	(void)state;
	expect_decoded("=?UTF-8?Q?a=?=", "a=");
	expect_decoded("=?UTF-8?Q?a=4?=", "a=4");
	expect_decoded("=?UTF-8?Q?=ZZ?=", "=ZZ");
	expect_decoded("=?UTF-8?B?!!!!?=", "");
	expect_decoded("=?UTF-8?B?YQ?=", "a");
	expect_decoded("=?no-such-charset?Q?=FFx?=", "\xffx");
	expect_decoded("=?GB2312?Q?=D6?=", "\xef\xbf\xbd");
}

static void what_is_decoded_can_be_escaped(void **state)
{
	char text[64];
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(HEADER_FIELD_MAX);
	struct fault f;

	(void)state;
	assert_int_equal(header_decode(slice_text("=?UTF-8?Q?=1B]0;x=07=0D=0A?="), &to, &f), 0);
	assert_string_equal(
		escape_text(buffer_slice(&to), text, sizeof text), "\\x1b]0;x\\x07\\x0d\\x0a");
}

static void a_field_without_end_is_cut(void **state)
{
	struct buffer message CLEANUP(buffer_deinit) = buffer_make(4 * MIB);
	struct header h CLEANUP(header_deinit) = {0};
	struct fault f;

	(void)state;
	assert_int_equal(buffer_append_text(&message, "Subject: ", &f), 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buffer_append_text(&message, "=?u?q?x\r\n ", &f), 0);
	assert_int_equal(buffer_append_text(&message, "\r\nFrom: a\r\n\r\n", &f), 0);
	assert_int_equal(header_read(buffer_slice(&message), &h, &f), 0);
	assert_true(h.field[HEADER_SUBJECT].len <= HEADER_FIELD_MAX);
	assert_true(h.field[HEADER_SUBJECT].len >= LIMIT_HEADER_FIELD / 2);
	assert_int_equal(h.field[HEADER_FROM].len, 1);
}

/* Every prefix and many mutations of something with all the constructs, under the sanitizers. */
static void any_bytes_are_read_without_harm(void **state)
{
	static const char seed[] = "Subject: =?UTF-8?B?w7xiZXI=?=\r\n =?KOI8-R?Q?=F0_x?= y\r\n"
				   "From: \"=?iso-8859-2?q?=B1?=\" <a@b>\r\nDate: x\r\n\r\nbody";
	uint32_t random = 1;

	(void)state;
	for (size_t n = 0; n < sizeof seed; n++) {
		for (int round = 0; round < 50; round++) {
			char bytes[sizeof seed];
			struct header h CLEANUP(header_deinit) = {0};
			struct fault f;

			memcpy(bytes, seed, sizeof seed);
			for (int k = 0; k < round % 5 && n > 0; k++) {
				random = random * 1664525 + 1013904223;
				bytes[(random >> 8) % n] = (char)(random >> 24);
			}
			assert_int_equal(header_read(slice_of(bytes, n), &h, &f), 0);
			assert_true(h.body <= n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fields_are_found_whatever_their_case),
		TEST(folded_lines_become_one),
		TEST(the_first_occurrence_counts),
		TEST(the_body_is_not_looked_at),
		TEST(a_message_without_a_header_is_all_body),
		TEST(the_body_begins_behind_the_empty_line),
		TEST(lines_that_are_no_fields_are_passed_over),
		TEST(a_nul_is_a_byte_like_any_other),
		TEST(encoded_words_are_decoded),
		TEST(windows_1252_has_its_own_characters),
		TEST(other_charsets_go_through_iconv),
		TEST(blanks_between_encoded_words_do_not_count),
		TEST(a_character_cut_in_two_words_is_put_together),
		TEST(malformed_words_stay_as_they_are),
		TEST(malformed_contents_do_no_harm),
		TEST(what_is_decoded_can_be_escaped),
		TEST(a_field_without_end_is_cut),
		TEST(any_bytes_are_read_without_harm),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
