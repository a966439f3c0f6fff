/* Servers that refuse, answer nonsense or repeat what they should keep to themselves; and what must
 * never be sent. */
#include "tests/unit/talk.h"

static void expect_bearer(const char *auth, const char *capabilities, const char *line,
	const char *message, const char *answer)
{
	static char token[] = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
	static char odd_user[] = "user@example.com";
	struct talk t;

	begin(&t, TLS_IMPLICIT, auth);
	t.account.user = odd_user;
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	t.secret = (struct secret){token, strlen(token)};
	connect_with(&t, "+OK", capabilities);
	hear(&t, line);
	say(&t, "+");
	hear(&t, message);
	say(&t, "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0="); /* {"status":"401",… */
	hear(&t, answer);
	say(&t, "-ERR [AUTH] no");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT,
		"\"[AUTH] no\" (status 401); check user and what token-command prints");
}

static void a_refused_token_is_told_with_the_servers_status(void **state)
{
	(void)state;
	expect_bearer(NULL, "SASL PLAIN XOAUTH2 OAUTHBEARER", "AUTH OAUTHBEARER",
		"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9cG9wLmV4YW1wbGUuY29tAXBvcnQ9OTk1AWF1dGg9QmVh"
		"cmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB",
		"AQ==");
	/* The message is that of Google's page on XOAUTH2 with the user and token of RFC 7628. */
	expect_bearer(NULL, "SASL PLAIN XOAUTH2", "AUTH XOAUTH2",
		"dXNlcj11c2VyQGV4YW1wbGUuY29tAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJo"
		"ZG1semRHRXVZMjl0Q2c9PQEB",
		"");
}

static void after_a_refused_password_nothing_else_is_tried(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "SASL PLAIN\nUSER");
	hear(&t, "AUTH PLAIN");
	say(&t, "+");
	hear(&t, "AGFubmEAZ2VoZWlt");
	say(&t, "-ERR \x1b[31mno");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "\"anna\" by PLAIN: \"\\x1b[31mno\"");
}

static void expect_pass_refused(const char *capabilities, const char *reply, enum fault_code code,
	enum reply_code response, const char *part)
{
	struct talk t;

	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", capabilities);
	hear(&t, "USER anna");
	say(&t, "+OK");
	hear(&t, "PASS geheim");
	say(&t, reply);
	assert_int_equal(login_step(t.login, &t.fault), -1);
	assert_int_equal(login_response_code(t.login), response);
	assert_int_equal(t.fault.code, code);
	assert_int_equal(t.fault.scope, SCOPE_ACCOUNT);
	if (!strstr(t.fault.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, t.fault.text);
	end(&t);
}

static void not_every_refusal_is_a_wrong_password(void **state)
{
	(void)state;
	expect_pass_refused(
		"USER", "-ERR wrong", FAULT_LOGIN, REPLY_CODE_NONE, "check user and password");
	expect_pass_refused("USER", "-ERR [IN-USE] wait", FAULT_PROTOCOL, REPLY_CODE_IN_USE,
		"in use by another session; try again in some minutes: \"[IN-USE] wait\"");
	expect_pass_refused("USER", "-ERR [LOGIN-DELAY] wait", FAULT_PROTOCOL,
		REPLY_CODE_LOGIN_DELAY, "more time between two logins");
	expect_pass_refused("USER", "-ERR [SYS/TEMP] disk", FAULT_PROTOCOL, REPLY_CODE_SYS_TEMP,
		"trouble of its own");
	expect_pass_refused("USER", "-ERR [SYS/PERM] gone", FAULT_PROTOCOL, REPLY_CODE_SYS_PERM,
		"until its operator acts");
	expect_pass_refused("USER\nAUTH-RESP-CODE", "-ERR rate limit", FAULT_PROTOCOL,
		REPLY_CODE_NONE, "not for user or password");
	expect_pass_refused("USER\nAUTH-RESP-CODE", "-ERR [AUTH] wrong", FAULT_LOGIN,
		REPLY_CODE_AUTH, "check user and password");
}

static void without_tls_a_password_goes_out_only_where_that_was_written(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_STARTTLS, NULL);
	preamble_says(&t, "+OK");
	preamble_says(&t, "-ERR");
	assert_int_equal(
		login_new(&t.account, &t.secret, &t.preamble, CHANNEL_CLEAR, &t.login, &t.fault),
		0);
	hear(&t, "CAPA");
	say(&t, "+OK");
	say(&t, "USER");
	say(&t, "SASL PLAIN LOGIN");
	assert_int_equal(login_input(t.login, slice_text(".\r\n"), &t.fault), 0);
	hear_fault(
		&t, FAULT_LOGIN, SCOPE_ACCOUNT, "the server offers PLAIN, LOGIN, USER without TLS");
}

static void a_token_account_never_sends_its_token_as_a_password(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	connect_with(&t, "+OK", "SASL PLAIN CRAM-MD5\nUSER");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT,
		"needs OAUTHBEARER or XOAUTH2, but the server offers PLAIN, CRAM-MD5, USER");
}

static void expect_no_login(char *name, char *secret, size_t len, const char *part)
{
	struct talk t;

	begin(&t, TLS_IMPLICIT, NULL);
	t.account.user = name;
	t.secret = (struct secret){secret, len};
	assert_int_equal(
		login_new(&t.account, &t.secret, NULL, CHANNEL_TLS, &t.login, &t.fault), -1);
	assert_int_equal(t.fault.code, FAULT_USAGE);
	assert_non_null(strstr(t.fault.text, part));
}

static void the_password_is_masked_in_what_the_server_says(void **state)
{
	static const char *const answers[] = {
		"-ERR unknown command \"PASS geheim\"",
		"-ERR [SYS/TEMP] PASS geheim",
		"-ERR UNKNOWN COMMAND PASS GEHEIM",
		"PASS geheim",
	};
	struct talk t;

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		begin(&t, TLS_IMPLICIT, NULL);
		connect_with(&t, "+OK", "USER\nRESP-CODES");
		hear(&t, "USER anna");
		say(&t, "+OK");
		hear(&t, "PASS geheim");
		say(&t, answers[i]);
		assert_int_equal(login_step(t.login, &t.fault), -1);
		assert_non_null(strstr(t.fault.text, "PASS ******"));
		end(&t);
	}
}

static void the_base64_that_carries_the_password_is_masked_too(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "SASL PLAIN");
	hear(&t, "AUTH PLAIN");
	say(&t, "+ ");
	hear(&t, "AGFubmEAZ2VoZWlt");
	say(&t, "-ERR unknown command AGFubmEAZ2VoZWlt");
	assert_int_equal(login_step(t.login, &t.fault), -1);
	assert_non_null(strstr(t.fault.text, "unknown command ****************\""));
	end(&t);
}

static void line_breaks_in_user_or_password_never_reach_the_server(void **state)
{
	char bad_user[] = "anna\r\nDELE 1", cr[] = "ge\rheim", lf[] = "ge\nheim",
	     nul[] = "ge\0heim", empty[] = "";

	(void)state;
	expect_no_login(bad_user, password, strlen(password), "user holds a line break");
	expect_no_login(user, cr, strlen(cr), "line break");
	expect_no_login(user, lf, strlen(lf), "line break");
	expect_no_login(user, nul, sizeof nul - 1, "NUL");
	expect_no_login(user, empty, 0, "empty");
	expect_no_login(empty, password, strlen(password), "no user");
}

static void control_characters_cannot_forge_fields_of_a_token_message(void **state)
{
	static char forged[] = "tok\1host=evil", comma[] = "a,b=c";
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	t.secret = (struct secret){forged, strlen(forged)};
	connect_with(&t, "+OK", "SASL OAUTHBEARER");
	hear(&t, "AUTH OAUTHBEARER");
	say(&t, "+");
	hear_fault(&t, FAULT_USAGE, SCOPE_ACCOUNT, "no bearer token has");

	begin(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	t.account.user = comma;
	connect_with(&t, "+OK", "SASL OAUTHBEARER");
	hear(&t, "AUTH OAUTHBEARER");
	say(&t, "+");
	/* n,a=a=2Cb=3Dc,^Ahost=pop.example.com^Aport=995^Aauth=Bearer geheim^A^A */
	hear(&t, "bixhPWE9MkNiPTNEYywBaG9zdD1wb3AuZXhhbXBsZS5jb20BcG9ydD05OTUBYXV0aD1CZWFyZXIgZ2Vo"
		 "ZWltAQE=");
	end(&t);
}

static void bytes_that_nobody_asked_for_end_the_login(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "USER");
	hear(&t, "USER anna");
	assert_int_equal(login_input(t.login, slice_text("+OK\r\n+OK\r\n"), &t.fault), 0);
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "out of turn");
}

static void lines_without_end_are_bounded(void **state)
{
	static char much[LIMIT_LOGIN_INPUT];
	struct talk t;

	(void)state;
	memset(much, '+', sizeof much);
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "USER");
	hear(&t, "USER anna");
	assert_int_equal(login_input(t.login, slice_of(much, LIMIT_SASL_LINE + 10), &t.fault), 0);
	assert_int_equal(login_input(t.login, slice_of(much, sizeof much), &t.fault), -1);
	assert_int_equal(t.fault.code, FAULT_PROTOCOL);
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "a line of more than 12288 bytes");
}

static void a_challenge_that_is_no_base64_ends_the_login(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "SASL CRAM-MD5");
	hear(&t, "AUTH CRAM-MD5");
	say(&t, "+ =not base64=");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "not base64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_refused_token_is_told_with_the_servers_status),
		TEST(after_a_refused_password_nothing_else_is_tried),
		TEST(not_every_refusal_is_a_wrong_password),
		TEST(without_tls_a_password_goes_out_only_where_that_was_written),
		TEST(a_token_account_never_sends_its_token_as_a_password),
		TEST(the_password_is_masked_in_what_the_server_says),
		TEST(the_base64_that_carries_the_password_is_masked_too),
		TEST(line_breaks_in_user_or_password_never_reach_the_server),
		TEST(control_characters_cannot_forge_fields_of_a_token_message),
		TEST(bytes_that_nobody_asked_for_end_the_login),
		TEST(lines_without_end_are_bounded),
		TEST(a_challenge_that_is_no_base64_ends_the_login),
	};

	return cmocka_run_group_tests_name("login_refusal", tests, NULL, NULL);
}
