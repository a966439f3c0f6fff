/* Transcripts: say() is the server, hear() what the client must send, to the byte. */
#include "archive/limits.h"
#include "daemon/base64.h"
#include "daemon/login.h"
#include "tests/unit/check.h"

#include <gsasl.h>
#include <stdio.h>

struct talk {
	struct account account;
	struct secret secret;
	struct preamble preamble;
	struct login *login;
	struct fault fault;
};

static char user[] = "anna", password[] = "geheim", host[] = "pop.example.com";

static void begin(struct talk *t, enum tls_mode tls, const char *auth)
{
	*t = (struct talk){0};
	t->account.user = user;
	t->account.host = host;
	t->account.port = 995;
	t->account.tls = tls;
	t->account.auth = auth ? strdup(auth) : NULL;
	t->account.secret_source = SECRET_FILE;
	t->secret = (struct secret){password, strlen(password)};
	preamble_init(&t->preamble);
}

static void preamble_says(struct talk *t, const char *line)
{
	char text[512];

	(void)snprintf(text, sizeof text, "%s\r\n", line);
	assert_int_equal(preamble_add_line(&t->preamble, slice_text(text), &t->fault), 0);
}

/* capabilities: one a line; NULL: the server knows no CAPA. */
static void connect_with(struct talk *t, const char *greeting, const char *capabilities)
{
	enum connection_channel channel = t->account.tls == TLS_NONE ? CHANNEL_CLEAR : CHANNEL_TLS;

	preamble_says(t, greeting);
	if (capabilities) {
		preamble_says(t, "+OK");
		char *copy = strdup(capabilities), *rest = copy;
		for (char *line; (line = strsep(&rest, "\n"));)
			preamble_says(t, line);
		free(copy);
		preamble_says(t, ".");
	} else {
		preamble_says(t, "-ERR");
	}
	if (login_new(&t->account, &t->secret, &t->preamble, channel, &t->login, &t->fault) < 0)
		fail_msg("%s", t->fault.text);
}

static void end(struct talk *t)
{
	login_freep(&t->login);
	free(t->account.auth);
}

/* Sends what is there in pieces of one byte. */
static void take_output(struct talk *t, char *ret, size_t size)
{
	size_t n = 0;

	while (login_output(t->login).len > 0) {
		assert_true(n + 1 < size);
		ret[n++] = (char)login_output(t->login).data[0];
		login_sent(t->login, 1);
	}
	ret[n] = '\0';
}

static void hear_any(struct talk *t, char *ret, size_t size)
{
	int r = login_step(t->login, &t->fault);

	if (r < 0)
		fail_msg("%s", t->fault.text);
	assert_int_equal(r, LOGIN_WANT_WRITE);
	take_output(t, ret, size);
	assert_int_equal(login_step(t->login, &t->fault), LOGIN_WANT_READ);
}

static void hear(struct talk *t, const char *line)
{
	char text[LIMIT_SASL_LINE + 64], expected[1024];

	hear_any(t, text, sizeof text);
	(void)snprintf(expected, sizeof expected, "%s\r\n", line);
	assert_string_equal(text, expected);
}

static void say(struct talk *t, const char *line)
{
	/* Byte by byte: nothing may happen before the line's end. */
	for (const char *c = line; *c; c++) {
		assert_int_equal(login_input(t->login, slice_of(c, 1), &t->fault), 0);
		assert_int_equal(login_step(t->login, &t->fault), LOGIN_WANT_READ);
	}
	assert_int_equal(login_input(t->login, slice_text("\r\n"), &t->fault), 0);
}

static void hear_end(struct talk *t, const char *mechanism)
{
	hear(t, "CAPA");
	say(t, "+OK");
	say(t, "UIDL");
	say(t, "PIPELINING");
	assert_int_equal(login_input(t->login, slice_text(".\r\n"), &t->fault), 0);
	assert_int_equal(login_step(t->login, &t->fault), LOGIN_DONE);
	assert_string_equal(login_result(t->login)->mechanism, mechanism);
	assert_true(login_result(t->login)->capabilities.pipelining);
	assert_false(login_result(t->login)->capabilities.user);
	assert_false(login_result(t->login)->lf_only);
	end(t);
}

static void hear_fault(
	struct talk *t, enum fault_code code, enum fault_scope scope, const char *part)
{
	assert_int_equal(login_step(t->login, &t->fault), -1);
	if (!strstr(t->fault.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, t->fault.text);
	assert_int_equal(t->fault.code, code);
	assert_int_equal(t->fault.scope, scope);
	assert_null(strstr(t->fault.text, password));
	end(t);
}

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

/* The server's side of SCRAM by libgsasl. */

struct scram_server {
	Gsasl *library;
	Gsasl_session *session;
};

static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
	(void)library;
	if (property == GSASL_PASSWORD)
		return gsasl_property_set(session, property, "pencil");
	if (property == GSASL_SCRAM_ITER)
		return gsasl_property_set(session, property, "4096");
	if (property == GSASL_SCRAM_SALT)
		return gsasl_property_set(session, property, "W22ZaJ0SNY7soEsUEjb6gQ==");
	return GSASL_NO_CALLBACK;
}

static void scram_open(struct scram_server *s, const char *mechanism)
{
	assert_int_equal(gsasl_init(&s->library), GSASL_OK);
	gsasl_callback_set(s->library, on_property);
	assert_int_equal(gsasl_server_start(s->library, mechanism, &s->session), GSASL_OK);
}

static void scram_close(struct scram_server *s)
{
	gsasl_finish(s->session);
	gsasl_done(s->library);
}

/* The client's line to the server; the server's answer, decoded, to ret. */
static int scram_step(struct scram_server *s, const char *line, char *ret, size_t size)
{
	struct buffer in CLEANUP(buffer_deinit) = buffer_make(4096);
	struct fault f;
	char *out = NULL;
	size_t len = 0;

	assert_int_equal(base64_decode(&in, slice_of(line, strlen(line) - 2), &f), 0);
	int r = gsasl_step(s->session, (const char *)in.data, in.len, &out, &len);
	assert_true(len < size);
	if (len > 0)
		memcpy(ret, out, len);
	ret[len] = '\0';
	gsasl_free(out);
	return r;
}

static void say_challenge(struct talk *t, const char *text)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(4096);
	struct fault f;

	assert_int_equal(buffer_append_text(&line, "+ ", &f), 0);
	assert_int_equal(base64_encode(&line, slice_text(text), &f), 0);
	say(t, buffer_text(&line));
}

/* As far as the client's proof, which the server finds right; its own proof is in final. */
static void scram_until_proof(
	struct talk *t, struct scram_server *s, const char *mechanism, char *final, size_t size)
{
	static char name[] = "user", pencil[] = "pencil"; /* of RFC 7677 section 3 and RFC 5802 */
	char command[64], line[2048], reply[2048];

	begin(t, TLS_NONE, mechanism);
	t->account.user = name;
	t->secret = (struct secret){pencil, strlen(pencil)};
	scram_open(s, mechanism);
	connect_with(t, "+OK", "SASL PLAIN SCRAM-SHA-1 SCRAM-SHA-256");
	(void)snprintf(command, sizeof command, "AUTH %s", mechanism);
	hear(t, command);
	say(t, "+");
	hear_any(t, line, sizeof line);
	assert_int_equal(scram_step(s, line, reply, sizeof reply), GSASL_NEEDS_MORE);
	say_challenge(t, reply);
	hear_any(t, line, sizeof line);
	assert_int_equal(scram_step(s, line, final, size), GSASL_OK);
}

static void expect_scram(const char *mechanism)
{
	struct scram_server s;
	struct talk t;
	char final[2048] = "";

	scram_until_proof(&t, &s, mechanism, final, sizeof final);
	say_challenge(&t, final);
	hear(&t, "");
	say(&t, "+OK");
	hear_end(&t, mechanism);
	scram_close(&s);
}

static void scram_proves_both_sides(void **state)
{
	(void)state;
	expect_scram("SCRAM-SHA-256");
	expect_scram("SCRAM-SHA-1");
}

static void scram_is_preferred_to_what_shows_the_password(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	connect_with(&t, "+OK", "USER\nSASL PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256");
	hear(&t, "AUTH SCRAM-SHA-256");
	end(&t);
}

static void a_server_that_does_not_prove_itself_is_refused(void **state)
{
	struct scram_server s;
	struct talk t;
	char final[2048] = "";

	(void)state;
	scram_until_proof(&t, &s, "SCRAM-SHA-256", final, sizeof final);
	say(&t, "+OK come in");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_ACCOUNT, "without having proven");
	scram_close(&s);

	scram_until_proof(&t, &s, "SCRAM-SHA-256", final, sizeof final);
	final[3] = final[3] == 'A' ? 'B' : 'A'; /* "v=…" */
	say_challenge(&t, final);
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_ACCOUNT, "did not prove");
	scram_close(&s);
}

static void scrams_own_error_is_answered_and_told(void **state)
{
	struct scram_server s;
	struct talk t;
	char final[2048] = "";

	(void)state;
	scram_until_proof(&t, &s, "SCRAM-SHA-1", final, sizeof final);
	say_challenge(&t, "e=invalid-proof");
	hear(&t, "*");
	say(&t, "-ERR");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "(invalid-proof)");
	scram_close(&s);
}

static void scram_with_endless_iterations_is_refused(void **state)
{
	char line[2048], reply[2048];
	struct scram_server s;
	struct talk t;

	(void)state;
	begin(&t, TLS_IMPLICIT, NULL);
	scram_open(&s, "SCRAM-SHA-256");
	connect_with(&t, "+OK", "SASL SCRAM-SHA-256");
	hear(&t, "AUTH SCRAM-SHA-256");
	say(&t, "+");
	hear_any(&t, line, sizeof line);
	assert_int_equal(scram_step(&s, line, reply, sizeof reply), GSASL_NEEDS_MORE);
	char *count = strstr(reply, ",i=4096");
	assert_non_null(count);
	(void)snprintf(count, 32, ",i=4294967295");
	say_challenge(&t, reply);
	hear_fault(&t, FAULT_LIMIT, SCOPE_ACCOUNT, "iterations");
	scram_close(&s);
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
		TEST(a_refused_token_is_told_with_the_servers_status),
		TEST(a_token_that_is_taken_logs_in),
		TEST(a_mechanism_that_is_offered_but_unknown_gives_way_to_the_next),
		TEST(after_a_refused_password_nothing_else_is_tried),
		TEST(not_every_refusal_is_a_wrong_password),
		TEST(without_tls_a_password_goes_out_only_where_that_was_written),
		TEST(after_stls_capa_is_asked_unless_libcurl_did),
		TEST(a_forced_mechanism_that_is_not_offered_is_not_tried),
		TEST(a_forced_mechanism_has_no_substitute),
		TEST(external_names_the_user_and_needs_no_secret),
		TEST(a_token_account_never_sends_its_token_as_a_password),
		TEST(the_password_is_masked_in_what_the_server_says),
		TEST(the_base64_that_carries_the_password_is_masked_too),
		TEST(line_breaks_in_user_or_password_never_reach_the_server),
		TEST(control_characters_cannot_forge_fields_of_a_token_message),
		TEST(bytes_that_nobody_asked_for_end_the_login),
		TEST(lines_without_end_are_bounded),
		TEST(a_challenge_that_is_no_base64_ends_the_login),
		TEST(line_ends_of_lf_alone_are_taken_and_told),
		TEST(scram_proves_both_sides),
		TEST(scram_is_preferred_to_what_shows_the_password),
		TEST(a_server_that_does_not_prove_itself_is_refused),
		TEST(scrams_own_error_is_answered_and_told),
		TEST(scram_with_endless_iterations_is_refused),
	};

	return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}
