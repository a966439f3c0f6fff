#include "daemon/scram.h"

#include "tests/unit/check.h"

#include <string.h>

/* The examples of RFC 5802 section 5 and RFC 7677 section 3; the salted passwords were computed
 * with Python's hashlib.pbkdf2_hmac. */
static void the_examples_of_the_RFCs_come_out(void **state)
{
	char hex[SCRAM_HEX_MAX];

	(void)state;
	assert_int_equal(
		scram_salted_password(SCRAM_SHA1, "pencil", "QSXCR+Q6sek8bf92", "4096", hex), 0);
	assert_string_equal(hex, "1d96ee3a529b5a5f9e47c01f229a2cb8a6e15f7d");
	assert_int_equal(scram_salted_password(
				 SCRAM_SHA256, "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==", "4096", hex),
		0);
	assert_string_equal(
		hex, "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d");
}

static void passwords_are_prepared(void **state)
{
	char plain[SCRAM_HEX_MAX], odd[SCRAM_HEX_MAX];

	(void)state;
	/* RFC 4013 section 3: a soft hyphen is nothing, a no-break space a space. */
	assert_int_equal(scram_salted_password(SCRAM_SHA256, "I X", "c2FsdA==", "1", plain), 0);
	assert_int_equal(
		scram_salted_password(SCRAM_SHA256, "I\xc2\xad\xc2\xa0X", "c2FsdA==", "1", odd), 0);
	assert_string_equal(plain, odd);
}

static void what_is_not_right_is_left_to_libgsasl(void **state)
{
	char hex[SCRAM_HEX_MAX];
	static const char *const counts[] = {
		"", "0", "-1", "4096x", "99999999999999999999", "250001"};

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		assert_int_equal(
			scram_salted_password(SCRAM_SHA256, "pencil", "c2FsdA==", counts[i], hex),
			SCRAM_DECLINED);
	assert_int_equal(scram_salted_password(SCRAM_SHA256, "pencil", "no base64!", "1", hex),
		SCRAM_DECLINED);
	assert_int_equal(
		scram_salted_password(SCRAM_SHA256, "\xff", "c2FsdA==", "1", hex), SCRAM_DECLINED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_examples_of_the_RFCs_come_out),
		TEST(passwords_are_prepared),
		TEST(what_is_not_right_is_left_to_libgsasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
