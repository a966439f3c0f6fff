/* How one logs in by each mechanism, and which one is chosen. */
#include "tests/unit/talk.h"

static void user_and_pass_log_in(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK hi", "UIDL\nUSER");
	hear(&t, "USER anna");
	say(&t, "+OK");
	hear(&t, "PASS geheim");
	say(&t, "+OK 3 messages");
	hear_end(&t, "USER");
}

static void utf8_is_asked_for_where_it_is_offered(void **state)
{
	static const char *const answers[] = {"+OK", "-ERR no"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct talk t;

		begin(&t, TLS_IMPLICIT, NULL);
		connect_with(&t, "+OK hi", "USER\nUTF8 USER");
		hear(&t, "UTF8");
		say(&t, answers[i]);
		hear(&t, "USER anna");
		say(&t, "+OK");
		hear(&t, "PASS geheim");
		say(&t, "+OK");
		hear_end(&t, "USER");
	}
}

static void a_server_without_capa_gets_user_and_pass(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK hi", NULL);
	hear(&t, "USER anna");
	say(&t, "+OK");
	hear(&t, "PASS geheim");
	say(&t, "+OK");
	hear(&t, "CAPA");
	say(&t, "-ERR unknown command");
	assert_int_equal(login_step(t.login, &t.fault), LOGIN_DONE);
	assert_false(login_result(t.login)->capabilities.known);
	end(&t);
}

static void plain_goes_in_two_lines(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK hi <1.2@x>", "USER\nSASL LOGIN PLAIN");
	hear(&t, "AUTH PLAIN");
	say(&t, "+ ");
	hear(&t, "AGFubmEAZ2VoZWlt");
	say(&t, "+OK");
	hear_end(&t, "PLAIN");
}

static void login_answers_two_questions(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK hi", "SASL LOGIN");
	hear(&t, "AUTH LOGIN");
	say(&t, "+ VXNlcm5hbWU6");
	hear(&t, "YW5uYQ==");
	say(&t, "+ UGFzc3dvcmQ6");
	hear(&t, "Z2VoZWlt");
	say(&t, "+OK");
	hear_end(&t, "LOGIN");
}

/* The example of RFC 2195 section 2. */
static void cram_md5_gives_the_digest_of_rfc_2195(void **state)
{
	char tim[] = "tim", secret[] = "tanstaaftanstaaf";
	struct talk t;

	(void)state;
	begin(&t, TLS_NONE, NULL);
	t.account.user = tim;
	t.secret = (struct secret){secret, strlen(secret)};
	connect_with(&t, "+OK hi", "USER\nSASL PLAIN CRAM-MD5");
	hear(&t, "AUTH CRAM-MD5");
	say(&t, "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+");
	hear(&t, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
	say(&t, "+OK");
	hear_end(&t, "CRAM-MD5");
}

/* The example of RFC 1939 section 7. */
static void begin_apop(
	struct talk *t, enum tls_mode tls, const char *auth, const char *capabilities)
{
	static char mrose[] = "mrose", secret[] = "tanstaaf";

	begin(t, tls, auth);
	t->account.user = mrose;
	t->secret = (struct secret){secret, strlen(secret)};
	connect_with(t, "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>", capabilities);
}

static void apop_gives_the_digest_of_rfc_1939(void **state)
{
	struct talk t;

	(void)state;
	begin_apop(&t, TLS_IMPLICIT, "APOP", "USER\nSASL PLAIN SCRAM-SHA-256");
	hear(&t, "APOP mrose c4c9334bac560ecc979e58001b3e22fb");
	say(&t, "+OK");
	hear_end(&t, "APOP");
}

static void a_banner_without_an_apop_secret_still_lets_us_in(void **state)
{
	struct talk t;

	(void)state;
	begin_apop(&t, TLS_NONE, NULL, NULL);
	hear(&t, "APOP mrose c4c9334bac560ecc979e58001b3e22fb");
	say(&t, "-ERR authorization failed");
	hear(&t, "USER mrose");
	say(&t, "+OK");
	hear(&t, "PASS tanstaaf");
	say(&t, "+OK");
	hear_end(&t, "USER");
}

static void a_server_that_hangs_up_after_apop_can_be_asked_for_what_comes_next(void **state)
{
	struct talk t;

	(void)state;
	begin_apop(&t, TLS_NONE, NULL, NULL);
	hear(&t, "APOP mrose c4c9334bac560ecc979e58001b3e22fb");
	assert_null(login_refused(t.login));
	say(&t, "-ERR authentication failed");
	hear(&t, "USER mrose");
	const struct mechanism *refused = login_refused(t.login);
	assert_non_null(refused);
	assert_string_equal(refused->name, "APOP");
	end(&t);

	begin_apop(&t, TLS_NONE, NULL, NULL);
	login_begin_after(t.login, refused);
	hear(&t, "USER mrose");
	say(&t, "+OK");
	hear(&t, "PASS tanstaaf");
	assert_null(login_refused(t.login));
	say(&t, "+OK");
	hear_end(&t, "USER");
}

static void apop_that_fails_for_the_maildrop_is_the_end(void **state)
{
	struct talk t;

	(void)state;
	begin_apop(&t, TLS_NONE, NULL, NULL);
	hear(&t, "APOP mrose c4c9334bac560ecc979e58001b3e22fb");
	say(&t, "-ERR [IN-USE] locked");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_ACCOUNT, "in use by another session");
}

static void under_tls_a_banner_alone_is_no_reason_for_apop(void **state)
{
	struct talk t;

	(void)state;
	begin_apop(&t, TLS_IMPLICIT, NULL, "USER");
	hear(&t, "USER mrose");
	end(&t);
}

static void a_token_that_is_taken_logs_in(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	connect_with(&t, "+OK", "SASL XOAUTH2");
	hear(&t, "AUTH XOAUTH2");
	say(&t, "+ ");
	hear(&t, "dXNlcj1hbm5hAWF1dGg9QmVhcmVyIGdlaGVpbQEB");
	say(&t, "+OK");
	hear_end(&t, "XOAUTH2");
}

static void a_mechanism_that_is_offered_but_unknown_gives_way_to_the_next(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "SASL CRAM-MD5 PLAIN\nUSER");
	hear(&t, "AUTH CRAM-MD5");
	say(&t, "-ERR unsupported");
	hear(&t, "AUTH PLAIN");
	say(&t, "-ERR unsupported");
	hear(&t, "USER anna");
	end(&t);
}

static void after_stls_capa_is_asked_unless_libcurl_did(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_STARTTLS, NULL);
	connect_with(&t, "+OK", "SASL SCRAM-SHA-256"); /* in clear, before STLS */
	hear(&t, "CAPA");
	say(&t, "+OK");
	say(&t, "USER");
	assert_int_equal(login_input(t.login, slice_text(".\r\n"), &t.fault), 0);
	hear(&t, "USER anna");
	end(&t);

	begin(&t, TLS_STARTTLS, NULL);
	preamble_says(&t, "+OK");
	preamble_says(&t, "+OK");
	preamble_says(&t, ".");
	preamble_says(&t, "+OK go ahead");
	preamble_says(&t, "+OK");
	preamble_says(&t, "USER");
	preamble_says(&t, ".");
	assert_int_equal(
		login_new(&t.account, &t.secret, &t.preamble, CHANNEL_TLS, &t.login, &t.fault), 0);
	hear(&t, "USER anna");
	end(&t);
}

static void a_forced_mechanism_that_is_not_offered_is_not_tried(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, "SCRAM-SHA-256");
	connect_with(&t, "+OK", "SASL PLAIN LOGIN\nUSER");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT,
		"auth = \"SCRAM-SHA-256\" cannot be used: the server offers PLAIN, LOGIN, USER");
	begin(&t, TLS_IMPLICIT, "USER");
	connect_with(&t, "+OK", "SASL PLAIN");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "the server offers PLAIN");
}

static void a_forced_mechanism_has_no_substitute(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, "LOGIN");
	connect_with(&t, "+OK", "SASL PLAIN LOGIN\nUSER");
	hear(&t, "AUTH LOGIN");
	say(&t, "-ERR no");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "by LOGIN");
}

static void external_names_the_user_and_needs_no_secret(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, "EXTERNAL");
	t.secret = (struct secret){0};
	connect_with(&t, "+OK", "SASL PLAIN EXTERNAL");
	hear(&t, "AUTH EXTERNAL");
	say(&t, "+");
	hear(&t, "YW5uYQ==");
	say(&t, "+OK");
	hear_end(&t, "EXTERNAL");
}

static void line_ends_of_lf_alone_are_taken_and_told(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	assert_int_equal(preamble_add_line(&t.preamble, slice_text("+OK\n"), &t.fault), 0);
	assert_int_equal(preamble_add_line(&t.preamble, slice_text("-ERR\n"), &t.fault), 0);
	assert_int_equal(
		login_new(&t.account, &t.secret, &t.preamble, CHANNEL_TLS, &t.login, &t.fault), 0);
	hear(&t, "USER anna");
	assert_int_equal(login_input(t.login, slice_text("+OK\n"), &t.fault), 0);
	hear(&t, "PASS geheim");
	assert_int_equal(login_input(t.login, slice_text("+OK\n"), &t.fault), 0);
	hear(&t, "CAPA");
	assert_int_equal(login_input(t.login, slice_text("-ERR\n"), &t.fault), 0);
	assert_int_equal(login_step(t.login, &t.fault), LOGIN_DONE);
	assert_true(login_result(t.login)->lf_only);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(user_and_pass_log_in),
		TEST(utf8_is_asked_for_where_it_is_offered),
		TEST(a_server_without_capa_gets_user_and_pass),
		TEST(plain_goes_in_two_lines),
		TEST(login_answers_two_questions),
		TEST(cram_md5_gives_the_digest_of_rfc_2195),
		TEST(apop_gives_the_digest_of_rfc_1939),
		TEST(a_banner_without_an_apop_secret_still_lets_us_in),
		TEST(a_server_that_hangs_up_after_apop_can_be_asked_for_what_comes_next),
		TEST(apop_that_fails_for_the_maildrop_is_the_end),
		TEST(under_tls_a_banner_alone_is_no_reason_for_apop),
		TEST(a_token_that_is_taken_logs_in),
		TEST(a_mechanism_that_is_offered_but_unknown_gives_way_to_the_next),
		TEST(after_stls_capa_is_asked_unless_libcurl_did),
		TEST(a_forced_mechanism_that_is_not_offered_is_not_tried),
		TEST(a_forced_mechanism_has_no_substitute),
		TEST(external_names_the_user_and_needs_no_secret),
		TEST(line_ends_of_lf_alone_are_taken_and_told),
	};

	return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}
