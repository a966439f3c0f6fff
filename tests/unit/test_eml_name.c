/* Names of files for people, and the folders that they go into. */
#include "cli/eml_folders.h"
#include "tests/unit/check.h"

#include "archive/limits.h"

#include <stdio.h>

static void expect_text(const char *text, const char *wanted)
{
	char safe[EML_SUBJECT + 1];

	eml_safe_text(slice_text(text), sizeof safe, safe);
	assert_string_equal(safe, wanted);
}

static void what_a_file_system_refuses_is_replaced(void **state)
{
	(void)state;
	expect_text("a/b\\c:d|e", "a-b-c-d-e");
	expect_text("\"a\" <b>*?", "_a_ _b___");
	expect_text("../../etc/passwd", "..-..-etc-passwd");
	expect_text("  many \t\r\n blanks  ", "many blanks");
}

static void what_cannot_be_seen_or_reorders_text_is_left_out(void **state)
{
	(void)state;
	expect_text("a\x01\x1b\x7f\xe2\x80\xae"
		    "b\xe2\x80\x8b"
		    "c\xef\xbb\xbf",
		"abc");
	expect_text("\xff\xc0\x80", "___");
	expect_text("\xf0\x9f\x98\x80 smile", "_ smile");
	expect_text("\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9");
}

static void a_long_text_is_cut_between_characters(void **state)
{
	char text[4 * EML_CHARACTERS + 1] = "", safe[EML_SUBJECT + 1];

	(void)state;
	for (size_t i = 0; i < EML_CHARACTERS; i++)
		memcpy(text + 3 * i, "\xe4\xbd\xa0", 4);
	eml_safe_text(slice_text(text), sizeof safe, safe);
	assert_int_equal(strlen(safe), EML_SUBJECT / 3 * 3);
	memset(text, 'x', sizeof text - 1);
	eml_safe_text(slice_text(text), sizeof safe, safe);
	assert_int_equal(strlen(safe), EML_CHARACTERS);
}

static void name_of(const char *head, moment_ms archived, char ret[static EML_NAME])
{
	struct header h = {0};
	struct message m = {.archived = archived};
	struct fault f;

	memset(m.digest.byte, 0xab, DIGEST_LEN);
	assert_int_equal(header_read(slice_text(head), &h, &f), 0);
	eml_name(&m, &h, DATE_UTC, EML_ID, ret);
	header_deinit(&h);
}

static const moment_ms ARCHIVED = INT64_C(1769903999999);

static void a_name_has_date_subject_and_id(void **state)
{
	char name[EML_NAME];

	(void)state;
	name_of("Date: Sat, 21 Nov 2020 15:30:00 +0100\r\nSubject: "
		"=?utf-8?Q?=C3=A9t=C3=A9?=\r\n\r\n",
		ARCHIVED, name);
	assert_string_equal(name, "2020-11/2020-11-21 1430 \xc3\xa9t\xc3\xa9 [abababababab].eml");
}

static void without_a_date_or_with_one_to_come_it_is_that_of_archiving(void **state)
{
	static const char WANTED[] = "2026-01/2026-01-31 2359 no subject [abababababab].eml";
	char name[EML_NAME];

	(void)state;
	name_of("From: anna\r\n\r\n", ARCHIVED, name);
	assert_string_equal(name, WANTED);
	name_of("Date: Fri, 1 Jan 2038 00:00:00 +0000\r\n\r\n", ARCHIVED, name);
	assert_string_equal(name, WANTED);
}

static void a_full_folder_is_followed_by_another(void **state)
{
	struct eml_folders x = {0}, again = {0};
	char name[EML_NAME];
	struct fault f;

	(void)state;
	for (size_t i = 0; i < 2 * LIMIT_EXPORT_FOLDER + 1; i++) {
		(void)snprintf(name, sizeof name, "2026-01/%zu", i);
		assert_int_equal(eml_folders_place(&x, name, &f), 0);
		assert_int_equal(eml_folders_recall(&again, name, &f), 0);
	}
	assert_string_equal(name, "2026-01_3/10000");
	(void)snprintf(name, sizeof name, "2026-02/a");
	assert_int_equal(eml_folders_place(&again, name, &f), 0);
	assert_string_equal(name, "2026-02/a");
	(void)snprintf(name, sizeof name, "2026-01/b");
	assert_int_equal(eml_folders_place(&again, name, &f), 0);
	assert_string_equal(name, "2026-01_3/b");
	eml_folders_deinit(&x);
	eml_folders_deinit(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_file_system_refuses_is_replaced),
		TEST(what_cannot_be_seen_or_reorders_text_is_left_out),
		TEST(a_long_text_is_cut_between_characters),
		TEST(a_name_has_date_subject_and_id),
		TEST(without_a_date_or_with_one_to_come_it_is_that_of_archiving),
		TEST(a_full_folder_is_followed_by_another),
	};

	return cmocka_run_group_tests_name("eml_name", tests, NULL, NULL);
}
