/* What IMAP servers say before the login. */
#include "archive/limits.h"
#include "daemon/imap_preamble.h"
#include "tests/unit/check.h"

static int add(struct imap_preamble *p, const char *line, struct fault *f)
{
	return imap_preamble_add_line(p, slice_text(line), f);
}

static void expect_lines(struct imap_preamble *p, const char *const *lines)
{
	struct fault f;

	imap_preamble_init(p);
	for (; *lines; lines++) {
		if (add(p, *lines, &f) < 0)
			fail_msg("%s: %s", *lines, f.text);
	}
}

static void greeting_and_capabilities_are_learned(void **state)
{
	static const char *const lines[] = {"* OK [CAPABILITY AUTH=LOGIN] hi\r\n", "* ok wait\r\n",
		"* CAPABILITY IMAP4rev1 AUTH=PLAIN\n", "A001 OK done\r\n", NULL};
	struct imap_preamble p;

	(void)state;
	expect_lines(&p, lines);
	assert_int_equal(p.state, IMAP_PREAMBLE_STARTTLS);
	assert_false(p.preauth);
	assert_true(p.capabilities.known);
	assert_int_equal(p.capabilities.login.n_sasl, 1);
	assert_string_equal(p.capabilities.login.sasl[0], "PLAIN");
}

static void what_was_offered_in_clear_counts_no_more_after_starttls(void **state)
{
	static const char *const lines[] = {"* OK hi\r\n",
		"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n", "A001 OK\r\n", "* OK really\r\n",
		"A002 OK go\r\n", NULL};
	struct imap_preamble p;
	struct fault f;

	(void)state;
	expect_lines(&p, lines);
	assert_int_equal(p.state, IMAP_PREAMBLE_SECURE_CAPABILITY);
	assert_false(p.capabilities.known);
	assert_int_equal(p.capabilities.login.n_sasl, 0);
	assert_int_equal(add(&p, "* CAPABILITY IMAP4rev1 ID\r\n", &f), 0);
	assert_int_equal(p.state, IMAP_PREAMBLE_SECURE_CAPABILITY);
	assert_int_equal(add(&p, "A003 OK\r\n", &f), 0);
	assert_int_equal(p.state, IMAP_PREAMBLE_END);
	assert_true(p.capabilities.id);
	assert_int_equal(add(&p, "* OK more\r\n", &f), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
}

static void refusals_are_kept(void **state)
{
	static const char *const bye[] = {"* BYE full house\r\n", NULL};
	static const char *const later[] = {"* OK hi\r\n", "* BYE after all\r\n", NULL};
	static const char *const no[] = {
		"* OK hi\r\n", "A001 OK\r\n", "A002 NO no certificate\r\n", NULL};
	struct imap_preamble p;

	(void)state;
	expect_lines(&p, bye);
	assert_string_equal(p.refusal, "* BYE full house");
	assert_int_equal(p.state, IMAP_PREAMBLE_GREETING);
	expect_lines(&p, later);
	assert_string_equal(p.refusal, "* BYE after all");
	expect_lines(&p, no);
	assert_string_equal(p.refusal, "A002 NO no certificate");
	assert_int_equal(p.state, IMAP_PREAMBLE_STARTTLS);
}

static void preauth_is_seen(void **state)
{
	static const char *const lines[] = {"* preauth welcome\r\n", NULL};
	struct imap_preamble p;

	(void)state;
	expect_lines(&p, lines);
	assert_true(p.preauth);
}

static void what_is_no_imap_is_told(void **state)
{
	static const char *const greetings[] = {
		"+OK POP3\r\n", "220 smtp\r\n", "\r\n", "* \x1b[2Jhi\r\n", "OK hi\r\n"};
	struct imap_preamble p;
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof greetings / sizeof *greetings; i++) {
		imap_preamble_init(&p);
		assert_int_equal(add(&p, greetings[i], &f), -1);
		assert_int_equal(f.code, FAULT_PROTOCOL);
		assert_non_null(strstr(f.text, "no IMAP server"));
		assert_null(strchr(f.text, '\x1b'));
	}
	imap_preamble_init(&p);
	assert_int_equal(add(&p, "* OK hi\r\n", &f), 0);
	assert_int_equal(add(&p, "A001 WHAT\r\n", &f), -1);
	assert_non_null(strstr(f.text, "answers CAPABILITY"));
}

static void lines_are_bounded_in_length_and_number(void **state)
{
	static char line[LIMIT_REPLY_LINE + 2];
	struct imap_preamble p;
	struct fault f;

	(void)state;
	memset(line, 'x', sizeof line - 1);
	imap_preamble_init(&p);
	assert_int_equal(add(&p, line, &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);

	imap_preamble_init(&p);
	for (int i = 0; i < LIMIT_CAPA_LINES; i++)
		assert_int_equal(add(&p, "* OK hi\r\n", &f), 0);
	assert_int_equal(add(&p, "* OK hi\r\n", &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(greeting_and_capabilities_are_learned),
		TEST(what_was_offered_in_clear_counts_no_more_after_starttls),
		TEST(refusals_are_kept),
		TEST(preauth_is_seen),
		TEST(what_is_no_imap_is_told),
		TEST(lines_are_bounded_in_length_and_number),
	};

	return cmocka_run_group_tests_name("imap_preamble", tests, NULL, NULL);
}
