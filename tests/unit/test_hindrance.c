#include "tests/unit/check.h"

#include "daemon/hindrance.h"

static enum hindrance of(enum fault_code code, enum reply_code reply, const char *text)
{
	struct fault f;

	fault_record(&f, code, SCOPE_ACCOUNT, 0, "%s", text);
	return hindrance_of(&f, reply);
}

static void no_fault_is_no_hindrance(void **state)
{
	struct fault f = {0};

	(void)state;
	assert_int_equal(hindrance_of(&f, REPLY_CODE_NONE), HINDRANCE_NONE);
}

static void a_refused_password_is_the_login(void **state)
{
	(void)state;
	assert_int_equal(
		of(FAULT_LOGIN, REPLY_CODE_AUTH, "Authentication failed."), HINDRANCE_LOGIN);
	assert_int_equal(of(FAULT_LOGIN, REPLY_CODE_NONE, "no"), HINDRANCE_LOGIN);
}

static void too_many_logins_are_no_wrong_password(void **state)
{
	(void)state;
	assert_int_equal(of(FAULT_LOGIN, REPLY_CODE_AUTH,
				 "Exceeded the login limit for a 15 minute period."),
		HINDRANCE_TOO_SOON);
	assert_int_equal(of(FAULT_LOGIN, REPLY_CODE_NONE, "login allowed only every 15 minutes"),
		HINDRANCE_TOO_SOON);
	assert_int_equal(of(FAULT_REACH, REPLY_CODE_NONE, "\"-ERR Too many connections\""),
		HINDRANCE_TOO_SOON);
}

static void response_codes_say_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(of(FAULT_PROTOCOL, REPLY_CODE_IN_USE, "locked"), HINDRANCE_IN_USE);
	assert_int_equal(of(FAULT_PROTOCOL, REPLY_CODE_LOGIN_DELAY, "wait"), HINDRANCE_TOO_SOON);
	assert_int_equal(of(FAULT_PROTOCOL, REPLY_CODE_SYS_TEMP, "later"), HINDRANCE_PASSING);
	assert_int_equal(of(FAULT_PROTOCOL, REPLY_CODE_SYS_PERM, "no such box"), HINDRANCE_PERSON);
}

static void what_only_a_person_can_mend_is_told_apart(void **state)
{
	(void)state;
	assert_int_equal(of(FAULT_ACCESS, REPLY_CODE_NONE, "the command ended with status 1"),
		HINDRANCE_PERSON);
	assert_int_equal(of(FAULT_REACH, REPLY_CODE_NONE, "connection refused"), HINDRANCE_PASSING);
	assert_int_equal(of(FAULT_INTERRUPT, REPLY_CODE_NONE, "stopped"), HINDRANCE_STOPPED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_fault_is_no_hindrance),
		cmocka_unit_test(a_refused_password_is_the_login),
		cmocka_unit_test(too_many_logins_are_no_wrong_password),
		cmocka_unit_test(response_codes_say_what_it_is),
		cmocka_unit_test(what_only_a_person_can_mend_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
