/* IMAP servers that refuse, speak out of turn or repeat what they should keep to themselves; and
 * what must never be sent to them. */
#include "tests/unit/imap_talk.h"

static void begin_login(struct talk *t, const char *capabilities, const char *line)
{
	begin_imap(t, TLS_IMPLICIT, NULL);
	connect_imap(t, capabilities);
	hear(t, line);
}

static void after_a_refused_password_nothing_else_is_tried(void **state)
{
	struct talk t;

	(void)state;
	begin_login(&t, "AUTH=PLAIN AUTH=LOGIN SASL-IR", "L1 AUTHENTICATE PLAIN AGFubmEAZ2VoZWlt");
	say(&t, "L1 NO \x1b[31mno");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "\"anna\" by PLAIN: \"\\x1b[31mno\"");

	begin_login(&t, "IMAP4rev1", "L1 LOGIN \"anna\" \"geheim\"");
	say(&t, "L1 NO no");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "check user and password");
}

static void a_refused_token_is_told_with_the_servers_status(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	connect_imap(&t, "AUTH=XOAUTH2 SASL-IR");
	hear(&t, "L1 AUTHENTICATE XOAUTH2 dXNlcj1hbm5hAWF1dGg9QmVhcmVyIGdlaGVpbQEB");
	say(&t, "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0="); /* {"status":"401",… */
	hear(&t, "");
	say(&t, "L1 NO no");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "(status 401); check user and token");
}

static void expect_refused(
	const char *reply, enum fault_code code, enum reply_code response, const char *part)
{
	struct talk t;

	begin_login(&t, "IMAP4rev1", "L1 LOGIN \"anna\" \"geheim\"");
	say(&t, reply);
	assert_int_equal(talk_step(&t), -1);
	assert_int_equal(imap_login_response_code(t.imap), response);
	assert_int_equal(t.fault.code, code);
	if (!strstr(t.fault.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, t.fault.text);
	end(&t);
}

static void not_every_refusal_is_a_wrong_password(void **state)
{
	(void)state;
	expect_refused("L1 NO [AUTHENTICATIONFAILED] x", FAULT_LOGIN, REPLY_CODE_AUTH, "password");
	expect_refused("L1 NO [INUSE] x", FAULT_PROTOCOL, REPLY_CODE_IN_USE, "for now");
	expect_refused("L1 NO [LIMIT] x", FAULT_PROTOCOL, REPLY_CODE_LOGIN_DELAY, "for now");
	expect_refused("L1 NO [UNAVAILABLE] x", FAULT_PROTOCOL, REPLY_CODE_SYS_TEMP, "for now");
	expect_refused("L1 NO [CONTACTADMIN] x", FAULT_PROTOCOL, REPLY_CODE_SYS_PERM, "for now");
	expect_refused("L1 NO [ALERT] x", FAULT_LOGIN, REPLY_CODE_OTHER, "check user");
	expect_refused("* BYE [UNAVAILABLE] x", FAULT_PROTOCOL, REPLY_CODE_SYS_TEMP, "ends");
}

static void a_server_in_trouble_is_not_asked_for_the_next_mechanism(void **state)
{
	static const char *const replies[] = {
		"L1 NO [UNAVAILABLE] x", "L1 NO [INUSE] x", "L1 NO [LIMIT] x"};
	struct talk t;

	(void)state;
	for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
		begin_login(&t, "AUTH=CRAM-MD5 AUTH=PLAIN", "L1 AUTHENTICATE CRAM-MD5");
		say(&t, replies[i]);
		hear_fault(&t, FAULT_PROTOCOL, SCOPE_ACCOUNT, "for now");
	}
}

static void a_forced_mechanism_has_no_substitute(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, "LOGIN");
	connect_imap(&t, "AUTH=PLAIN AUTH=LOGIN");
	hear(&t, "L1 AUTHENTICATE LOGIN");
	say(&t, "L1 NO no");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "by LOGIN");

	begin_imap(&t, TLS_IMPLICIT, "SCRAM-SHA-256");
	connect_imap(&t, "AUTH=PLAIN");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT,
		"auth = \"SCRAM-SHA-256\" cannot be used: the server offers PLAIN, the LOGIN "
		"command");
}

static void where_login_is_disabled_the_password_stays_here(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1 LOGINDISABLED");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "the server offers nothing");
}

static void without_tls_a_password_goes_out_only_where_that_was_written(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_STARTTLS, NULL);
	imap_greets(&t, "* OK hi");
	assert_int_equal(imap_starts(&t, CHANNEL_CLEAR), 0);
	hear(&t, "L1 CAPABILITY");
	say(&t, "* CAPABILITY IMAP4rev1 AUTH=PLAIN");
	say(&t, "L1 OK");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "PLAIN, the LOGIN command without TLS");
}

static void a_token_account_never_sends_its_token_as_a_password(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	connect_imap(&t, "IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "needs OAUTHBEARER or XOAUTH2");
}

static void preauth_is_taken_under_tls_alone(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_NONE, NULL);
	imap_greets(&t, "* PREAUTH hi");
	assert_int_equal(imap_starts(&t, CHANNEL_CLEAR), -1);
	assert_int_equal(t.fault.code, FAULT_LOGIN);
	assert_non_null(strstr(t.fault.text, "PREAUTH"));
	end(&t);

	begin_imap(&t, TLS_IMPLICIT, NULL);
	imap_greets(&t, "* PREAUTH hi");
	assert_int_equal(imap_starts(&t, CHANNEL_TLS), 0);
	hear(&t, "L1 CAPABILITY");
	let_in(&t, "L1", "");
}

static void what_was_offered_before_starttls_is_asked_for_again(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_STARTTLS, NULL);
	connect_imap(&t, "IMAP4rev1 STARTTLS AUTH=PLAIN"); /* in clear */
	hear(&t, "L1 CAPABILITY");
	say(&t, "* CAPABILITY IMAP4rev1 AUTH=CRAM-MD5");
	say(&t, "L1 OK");
	hear(&t, "L2 AUTHENTICATE CRAM-MD5");
	end(&t);

	/* Injected: nothing says that it came under TLS until the reply to CAPABILITY is there. */
	begin_imap(&t, TLS_STARTTLS, NULL);
	imap_greets(&t, "* OK hi");
	imap_greets(&t, "* CAPABILITY IMAP4rev1 STARTTLS");
	imap_greets(&t, "A001 OK");
	imap_greets(&t, "A002 OK go");
	imap_greets(&t, "* CAPABILITY IMAP4rev1 AUTH=PLAIN");
	assert_int_equal(imap_starts(&t, CHANNEL_TLS), 0);
	hear(&t, "L1 CAPABILITY");
	end(&t);
}

static void a_server_that_kept_its_capabilities_to_itself_is_asked_for_them(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	imap_greets(&t, "* OK hi");
	imap_greets(&t, "A001 OK done");
	assert_int_equal(imap_starts(&t, CHANNEL_TLS), 0);
	hear(&t, "L1 CAPABILITY");
	end(&t);
}

static void what_libcurl_heard_under_tls_is_not_asked_for_again(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_STARTTLS, NULL);
	imap_greets(&t, "* OK hi");
	imap_greets(&t, "* CAPABILITY IMAP4rev1 STARTTLS AUTH=CRAM-MD5");
	imap_greets(&t, "A001 OK");
	imap_greets(&t, "A002 OK go");
	imap_greets(&t, "* CAPABILITY IMAP4rev1 AUTH=PLAIN");
	imap_greets(&t, "A003 OK");
	assert_int_equal(imap_starts(&t, CHANNEL_TLS), 0);
	hear(&t, "L1 AUTHENTICATE PLAIN");
	end(&t);
}

static void answers_to_what_was_not_asked_end_the_login(void **state)
{
	static const char *const answers[] = {
		"L2 OK in", "L OK in", "L1", "L1 YES", "OK in", "", "+ and now?", "L11 OK in"};
	struct talk t;

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		begin_login(&t, "IMAP4rev1", "L1 LOGIN \"anna\" \"geheim\"");
		say(&t, answers[i]);
		hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "during the login");
	}
}

static void a_server_that_lets_us_in_without_an_exchange_is_refused(void **state)
{
	struct talk t;

	(void)state;
	begin_login(&t, "AUTH=SCRAM-SHA-256", "L1 AUTHENTICATE SCRAM-SHA-256");
	say(&t, "L1 OK come in");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_ACCOUNT, "without having proven");
}

static void floods_have_an_end(void **state)
{
	struct talk t;

	(void)state;
	begin_login(&t, "IMAP4rev1", "L1 LOGIN \"anna\" \"geheim\"");
	for (int i = 0; i <= LIMIT_CAPA_LINES; i++)
		assert_int_equal(talk_input(&t, slice_text("* OK hold on\r\n")), 0);
	hear_fault(&t, FAULT_LIMIT, SCOPE_SESSION, "lines during the login");

	static char words[LIMIT_CAPA_LINES * 2 + 64];
	strcat(words, "* CAPABILITY");
	for (int i = 0; i <= LIMIT_CAPA_LINES; i++)
		memcpy(words + 12 + i * 2, " X", 2);
	begin_login(&t, "IMAP4rev1", "L1 LOGIN \"anna\" \"geheim\"");
	say(&t, words);
	hear_fault(&t, FAULT_LIMIT, SCOPE_SESSION, "capabilities");
}

static void lines_without_end_are_bounded(void **state)
{
	static char much[LIMIT_LOGIN_INPUT];
	struct talk t;

	(void)state;
	memset(much, '*', sizeof much);
	begin_login(&t, "IMAP4rev1", "L1 LOGIN \"anna\" \"geheim\"");
	assert_int_equal(talk_input(&t, slice_of(much, LIMIT_SASL_LINE + 10)), 0);
	assert_int_equal(talk_input(&t, slice_of(much, sizeof much)), -1);
	assert_int_equal(t.fault.code, FAULT_PROTOCOL);
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "a line of more than 12288 bytes");
}

static void a_challenge_that_is_no_base64_ends_the_login(void **state)
{
	struct talk t;

	(void)state;
	begin_login(&t, "AUTH=CRAM-MD5", "L1 AUTHENTICATE CRAM-MD5");
	say(&t, "+ =not base64=");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "not base64");
}

static void what_logs_in_is_masked_in_what_the_server_says(void **state)
{
	static const char *const answers[] = {"L1 NO bad LOGIN geheim", "L1 BAD LOGIN GEHEIM",
		"LOGIN geheim", "* BYE LOGIN geheim", "L1 NO [UNAVAILABLE] LOGIN geheim"};
	struct talk t;

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		begin_login(&t, "IMAP4rev1", "L1 LOGIN \"anna\" \"geheim\"");
		say(&t, answers[i]);
		assert_int_equal(talk_step(&t), -1);
		assert_non_null(strstr(t.fault.text, "LOGIN ******"));
		end(&t);
	}
	begin_login(&t, "AUTH=PLAIN SASL-IR", "L1 AUTHENTICATE PLAIN AGFubmEAZ2VoZWlt");
	say(&t, "L1 BAD unknown AGFubmEAZ2VoZWlt");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "unknown ****************\"");
}

static void expect_no_login(char *name, char *secret, size_t len, char *whose, const char *part)
{
	struct talk t;

	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.user = name;
	t.account.authzid = whose;
	t.secret = (struct secret){secret, len};
	assert_int_equal(imap_starts(&t, CHANNEL_TLS), -1);
	assert_int_equal(t.fault.code, FAULT_USAGE);
	assert_non_null(strstr(t.fault.text, part));
	end(&t);
}

static void line_breaks_never_reach_the_server(void **state)
{
	char bad[] = "x\r\nL2 DELETE INBOX", nul[] = "ge\0heim", empty[] = "";

	(void)state;
	expect_no_login(bad, password, 6, NULL, "user holds a line break");
	expect_no_login(user, bad, strlen(bad), NULL, "password holds a line break");
	expect_no_login(user, nul, sizeof nul - 1, NULL, "NUL");
	expect_no_login(user, empty, 0, NULL, "password is empty");
	expect_no_login(empty, password, 6, NULL, "no user");
	expect_no_login(user, password, 6, bad, "authorization identity");
	expect_no_login(user, password, 6, empty, "authorization identity");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(after_a_refused_password_nothing_else_is_tried),
		TEST(a_refused_token_is_told_with_the_servers_status),
		TEST(not_every_refusal_is_a_wrong_password),
		TEST(a_server_in_trouble_is_not_asked_for_the_next_mechanism),
		TEST(a_forced_mechanism_has_no_substitute),
		TEST(where_login_is_disabled_the_password_stays_here),
		TEST(without_tls_a_password_goes_out_only_where_that_was_written),
		TEST(a_token_account_never_sends_its_token_as_a_password),
		TEST(preauth_is_taken_under_tls_alone),
		TEST(what_was_offered_before_starttls_is_asked_for_again),
		TEST(a_server_that_kept_its_capabilities_to_itself_is_asked_for_them),
		TEST(what_libcurl_heard_under_tls_is_not_asked_for_again),
		TEST(answers_to_what_was_not_asked_end_the_login),
		TEST(a_server_that_lets_us_in_without_an_exchange_is_refused),
		TEST(floods_have_an_end),
		TEST(lines_without_end_are_bounded),
		TEST(a_challenge_that_is_no_base64_ends_the_login),
		TEST(what_logs_in_is_masked_in_what_the_server_says),
		TEST(line_breaks_never_reach_the_server),
	};

	return cmocka_run_group_tests_name("imap_login_refusal", tests, NULL, NULL);
}
