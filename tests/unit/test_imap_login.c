/* How one logs in to IMAP by each mechanism, which one is chosen, and what is said behind it. */
#include "tests/unit/imap_talk.h"

static void the_login_command_is_quoted(void **state)
{
	static char odd_user[] = "an\"na", odd[] = "ge\\heim ";
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1");
	hear(&t, "L1 LOGIN \"anna\" \"geheim\"");
	let_in(&t, "L1", "USER");

	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.user = odd_user;
	t.secret = (struct secret){odd, strlen(odd)};
	connect_imap(&t, "IMAP4rev1 LITERAL+");
	hear(&t, "L1 LOGIN \"an\\\"na\" \"ge\\\\heim \"");
	let_in(&t, "L1", "USER");
}

static void begin_beyond_ascii(struct talk *t, const char *capabilities)
{
	static char far_user[] = "\xc3\xa4nna", far[] = "geh\xe9\"m";

	begin_imap(t, TLS_IMPLICIT, NULL);
	t->account.user = far_user;
	t->secret = (struct secret){far, strlen(far)};
	connect_imap(t, capabilities);
}

static void what_is_not_ascii_goes_to_login_as_a_literal(void **state)
{
	static const char *const at_once[] = {"IMAP4rev1 LITERAL+", "IMAP4rev1 LITERAL-"};
	struct talk t;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin_beyond_ascii(&t, at_once[i]);
		hear(&t, "L1 LOGIN {5+}\r\n\xc3\xa4nna {6+}\r\ngeh\xe9\"m");
		let_in(&t, "L1", "USER");
	}
}

static void literals_wait_for_the_server_where_it_must_ask_for_them(void **state)
{
	struct talk t;

	(void)state;
	begin_beyond_ascii(&t, "IMAP4rev1");
	hear(&t, "L1 LOGIN {5}");
	say(&t, "+ go on");
	hear(&t, "\xc3\xa4nna {6}");
	say(&t, "+");
	hear(&t, "geh\xe9\"m");
	let_in(&t, "L1", "USER");

	begin_beyond_ascii(&t, "IMAP4rev1");
	t.account.user = user;
	hear(&t, "L1 LOGIN \"anna\" {6}");
	say(&t, "+");
	hear(&t, "geh\xe9\"m");
	let_in(&t, "L1", "USER");
}

static void an_ok_before_the_password_was_sent_is_none(void **state)
{
	struct talk t;

	(void)state;
	begin_beyond_ascii(&t, "IMAP4rev1");
	hear(&t, "L1 LOGIN {5}");
	say(&t, "L1 OK in");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "during the login");

	begin_beyond_ascii(&t, "IMAP4rev1");
	hear(&t, "L1 LOGIN {5}");
	say(&t, "L1 BAD no literals here");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "no literals here");
}

static void plain_goes_in_one_line_with_sasl_ir_and_in_two_without(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1 AUTH=PLAIN AUTH=LOGIN SASL-IR");
	hear(&t, "L1 AUTHENTICATE PLAIN AGFubmEAZ2VoZWlt");
	let_in(&t, "L1", "PLAIN");

	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1 AUTH=PLAIN");
	hear(&t, "L1 AUTHENTICATE PLAIN");
	say(&t, "+ ");
	hear(&t, "AGFubmEAZ2VoZWlt");
	let_in(&t, "L1", "PLAIN");
}

static void a_long_token_goes_in_a_line_of_its_own(void **state)
{
	static char token[4000];
	char line[LIMIT_SASL_LINE];
	struct talk t;

	(void)state;
	memset(token, 'x', sizeof token - 1);
	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	t.secret = (struct secret){token, strlen(token)};
	connect_imap(&t, "IMAP4rev1 SASL-IR AUTH=XOAUTH2");
	hear(&t, "L1 AUTHENTICATE XOAUTH2");
	say(&t, "+");
	hear_any(&t, line, sizeof line);
	assert_true(strlen(line) > 5000);
	let_in(&t, "L1", "XOAUTH2");
}

static void login_answers_two_questions(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1 AUTH=LOGIN SASL-IR");
	hear(&t, "L1 AUTHENTICATE LOGIN");
	say(&t, "+ VXNlcm5hbWU6");
	hear(&t, "YW5uYQ==");
	say(&t, "+ UGFzc3dvcmQ6");
	hear(&t, "Z2VoZWlt");
	let_in(&t, "L1", "LOGIN");
}

/* The example of RFC 2195 section 2. */
static void cram_md5_gives_the_digest_of_rfc_2195(void **state)
{
	static char tim[] = "tim", secret[] = "tanstaaftanstaaf";
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_NONE, NULL);
	t.account.user = tim;
	t.secret = (struct secret){secret, strlen(secret)};
	connect_imap(&t, "IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5 SASL-IR");
	hear(&t, "L1 AUTHENTICATE CRAM-MD5");
	say(&t, "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+");
	hear(&t, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
	let_in(&t, "L1", "CRAM-MD5");
}

static void a_token_that_is_taken_logs_in(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.secret_source = SECRET_TOKEN_COMMAND;
	connect_imap(&t, "IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR");
	hear(&t, "L1 AUTHENTICATE XOAUTH2 dXNlcj1hbm5hAWF1dGg9QmVhcmVyIGdlaGVpbQEB");
	let_in(&t, "L1", "XOAUTH2");
}

static void external_names_the_user_and_needs_no_secret(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, "EXTERNAL");
	t.secret = (struct secret){0};
	connect_imap(&t, "IMAP4rev1 AUTH=EXTERNAL SASL-IR");
	hear(&t, "L1 AUTHENTICATE EXTERNAL YW5uYQ==");
	let_in(&t, "L1", "EXTERNAL");
}

static void somebody_elses_mailbox_is_asked_for_by_what_can_name_it(void **state)
{
	static char whose[] = "otto";
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.authzid = whose;
	connect_imap(&t, "IMAP4rev1 AUTH=CRAM-MD5 AUTH=LOGIN AUTH=PLAIN SASL-IR");
	hear(&t, "L1 AUTHENTICATE PLAIN b3R0bwBhbm5hAGdlaGVpbQ==");
	let_in(&t, "L1", "PLAIN");

	begin_imap(&t, TLS_IMPLICIT, NULL);
	t.account.authzid = whose;
	connect_imap(&t, "IMAP4rev1 AUTH=CRAM-MD5 AUTH=LOGIN");
	hear_fault(&t, FAULT_LOGIN, SCOPE_ACCOUNT, "no way to log in for somebody else");
}

static void a_mechanism_that_is_offered_but_unknown_gives_way_to_the_next(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1 AUTH=CRAM-MD5 AUTH=PLAIN");
	hear(&t, "L1 AUTHENTICATE CRAM-MD5");
	say(&t, "L1 BAD unsupported");
	hear(&t, "L2 AUTHENTICATE PLAIN");
	say(&t, "L2 NO unsupported");
	hear(&t, "L3 LOGIN \"anna\" \"geheim\"");
	let_in(&t, "L3", "USER");
}

static void the_capabilities_after_the_login_are_asked_for_unless_told(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1");
	hear(&t, "L1 LOGIN \"anna\" \"geheim\"");
	say(&t, "L1 OK in");
	hear(&t, "L2 CAPABILITY");
	say(&t, "* CAPABILITY IMAP4rev1 UIDPLUS");
	say(&t, "L2 OK");
	expect_done(&t, "USER");
	end(&t);

	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1");
	hear(&t, "L1 LOGIN \"anna\" \"geheim\"");
	say(&t, "* CAPABILITY IMAP4rev1 UIDPLUS");
	say(&t, "L1 OK in");
	expect_done(&t, "USER");
	end(&t);
}

static void what_is_said_behind_the_login_is_left_to_the_engine(void **state)
{
	struct talk t;

	(void)state;
	begin_imap(&t, TLS_IMPLICIT, NULL);
	connect_imap(&t, "IMAP4rev1");
	hear(&t, "L1 LOGIN \"anna\" \"geheim\"");
	assert_int_equal(
		talk_input(&t, slice_text("L1 OK [CAPABILITY UIDPLUS] in\r\n* NO quota\r\n")), 0);
	expect_done(&t, "USER");
	struct slice rest = login_wire_rest(imap_login_wire(t.imap));
	assert_int_equal(slice_compare(rest, slice_text("* NO quota\r\n")), 0);
	end(&t);
}

static const char id[] = "L2 ID (\"name\" \"popkeep\" \"version\" \"" POPKEEP_VERSION "\")";

static void begin_identified(struct talk *t)
{
	begin_imap(t, TLS_IMPLICIT, NULL);
	connect_imap(t, "IMAP4rev1");
	hear(t, "L1 LOGIN \"anna\" \"geheim\"");
	say(t, "L1 OK [CAPABILITY IMAP4rev1 UIDPLUS ID] in");
	hear(t, id);
}

static void where_the_server_offers_id_it_is_told_who_we_are_once(void **state)
{
	struct talk t;

	(void)state;
	begin_identified(&t);
	say(&t, "* ID (\"name\" \"x\")");
	say(&t, "L2 OK pleased");
	expect_done(&t, "USER");
	end(&t);
}

static void id_that_is_refused_changes_nothing(void **state)
{
	static const char *const answers[] = {"L2 NO not you", "L2 BAD what"};
	struct talk t;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin_identified(&t);
		say(&t, answers[i]);
		expect_done(&t, "USER");
		end(&t);
	}
}

static void the_answer_to_id_may_hold_literals(void **state)
{
	struct talk t;

	(void)state;
	begin_identified(&t);
	say(&t, "* ID (\"name\" {9}");
	say(&t, "+ NIL L2 \"version\" {0}");
	say(&t, " \"os\" NIL)");
	say(&t, "L2 OK");
	expect_done(&t, "USER");
	end(&t);
}

static void the_answer_to_id_has_an_end(void **state)
{
	struct talk t;

	(void)state;
	begin_identified(&t);
	for (int i = 0; i <= LIMIT_CAPA_LINES; i++)
		assert_int_equal(talk_input(&t, slice_text("and\r\n")), 0);
	hear_fault(&t, FAULT_LIMIT, SCOPE_SESSION, "lines during the login");

	begin_identified(&t);
	say(&t, "* BYE who are you?");
	hear_fault(&t, FAULT_PROTOCOL, SCOPE_SESSION, "who are you?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_login_command_is_quoted),
		TEST(what_is_not_ascii_goes_to_login_as_a_literal),
		TEST(literals_wait_for_the_server_where_it_must_ask_for_them),
		TEST(an_ok_before_the_password_was_sent_is_none),
		TEST(plain_goes_in_one_line_with_sasl_ir_and_in_two_without),
		TEST(a_long_token_goes_in_a_line_of_its_own),
		TEST(login_answers_two_questions),
		TEST(cram_md5_gives_the_digest_of_rfc_2195),
		TEST(a_token_that_is_taken_logs_in),
		TEST(external_names_the_user_and_needs_no_secret),
		TEST(somebody_elses_mailbox_is_asked_for_by_what_can_name_it),
		TEST(a_mechanism_that_is_offered_but_unknown_gives_way_to_the_next),
		TEST(the_capabilities_after_the_login_are_asked_for_unless_told),
		TEST(what_is_said_behind_the_login_is_left_to_the_engine),
		TEST(where_the_server_offers_id_it_is_told_who_we_are_once),
		TEST(id_that_is_refused_changes_nothing),
		TEST(the_answer_to_id_may_hold_literals),
		TEST(the_answer_to_id_has_an_end),
	};

	return cmocka_run_group_tests_name("imap_login", tests, NULL, NULL);
}
