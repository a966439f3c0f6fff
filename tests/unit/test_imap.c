/* Transcripts of the IMAP engine. Each is played whole, byte by byte, and cut in two at every
 * place: what comes of it must be the same. */
#include "archive/escape.h"
#include "daemon/imap.h"
#include "tests/unit/check.h"

#include <inttypes.h>

enum { LOG = 64 * 1024 };

struct scene {
	const char *capabilities;
	struct imap_order orders[6]; /* queued at once; up to the first without cookie */
};

struct player {
	struct imap *imap;
	char log[LOG], sent[LOG];
	size_t log_n, sent_n;
	bool in_body;
	struct fault fault;
};

static void note(struct player *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct player *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(p->log + p->log_n, LOG - p->log_n, format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < LOG - p->log_n);
	p->log_n += (size_t)n;
}

static const char *shown(struct slice bytes)
{
	static char text[4][400];
	static unsigned next;

	return escape_text(bytes, text[next++ % 4], sizeof text[0]);
}

/* A message is its size in x. */
static void give(struct player *p, const struct imap_event *e)
{
	char xs[100];

	memset(xs, 'x', sizeof xs);
	size_t n = imap_give(p->imap, slice_of(xs, e->room < sizeof xs ? e->room : sizeof xs));
	assert_int_equal(n, e->room < sizeof xs ? e->room : sizeof xs);
}

static void on_data(struct player *p, const struct imap_event *e)
{
	switch (e->kind) {
	case IMAP_LISTED:
		note(p, "%" PRIu64 " listed <%s> %c%s%s\n", e->cookie, shown(e->listed.name),
			e->listed.delimiter ? e->listed.delimiter : '-',
			e->listed.no_select ? " noselect" : "",
			e->listed.no_inferiors ? " noinferiors" : "");
		break;
	case IMAP_STATUS_DATA:
		note(p, "%" PRIu64 " status <%s> %" PRIu64 " %" PRIu32 " %" PRIu32 "\n", e->cookie,
			shown(e->status.name), e->status.messages, e->status.uid_next,
			e->status.uid_validity);
		break;
	case IMAP_MESSAGE:
		note(p, "%" PRIu64 " message %" PRIu32 " %" PRIu64 " %" PRId64 " (%s) <%s>\n",
			e->cookie, e->message.uid, e->message.size,
			e->message.has_received ? e->message.received : -1, shown(e->message.flags),
			shown(e->message.message_id));
		break;
	case IMAP_BODY:
		note(p, "%s%s", p->in_body ? "" : "body ", shown(e->bytes));
		p->in_body = true;
		break;
	case IMAP_BODY_END:
		note(p, "%s%" PRIu64 " end %" PRIu32 " %" PRIu64 "\n", p->in_body ? "\n" : "",
			e->cookie, e->message.uid, e->offset);
		p->in_body = false;
		break;
	case IMAP_NOTICE:
		note(p, "notice %s\n", shown(e->reply.text));
		break;
	case IMAP_REPLY:
		note(p, "%" PRIu64 " reply %d %d %" PRIu32 ":%" PRIu32 " %s\n", e->cookie,
			e->reply.status, e->reply.code, e->reply.uid_validity, e->reply.uid,
			shown(e->reply.text));
		break;
	case IMAP_UP:
	case IMAP_WANT_BYTES:
		fail();
	}
}

/* Takes all events and sends all there is; false: dead. */
static bool settle(struct player *p)
{
	struct imap_event e;
	struct slice out;
	int r;

	do {
		while ((r = imap_next(p->imap, &e, &p->fault)) == IMAP_EVENT) {
			if (e.kind == IMAP_WANT_BYTES)
				give(p, &e);
			else
				on_data(p, &e);
		}
		if (r < 0) {
			note(p, "fault %d %s\n", p->fault.code, p->fault.text);
			return false;
		}
		out = imap_output(p->imap);
		assert_true(out.len < LOG - p->sent_n);
		if (out.len > 0)
			memcpy(p->sent + p->sent_n, out.data, out.len);
		p->sent_n += out.len;
		imap_sent(p->imap, out.len);
	} while (out.len > 0);
	return true;
}

static bool say(struct player *p, const char *bytes, size_t n)
{
	size_t room;

	uint8_t *to = imap_space(p->imap, &room);
	assert_true(n <= room);
	memcpy(to, bytes, n);
	imap_received(p->imap, n);
	return settle(p);
}

static struct player *begin(const struct scene *s)
{
	struct player *p = calloc(1, sizeof *p);
	struct imap_capabilities c;

	assert_non_null(p);
	imap_capabilities_init(&c);
	assert_int_equal(imap_capabilities_parse(&c, slice_text(s->capabilities), &p->fault), 0);
	p->imap = imap_new(&c, &p->fault);
	assert_non_null(p->imap);
	for (size_t n = 0; s->orders[n].cookie; n++) {
		if (imap_command(p->imap, &s->orders[n], &p->fault) < 0)
			fail_msg("%s", p->fault.text);
	}
	assert_true(settle(p));
	return p;
}

static void end(struct player *p)
{
	imap_freep(&p->imap);
	free(p);
}

/* The server's bytes in pieces: the first of cut bytes, the others of piece bytes. */
static void play(const struct scene *s, struct slice server, size_t cut, size_t piece,
	const char *log, const char *sent)
{
	struct player *p = begin(s);
	const char *at = (const char *)server.data;

	for (size_t left = server.len, n = cut; left > 0; left -= n, at += n, n = piece) {
		n = n < left ? n : left;
		if (!say(p, at, n))
			break;
	}
	if (strcmp(p->log, log) != 0)
		print_message("cut at %zu, pieces of %zu\n", cut, piece);
	assert_string_equal(p->log, log);
	if (sent)
		assert_string_equal(p->sent, sent);
	end(p);
}

static void expect_bytes(
	const struct scene *s, struct slice server, const char *log, const char *sent)
{
	for (size_t cut = 1; cut <= server.len; cut++)
		play(s, server, cut, server.len, log, sent);
	play(s, server, 1, 1, log, sent);
}

static void expect(const struct scene *s, const char *server, const char *log, const char *sent)
{
	expect_bytes(s, slice_text(server), log, sent);
}

#define APPEND(n, bytes)                                                                           \
	{                                                                                          \
		.kind = IMAP_APPEND, .cookie = (n), .mailbox = "INBOX", .size = (bytes)            \
	}

/* Where the server's next line depends on what it heard. */
static void expect_dialogue(
	const struct scene *s, const char *server, const char *log, const char *sent)
{
	play(s, slice_text(server), 1, 1, log, sent);
}

static const struct scene three_appends = {
	"IMAP4rev1 LITERAL+", {APPEND(1, 3), APPEND(2, 4), APPEND(3, 5)}};

/* ---- Commands -------------------------------------------------------------------------------- */

static void appends_are_sent_without_waiting_for_one_another(void **state)
{
	(void)state;
	expect(&three_appends,
		"A0 OK [APPENDUID 7 21] done\r\n* 22 EXISTS\r\n"
		"A1 OK [appenduid 7 22] done\r\nA2 NO [TRYCREATE] none\r\n",
		"1 reply 0 3 7:21 done\n2 reply 0 3 7:22 done\n3 reply 1 24 0:0 none\n",
		"A0 APPEND \"INBOX\" {3+}\r\nxxx\r\nA1 APPEND \"INBOX\" {4+}\r\nxxxx\r\n"
		"A2 APPEND \"INBOX\" {5+}\r\nxxxxx\r\n");
}

static void flags_date_and_name_go_with_a_message(void **state)
{
	static const struct scene s = {"LITERAL+", {{.kind = IMAP_APPEND,
							   .cookie = 1,
							   .mailbox = "a\"b\\c",
							   .flags = " \\Seen  $Forwarded",
							   .has_received = true,
							   .received = 1234567890123,
							   .size = 0}}};

	(void)state;
	expect(&s, "A0 OK\r\n", "1 reply 0 0 0:0 \n",
		"A0 APPEND \"a\\\"b\\\\c\" (\\Seen $Forwarded) \"13-Feb-2009 23:31:30 +0000\" "
		"{0+}\r\n\r\n");
}

static void without_literal_plus_each_message_waits_to_be_asked_for(void **state)
{
	static const struct scene s = {"IMAP4rev1", {APPEND(1, 3), APPEND(2, 4)}};

	(void)state;
	expect(&s, "* 1 EXISTS\r\n", "", "A0 APPEND \"INBOX\" {3}\r\n");
	expect(&s, "+ \r\n", "", "A0 APPEND \"INBOX\" {3}\r\nxxx\r\nA1 APPEND \"INBOX\" {4}\r\n");
	expect_dialogue(&s, "+\r\nA0 OK\r\n+ go\r\nA1 OK\r\n",
		"1 reply 0 0 0:0 \n2 reply 0 0 0:0 \n",
		"A0 APPEND \"INBOX\" {3}\r\nxxx\r\nA1 APPEND \"INBOX\" {4}\r\nxxxx\r\n");
}

static void a_message_that_was_refused_before_it_was_asked_for_is_never_sent(void **state)
{
	static const struct scene s = {"IMAP4rev1", {APPEND(1, 3), APPEND(2, 4)}};

	(void)state;
	expect_dialogue(&s, "A0 NO [OVERQUOTA] full\r\n+ go\r\nA1 OK\r\n",
		"1 reply 1 16 0:0 full\n2 reply 0 0 0:0 \n",
		"A0 APPEND \"INBOX\" {3}\r\nA1 APPEND \"INBOX\" {4}\r\nxxxx\r\n");
}

static void literal_minus_is_for_short_messages(void **state)
{
	static const struct scene s = {"LITERAL-", {APPEND(1, 4096), APPEND(2, 4097)}};
	struct player *p = begin(&s);

	(void)state;
	assert_non_null(strstr(p->sent, "{4096+}\r\nxxx"));
	assert_non_null(strstr(p->sent, "{4097}\r\n"));
	assert_null(strstr(p->sent, "{4097}\r\nx"));
	end(p);
}

/* RFC 7888 section 4. */
static void a_message_refused_while_it_is_sent_is_sent_to_its_end(void **state)
{
	static const struct scene s = {"LITERAL+", {APPEND(1, 100000), APPEND(2, 3)}};
	struct player *p = calloc(1, sizeof *p);
	struct imap_capabilities c;
	struct imap_event e;
	struct slice out;

	(void)state;
	assert_int_equal(imap_capabilities_parse(&c, slice_text(s.capabilities), &p->fault), 0);
	p->imap = imap_new(&c, &p->fault);
	for (size_t n = 0; n < 2; n++)
		assert_int_equal(imap_command(p->imap, &s.orders[n], &p->fault), 0);
	assert_int_equal(imap_next(p->imap, &e, &p->fault), IMAP_EVENT);
	give(p, &e);
	out = imap_output(p->imap);
	imap_sent(p->imap, out.len);
	size_t sent = out.len, room;
	memcpy(imap_space(p->imap, &room), "A0 NO [TOOBIG] no\r\n", 19);
	imap_received(p->imap, 19);
	assert_int_equal(imap_next(p->imap, &e, &p->fault), IMAP_EVENT);
	assert_int_equal(e.kind, IMAP_REPLY);
	assert_int_equal(imap_verdict(&e.reply), IMAP_TOO_BIG);
	do {
		while (imap_next(p->imap, &e, &p->fault) == IMAP_EVENT) {
			assert_int_equal(e.kind, IMAP_WANT_BYTES);
			give(p, &e);
		}
		out = imap_output(p->imap);
		sent += out.len;
		imap_sent(p->imap, out.len);
	} while (out.len > 0);
	assert_int_equal(sent, strlen("A0 APPEND \"INBOX\" {100000+}\r\n") + 100000 + 2 +
				       strlen("A1 APPEND \"INBOX\" {3+}\r\nxxx\r\n"));
	assert_int_equal(imap_outstanding(p->imap), 1);
	end(p);
}

static const struct scene batch = {
	"LITERAL+ MULTIAPPEND", {APPEND(1, 3), APPEND(2, 4), APPEND(3, 5)}};

static const char batch_sent[] = "A0 APPEND \"INBOX\" {3+}\r\nxxx {4+}\r\nxxxx {5+}\r\nxxxxx\r\n";

static void messages_to_one_mailbox_share_a_command(void **state)
{
	(void)state;
	expect(&batch, "A0 OK [APPENDUID 7 21:22,25] done\r\n",
		"1 reply 0 3 7:21 done\n2 reply 0 3 7:22 done\n3 reply 0 3 7:25 done\n",
		batch_sent);
	expect(&batch, "A0 OK [APPENDUID 7 21:24] done\r\n",
		"1 reply 0 3 0:0 done\n2 reply 0 3 0:0 done\n3 reply 0 3 0:0 done\n", batch_sent);
	expect(&batch, "A1 OK\r\n", "fault 12 out of step: an answer to nothing: \"A1\"\n", NULL);
}

static void a_batch_is_of_one_mailbox(void **state)
{
	static const struct scene s = {"LITERAL+ MULTIAPPEND",
		{APPEND(1, 1),
			{.kind = IMAP_APPEND,
				.cookie = 2,
				.mailbox = "INBOX",
				.flags = "\\Seen",
				.has_received = true,
				.size = 1},
			{.kind = IMAP_APPEND, .cookie = 3, .mailbox = "b", .size = 1},
			{.kind = IMAP_NOOP, .cookie = 4},
			{.kind = IMAP_APPEND, .cookie = 5, .mailbox = "b", .size = 1}}};

	(void)state;
	expect(&s, "A0 OK\r\nA2 OK\r\n", "1 reply 0 0 0:0 \n2 reply 0 0 0:0 \n3 reply 0 0 0:0 \n",
		"A0 APPEND \"INBOX\" {1+}\r\nx (\\Seen) \"01-Jan-1970 00:00:00 +0000\" "
		"{1+}\r\nx\r\nA2 APPEND \"b\" {1+}\r\nx\r\nA3 NOOP\r\nA4 APPEND \"b\" "
		"{1+}\r\nx\r\n");
}

static void a_batch_that_was_refused_for_one_message_is_sent_one_by_one(void **state)
{
	static const struct scene s = {"LITERAL+ MULTIAPPEND",
		{APPEND(1, 3), APPEND(2, 4), {.kind = IMAP_LOGOUT, .cookie = 9}}};

	(void)state;
	expect_dialogue(&batch, "A0 NO [TOOBIG] no\r\nA3 OK\r\nA4 NO [TOOBIG] no\r\nA5 OK\r\n",
		"1 reply 0 0 0:0 \n2 reply 1 23 0:0 no\n3 reply 0 0 0:0 \n",
		"A0 APPEND \"INBOX\" {3+}\r\nxxx {4+}\r\nxxxx {5+}\r\nxxxxx\r\n"
		"A3 APPEND \"INBOX\" {3+}\r\nxxx\r\nA4 APPEND \"INBOX\" {4+}\r\nxxxx\r\n"
		"A5 APPEND \"INBOX\" {5+}\r\nxxxxx\r\n");
	expect_dialogue(&s, "A0 NO what\r\nA2 OK\r\nA3 OK\r\nA4 OK\r\n",
		"1 reply 0 0 0:0 \n2 reply 0 0 0:0 \n9 reply 0 0 0:0 \n", NULL);
}

static void a_batch_that_was_refused_for_all_is_told_to_all(void **state)
{
	(void)state;
	expect(&batch, "A0 NO [TRYCREATE] no\r\n",
		"1 reply 1 24 0:0 no\n2 reply 1 24 0:0 no\n3 reply 1 24 0:0 no\n", batch_sent);
	expect(&batch, "A0 NO [THROTTLED] no\r\n",
		"1 reply 1 22 0:0 no\n2 reply 1 22 0:0 no\n3 reply 1 22 0:0 no\n", batch_sent);
}

/* The server's word comes while the second of three is on its way. */
static void play_early(const char *word, size_t members, size_t retried)
{
	static const struct scene s = {"LITERAL+ MULTIAPPEND", {{.cookie = 0}}};
	const struct imap_order orders[] = {APPEND(1, 10), APPEND(2, 200000), APPEND(3, 10)};
	struct player *p = begin(&s);
	struct imap_event e;
	struct slice out;
	size_t room, replies = 0, sent = 0, wanted = 0;
	int r;

	for (size_t n = 0; n < 3; n++)
		assert_int_equal(imap_command(p->imap, &orders[n], &p->fault), 0);
	while ((r = imap_next(p->imap, &e, &p->fault)) == IMAP_EVENT)
		give(p, &e);
	assert_int_equal(r, 0);
	sent = imap_output(p->imap).len;
	imap_sent(p->imap, sent);
	memcpy(imap_space(p->imap, &room), word, strlen(word));
	imap_received(p->imap, strlen(word));
	do {
		while ((r = imap_next(p->imap, &e, &p->fault)) == IMAP_EVENT) {
			replies += e.kind == IMAP_REPLY;
			wanted += e.kind == IMAP_WANT_BYTES && e.offset == 0;
			if (e.kind == IMAP_WANT_BYTES)
				give(p, &e);
		}
		assert_int_equal(r, 0);
		out = imap_output(p->imap);
		sent += out.len;
		imap_sent(p->imap, out.len);
	} while (out.len > 0);
	assert_int_equal(replies, members);
	assert_int_equal(wanted, retried + 1);
	assert_int_equal(imap_outstanding(p->imap), 3 - members);
	assert_true(imap_is_waiting(p->imap));
	end(p);
}

static void a_batch_refused_while_it_is_sent_goes_on_to_the_end_of_its_message(void **state)
{
	(void)state;
	play_early("A0 NO [UNAVAILABLE] later\r\n", 2, 0);
	play_early("A0 NO strange\r\n", 0, 2);
}

static void never_more_than_announced_is_taken(void **state)
{
	static const struct scene s = {"LITERAL+", {{.cookie = 0}}};
	struct player *p = begin(&s);
	struct imap_order order = APPEND(1, 3);
	struct imap_event e;

	(void)state;
	assert_int_equal(imap_give(p->imap, slice_text("nobody asked")), 0);
	assert_int_equal(imap_command(p->imap, &order, &p->fault), 0);
	assert_int_equal(imap_next(p->imap, &e, &p->fault), IMAP_EVENT);
	assert_int_equal(e.room, 3);
	assert_int_equal(imap_give(p->imap, slice_text("abcdef")), 3);
	assert_int_equal(imap_give(p->imap, slice_text("g")), 0);
	assert_true(settle(p));
	assert_string_equal(p->sent, "A0 APPEND \"INBOX\" {3+}\r\nabc\r\n");
	end(p);
}

static void what_imap_cannot_carry_is_refused(void **state)
{
	static const struct imap_order orders[] = {
		{.kind = IMAP_SELECT, .mailbox = "a\r\nb"},
		{.kind = IMAP_SELECT, .mailbox = "\xc3\xbc"},
		{.kind = IMAP_SELECT},
		{.kind = IMAP_APPEND, .mailbox = "a", .flags = "\\Seen) {3}"},
		{.kind = IMAP_APPEND, .mailbox = "a", .flags = "\\Recent"},
		{.kind = IMAP_APPEND, .mailbox = "a", .size = LIMIT_MESSAGE + 1},
		{.kind = IMAP_APPEND, .mailbox = "a", .size = 1001},
	};
	static const struct scene s = {"LITERAL+ APPENDLIMIT=1000", {{.cookie = 0}}};
	struct player *p = begin(&s);

	(void)state;
	for (size_t n = 0; n < sizeof orders / sizeof *orders; n++) {
		assert_int_equal(imap_command(p->imap, &orders[n], &p->fault), -1);
		assert_int_equal(p->fault.scope, SCOPE_MESSAGE);
	}
	assert_true(settle(p));
	assert_int_equal(p->sent_n, 0);
	end(p);
}

static void the_window_is_bounded_by_messages_and_bytes(void **state)
{
	static const struct scene s = {"LITERAL+", {{.cookie = 0}}};
	struct imap_order small = APPEND(1, 1), large = APPEND(1, LIMIT_IMAP_WINDOW_BYTES);
	struct player *p = begin(&s);
	size_t n = 0;

	(void)state;
	for (; imap_has_room(p->imap); n++)
		assert_int_equal(imap_command(p->imap, &small, &p->fault), 0);
	assert_int_equal(n, LIMIT_IMAP_WINDOW);
	end(p);
	p = begin(&s);
	assert_int_equal(imap_command(p->imap, &large, &p->fault), 0);
	assert_false(imap_has_room(p->imap));
	end(p);
}

static void logout_waits_for_all_other_replies(void **state)
{
	static const struct scene s = {"IMAP4rev1",
		{{.kind = IMAP_NOOP, .cookie = 1}, {.kind = IMAP_LOGOUT, .cookie = 2}}};

	(void)state;
	expect(&s, "* OK still here\r\n", "", "A0 NOOP\r\n");
	expect_dialogue(&s, "A0 OK\r\n* BYE so long\r\nA1 OK\r\n",
		"1 reply 0 0 0:0 \n2 reply 0 0 0:0 \n", "A0 NOOP\r\nA1 LOGOUT\r\n");
}

/* ---- Data ------------------------------------------------------------------------------------ */

static void names_of_mailboxes_come_in_every_spelling(void **state)
{
	static const struct scene s = {
		"IMAP4rev1", {{.kind = IMAP_LIST, .cookie = 1, .mailbox = "*"}}};

	(void)state;
	expect(&s,
		"* LIST (\\HasNoChildren) \"/\" INBOX\r\n"
		"* LIST (\\Noselect \\HasChildren) \"\\\\\" \"a\\\"b \\\\c\"\r\n"
		"* list () NIL {5}\r\nx (y}\r\n"
		"* LIST (\\noinferiors) \".\" NIL\r\n"
		"* LIST (\\NonExistent) \"\" x\r\n"
		"* LIST oops\r\n"
		"* LIST () \"/\" {3}\r\na\r\n (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
		"* LIST () \"/\" \"\"\r\nA0 OK\r\n",
		"1 listed <INBOX> /\n1 listed <a\"b \\\\c> \\ noselect\n1 listed <x (y}> -\n"
		"1 listed <NIL> . noinferiors\n1 listed <a\\x0d\\x0a> /\n1 listed <> /\n"
		"1 reply 0 0 0:0 \n",
		"A0 LIST \"\" \"*\"\r\n");
}

static void a_namespace_gives_prefix_and_delimiter(void **state)
{
	static const struct scene s = {"NAMESPACE", {{.kind = IMAP_NAMESPACE, .cookie = 1}}};

	(void)state;
	expect(&s, "* NAMESPACE ((\"INBOX.\" \".\")(\"#mh/\" \"/\")) NIL NIL\r\nA0 OK\r\n",
		"1 listed <INBOX.> .\n1 reply 0 0 0:0 \n", NULL);
	expect(&s, "* NAMESPACE NIL NIL NIL\r\nA0 OK\r\n", "1 reply 0 0 0:0 \n", NULL);
}

static void status_tells_counts(void **state)
{
	static const struct scene s = {
		"IMAP4rev1", {{.kind = IMAP_STATUS, .cookie = 1, .mailbox = "x"}}};

	(void)state;
	expect(&s, "* STATUS \"x\" (MESSAGES 12 UIDNEXT 99 UIDVALIDITY 3)\r\nA0 OK\r\n",
		"1 status <x> 12 99 3\n1 reply 0 0 0:0 \n",
		"A0 STATUS \"x\" (MESSAGES UIDNEXT UIDVALIDITY)\r\n");
}

static const struct scene fetch_list = {
	"IMAP4rev1", {{.kind = IMAP_FETCH_LIST, .cookie = 1, .first = 1, .last = UINT32_MAX}}};

static void messages_are_listed_with_what_tells_them_apart(void **state)
{
	(void)state;
	expect(&fetch_list,
		"* 1 FETCH (UID 7 RFC822.SIZE 300 INTERNALDATE \"13-Feb-2009 23:31:30 +0000\" "
		"FLAGS (\\Seen $A) BODY[HEADER.FIELDS (MESSAGE-ID)] {27}\r\n"
		"Message-ID:\r\n <a@b>(c)\r\n\r\n)\r\n"
		"* 1 FETCH (FLAGS (\\Seen))\r\n"
		"* 2 FETCH (BODY[HEADER.FIELDS (\"Message-ID\")] \"\" FLAGS () MODSEQ (12) X-Y "
		"((a \"b)\" NIL)) UID 8 RFC822.SIZE 5)\r\n"
		"* 3 FETCH (UID 9 RFC822.SIZE 5 BODY[HEADER.FIELDS (MESSAGE-ID)] NIL "
		"INTERNALDATE \" 3-foo\")\r\n"
		"* 4 FETCH (UID 10 RFC822.SIZE 6 FLAGS\r\n"
		"A0 OK\r\n",
		"1 message 7 300 1234567890000 (\\\\Seen $A) <a@b>\n1 message 8 5 -1 () <>\n"
		"1 message 9 5 -1 () <>\n1 message 10 6 -1 () <>\n1 reply 0 0 0:0 \n",
		"A0 UID FETCH 1:* (UID RFC822.SIZE INTERNALDATE FLAGS "
		"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])\r\n");
}

static void a_header_longer_than_is_kept_is_cut_and_the_rest_passed_over(void **state)
{
	enum { LEN = 3 * LIMIT_IMAP_LITERAL };
	struct buffer b CLEANUP(buffer_deinit) = buffer_make(LEN + 1000);
	struct fault f;
	struct player *p = begin(&fetch_list);

	(void)state;
	assert_int_equal(buffer_append_format(&b, &f,
				 "* 1 FETCH (UID 7 RFC822.SIZE 3 BODY[HEADER.FIELDS "
				 "(MESSAGE-ID)] {%d}\r\nMessage-ID: ",
				 LEN + 12),
		0);
	for (int n = 0; n < LEN; n++)
		assert_int_equal(buffer_append_text(&b, "z", &f), 0);
	assert_int_equal(buffer_append_text(&b, ")\r\nA0 OK\r\n", &f), 0);
	for (size_t n = 0; n < b.len; n += 1000)
		assert_true(say(p, (const char *)b.data + n, b.len - n < 1000 ? b.len - n : 1000));
	assert_non_null(strstr(p->log, "1 message 7 3 -1 () <zzzzzz"));
	assert_non_null(strstr(p->log, "1 reply 0"));
	end(p);
}

static const struct scene two_bodies = {
	"IMAP4rev1", {{.kind = IMAP_FETCH_BODY, .cookie = 1, .first = 7},
			     {.kind = IMAP_FETCH_BODY, .cookie = 2, .first = 8}}};

static void a_message_streams_through(void **state)
{
	(void)state;
	expect(&two_bodies,
		"* 1 FETCH (UID 7 BODY[] {9}\r\na\r\n{3}\r\nb)\r\nA0 OK\r\n"
		"* 2 FETCH (BODY[] {1}\r\nx UID 8 FLAGS (\\Seen))\r\nA1 OK\r\n",
		"body a\\x0d\\x0a{3}\\x0d\\x0ab\n1 end 7 9\n1 reply 0 0 0:0 \nbody x\n2 end 8 1\n"
		"2 reply 0 0 0:0 \n",
		"A0 UID FETCH 7 (UID BODY.PEEK[])\r\nA1 UID FETCH 8 (UID BODY.PEEK[])\r\n");
	expect(&two_bodies, "* 1 FETCH (UID 7 BODY[] {0}\r\n)\r\nA0 OK\r\n",
		"1 end 7 0\n1 reply 0 0 0:0 \n", NULL);
	expect(&two_bodies, "* 1 FETCH (BODY[] \"a\\\"b\" UID 7)\r\nA0 OK\r\n",
		"body a\"b\n1 end 7 3\n1 reply 0 0 0:0 \n", NULL);
	expect(&two_bodies, "* 1 FETCH (BODY[] NIL UID 7)\r\nA0 OK\r\n", "1 reply 0 0 0:0 \n",
		NULL);
}

static void messages_may_come_in_another_order(void **state)
{
	(void)state;
	expect(&two_bodies,
		"* 2 FETCH (UID 8 BODY[] {1}\r\nx)\r\n* 1 FETCH (UID 7 BODY[] {1}\r\ny)\r\n"
		"A1 OK\r\nA0 OK\r\n",
		"body x\n2 end 8 1\nbody y\n1 end 7 1\n2 reply 0 0 0:0 \n1 reply 0 0 0:0 \n", NULL);
}

static void a_message_with_nul_and_eight_bits_comes_as_it_is(void **state)
{
	static const char bytes[] = "* 1 FETCH (UID 7 BODY[] {3}\r\n\0\xff\r)\r\n";

	(void)state;
	expect_bytes(&two_bodies, slice_of(bytes, sizeof bytes - 1),
		"body \\x00\\xff\\x0d\n1 end 7 3\n", NULL);
}

static void selecting_tells_of_the_mailbox(void **state)
{
	static const struct scene s = {
		"IMAP4rev1", {{.kind = IMAP_SELECT, .cookie = 1, .mailbox = "x"},
				     {.kind = IMAP_NOOP, .cookie = 2},
				     {.kind = IMAP_EXAMINE, .cookie = 3, .mailbox = "y"}}};
	struct player *p = begin(&s);
	const char *first = "* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 12] x\r\n"
			    "* OK [UIDNEXT 9] x\r\n"
			    "* OK [PERMANENTFLAGS (\\Seen Junk \\*)] x\r\nA0 OK [READ-WRITE]\r\n",
		   *then = "* 4 EXISTS\r\n* 2 EXPUNGE\r\n* 5 EXISTS\r\nA1 OK\r\n",
		   *no = "A2 NO [NONEXISTENT] none\r\n";

	(void)state;
	assert_true(say(p, first, strlen(first)));
	const struct imap_selected *m = imap_selected(p->imap);
	assert_int_equal(m->exists, 3);
	assert_int_equal(m->uid_validity, 12);
	assert_int_equal(m->uid_next, 9);
	assert_true(m->keywords_known && m->keywords_any && !m->read_only);
	assert_string_equal(m->permanent_flags, "\\Seen Junk");
	assert_true(say(p, then, strlen(then)));
	/* They may be the next mailbox's, which was asked for already. */
	assert_true(say(p, no, strlen(no)));
	assert_int_equal(imap_selected(p->imap)->uid_validity, 0);
	end(p);
}

static void an_alert_is_for_people(void **state)
{
	static const struct scene s = {"IMAP4rev1", {{.kind = IMAP_NOOP, .cookie = 1}}};

	(void)state;
	expect(&s, "* OK [ALERT] down at {5}\r\n* NO almost full {5}\r\nA0 OK [ALERT] x {5}\r\n",
		"notice down at {5}\n1 reply 0 1 0:0 x {5}\n", NULL);
}

static void capabilities_may_change(void **state)
{
	static const struct scene s = {"IMAP4rev1", {{.kind = IMAP_CAPABILITY, .cookie = 1}}};
	static const char text[] = "* CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS\r\nA0 OK\r\n";
	struct player *p = begin(&s);

	(void)state;
	assert_false(imap_capabilities(p->imap)->literal_plus);
	assert_true(say(p, text, sizeof text - 1));
	assert_true(imap_capabilities(p->imap)->literal_plus);
	assert_true(imap_capabilities(p->imap)->uidplus);
	end(p);
}

/* ---- Servers that misbehave ------------------------------------------------------------------ */

static void answers_out_of_step_end_the_session(void **state)
{
	static const struct scene asked = {"IMAP4rev1", {APPEND(1, 3)}};

	(void)state;
	expect(&three_appends, "A0 OK\r\nA0 OK\r\n",
		"1 reply 0 0 0:0 \nfault 12 out of step: an answer to nothing: \"A0\"\n", NULL);
	expect(&three_appends, "A3 OK\r\n", "fault 12 out of step: an answer to nothing: \"A3\"\n",
		NULL);
	expect(&three_appends, "B0 OK\r\n", "fault 12 out of step: an answer to nothing: \"B0\"\n",
		NULL);
	expect(&three_appends, "\r\n", "fault 12 out of step: an answer to nothing: \"\"\n", NULL);
	expect(&three_appends, "A0 MAYBE\r\n",
		"fault 12 out of step: neither OK, NO nor BAD: \"MAYBE\"\n", NULL);
	expect(&three_appends, "+ more\r\n",
		"fault 12 out of step: the server asks for what was not announced: \"more\"\n",
		NULL);
	expect(&three_appends, "* BAD what\r\n",
		"fault 12 out of step: the server says: \"BAD what\"\n", NULL);
	expect(&asked, "A0 OK\r\n",
		"fault 12 out of step: OK to a message that it does not have yet: \"OK\"\n", NULL);
	expect(&asked, "+\r\n+\r\n",
		"fault 12 out of step: the server asks for what was not announced: \"\"\n", NULL);
}

static void a_bye_says_why(void **state)
{
	struct player *p = begin(&three_appends);
	static const char bye[] =
		"* BYE [UNAVAILABLE] Suggested Backoff Time: 4000 milliseconds\r\n";

	(void)state;
	assert_false(say(p, bye, sizeof bye - 1));
	assert_true(imap_end(p->imap)->bye);
	assert_int_equal(imap_end(p->imap)->code, IMAP_CODE_UNAVAILABLE);
	assert_int_equal(imap_end(p->imap)->wait_ms, 4000);
	assert_int_equal(imap_output(p->imap).len, 0);
	end(p);
}

static void a_connection_that_ends_says_what_is_in_doubt(void **state)
{
	struct player *p = begin(&three_appends);

	(void)state;
	assert_true(say(p, "A1 OK\r\n", 7));
	assert_int_equal(imap_closed(p->imap, &p->fault), -1);
	assert_non_null(strstr(p->fault.text, "2 commands unanswered"));
	end(p);
}

static void everything_has_a_cap(void **state)
{
	(void)state;
	expect(&two_bodies, "* 1 FETCH (UID 7 BODY[] {99999999999999999999999}\r\n",
		"fault 4 the server sends a literal larger than any message may be\n", NULL);
	expect(&two_bodies, "* LIST () \"/\" {8589934592}\r\n",
		"fault 4 the server sends a literal larger than any message may be\n", NULL);
	expect_bytes(&two_bodies, slice_of("* 1\0 FETCH\r\n", 12),
		"fault 12 the server sends a NUL within a line\n", NULL);
	expect(&two_bodies, "* 1 FETCH (UID 7 BODY[] {1}\r\nx BODY[] {1}\r\n",
		"body xfault 12 the server sends two messages in one response\n", NULL);
	expect(&two_bodies,
		"* X {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n "
		"{0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n {0}\r\n",
		"fault 4 the server sends a response with too many literals\n", NULL);
}

static void a_line_without_end_ends_the_session(void **state)
{
	struct player *p = begin(&two_bodies);
	char text[4096];
	size_t said = 0;

	(void)state;
	memset(text, 'z', sizeof text);
	while (say(p, text, sizeof text))
		said += sizeof text;
	assert_true(said <= LIMIT_IMAP_LINE);
	assert_int_equal(p->fault.code, FAULT_LIMIT);
	end(p);
}

static void a_flood_that_nobody_asked_for_ends_the_session(void **state)
{
	struct player *p = begin(&three_appends);
	size_t n = 0;

	(void)state;
	while (say(p, "* 5 EXISTS\r\n", 12))
		n++;
	assert_int_equal(n, LIMIT_IMAP_UNASKED);
	end(p);
}

static void brackets_without_end_are_not_followed(void **state)
{
	char text[400] = "* 1 FETCH (UID 7 RFC822.SIZE 3 X ";
	size_t n = strlen(text);

	(void)state;
	memset(text + n, '(', 300);
	memcpy(text + n + 300, "\r\nA0 OK\r\n", 10);
	expect(&fetch_list, text, "1 message 7 3 -1 () <>\n1 reply 0 0 0:0 \n", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(appends_are_sent_without_waiting_for_one_another),
		TEST(flags_date_and_name_go_with_a_message),
		TEST(without_literal_plus_each_message_waits_to_be_asked_for),
		TEST(a_message_that_was_refused_before_it_was_asked_for_is_never_sent),
		TEST(literal_minus_is_for_short_messages),
		TEST(a_message_refused_while_it_is_sent_is_sent_to_its_end),
		TEST(messages_to_one_mailbox_share_a_command),
		TEST(a_batch_is_of_one_mailbox),
		TEST(a_batch_that_was_refused_for_one_message_is_sent_one_by_one),
		TEST(a_batch_that_was_refused_for_all_is_told_to_all),
		TEST(a_batch_refused_while_it_is_sent_goes_on_to_the_end_of_its_message),
		TEST(never_more_than_announced_is_taken),
		TEST(what_imap_cannot_carry_is_refused),
		TEST(the_window_is_bounded_by_messages_and_bytes),
		TEST(logout_waits_for_all_other_replies),
		TEST(names_of_mailboxes_come_in_every_spelling),
		TEST(a_namespace_gives_prefix_and_delimiter),
		TEST(status_tells_counts),
		TEST(messages_are_listed_with_what_tells_them_apart),
		TEST(a_header_longer_than_is_kept_is_cut_and_the_rest_passed_over),
		TEST(a_message_streams_through),
		TEST(messages_may_come_in_another_order),
		TEST(a_message_with_nul_and_eight_bits_comes_as_it_is),
		TEST(selecting_tells_of_the_mailbox),
		TEST(an_alert_is_for_people),
		TEST(capabilities_may_change),
		TEST(answers_out_of_step_end_the_session),
		TEST(a_bye_says_why),
		TEST(a_connection_that_ends_says_what_is_in_doubt),
		TEST(everything_has_a_cap),
		TEST(a_line_without_end_ends_the_session),
		TEST(a_flood_that_nobody_asked_for_ends_the_session),
		TEST(brackets_without_end_are_not_followed),
	};

	return cmocka_run_group_tests_name("imap", tests, NULL, NULL);
}
