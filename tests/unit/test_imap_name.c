/* Names, dates, flags, replies: how IMAP spells them. */
#include "archive/limits.h"
#include "daemon/imap_name.h"
#include "daemon/imap_reply.h"
#include "tests/unit/check.h"

static void expect_name(const char *utf8, const char *name)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(8192),
			 back CLEANUP(buffer_deinit) = buffer_make(8192);
	struct fault f;

	assert_int_equal(imap_name_encode(&to, slice_text(utf8), &f), 0);
	assert_string_equal(buffer_text(&to), name);
	assert_int_equal(imap_name_decode(&back, slice_text(name), &f), 0);
	assert_string_equal(buffer_text(&back), utf8);
}

static void names_are_modified_utf_7(void **state)
{
	(void)state;
	expect_name("INBOX", "INBOX");
	expect_name("a&b", "a&-b");
	expect_name("Entw\xc3\xbcrfe", "Entw&APw-rfe");
	expect_name("~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
		"~peter/mail/&U,BTFw-/&ZeVnLIqe-"); /* RFC 3501 section 5.1.3 */
	expect_name("\xf0\x9f\x98\x80!", "&2D3eAA-!");
	expect_name("\x01", "&AAE-");
	expect_name("", "");
}

static void what_is_no_name_is_refused_and_leaves_nothing(void **state)
{
	static const char *const wrong[] = {"a&", "&b", "&AAA-", "&A-", "&2D0-", "&3gA-",
		"&2D0APw-", "\xc3\xbc", "&A/A-", "&APx-", "a\x01"};
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(100);
	struct fault f;

	(void)state;
	for (size_t n = 0; n < sizeof wrong / sizeof *wrong; n++) {
		if (imap_name_decode(&to, slice_text(wrong[n]), &f) != IMAP_NAME_INVALID)
			fail_msg("%s", wrong[n]);
		assert_int_equal(to.len, 0);
	}
	assert_int_equal(imap_name_encode(&to, slice_text("a\r\nb"), &f), IMAP_NAME_INVALID);
	assert_int_equal(imap_name_encode(&to, slice_text("a\xff"), &f), IMAP_NAME_INVALID);
	assert_int_equal(imap_name_encode(&to, slice_of("a\0b", 3), &f), IMAP_NAME_INVALID);
	assert_int_equal(to.len, 0);
}

static void expect_path(const char *path, char delimiter, const char *prefix, const char *name)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(8192);
	struct fault f;
	int r = imap_name_of_path(&to, path, delimiter, prefix, &f);

	if (!name) {
		assert_int_equal(r, IMAP_NAME_INVALID);
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal((const char *)to.data, name);
}

static void paths_become_names_of_the_servers_hierarchy(void **state)
{
	(void)state;
	expect_path("Old/2024", '/', NULL, "Old/2024");
	expect_path("/Old//2024/", '.', NULL, "Old.2024");
	expect_path("Old/v1.2", '.', NULL, "Old.v1_2");
	expect_path("Old/2024", '\0', NULL, "Old.2024");
	expect_path("inbox", '.', "INBOX.", "INBOX");
	expect_path("inbox/x", '.', "INBOX.", "INBOX.x");
	expect_path("Sent", '.', "INBOX.", "INBOX.Sent");
	expect_path("\xc3\xbc/inbox", '/', "", "&APw-/inbox");
	expect_path("", '/', NULL, NULL);
	expect_path("//", '/', "INBOX/", NULL);
	expect_path("a\nb", '/', NULL, NULL);
	expect_path("\xc3\xbc", 'w', NULL, NULL);
}

static void names_become_paths(void **state)
{
	static const struct {
		const char *name, *path;
		char delimiter;
	} pairs[] = {{"Old.&APw-", "Old/\xc3\xbc", '.'}, {"a/b.c", "a_b/c", '.'},
		{"a/b", "a/b", '/'}, {"a/b", "a_b", '\0'}, {"&bad.x", "&bad/x", '.'}};

	(void)state;
	for (size_t n = 0; n < sizeof pairs / sizeof *pairs; n++) {
		struct buffer to CLEANUP(buffer_deinit) = buffer_make(100);
		struct fault f;

		assert_int_equal(
			imap_path_of_name(&to, slice_text(pairs[n].name), pairs[n].delimiter, &f),
			0);
		assert_string_equal((const char *)to.data, pairs[n].path);
	}
}

static void dates_go_both_ways(void **state)
{
	static const struct {
		const char *text;
		moment_ms t;
	} good[] = {{"01-Jan-1970 00:00:00 +0000", 0}, {"17-Jul-1996 02:44:25 -0700", 837596665000},
		{" 7-jul-1996 02:44:25 +0530", 836687665000},
		{"7-Jul-1996 02:44:25 +0000", 836707465000}, {"31-Dec-1969 23:59:59 +0000", -1000}};
	static const char *const bad[] = {"", "17-Jul-1996", "17-Foo-1996 02:44:25 -0700",
		"32-Jul-1996 02:44:25 -0700", "17-Jul-1996 25:44:25 -0700", "17-Jul-1996 02:44:25",
		"17-Jul-1996 02:44:25 -0700x", "17-Jul-96 02:44:25 -0700"};
	char text[IMAP_DATE_TEXT];
	moment_ms t;

	(void)state;
	for (size_t n = 0; n < sizeof good / sizeof *good; n++) {
		assert_int_equal(imap_date_parse(slice_text(good[n].text), &t), 0);
		assert_int_equal(t, good[n].t);
		imap_date_format(t, text);
		assert_int_equal(imap_date_parse(slice_text(text), &t), 0);
		assert_int_equal(t, good[n].t);
	}
	for (size_t n = 0; n < sizeof bad / sizeof *bad; n++)
		assert_int_equal(imap_date_parse(slice_text(bad[n]), &t), 1);
	imap_date_format(-1, text);
	assert_string_equal(text, "31-Dec-1969 23:59:59 +0000");
	imap_date_format(INT64_MAX, text);
	assert_string_equal(text, "31-Dec-9999 23:59:59 +0000");
}

static void flags_have_a_narrow_alphabet(void **state)
{
	static const char *const good[] = {"\\Seen", "$Junk", "NonJunk", "a.b"},
				 *const bad[] = {"", "\\", "\\Recent", "\\recent", "a b", "a)",
					 "\\*", "a\"", "a]", "\xc3\xbc", "a\\b", "\r"};

	(void)state;
	for (size_t n = 0; n < sizeof good / sizeof *good; n++)
		assert_true(imap_flag_is_valid(slice_text(good[n])));
	for (size_t n = 0; n < sizeof bad / sizeof *bad; n++)
		assert_false(imap_flag_is_valid(slice_text(bad[n])));
}

static void replies_say_what_comes_next(void **state)
{
	static const struct {
		const char *line;
		enum imap_verdict verdict;
	} replies[] = {
		{"OK [APPENDUID 1 2] done", IMAP_DONE},
		{"NO [TRYCREATE] no such mailbox", IMAP_NO_MAILBOX},
		{"NO [OVERQUOTA] Quota exceeded", IMAP_FULL},
		{"NO Quota exceeded", IMAP_FULL},
		{"NO [TOOBIG] no", IMAP_TOO_BIG},
		{"NO Message too large", IMAP_TOO_BIG},
		{"NO [LIMIT] APPEND Rate limit hit.", IMAP_LATER},
		{"NO [LIMIT] Message size exceeds fixed maximum message size", IMAP_TOO_BIG},
		{"BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds",
			IMAP_LATER},
		{"NO [THROTTLED] slow down", IMAP_LATER},
		{"NO [UNAVAILABLE] Internal error", IMAP_LATER},
		{"NO [INUSE] locked", IMAP_LATER},
		{"NO [NOPERM] Permission denied", IMAP_NOT_ALLOWED},
		{"NO [ALREADYEXISTS] Mailbox already exists", IMAP_EXISTS},
		{"NO Mailbox already exists", IMAP_EXISTS},
		{"NO Message contains NUL characters", IMAP_REFUSED},
		{"BAD syntax", IMAP_REFUSED},
		{"no", IMAP_REFUSED},
	};
	struct imap_reply r;

	(void)state;
	for (size_t n = 0; n < sizeof replies / sizeof *replies; n++) {
		assert_int_equal(imap_reply_parse(slice_text(replies[n].line), &r), 0);
		if (imap_verdict(&r) != replies[n].verdict)
			fail_msg("%s: %d", replies[n].line, imap_verdict(&r));
	}
	assert_int_equal(imap_reply_parse(slice_text(replies[8].line), &r), 0);
	assert_int_equal(r.wait_ms, 92415);
	assert_int_equal(imap_reply_parse(slice_text("BYE x"), &r), IMAP_REPLY_OTHER);
	assert_int_equal(imap_reply_parse(slice_text(""), &r), IMAP_REPLY_OTHER);
}

static void an_append_uid_that_cannot_be_one_is_none(void **state)
{
	static const char *const lies[] = {"OK [APPENDUID] x", "OK [APPENDUID 1] x",
		"OK [APPENDUID 1 99999999999] x", "OK [APPENDUID a b] x", "OK [APPENDUID 1 2:4] x",
		"OK [APPENDUID 1 2"};
	struct imap_reply r;

	(void)state;
	for (size_t n = 0; n < sizeof lies / sizeof *lies; n++) {
		assert_int_equal(imap_reply_parse(slice_text(lies[n]), &r), 0);
		assert_int_equal(r.uid_validity, 0);
		assert_int_equal(r.uid, 0);
	}
}

static void capabilities_are_read(void **state)
{
	struct imap_capabilities c;
	struct fault f;

	(void)state;
	assert_int_equal(imap_capabilities_parse(&c,
				 slice_text("IMAP4rev1 auth=plain AUTH=SCRAM-SHA-256 sasl-ir "
					    "LITERAL- APPENDLIMIT=35 LOGINDISABLED"),
				 &f),
		0);
	assert_true(c.known && c.sasl_ir && c.literal_minus && !c.literal_plus);
	assert_true(capabilities_have_sasl(&c.login, "PLAIN"));
	assert_true(capabilities_have_sasl(&c.login, "SCRAM-SHA-256"));
	assert_false(c.login.user);
	assert_int_equal(c.append_limit, 35);
	assert_int_equal(imap_capabilities_parse(&c, slice_text("IMAP4rev2 APPENDLIMIT"), &f), 0);
	assert_true(c.sasl_ir && c.literal_minus && c.uidplus && c.login.user);
	assert_true(c.append_limit_known && c.append_limit == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_modified_utf_7),
		TEST(what_is_no_name_is_refused_and_leaves_nothing),
		TEST(paths_become_names_of_the_servers_hierarchy),
		TEST(names_become_paths),
		TEST(dates_go_both_ways),
		TEST(flags_have_a_narrow_alphabet),
		TEST(replies_say_what_comes_next),
		TEST(an_append_uid_that_cannot_be_one_is_none),
		TEST(capabilities_are_read),
	};

	return cmocka_run_group_tests_name("imap_name", tests, NULL, NULL);
}
