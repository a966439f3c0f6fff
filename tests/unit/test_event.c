#include "archive/event.h"
#include "archive/limits.h"
#include "tests/unit/check.h"

static struct buffer line, scratch;

static int setup(void **state)
{
	(void)state;
	line = buffer_make(LIMIT_LEDGER_LINE * 2);
	scratch = buffer_make(LIMIT_LEDGER_LINE * 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buffer_deinit(&line);
	buffer_deinit(&scratch);
	return 0;
}

static const char *format(const struct event *e)
{
	struct fault f = {0};

	buffer_clear(&line);
	assert_int_equal(event_format(e, &line, &f), 0);
	return buffer_text(&line);
}

static int parse(const char *text, struct event *ret)
{
	struct fault f = {0};

	return event_parse(slice_text(text), &scratch, ret, &f);
}

static void a_keep_line_is_canonical_and_reads_back(void **state)
{
	struct event again, e = {.kind = EVENT_KEEP,
				    .t = 0,
				    .maildrop = 3,
				    .uidl = slice_of("a b\0%\xff~", 7),
				    .size = 5,
				    .listed = 6,
				    .copy = 2,
				    .class_ = slice_text("default"),
				    .source = slice_text("pop3")};
	(void)state;
	memset(e.digest.byte, 0xab, DIGEST_LEN);
	const char *text = format(&e);
	assert_string_equal(text,
		"v=1 event=keep t=1970-01-01T00:00:00.000Z maildrop=3 uidl=a%20b%00%25%FF~ "
		"digest=abababababababababababababababababababababababababababababababab size=5 "
		"class=default source=pop3 listed=6 copy=2\n");
	struct fault f = {0};
	struct slice without_lf = slice_of(line.data, line.len - 1);
	assert_int_equal(event_parse(without_lf, &scratch, &again, &f), 0);
	assert_int_equal(again.kind, EVENT_KEEP);
	assert_int_equal(slice_compare(again.uidl, e.uidl), 0);
	assert_memory_equal(again.digest.byte, e.digest.byte, DIGEST_LEN);
	assert_int_equal(again.listed, 6);
	assert_int_equal(again.copy, 2);
}

static void what_an_import_knew_reads_back(void **state)
{
	struct event again, e = {.kind = EVENT_SEE,
				    .maildrop = 3,
				    .uidl = slice_text("u"),
				    .listed = SIZE_UNKNOWN,
				    .copy = 1,
				    .filed = true,
				    .folder = slice_text("Sent/\xc3\x84 b"),
				    .flags = slice_text("\\Seen $Forwarded"),
				    .received = 86400001};

	(void)state;
	assert_string_equal(format(&e),
		"v=1 event=see t=1970-01-01T00:00:00.000Z maildrop=3 uidl=u "
		"digest=0000000000000000000000000000000000000000000000000000000000000000 "
		"folder=Sent/%C3%84%20b flags=\\Seen%20$Forwarded "
		"received=1970-01-02T00:00:00.001Z\n");
	line.data[line.len - 1] = '\0';
	assert_int_equal(parse((const char *)line.data, &again), 0);
	assert_true(again.filed);
	assert_int_equal(slice_compare(again.folder, e.folder), 0);
	assert_int_equal(slice_compare(again.flags, e.flags), 0);
	assert_int_equal(again.received, e.received);
}

static void an_import_without_folder_flags_and_time_says_so(void **state)
{
	struct event again, e = {.kind = EVENT_KEEP,
				    .uidl = slice_text("u"),
				    .size = 5,
				    .listed = 5,
				    .copy = 1,
				    .filed = true,
				    .class_ = slice_text("default"),
				    .source = slice_text("import")};

	(void)state;
	const char *text = format(&e);
	assert_non_null(strstr(text, " folder="));
	assert_null(strstr(text, " flags="));
	assert_null(strstr(text, " received="));
	line.data[line.len - 1] = '\0';
	assert_int_equal(parse((const char *)line.data, &again), 0);
	assert_true(again.filed);
	assert_int_equal(again.folder.len, 0);
	assert_int_equal(again.received, 0);
}

static void a_listed_size_equal_to_the_size_is_not_written(void **state)
{
	struct event again, e = {.kind = EVENT_KEEP,
				    .size = 5,
				    .listed = 5,
				    .copy = 1,
				    .class_ = slice_text("default"),
				    .source = slice_text("pop3")};

	(void)state;
	assert_null(strstr(format(&e), "listed="));
	line.data[line.len - 1] = '\0';
	assert_int_equal(parse((const char *)line.data, &again), 0);
	assert_int_equal(again.listed, 5);
}

static void unknown_keys_and_events_are_read_over(void **state)
{
	struct event e;

	(void)state;
	assert_int_equal(
		parse("v=1 event=vanish t=1970-01-01T00:00:00.000Z maildrop=1 uidl=x new=%41", &e),
		0);
	assert_int_equal(e.kind, EVENT_VANISH);
	assert_int_equal(parse("v=1 event=hold t=1970-01-01T00:00:00.000Z size=many", &e), 0);
	assert_int_equal(e.kind, EVENT_UNKNOWN);
}

static void a_reason_of_a_later_version_is_a_refusal_all_the_same(void **state)
{
	struct event e;

	(void)state;
	assert_int_equal(parse("v=1 event=refuse t=1970-01-01T00:00:00.000Z maildrop=1 uidl=x "
			       "reason=mood tries=1",
				 &e),
		0);
	assert_int_equal(e.kind, EVENT_REFUSE);
	assert_int_equal(e.reason, REFUSAL_UNKNOWN);
}

static void what_vanished_is_accepted_by_a_word_of_its_own(void **state)
{
	struct event again, e = {.kind = EVENT_ACCEPT,
				    .reason = ACCEPT_VANISHED,
				    .uidl = slice_text("x"),
				    .text = slice_text("gone")};

	(void)state;
	assert_non_null(strstr(format(&e), "uidl=x reason=vanished text=gone"));
	line.data[line.len - 1] = '\0';
	assert_int_equal(parse((const char *)line.data, &again), 0);
	assert_int_equal(again.reason, ACCEPT_VANISHED);
	assert_int_equal(parse("v=1 event=refuse t=1970-01-01T00:00:00.000Z maildrop=1 uidl=x "
			       "reason=vanished tries=1",
				 &again),
		0);
	assert_int_equal(again.reason, REFUSAL_UNKNOWN);
}

static void lines_that_are_not_well_formed_are_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"v=1",
		"v=2 event=keep t=1970-01-01T00:00:00.000Z",
		"event=keep v=1 t=1970-01-01T00:00:00.000Z",
		"v=1 event=keep t=1970",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z maildrop=x",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z maildrop=01",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z maildrop=99999999999999999999",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z uidl=%4",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z uidl=%4g",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z  uidl=a",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z uidl=a ",
		"v=1 event=vanish t=1970-01-01T00:00:00.000Z =a",
		"v=1 event=keep t=1970-01-01T00:00:00.000Z digest=abc",
		"v=1 event=refuse t=1970-01-01T00:00:00.000Z maildrop=1 uidl=a tries=1 reason=",
	};
	struct event e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(parse(bad[i], &e), EVENT_BAD);
}

/* The line without its field number n (after the three that all have); false: it has no such. */
static bool drop_field(const char *from, size_t n, char ret[static 512])
{
	const char *at = from;

	for (size_t i = 0; i < n + 3; i++) {
		at = strchr(at + 1, ' ');
		if (!at)
			return false;
	}
	const char *end = strchrnul(at + 1, ' ');
	(void)snprintf(ret, 512, "%.*s%s", (int)(at - from), from, end);
	return true;
}

static void a_line_without_a_field_that_its_event_must_have_is_bad(void **state)
{
#define T   " t=1970-01-01T00:00:00.000Z"
#define D16 "abababababababab"
#define D64 D16 D16 D16 D16
	static const char *const whole[] = {
		"v=1 event=begin" T " archive=00 leaf=7 previous=" D64,
		"v=1 event=account" T " maildrop=1 name=a server=h user=u",
		"v=1 event=keep" T " maildrop=1 uidl=a digest=" D64 " size=1 class=c source=pop3",
		"v=1 event=see" T " maildrop=1 uidl=a digest=" D64,
		"v=1 event=refuse" T " maildrop=1 uidl=a reason=framing tries=1",
		"v=1 event=accept" T " maildrop=1 uidl=a reason=framing",
		"v=1 event=vanish" T " maildrop=1 uidl=a",
		"v=1 event=poll" T " maildrop=1 listed=0 archived=0 pending=0 refused=0 vanished=0",
		"v=1 event=seal" T " segment=3 digest=" D64
		" size=9 messages=1 bytes=5 class=c replaces=1,2",
		"v=1 event=commit" T " size=1 root=" D64,
	};
	char text[512];
	struct event e;

	(void)state;
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		assert_int_equal(parse(whole[i], &e), 0);
		for (size_t n = 0; drop_field(whole[i], n, text); n++)
			assert_int_equal(parse(text, &e), EVENT_BAD);
	}
}

static void a_seal_line_names_what_it_replaces(void **state)
{
	struct event again, e = {.kind = EVENT_SEAL,
				    .segment = 12,
				    .size = 900,
				    .messages = 3,
				    .bytes = 1000,
				    .class_ = slice_text("default"),
				    .replaces = slice_text("3,7,11")};
	struct slice left;
	uint64_t number;

	(void)state;
	const char *text = format(&e);
	assert_non_null(strstr(text, "event=seal t=1970-01-01T00:00:00.000Z segment=12 digest=00"));
	assert_non_null(
		strstr(text, " size=900 messages=3 bytes=1000 class=default replaces=3,7,11\n"));
	assert_null(strstr(text, "maildrop"));
	line.len--;
	assert_int_equal(parse(buffer_text(&line), &again), 0);
	assert_int_equal(again.segment, 12);
	assert_int_equal(again.messages, 3);
	left = again.replaces;
	for (const uint64_t *want = (const uint64_t[]){3, 7, 11, 0}; *want; want++) {
		assert_true(event_replaced(&left, &number));
		assert_int_equal(number, *want);
	}
	assert_false(event_replaced(&left, &number));
}

static void a_seal_line_that_replaces_something_impossible_is_bad(void **state)
{
	static const char *const bad[] = {
		"", ",", "1,", ",1", "1,,2", "2,1", "1,1", "12", "13", "01", "x", "0", "1 2"};
	struct event e;
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		(void)snprintf(text, sizeof text,
			"v=1 event=seal" T " segment=12 digest=" D64
			" size=9 messages=1 bytes=5 class=c replaces=%s",
			bad[i]);
		assert_int_equal(parse(text, &e), EVENT_BAD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_keep_line_is_canonical_and_reads_back),
		TEST(a_listed_size_equal_to_the_size_is_not_written),
		TEST(what_an_import_knew_reads_back),
		TEST(an_import_without_folder_flags_and_time_says_so),
		TEST(unknown_keys_and_events_are_read_over),
		TEST(what_vanished_is_accepted_by_a_word_of_its_own),
		TEST(a_reason_of_a_later_version_is_a_refusal_all_the_same),
		TEST(lines_that_are_not_well_formed_are_bad),
		TEST(a_line_without_a_field_that_its_event_must_have_is_bad),
		TEST(a_seal_line_names_what_it_replaces),
		TEST(a_seal_line_that_replaces_something_impossible_is_bad),
	};

	return cmocka_run_group_tests_name("event", tests, setup, teardown);
}
