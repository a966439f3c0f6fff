#include "archive/mail_date.h"
#include "tests/unit/check.h"

static void expect_mail_date(const char *text, const char *utc)
{
	char written[MOMENT_TEXT];
	moment_ms t;

	assert_int_equal(mail_date_parse(slice_text(text), &t), 0);
	moment_format(t, written);
	assert_string_equal(written, utc);
}

static void dates_of_mail_are_read(void **state)
{
	(void)state;
	expect_mail_date("Sat, 21 Nov 2026 20:34:56 +0100", "2026-11-21T19:34:56.000Z");
	expect_mail_date("1 Jan 2026 0:00 -0000", "2026-01-01T00:00:00.000Z");
	expect_mail_date("Mon,  1 Jan 01 12:00:00 EST (comment)", "2001-01-01T17:00:00.000Z");
	expect_mail_date("1 Jan 99 12:00:00 GMT", "1999-01-01T12:00:00.000Z");
	expect_mail_date("Mon, 27 May 2002 10:28:3 +0200", "2002-05-27T08:28:03.000Z");
	expect_mail_date("Sat Sep 21 08:18:08 2002", "2002-09-21T08:18:08.000Z");
	expect_mail_date("Wed 31-Dec-2025 23:59:60 -0100", "2026-01-01T01:00:00.000Z");
}

static void what_is_no_date_of_mail_is_refused(void **state)
{
	static const char *const bad[] = {"", ",", "tomorrow", "Sat, 21 Nov", "32 Jan 2026 0:00",
		"1 Foo 2026 0:00", "1 Jan 2026 25:00", "1 Jan 2026 10-00"};
	moment_ms t;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(mail_date_parse(slice_text(bad[i]), &t), 1);
	assert_int_equal(mail_date_parse(slice_of(NULL, 0), &t), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dates_of_mail_are_read),
		TEST(what_is_no_date_of_mail_is_refused),
	};

	return cmocka_run_group_tests_name("mail_date", tests, NULL, NULL);
}
