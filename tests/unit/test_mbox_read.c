#include "cli/mbox_read.h"
#include "tests/unit/check.h"
#include "tests/unit/taken.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FROM "From a@b Mon Jan  5 10:20:30 2015\n"
#define WHEN "1420453230 "

static struct taken taken;
static struct import_taker taker;

static int make(void **state)
{
	(void)state;
	taker = taken_make(&taken);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	taken_deinit(&taken);
	return 0;
}

static void again(void)
{
	taken_deinit(&taken);
	taker = taken_make(&taken);
}

/* ---- Sources --------------------------------------------------------------------------------- */

static int file_of(const char *text, size_t len)
{
	int fd = memfd_create("mbox", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, len, 0), (ssize_t)len);
	return fd;
}

static void read_file(const char *text, enum mbox_dialect dialect)
{
	int fd CLEANUP(fd_closep) = file_of(text, strlen(text));
	struct mbox_file file = {.fd = fd, .name = "box", .folder = ""};
	struct fault f;

	assert_int_equal(mbox_read_file(&file, dialect, &taker, &f), 0);
}

struct pieces {
	struct slice text;
	size_t at, piece, broken_at;
};

static int read_piece(void *context, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	struct pieces *p = context;
	size_t n = p->text.len - p->at;

	if (p->broken_at && p->at >= p->broken_at) {
		fault_record(f, FAULT_SYSTEM, SCOPE_SESSION, 0, "torn");
		return IMPORT_BROKEN;
	}
	n = n < p->piece ? n : p->piece;
	n = n < size ? n : size;
	memcpy(to, p->text.data + p->at, n);
	p->at += n;
	*ret_n = n;
	return 0;
}

static void read_stream(const char *text, size_t piece, size_t broken_at, enum mbox_dialect dialect)
{
	struct pieces p = {slice_text(text), 0, piece, broken_at};
	struct import_stream s = {
		.context = &p, .name = "zip: box", .folder = "", .read = read_piece};
	struct fault f;

	assert_int_equal(mbox_read_stream(&s, dialect, &taker, &f), 0);
}

static void expect(const char *wanted)
{
	assert_string_equal(buffer_text(&taken.log), wanted);
}

static void expect_note(const char *wanted)
{
	const char *notes = buffer_text(&taken.notes);

	if (!notes || !strstr(notes, wanted))
		fail_msg("not noted: %s\nbut: %s", wanted, notes);
}

static void expect_no_note(const char *other)
{
	if (strstr(buffer_text(&taken.notes), other))
		fail_msg("noted: %s", buffer_text(&taken.notes));
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void messages_come_with_their_time(void **state)
{
	static const char TEXT[] = FROM "A: 1\n\nx\n\n" FROM "B: 2\n\ny\n";

	(void)state;
	read_file(TEXT, MBOX_ANY);
	expect(WHEN "[A: 1\n\nx\n]" WHEN "[B: 2\n\ny\n]");
	for (size_t piece = 1; piece < sizeof TEXT; piece++) {
		again();
		read_stream(TEXT, piece, 0, MBOX_ANY);
		expect(WHEN "[A: 1\n\nx\n]" WHEN "[B: 2\n\ny\n]");
	}
}

static void an_empty_file_has_no_messages(void **state)
{
	(void)state;
	read_file("", MBOX_ANY);
	read_stream("", 1, 0, MBOX_ANY);
	expect("");
	assert_string_equal(buffer_text(&taken.notes), "");
}

static void fields_of_other_programs_become_flags(void **state)
{
	(void)state;
	read_file(FROM
		"Status: RO\nX-Status: AFT\nX-Keywords: $Forwarded work   \n\nx\n\n" FROM
		"X-Mozilla-Status: 1007\nX-Mozilla-Keys: $label1 \\Recent bad(word $LABEL1\n\n"
		"Status: O\n\n" FROM "STATUS: O\nX-Status: D\n\n",
		MBOX_ANY);
	expect(WHEN "\\Seen \\Answered \\Flagged \\Draft $Forwarded work "
		    "[Status: RO\nX-Status: AFT\nX-Keywords: $Forwarded work   \n\nx\n]" WHEN
		    "\\Seen \\Answered \\Flagged $Forwarded $label1 [X-Mozilla-Status: 1007\n"
		    "X-Mozilla-Keys: $label1 \\Recent bad(word $LABEL1\n\nStatus: O\n]" WHEN
		    "\\Deleted [STATUS: O\nX-Status: D\n]");
}

static void labels_of_gmail_are_folders(void **state)
{
	(void)state;
	read_file(FROM "X-Gmail-Labels: Inbox,Work,Unread\n\nx\n\n" FROM "B: 2\n\n", MBOX_ANY);
	expect(WHEN "Work +INBOX [X-Gmail-Labels: Inbox,Work,Unread\n\nx\n]" WHEN "[B: 2\n]");
}

static void what_thunderbird_deleted_is_passed_over_and_said(void **state)
{
	(void)state;
	read_file(FROM "X-Mozilla-Status: 0009\n\nx\n\n" FROM "B: 2\n\ny\n", MBOX_ANY);
	expect(WHEN "[B: 2\n\ny\n]");
	expect_note("1 message is deleted");
}

static void a_mail_programs_own_data_is_no_mail(void **state)
{
	static const char DATA[] =
		"From: Mail System Internal Data <MAILER-DAEMON@h>\n"
		"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nx\n";
	char text[1024], wanted[1024];

	(void)state;
	(void)snprintf(text, sizeof text, FROM "%s\n" FROM "%s", DATA, DATA);
	(void)snprintf(wanted, sizeof wanted, WHEN "[%s]", DATA);
	read_file(text, MBOX_ANY);
	expect(wanted);
	expect_note("its first message is a mail program's own data");
}

/* ---- Dialects -------------------------------------------------------------------------------- */

static void lengths_that_are_right_tell_mboxcl2(void **state)
{
	(void)state;
	read_file(FROM "Content-Length: 44\n\nx\n\n" FROM "B: 2\n\n" FROM
		       "Content-Length: 1\n\ny\n",
		MBOX_ANY);
	expect_note("read as mboxrd");
	again();
	read_file(FROM "Content-Length: 42\n\nx\n\n" FROM "B: 2\n\n" FROM
		       "Content-Length: 1\n\ny\n",
		MBOX_ANY);
	expect(WHEN "[Content-Length: 42\n\nx\n\n" FROM "B: 2\n]" WHEN "[Content-Length: 1\n\ny]");
	expect_note("read as mboxcl2: Content-Length is right, and lines within begin with \"From");
	expect_no_note("taken as text");
}

static void lengths_and_brackets_tell_mboxcl(void **state)
{
	(void)state;
	read_file(FROM "Content-Length: 10\n\n>From here\n\n" FROM "B: 2\n", MBOX_ANY);
	expect_note("read as mboxrd"); /* one less than it has */
	again();
	read_file(FROM "Content-Length: 11\n\n>From here\n\n" FROM "B: 2\n", MBOX_ANY);
	expect(WHEN "[Content-Length: 11\n\nFrom here\n]" WHEN "[B: 2\n]");
	expect_note("read as mboxcl: ");
	again();
	read_file(FROM "A: 1\nX-UID: 1\nContent-Length: 11\n\n>From here\n\n" FROM "B: 2\n",
		MBOX_ANY);
	expect(WHEN "[A: 1\nX-UID: 1\nContent-Length: 11\n\n>From here\n]" WHEN "[B: 2\n]");
	expect_note("read as mboxcl2: ");
}

static void brackets_alone_tell_mboxrd(void **state)
{
	static const char TEXT[] = FROM "A: 1\n\n>From x\n>>From y\n";

	(void)state;
	read_file(TEXT, MBOX_ANY);
	expect(WHEN "[A: 1\n\nFrom x\n>From y\n]");
	expect_note("read as mboxrd: 1 line begins with \">>From \"; --mbox");
	again();
	read_file(TEXT, MBOX_O);
	expect(WHEN "[A: 1\n\nFrom x\n>>From y\n]");
	expect_note("read as mboxo, as --mbox-dialect says");
	again();
	read_file(FROM "A: 1\n\n>From x\n", MBOX_ANY);
	expect_note("mboxo would be the same");
}

static void doubtful_lines_are_counted(void **state)
{
	(void)state;
	read_file(FROM "A: 1\n\nFrom here\n" FROM "to there\n", MBOX_ANY);
	expect(WHEN "[A: 1\n\nFrom here\n" FROM "to there\n]");
	expect_note("2 lines begin with \"From \": taken as text (1 with a date); the first "
		    "at byte 40");
}

static void what_is_no_mbox_is_lost(void **state)
{
	(void)state;
	read_file("no\nmbox\n", MBOX_ANY);
	expect("!lost: is no mbox: no \"From \" line in 8 bytes");
	again();
	read_file("half a message\n\n" FROM "B: 2\n", MBOX_ANY);
	expect(WHEN "[B: 2\n]!lost: 15 bytes before its first message belong to none");
}

static void a_file_that_was_cut_is_said(void **state)
{
	(void)state;
	read_file(FROM "A: 1\n\nhalf a li", MBOX_ANY);
	expect_note("its last line has no end");
	again();
	read_file(FROM "Content-Length: 1\n\nx\n\n" FROM "Content-Length: 100\n\nhalf\n", MBOX_CL2);
	expect_note("ends 95 bytes before its last message does");
}

/* ---- Sources that break ---------------------------------------------------------------------- */

static void a_stream_that_breaks_gives_what_was_whole(void **state)
{
	(void)state;
	read_stream(FROM "A: 1\n\nx\n\n" FROM "B: 2\n\ny\nz\n", 7, 85, MBOX_ANY);
	expect(WHEN "[A: 1\n\nx\n]" WHEN "[B: 2\n\ny\nz\n!refused: torn!lost: torn");
}

/* One that changes its file while it takes the first message. */
struct meddler {
	int fd;
	void (*meddle)(int fd);
	int (*begin)(void *context, const struct found *m, struct fault *f);
};
static struct meddler meddler;

static int meddling_begin(void *context, const struct found *m, struct fault *f)
{
	if (meddler.meddle)
		meddler.meddle(meddler.fd);
	meddler.meddle = NULL;
	return meddler.begin(context, m, f);
}

/* Messages of 1 KiB, n of them. */
static void read_meddled(size_t n, void (*meddle)(int fd))
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(16 * MIB);
	struct fault f;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(buffer_append_format(&text, &f, FROM "Subject: %06zu\n\n%0*d\n\n",
					 i, 1024 - 34 - 19, 0),
			0);
	assert_int_equal(text.len, n * 1024);
	int fd CLEANUP(fd_closep) = file_of((const char *)text.data, text.len);
	struct mbox_file file = {.fd = fd, .name = "box", .folder = ""};
	meddler = (struct meddler){fd, meddle, taker.begin};
	taker.begin = meddling_begin;
	assert_int_equal(mbox_read_file(&file, MBOX_ANY, &taker, &f), 0);
}

static void append_message(int fd)
{
	assert_int_equal(lseek(fd, 0, SEEK_END) > 0, 1);
	assert_int_equal(write(fd, FROM "C: 3\n", sizeof FROM + 4), (ssize_t)sizeof FROM + 4);
}

static void append_text(int fd)
{
	assert_int_equal(lseek(fd, 0, SEEK_END) > 0, 1);
	assert_int_equal(write(fd, "more of it\n", 11), 11);
}

static void cut(int fd)
{
	assert_int_equal(ftruncate(fd, (off_t)(1536 * KIB + 100)), 0);
}

/* The first message goes, as when somebody expunges. */
static void shift(int fd)
{
	uint8_t *bytes CLEANUP(freep) = malloc(8 * MIB);
	ssize_t n = pread(fd, bytes, 8 * MIB, 1024);

	assert_true(bytes && n > 0);
	assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
	assert_int_equal(pwrite(fd, bytes, 1024, n), 1024);
}

static void touch(int fd)
{
	assert_int_equal(pwrite(fd, "From a@c", 8, 0), 8);
}

static void what_is_delivered_meanwhile_is_for_the_next_time(void **state)
{
	(void)state;
	read_meddled(4096, append_message);
	assert_int_equal(taken.ended, 4096);
	assert_int_equal(taken.refused + taken.lost, 0);
	expect_note("39 bytes came while it was read");
}

static void a_message_that_grows_meanwhile_is_refused(void **state)
{
	(void)state;
	read_meddled(4096, append_text);
	assert_int_equal(taken.ended, 4095);
	assert_int_equal(taken.refused, 1);
	assert_int_equal(taken.lost, 1);
}

static void a_file_that_becomes_shorter_gives_what_was_whole(void **state)
{
	(void)state;
	read_meddled(4096, cut);
	/* What was in memory already, and nothing torn. */
	assert_true(taken.ended >= 1023 && taken.ended < 1600);
	assert_int_equal(taken.refused, 1);
	assert_int_equal(taken.lost, 1);
}

static void a_file_that_is_rewritten_gives_what_was_whole(void **state)
{
	(void)state;
	read_meddled(4096, shift);
	assert_true(taken.ended >= 1023 && taken.ended < 1600);
	assert_int_equal(taken.refused, 1);
	assert_non_null(memmem(taken.log.data, taken.log.len, "was rewritten", 13));
}

static void a_field_changed_where_it_stands_harms_nothing(void **state)
{
	(void)state;
	read_meddled(4096, touch);
	assert_int_equal(taken.ended, 4096);
	assert_int_equal(taken.refused + taken.lost, 0);
	assert_true(taken.position >= 3 * MIB);
}

static void a_taker_that_fails_ends_it(void **state)
{
	static const char TEXT[] = FROM "A: 1\n\nx\n\n" FROM "B: 2\n\ny\n";
	int fd CLEANUP(fd_closep) = file_of(TEXT, sizeof TEXT - 1);
	struct mbox_file file = {.fd = fd, .name = "box", .folder = ""};
	struct fault f;

	(void)state;
	taken.stop_at = 2;
	assert_int_equal(mbox_read_file(&file, MBOX_ANY, &taker, &f), -1);
	assert_int_equal(f.code, FAULT_INTERRUPT);
	expect(WHEN "[A: 1\n\nx\n]");
}

static void a_message_that_the_taker_skips_is_passed_over(void **state)
{
	(void)state;
	taken.skip_at = 1;
	read_file(FROM "A: 1\n\n>From x\n\n" FROM "B: 2\n\ny\n", MBOX_ANY);
	expect(WHEN "[..." WHEN "[B: 2\n\ny\n]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define READ(name) cmocka_unit_test_setup_teardown(name, make, drop)
		READ(messages_come_with_their_time),
		READ(an_empty_file_has_no_messages),
		READ(fields_of_other_programs_become_flags),
		READ(labels_of_gmail_are_folders),
		READ(what_thunderbird_deleted_is_passed_over_and_said),
		READ(a_mail_programs_own_data_is_no_mail),
		READ(lengths_that_are_right_tell_mboxcl2),
		READ(lengths_and_brackets_tell_mboxcl),
		READ(brackets_alone_tell_mboxrd),
		READ(doubtful_lines_are_counted),
		READ(what_is_no_mbox_is_lost),
		READ(a_file_that_was_cut_is_said),
		READ(a_stream_that_breaks_gives_what_was_whole),
		READ(what_is_delivered_meanwhile_is_for_the_next_time),
		READ(a_message_that_grows_meanwhile_is_refused),
		READ(a_file_that_becomes_shorter_gives_what_was_whole),
		READ(a_file_that_is_rewritten_gives_what_was_whole),
		READ(a_field_changed_where_it_stands_harms_nothing),
		READ(a_taker_that_fails_ends_it),
		READ(a_message_that_the_taker_skips_is_passed_over),
#undef READ
	};

	return cmocka_run_group_tests_name("mbox_read", tests, NULL, NULL);
}
