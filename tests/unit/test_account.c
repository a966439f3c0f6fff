#include "archive/limits.h"
#include "daemon/account.h"
#include "tests/unit/check.h"

static void expect_url(
	const char *url, const char *user, const char *host, unsigned port, enum tls_mode tls)
{
	struct account a CLEANUP(account_deinit) = {0};
	struct fault f = {0};

	account_init(&a);
	if (account_set_url(&a, url, &f) != 0)
		fail_msg("%s: %s", url, f.text);
	if (user)
		assert_string_equal(a.user, user);
	else
		assert_null(a.user);
	assert_string_equal(a.host, host);
	assert_int_equal(a.port, port);
	assert_int_equal(a.tls, tls);
}

static void expect_refused(const char *url, const char *text)
{
	struct account a CLEANUP(account_deinit) = {0};
	struct fault f = {0};

	account_init(&a);
	if (account_set_url(&a, url, &f) != -1)
		fail_msg("%s was taken", url);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_string_equal(f.text, text);
	assert_null(a.host);
	assert_null(a.user);
}

static void a_new_account_has_the_defaults(void **state)
{
	struct account a CLEANUP(account_deinit) = {0};

	(void)state;
	account_init(&a);
	assert_string_equal(a.class_, "default");
	assert_int_equal(a.max_message_size, 1 * GIB);
	assert_int_equal(a.timeout_ms, 60000);
	assert_int_equal(a.interval_ms, 15 * 60000);
	assert_true(a.pipelining);
	assert_int_equal(a.secret_source, SECRET_NONE);
}

static void the_scheme_gives_tls_and_port(void **state)
{
	(void)state;
	expect_url("pop3s://pop.example.com", NULL, "pop.example.com", 995, TLS_IMPLICIT);
	expect_url("pop3://pop.example.com", NULL, "pop.example.com", 110, TLS_STARTTLS);
	expect_url("POP3S://Pop.Example.COM./", NULL, "pop.example.com", 995, TLS_IMPLICIT);
	expect_url("pop3://127.0.0.1:1110", NULL, "127.0.0.1", 1110, TLS_STARTTLS);
	expect_url("pop3s://h:65535", NULL, "h", 65535, TLS_IMPLICIT);
	expect_url("pop3s://[2001:DB8::1]", NULL, "2001:db8::1", 995, TLS_IMPLICIT);
	expect_url("pop3s://[::1]:1995/", NULL, "::1", 1995, TLS_IMPLICIT);
}

static void the_last_at_sign_separates_user_and_host(void **state)
{
	(void)state;
	expect_url("pop3s://anna@h", "anna", "h", 995, TLS_IMPLICIT);
	expect_url("pop3s://anna@example.com@h:1", "anna@example.com", "h", 1, TLS_IMPLICIT);
	expect_url("pop3s://a%40b%3Ac%25%2f@h", "a@b:c%/", "h", 995, TLS_IMPLICIT);
	expect_url("pop3s://dom/anna?#@h", "dom/anna?#", "h", 995, TLS_IMPLICIT);
	expect_url("pop3s://j\xc3\xb6rg%ff@[::1]", "j\xc3\xb6rg\xff", "::1", 995, TLS_IMPLICIT);
}

static void a_url_without_user_keeps_the_user_there_was(void **state)
{
	struct account a CLEANUP(account_deinit) = {0};
	struct fault f = {0};

	(void)state;
	account_init(&a);
	assert_int_equal(account_set_url(&a, "pop3s://anna@h", &f), 0);
	assert_int_equal(account_set_url(&a, "pop3://other", &f), 0);
	assert_string_equal(a.user, "anna");
	assert_string_equal(a.host, "other");
}

static void other_schemes_are_refused(void **state)
{
	static const char TEXT[] = "expected pop3s://HOST[:PORT] (TLS from the start) or "
				   "pop3://HOST[:PORT] (STLS)";

	(void)state;
	expect_refused("imap://h", TEXT);
	expect_refused("pop.example.com", TEXT);
	expect_refused("pop3s:/h", TEXT);
	expect_refused("", TEXT);
}

static void a_password_in_the_url_is_refused_and_not_repeated(void **state)
{
	(void)state;
	expect_refused("pop3s://anna:hunter2@h",
		"a password in the URL: give it by password-command or password-file (a colon in "
		"the user is written %3A)");
}

static void users_that_break_a_command_are_refused(void **state)
{
	char url[LIMIT_USER + 32];

	(void)state;
	expect_refused("pop3s://a%00b@h", "the user holds a NUL, CR or LF");
	expect_refused("pop3s://a%0Db@h", "the user holds a NUL, CR or LF");
	expect_refused("pop3s://a\nb@h", "the user holds a NUL, CR or LF");
	expect_refused("pop3s://@h", "the user is empty");
	expect_refused("pop3s://a%4@h", "a % in the URL is not followed by two "
					"hexadecimal digits (a percent sign is written %25)");
	expect_refused("pop3s://a%@h", "a % in the URL is not followed by two "
				       "hexadecimal digits (a percent sign is written %25)");
	memset(url, 'a', sizeof url);
	memcpy(url, "pop3s://", 8);
	memcpy(url + 8 + LIMIT_USER, "@h", 3);
	struct account a CLEANUP(account_deinit) = {0};
	struct fault f = {0};
	account_init(&a);
	assert_int_equal(account_set_url(&a, url, &f), 0);
	memcpy(url + 8 + LIMIT_USER, "a@h", 4);
	expect_refused(url, "the user is longer than 320 bytes");
}

static void hosts_and_ports_are_checked(void **state)
{
	static const char HOST[] = "the URL's host is empty or not a host name (letters, digits, "
				   "dot and hyphen; others in their xn-- form)";
	static const char PORT[] = "the URL's port is not between 1 and 65535";

	(void)state;
	expect_refused("pop3s://", HOST);
	expect_refused("pop3s://a b", HOST);
	expect_refused("pop3s://-oProxy", HOST);
	expect_refused("pop3s://m\xc3\xbcnchen.de", HOST);
	expect_refused("pop3s://anna@", HOST);
	expect_refused("pop3s://h:", PORT);
	expect_refused("pop3s://h:0", PORT);
	expect_refused("pop3s://h:65536", PORT);
	expect_refused("pop3s://h:4294967297", PORT);
	expect_refused("pop3s://h:99x", "the URL's port is not a number");
	expect_refused("pop3s://h/folder", "the URL has something behind the host");
	expect_refused("pop3s://h?x", "the URL has something behind the host");
	expect_refused("pop3s://[::1", "the URL's IPv6 address has no closing bracket");
	expect_refused("pop3s://[1.2.3.4]", "the URL's IPv6 address is not one");
	expect_refused("pop3s://[::1]x",
		"the URL's closing bracket is followed by something else than a port");
}

static void expect_server(const char *url, const char *server)
{
	struct account a CLEANUP(account_deinit) = {0};
	struct fault f = {0};

	account_init(&a);
	assert_int_equal(account_set_url(&a, url, &f), 0);
	char *text CLEANUP(freep) = account_server(&a);
	assert_string_equal(text, server);
}

static void changing_from_stls_to_implicit_tls_keeps_the_servers_name(void **state)
{
	(void)state;
	expect_server("pop3://pop.example.com", "pop.example.com");
	expect_server("pop3s://pop.example.com", "pop.example.com");
	expect_server("pop3s://pop.example.com:1995", "pop.example.com:1995");
	expect_server("pop3s://[::1]", "::1");
	expect_server("pop3s://[::1]:1995", "[::1]:1995");
}

static void names_have_a_narrow_alphabet(void **state)
{
	char longest[LIMIT_ACCOUNT_NAME + 2];

	(void)state;
	assert_true(account_name_is_valid("anna"));
	assert_true(account_name_is_valid("a.b_c-d@e+9"));
	assert_false(account_name_is_valid(""));
	assert_false(account_name_is_valid(".hidden"));
	assert_false(account_name_is_valid("-q"));
	assert_false(account_name_is_valid("a/b"));
	assert_false(account_name_is_valid("a b"));
	assert_false(account_name_is_valid("\xc3\xa4"));
	memset(longest, 'a', sizeof longest);
	longest[LIMIT_ACCOUNT_NAME] = '\0';
	assert_true(account_name_is_valid(longest));
	longest[LIMIT_ACCOUNT_NAME] = 'a';
	longest[LIMIT_ACCOUNT_NAME + 1] = '\0';
	assert_false(account_name_is_valid(longest));
}

static void expect_imap(const char *url, const char *user, const char *host, unsigned port,
	enum tls_mode tls, const char *folder)
{
	struct account a CLEANUP(account_deinit) = {0};
	char *said CLEANUP(freep) = NULL;
	struct fault f = {0};

	account_init(&a);
	if (account_set_imap_url(&a, url, &said, &f) != 0)
		fail_msg("%s: %s", url, f.text);
	assert_int_equal(a.protocol, PROTOCOL_IMAP);
	if (user)
		assert_string_equal(a.user, user);
	else
		assert_null(a.user);
	assert_string_equal(a.host, host);
	assert_int_equal(a.port, port);
	assert_int_equal(a.tls, tls);
	if (folder)
		assert_string_equal(said, folder);
	else
		assert_null(said);
}

static void an_imap_url_gives_user_server_and_folder(void **state)
{
	(void)state;
	expect_imap("imaps://anna@h", "anna", "h", 993, TLS_IMPLICIT, NULL);
	expect_imap("imap://anna@h:1143/", "anna", "h", 1143, TLS_STARTTLS, NULL);
	expect_imap("IMAPS://h/INBOX", NULL, "h", 993, TLS_IMPLICIT, "INBOX");
	expect_imap("imaps://a@b.c@h/Old%20mail/2024", "a@b.c", "h", 993, TLS_IMPLICIT,
		"Old mail/2024");
	expect_imap("imaps://a@[::1]:99//J\xc3\xb6rg/x@y?#//", "a", "::1", 99, TLS_IMPLICIT,
		"J\xc3\xb6rg/x@y?#");
	expect_imap("imap://dom%2Fanna@h/a", "dom/anna", "h", 143, TLS_STARTTLS, "a");
}

static void an_imap_url_that_cannot_be_one_is_refused(void **state)
{
	static const char *const urls[] = {"imaps://", "pop3s://a@h", "imaps://a:b@h/x",
		"imaps://a@h/x%0ay", "imaps://a@h/x%00", "imaps://a@h/%ff", "imaps://a@h/x%2",
		"imaps://a@h?x/y"};

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct account a CLEANUP(account_deinit) = {0};
		char *folder = NULL;
		struct fault f = {0};

		account_init(&a);
		if (account_set_imap_url(&a, urls[i], &folder, &f) != -1)
			fail_msg("%s was taken", urls[i]);
		assert_int_equal(f.code, FAULT_USAGE);
		assert_null(folder);
		assert_null(a.host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_account_has_the_defaults),
		TEST(the_scheme_gives_tls_and_port),
		TEST(the_last_at_sign_separates_user_and_host),
		TEST(a_url_without_user_keeps_the_user_there_was),
		TEST(other_schemes_are_refused),
		TEST(a_password_in_the_url_is_refused_and_not_repeated),
		TEST(users_that_break_a_command_are_refused),
		TEST(hosts_and_ports_are_checked),
		TEST(changing_from_stls_to_implicit_tls_keeps_the_servers_name),
		TEST(names_have_a_narrow_alphabet),
		TEST(an_imap_url_gives_user_server_and_folder),
		TEST(an_imap_url_that_cannot_be_one_is_refused),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
