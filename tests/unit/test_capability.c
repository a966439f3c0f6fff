/* What a server says before the login: capabilities, status lines, the preamble. */
#include "archive/limits.h"
#include "daemon/capability.h"
#include "daemon/preamble.h"
#include "daemon/status_line.h"
#include "tests/unit/check.h"

#include <stdio.h>

static struct capabilities parse(const char *const *lines)
{
	struct capabilities c;
	struct fault f;

	capabilities_init(&c);
	for (; *lines; lines++)
		assert_int_equal(capabilities_add(&c, slice_text(*lines), &f), 0);
	return c;
}

static void a_listing_becomes_a_struct(void **state)
{
	const char *const lines[] = {"TOP", "UIDL", "user", "PIPELINING", "RESP-CODES",
		"AUTH-RESP-CODE", "SASL PLAIN\tSCRAM-SHA-256  x-odd", "EXPIRE 60",
		"LOGIN-DELAY 900 USER", "IMPLEMENTATION Shlemazle-Plotz\x1b[1m v3", "X-NEW thing",
		NULL};
	struct capabilities c = parse(lines);

	(void)state;
	assert_true(c.top && c.uidl && c.user && c.pipelining && c.resp_codes && c.auth_resp_code);
	assert_false(c.stls || c.utf8);
	assert_true(capabilities_have_sasl(&c, "PLAIN"));
	assert_true(capabilities_have_sasl(&c, "SCRAM-SHA-256"));
	assert_true(capabilities_have_sasl(&c, "X-ODD"));
	assert_false(capabilities_have_sasl(&c, "SCRAM-SHA-1"));
	assert_true(c.expire_known && c.expire_days == 60);
	assert_true(c.login_delay_known && c.login_delay_s == 900);
	assert_string_equal(c.implementation, "Shlemazle-Plotz\\x1b[1m v3");
	assert_string_equal(c.text,
		"TOP, UIDL, user, PIPELINING, RESP-CODES, AUTH-RESP-CODE, "
		"SASL PLAIN\\x09SCRAM-SHA-256  x-odd, EXPIRE 60, LOGIN-DELAY 900 USER, "
		"IMPLEMENTATION Shlemazle-Plotz\\x1b[1m v3, X-NEW thing");
}

static void expire_never_is_not_a_number(void **state)
{
	const char *const never[] = {"EXPIRE NEVER", NULL};
	const char *const zero[] = {"EXPIRE 0 USER", NULL};
	const char *const huge[] = {"EXPIRE 99999999999999999999999", NULL};
	const char *const odd[] = {"EXPIRE soon", "LOGIN-DELAY", NULL};

	(void)state;
	assert_true(parse(never).expire_days == UINT64_MAX);
	assert_true(parse(zero).expire_known && parse(zero).expire_days == 0);
	assert_true(parse(huge).expire_days < UINT64_MAX && parse(huge).expire_days > 1000000);
	assert_false(parse(odd).expire_known);
	assert_false(parse(odd).login_delay_known);
}

static void a_listing_has_a_cap(void **state)
{
	struct capabilities c;
	struct fault f;
	char line[400];

	(void)state;
	capabilities_init(&c);
	memset(line, 'x', sizeof line);
	for (int i = 0; i < LIMIT_CAPA_LINES; i++)
		assert_int_equal(capabilities_add(&c, slice_of(line, sizeof line), &f), 0);
	assert_int_equal(capabilities_add(&c, slice_of(line, sizeof line), &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
	assert_true(strlen(c.text) < sizeof c.text);
	assert_string_equal(c.text + strlen(c.text) - 6, "x, ...");
}

static void more_mechanisms_than_there_are_do_no_harm(void **state)
{
	struct capabilities c;
	struct fault f;
	char line[64];

	(void)state;
	capabilities_init(&c);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(
			line, sizeof line, "SASL M%d LONGER-THAN-ANY-MECHANISM-IS %d!", i, i);
		assert_int_equal(capabilities_add(&c, slice_text(line), &f), 0);
	}
	assert_int_equal(c.n_sasl, CAPABILITIES_SASL);
	assert_true(capabilities_have_sasl(&c, "M0"));
}

static void continuations_are_told_from_status_lines(void **state)
{
	(void)state;
	assert_int_equal(status_indicator(slice_text("+OK")), STATUS_OK);
	assert_int_equal(status_indicator(slice_text("+OK fine")), STATUS_OK);
	assert_int_equal(status_indicator(slice_text("-ERR")), STATUS_ERR);
	assert_int_equal(status_indicator(slice_text("+abc=")), STATUS_OTHER);
	assert_int_equal(status_indicator(slice_text("+ abc=")), STATUS_CONTINUE);
	assert_int_equal(status_indicator(slice_text("+")), STATUS_CONTINUE);
	assert_int_equal(status_indicator(slice_text("")), STATUS_OTHER);
}

static int add(struct preamble *p, const char *const *lines, struct fault *f)
{
	int r = 0;

	for (; *lines && r == 0; lines++)
		r = preamble_add_line(p, slice_text(*lines), f);
	return r;
}

static void what_was_offered_before_stls_is_forgotten(void **state)
{
	const char *const lines[] = {"+OK hi <1.2@x>\r\n", "+OK\r\n", "SASL PLAIN\r\n", "STLS\r\n",
		".\r\n", "+OK begin TLS\r\n", NULL};
	const char *const again[] = {"+OK\r\n", "USER\r\n", ".\r\n", NULL};
	struct preamble p;
	struct fault f;

	(void)state;
	preamble_init(&p);
	assert_int_equal(add(&p, lines, &f), 0);
	assert_false(preamble_has_capabilities(&p));
	assert_false(capabilities_have_sasl(&p.capabilities, "PLAIN"));
	assert_int_equal(add(&p, again, &f), 0);
	assert_int_equal(p.state, PREAMBLE_END);
	assert_true(p.capabilities.user && !p.capabilities.stls);
	assert_string_equal(p.greeting, "+OK hi <1.2@x>");
	assert_false(p.lf_only);
	assert_int_equal(add(&p, again, &f), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
}

static void lines_that_end_with_lf_alone_are_noticed(void **state)
{
	const char *const lf[] = {"+OK\n", "+OK\n", "UIDL\n", ".\n", NULL};
	const char *const mixed[] = {"+OK\n", "+OK\n", "UIDL\r\n", ".\n", NULL};
	struct preamble p;
	struct fault f;

	(void)state;
	preamble_init(&p);
	assert_int_equal(add(&p, lf, &f), 0);
	assert_true(p.lf_only && p.capabilities.uidl);
	preamble_init(&p);
	assert_int_equal(add(&p, mixed, &f), 0);
	assert_false(p.lf_only);
}

static void a_server_of_another_protocol_is_named_at_once(void **state)
{
	const char *const smtp[] = {"220 mail.example.com ESMTP\x1b\r\n", NULL};
	const char *const refuses[] = {"-ERR too many\r\n", NULL};
	struct preamble p;
	struct fault f;

	(void)state;
	preamble_init(&p);
	assert_int_equal(add(&p, smtp, &f), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
	assert_string_equal(
		f.text, "no POP3 server: it greets with \"220 mail.example.com ESMTP\\x1b\"");
	preamble_init(&p);
	assert_int_equal(add(&p, refuses, &f), 0);
	assert_string_equal(p.refusal, "-ERR too many");
}

static void a_line_without_reason_to_be_so_long_is_refused(void **state)
{
	char line[LIMIT_REPLY_LINE + 1];
	struct preamble p;
	struct fault f;

	(void)state;
	memset(line, '+', sizeof line);
	preamble_init(&p);
	assert_int_equal(preamble_add_line(&p, slice_of(line, sizeof line), &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
}

static void expect_banner(const char *greeting, const char *banner)
{
	const char *const lines[] = {greeting, NULL};
	struct preamble p;
	struct fault f;

	preamble_init(&p);
	assert_int_equal(add(&p, lines, &f), 0);
	assert_int_equal(slice_compare(preamble_apop_banner(&p), slice_text(banner)), 0);
}

static void only_a_timestamp_of_plain_ascii_is_an_apop_banner(void **state)
{
	(void)state;
	expect_banner("+OK POP3 <1896.697170952@dbc.mtview.ca.us> hi\r\n",
		"<1896.697170952@dbc.mtview.ca.us>");
	expect_banner("+OK <no at sign>\r\n", "");
	expect_banner("+OK <a@b\r\n", "");
	expect_banner("+OK <a b@c>\r\n", "");
	expect_banner("+OK <a\xff@c>\r\n", "");
	expect_banner("+OK\r\n", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_listing_becomes_a_struct),
		TEST(expire_never_is_not_a_number),
		TEST(a_listing_has_a_cap),
		TEST(more_mechanisms_than_there_are_do_no_harm),
		TEST(continuations_are_told_from_status_lines),
		TEST(what_was_offered_before_stls_is_forgotten),
		TEST(lines_that_end_with_lf_alone_are_noticed),
		TEST(a_server_of_another_protocol_is_named_at_once),
		TEST(a_line_without_reason_to_be_so_long_is_refused),
		TEST(only_a_timestamp_of_plain_ascii_is_an_apop_banner),
	};

	return cmocka_run_group_tests_name("capability", tests, NULL, NULL);
}
