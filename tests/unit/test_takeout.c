#include "cli/takeout.h"
#include "tests/unit/check.h"

/* Of a header: "folder,folder|flags". */
static void expect(const char *header, const char *wanted)
{
	struct mbox_marks m = {0};
	struct takeout t = {0};
	struct buffer got = buffer_make(256 * KIB);
	struct fault f;

	assert_int_equal(mbox_marks_read(slice_text(header), &m, &f), 0);
	assert_int_equal(takeout_read(&m, &t, &f), 0);
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(
			buffer_append_format(&got, &f, "%s%s", i ? "," : "", t.folder[i]), 0);
	assert_int_equal(buffer_append_format(&got, &f, "|%s", buffer_text(&m.flags)), 0);
	assert_string_equal(buffer_text(&got), wanted);
	buffer_deinit(&got);
	takeout_deinit(&t);
	mbox_marks_deinit(&m);
}

static void the_systems_labels_are_folders_and_flags(void **state)
{
	(void)state;
	expect("X-Gmail-Labels: Inbox,Important,Opened,Category Personal\n",
		"INBOX|\\Seen $Important");
	expect("X-Gmail-Labels: Sent,Unread\n", "Sent|");
	expect("X-Gmail-Labels: Drafts,Starred\n", "Drafts|\\Seen \\Flagged \\Draft");
	expect("X-Gmail-Labels: Archived,Opened\n", "Archive|\\Seen");
	expect("X-Gmail-Labels: Spam,Category promotions,Unread\n", "Spam|");
	expect("X-Gmail-Labels: Trash,Inbox\r\n", "INBOX,Trash|\\Seen");
	expect("X-Gmail-Labels: Chat\n", "Chats|\\Seen");
	expect("X-Gmail-Labels:\n", "Archive|\\Seen");
}

static void labels_of_the_user_come_first(void **state)
{
	(void)state;
	expect("X-Gmail-Labels: Inbox,Work/Clients,Opened,Later\n",
		"Work/Clients,Later,INBOX|\\Seen");
	expect("X-Gmail-Labels: Archived,\"a, b\",\"say \"\"x\"\"\", \"c\\\"d\" ,e\n",
		"a, b,say \"x\",c\"d,e|\\Seen");
	expect("X-Gmail-Labels: Work,Work,Work/,/Work,Unread\n", "Work|");
	expect("X-Gmail-Labels: ../x/./y//z,..,/,Unread\n", "x/y/z|");
	expect("X-Gmail-Labels: INBOX,Category X,Unread\n", "Category X,INBOX|");
}

static void labels_are_encoded_and_folded(void **state)
{
	(void)state;
	expect("X-Gmail-Labels: =?UTF-8?Q?Archiviert,B=C3=BC?=\n"
	       " =?UTF-8?Q?ro,Ge=C3=B6ffnet,Kategorie:_=22Neuigkeiten=22?=\n",
		"Büro|\\Seen");
	expect("X-Gmail-Labels: Inbox,\n Work,\r\n\tUnread\nX: y\n", "Work,INBOX|");
	expect("X-Gmail-Labels: =?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,Non_lus?=\n", "INBOX|");
	expect("X-Gmail-Labels: "
	       "=?UTF-8?Q?Messages_archiv=C3=A9s,Ouvert,Cat=C3=A9gorie=C2=A0:_E-?=\n"
	       " =?UTF-8?Q?mails_personnels,\"Culture,_associations\"?=\n",
		"Culture, associations|\\Seen");
	/* Bytes that are no text, and what would hide. */
	expect("X-Gmail-Labels: =?UTF-8?Q?a=FFb,c=0Ad?=,Unread\n", "a\\xffb,c\\x0ad|");
}

static void what_imap_clients_had_set_are_flags(void **state)
{
	(void)state;
	expect("X-Gmail-Labels: Inbox,IMAP_$Forwarded,IMAP_Not Junk,Opened\n",
		"INBOX|$Forwarded \\Seen");
	expect("X-Status: F\nX-Gmail-Labels: Starred,Sent\n", "Sent|\\Flagged \\Seen");
}

static void too_many_and_too_long_ones_are_left_out(void **state)
{
	struct mbox_marks m = {0};
	struct takeout t = {0};
	struct buffer header = buffer_make(256 * KIB);
	struct fault f;

	(void)state;
	assert_int_equal(buffer_append_format(&header, &f, "X-Gmail-Labels: %0*d", 2000, 0), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buffer_append_format(&header, &f, ",l%d", i), 0);
	assert_int_equal(mbox_marks_read(buffer_slice(&header), &m, &f), 0);
	assert_int_equal(takeout_read(&m, &t, &f), 0);
	assert_int_equal(t.n, TAKEOUT_FOLDERS);
	assert_string_equal(t.folder[0], "l0");
	assert_string_equal(t.folder[TAKEOUT_FOLDERS - 1], "l63");
	buffer_deinit(&header);
	takeout_deinit(&t);
	mbox_marks_deinit(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_systems_labels_are_folders_and_flags),
		TEST(labels_of_the_user_come_first),
		TEST(labels_are_encoded_and_folded),
		TEST(what_imap_clients_had_set_are_flags),
		TEST(too_many_and_too_long_ones_are_left_out),
	};

	return cmocka_run_group_tests_name("takeout", tests, NULL, NULL);
}
