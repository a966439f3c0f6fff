#include "daemon/pop3.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const COMMANDS[] = {"CAPA", "STAT", "UIDL", "LIST", "RETR", "NOOP", "QUIT"};

/* A session: its engine, and all events as text. DATA in a row is one event here, so that it does
 * not matter how the bytes were cut. */
struct session {
	struct pop3 *engine;
	struct buffer log, data;
	struct fault fault;
	int last; /* of pop3_next() */
};

static void setup(struct session *s, enum line_ends ends)
{
	memset(s, 0, sizeof *s);
	s->log = buffer_make(16 * MIB);
	s->data = buffer_make(16 * MIB);
	s->engine = pop3_new(ends, &s->fault);
	assert_non_null(s->engine);
}

static void teardown(struct session *s)
{
	s->engine = pop3_free(s->engine);
	buffer_deinit(&s->log);
	buffer_deinit(&s->data);
}

static void command(struct session *s, enum pop3_kind kind, uint32_t number)
{
	assert_int_equal(pop3_command(s->engine, kind, number, &s->fault), 0);
}

static void send_all(struct session *s)
{
	struct slice out;

	while ((out = pop3_output(s->engine)).len > 0)
		pop3_sent(s->engine, out.len);
}

static void log_text(struct session *s, const char *text)
{
	assert_int_equal(buffer_append_text(&s->log, text, &s->fault), 0);
}

static void log_bytes(struct session *s, struct slice bytes)
{
	log_text(s, " '");
	assert_int_equal(escape_append(&s->log, bytes, &s->fault), 0);
	log_text(s, "'");
}

static void log_data(struct session *s)
{
	if (s->data.len == 0)
		return;
	log_text(s, "data");
	log_bytes(s, buffer_slice(&s->data));
	log_text(s, "\n");
	buffer_clear(&s->data);
}

static void log_event(struct session *s, const struct pop3_event *e)
{
	static const char *const kinds[] = {"reply", "line", "end", "data", "message-end"};
	char text[100];

	if (e->kind == POP3_DATA) {
		assert_true(e->bytes.len > 0);
		assert_int_equal(
			buffer_append(&s->data, e->bytes.data, e->bytes.len, &s->fault), 0);
		return;
	}
	log_data(s);
	(void)snprintf(
		text, sizeof text, "%s %s %u", kinds[e->kind], COMMANDS[e->command], e->number);
	log_text(s, text);
	if (e->kind == POP3_REPLY) {
		(void)snprintf(text, sizeof text, " %s %d",
			e->reply.status == REPLY_OK ? "ok" : "err", (int)e->reply.code);
		log_text(s, text);
		log_bytes(s, e->reply.text);
	} else if (e->kind == POP3_LINE) {
		log_bytes(s, e->bytes);
	} else {
		(void)snprintf(text, sizeof text, " %llu", (unsigned long long)e->octets);
		log_text(s, text);
	}
	log_text(s, "\n");
}

static void take_events(struct session *s)
{
	struct pop3_event e;
	struct fault f;

	while ((s->last = pop3_next(s->engine, &e, &f)) == POP3_EVENT)
		log_event(s, &e);
	if (s->last < 0 && s->fault.code == FAULT_NONE)
		s->fault = f;
}

/* chunk: bytes received at once. */
static void receive(struct session *s, const void *bytes, size_t len, size_t chunk)
{
	size_t done = 0;

	take_events(s);
	while (done < len && s->last >= 0) {
		size_t room, n = chunk < len - done ? chunk : len - done;
		uint8_t *at = pop3_space(s->engine, &room);
		assert_true(room > 0);
		n = n < room ? n : room;
		memcpy(at, (const uint8_t *)bytes + done, n);
		pop3_received(s->engine, n);
		done += n;
		take_events(s);
	}
	log_data(s);
}

static const char *log_of(struct session *s)
{
	const char *text = buffer_text(&s->log);

	assert_non_null(text);
	return text;
}

struct queued {
	enum pop3_kind kind;
	uint32_t number;
};

static const size_t CHUNKS[] = {1, 2, 3, 7, 64, POP3_BUFFER};

/* The transcript must give these events however it is cut. want_fault: a part of its text, NULL:
 * none. */
static void check_mode(enum line_ends ends, const struct queued *queue, size_t n, const char *input,
	size_t len, const char *want_log, const char *want_fault, uint32_t suspect)
{
	for (size_t i = 0; i < sizeof CHUNKS / sizeof *CHUNKS; i++) {
		struct session s;

		setup(&s, ends);
		for (size_t q = 0; q < n; q++)
			command(&s, queue[q].kind, queue[q].number);
		send_all(&s);
		receive(&s, input, len, CHUNKS[i]);
		assert_string_equal(log_of(&s), want_log);
		if (want_fault) {
			assert_int_equal(s.last, -1);
			assert_int_equal(s.fault.code, FAULT_PROTOCOL);
			assert_int_equal(s.fault.scope, SCOPE_SESSION);
			assert_non_null(strstr(s.fault.text, want_fault));
		} else {
			assert_int_equal(s.last, 0);
		}
		assert_int_equal(pop3_suspect(s.engine), suspect);
		teardown(&s);
	}
}

#define CHECK(queue, input, want_log, want_fault, suspect)                                         \
	check_mode(LINE_ENDS_CRLF, (queue), sizeof(queue) / sizeof(*(queue)), (input),             \
		sizeof(input) - 1, (want_log), (want_fault), (suspect))

static void commands_are_sent_in_order(void **state)
{
	struct session s;

	(void)state;
	setup(&s, LINE_ENDS_CRLF);
	assert_int_equal(pop3_output(s.engine).len, 0);
	command(&s, POP3_CAPA, 0);
	command(&s, POP3_STAT, 0);
	command(&s, POP3_UIDL, 0);
	command(&s, POP3_LIST, 0);
	command(&s, POP3_RETR, 2000000);
	command(&s, POP3_NOOP, 0);
	command(&s, POP3_QUIT, 0);
	struct slice out = pop3_output(s.engine);
	const char *want = "CAPA\r\nSTAT\r\nUIDL\r\nLIST\r\nRETR 2000000\r\nNOOP\r\nQUIT\r\n";
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.data, want, out.len);
	pop3_sent(s.engine, out.len);
	assert_int_equal(pop3_output(s.engine).len, 0);
	assert_int_equal(pop3_outstanding(s.engine), 7);
	teardown(&s);
}

static void output_stays_the_same_until_it_is_sent(void **state)
{
	struct session s;

	(void)state;
	setup(&s, LINE_ENDS_CRLF);
	command(&s, POP3_RETR, 1);
	struct slice out = pop3_output(s.engine);
	command(&s, POP3_RETR, 2);
	struct slice again = pop3_output(s.engine);
	assert_ptr_equal(out.data, again.data);
	assert_int_equal(out.len, again.len);
	assert_false(pop3_is_waiting(s.engine));
	pop3_sent(s.engine, 3);
	again = pop3_output(s.engine);
	assert_int_equal(again.len, out.len - 3);
	assert_memory_equal(again.data, "R 1\r\n", 5);
	pop3_sent(s.engine, 5);
	assert_true(pop3_is_waiting(s.engine));
	again = pop3_output(s.engine);
	assert_memory_equal(again.data, "RETR 2\r\n", 8);
	teardown(&s);
}

static void too_many_commands_are_a_limit(void **state)
{
	struct session s;

	(void)state;
	setup(&s, LINE_ENDS_CRLF);
	for (uint32_t i = 1; i <= LIMIT_COMMANDS; i++)
		command(&s, POP3_RETR, i);
	assert_int_equal(pop3_command(s.engine, POP3_NOOP, 0, &s.fault), -1);
	assert_int_equal(s.fault.code, FAULT_LIMIT);
	teardown(&s);
}

static void listings_come_line_by_line(void **state)
{
	static const struct queued queue[] = {
		{POP3_CAPA, 0}, {POP3_STAT, 0}, {POP3_UIDL, 0}, {POP3_LIST, 0}, {POP3_NOOP, 0}};

	(void)state;
	CHECK(queue,
		"+OK\r\nUSER\r\n\r\nSASL PLAIN\r\n.\r\n+OK 2 320\r\n+OK here\r\n1 a\r\n..2 "
		"\x01\xff\n.\r\n"
		"-ERR [SYS/TEMP] later\r\n+OK\r\n",
		"reply CAPA 0 ok 0 ''\nline CAPA 0 'USER'\nline CAPA 0 ''\n"
		"line CAPA 0 'SASL PLAIN'\nend CAPA 0 3\n"
		"reply STAT 0 ok 0 '2 320'\n"
		"reply UIDL 0 ok 0 'here'\nline UIDL 0 '1 a'\nline UIDL 0 '.2 \\x01\\xff'\n"
		"end UIDL 0 2\n"
		"reply LIST 0 err 3 'later'\nreply NOOP 0 ok 0 ''\n",
		NULL, 0);
}

static void messages_come_confirmed(void **state)
{
	static const struct queued queue[] = {
		{POP3_RETR, 1}, {POP3_RETR, 2}, {POP3_RETR, 3}, {POP3_RETR, 4}, {POP3_NOOP, 0}};

	(void)state;
	CHECK(queue,
		"+OK 5 octets\r\na\r\n..\r\n.\r\n"
		"+OK\r\n.\r\n"
		"-ERR [IN-USE] no such message\r\n"
		"+OK\r\n...\n.\r\0\r\n.\r\n"
		"+OK\r\n",
		"reply RETR 1 ok 0 '5 octets'\ndata 'a\\x0d\\x0a.\\x0d\\x0a'\nmessage-end RETR 1 "
		"6\n"
		"reply RETR 2 ok 0 ''\nmessage-end RETR 2 0\n"
		"reply RETR 3 err 1 'no such message'\n"
		"reply RETR 4 ok 0 ''\ndata '..\\x0a.\\x0d\\x00\\x0d\\x0a'\nmessage-end RETR 4 8\n"
		"reply NOOP 0 ok 0 ''\n",
		NULL, 0);
}

static void an_unconfirmed_message_is_not_complete(void **state)
{
	static const struct queued queue[] = {{POP3_RETR, 9}, {POP3_NOOP, 0}};

	(void)state;
	CHECK(queue, "+OK\r\na\r\n.\r\n+O", "reply RETR 9 ok 0 ''\ndata 'a\\x0d\\x0a'\n", NULL, 0);
}

static void garbage_after_a_message_makes_it_suspect(void **state)
{
	static const struct queued queue[] = {{POP3_RETR, 8}, {POP3_RETR, 9}, {POP3_NOOP, 0}};

	(void)state;
	/* A line with a dot alone, not doubled by the server. */
	CHECK(queue, "+OK\r\n.\r\n+OK\r\na\r\n.\r\nmore of it\r\n.\r\n+OK\r\n",
		"reply RETR 8 ok 0 ''\nmessage-end RETR 8 0\n"
		"reply RETR 9 ok 0 ''\ndata 'a\\x0d\\x0a'\n",
		"message 9", 9);
	CHECK(queue, "+OK\r\n.\r\n+OK\r\na\r\n.\r\n+Ohno",
		"reply RETR 8 ok 0 ''\nmessage-end RETR 8 0\n"
		"reply RETR 9 ok 0 ''\ndata 'a\\x0d\\x0a'\n",
		"message 9", 9);
	CHECK(queue, "+OK\r\na\r\n.\r\n\r\n", "reply RETR 8 ok 0 ''\ndata 'a\\x0d\\x0a'\n",
		"message 8", 8);
}

static void what_looks_like_a_reply_does_not_confirm_before_the_command_was_sent(void **state)
{
	static const char input[] = "+OK\r\na\r\n.\r\n+OK this is mail\r\n";

	(void)state;
	for (size_t i = 0; i < sizeof CHUNKS / sizeof *CHUNKS; i++) {
		struct session s;
		setup(&s, LINE_ENDS_CRLF);
		command(&s, POP3_RETR, 4);
		send_all(&s);
		command(&s, POP3_NOOP, 0);
		receive(&s, input, sizeof input - 1, CHUNKS[i]);
		assert_string_equal(log_of(&s), "reply RETR 4 ok 0 ''\ndata 'a\\x0d\\x0a'\n");
		assert_int_equal(s.last, -1);
		assert_int_equal(pop3_suspect(s.engine), 4);
		teardown(&s);
	}
}

static void one_command_at_a_time_works(void **state)
{
	struct session s;

	(void)state;
	setup(&s, LINE_ENDS_CRLF);
	command(&s, POP3_RETR, 1);
	send_all(&s);
	assert_int_equal(pop3_unconfirmed(s.engine), 0);
	receive(&s, "+OK\r\na\r\n", 8, 100);
	assert_int_equal(pop3_receiving(s.engine), 1);
	receive(&s, ".\r\n", 3, 100);
	assert_int_equal(pop3_receiving(s.engine), 0);
	assert_int_equal(pop3_unconfirmed(s.engine), 1);
	assert_int_equal(pop3_outstanding(s.engine), 0);
	assert_false(pop3_is_waiting(s.engine));
	command(&s, POP3_NOOP, 0);
	send_all(&s);
	receive(&s, "+OK\r\n", 5, 100);
	assert_string_equal(log_of(&s),
		"reply RETR 1 ok 0 ''\ndata 'a\\x0d\\x0a'\nmessage-end RETR 1 3\n"
		"reply NOOP 0 ok 0 ''\n");
	teardown(&s);
}

static void bytes_that_nobody_asked_for_are_out_of_step(void **state)
{
	static const struct queued queue[] = {{POP3_NOOP, 0}};

	(void)state;
	CHECK(queue, "+OK\r\n+OK\r\n", "reply NOOP 0 ok 0 ''\n", "unasked", 0);
	check_mode(LINE_ENDS_CRLF, NULL, 0, "\r\n", 2, "", "unasked", 0);
}

static void a_status_line_begins_with_ok_or_err(void **state)
{
	static const struct queued queue[] = {{POP3_STAT, 0}};

	(void)state;
	CHECK(queue, "+ok 1 2\r\n", "", "STAT", 0);
	CHECK(queue, "-ER", "", NULL, 0);
	CHECK(queue, "-ER\r\n", "", "STAT", 0);
	CHECK(queue, "\x1b[31m OK", "", "\"\\x1b", 0);
}

static void a_fault_stays(void **state)
{
	struct session s;
	struct pop3_event e;
	struct fault f;

	(void)state;
	setup(&s, LINE_ENDS_CRLF);
	receive(&s, "x", 1, 1);
	assert_int_equal(pop3_next(s.engine, &e, &f), -1);
	assert_string_equal(f.text, s.fault.text);
	assert_int_equal(pop3_closed(s.engine, &f), -1);
	assert_string_equal(f.text, s.fault.text);
	command(&s, POP3_NOOP, 0);
	assert_int_equal(pop3_output(s.engine).len, 0);
	teardown(&s);
}

/* begin, then `fill` n times, then end: in one stream. */
static void check_line(
	enum pop3_kind kind, const char *begin, size_t n, const char *end, int want, size_t chunk)
{
	struct session s;
	char *text = malloc(n + 100);

	assert_non_null(text);
	size_t len = strlen(begin);
	memcpy(text, begin, len);
	memset(text + len, 'x', n);
	memcpy(text + len + n, end, strlen(end));
	setup(&s, LINE_ENDS_CRLF);
	command(&s, kind, kind == POP3_RETR ? 1 : 0);
	send_all(&s);
	receive(&s, text, len + n + strlen(end), chunk);
	assert_int_equal(s.last, want);
	assert_int_equal(s.fault.code, want < 0 ? FAULT_PROTOCOL : FAULT_NONE);
	teardown(&s);
	free(text);
}

static void lines_of_replies_have_a_cap(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof CHUNKS / sizeof *CHUNKS; i++) {
		size_t chunk = CHUNKS[i];
		check_line(POP3_STAT, "+OK ", LIMIT_REPLY_LINE - 6, "\r\n", 0, chunk);
		check_line(POP3_STAT, "+OK ", LIMIT_REPLY_LINE - 5, "\r\n", -1, chunk);
		check_line(POP3_STAT, "+OK ", LIMIT_REPLY_LINE * 2, "", -1, chunk);
		check_line(POP3_UIDL, "+OK\r\n", LIMIT_REPLY_LINE - 2, "\r\n.\r\n", 0, chunk);
		check_line(POP3_UIDL, "+OK\r\n", LIMIT_REPLY_LINE - 1, "\r\n.\r\n", -1, chunk);
		check_line(POP3_RETR, "+OK\r\n", MIB, "", 0, chunk);
	}
}

static void listings_have_a_cap(void **state)
{
	static const char line[] = "1 x\r\n";
	struct session s;

	(void)state;
	setup(&s, LINE_ENDS_CRLF);
	command(&s, POP3_CAPA, 0);
	send_all(&s);
	receive(&s, "+OK\r\n", 5, 100);
	for (int i = 0; i < LIMIT_CAPA_LINES; i++)
		receive(&s, line, sizeof line - 1, 100);
	assert_int_equal(s.last, 0);
	receive(&s, line, sizeof line - 1, 100);
	assert_int_equal(s.last, -1);
	assert_int_equal(s.fault.code, FAULT_LIMIT);
	teardown(&s);
}

/* Where the server closes, and what is said about it; NULL: a regular end. */
static void check_close(
	const struct queued *queue, size_t n, const char *input, const char *want_fault)
{
	struct session s;
	struct fault f;

	setup(&s, LINE_ENDS_CRLF);
	for (size_t q = 0; q < n; q++)
		command(&s, queue[q].kind, queue[q].number);
	send_all(&s);
	receive(&s, input, strlen(input), 100);
	assert_int_equal(s.last, 0);
	int r = pop3_closed(s.engine, &f);
	assert_int_equal(r, want_fault ? -1 : 0);
	if (want_fault) {
		assert_int_equal(f.code, FAULT_PROTOCOL);
		assert_non_null(strstr(f.text, want_fault));
	}
	teardown(&s);
}

static void closing_is_named_by_what_it_broke(void **state)
{
	static const struct queued queue[] = {{POP3_UIDL, 0}, {POP3_RETR, 3}, {POP3_QUIT, 0}};

	(void)state;
	check_close(queue, 0, "", NULL);
	check_close(queue, 3, "", "UIDL");
	check_close(queue, 3, "+OK\r\n1 a\r\n", "UIDL");
	check_close(queue, 3, "+OK\r\n.\r\n+O", "RETR");
	check_close(queue, 3, "+OK\r\n.\r\n+OK\r\nabc\r\n", "within message 3, after 5 bytes");
	check_close(queue, 3, "+OK\r\n.\r\n+OK\r\n.", "within message 3, after 0 bytes");
	check_close(queue, 3, "+OK\r\n.\r\n+OK\r\n.\r\n", "message 3 was confirmed");
	check_close(queue, 3, "+OK\r\n.\r\n+OK\r\n.\r\n+O", "message 3 was confirmed");
	check_close(queue, 3, "+OK\r\n.\r\n-ERR\r\n", NULL);
	check_close(queue, 3, "+OK\r\n.\r\n-ERR\r\n+OK b", NULL);
	check_close(queue, 3, "+OK\r\n.\r\n-ERR\r\n+OK\r\n", NULL);
}

static void lf_alone_is_enough_where_that_was_chosen(void **state)
{
	static const struct queued queue[] = {{POP3_UIDL, 0}, {POP3_RETR, 1}, {POP3_NOOP, 0}};
	static const char input[] = "+OK\n1 a\n.\n+OK\na\r\n..\n.\n+OK\n";

	(void)state;
	check_mode(LINE_ENDS_LF, queue, 3, input, sizeof input - 1,
		"reply UIDL 0 ok 0 ''\nline UIDL 0 '1 a'\nend UIDL 0 1\n"
		"reply RETR 1 ok 0 ''\ndata 'a\\x0d\\x0a.\\x0a'\nmessage-end RETR 1 5\n"
		"reply NOOP 0 ok 0 ''\n",
		NULL, 0);
}

static void extended_codes_are_set_apart(void **state)
{
	static const struct {
		const char *line, *text;
		enum reply_code code;
	} some[] = {
		{"-ERR [IN-USE] busy", "busy", REPLY_CODE_IN_USE},
		{"-ERR  [login-delay]", "", REPLY_CODE_LOGIN_DELAY},
		{"-ERR [SYS/TEMP/disk]x", "x", REPLY_CODE_SYS_TEMP},
		{"-ERR [SYS/PERM] y", "y", REPLY_CODE_SYS_PERM},
		{"-ERR [AUTH] z", "z", REPLY_CODE_AUTH},
		{"+OK [X-NEW] z", "z", REPLY_CODE_OTHER},
		{"-ERR [SYS/TEMPER] y", "y", REPLY_CODE_OTHER},
		{"-ERR [AUTH", "[AUTH", REPLY_CODE_NONE},
		{"-ERR [] z", "[] z", REPLY_CODE_NONE},
		{"-ERR [no code] z", "[no code] z", REPLY_CODE_NONE},
		{"-ERR busy [AUTH]", "busy [AUTH]", REPLY_CODE_NONE},
		{"-ERR", "", REPLY_CODE_NONE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		struct reply r;
		assert_int_equal(reply_parse(slice_text(some[i].line), &r), 0);
		assert_int_equal(r.code, some[i].code);
		assert_int_equal(slice_compare(r.text, slice_text(some[i].text)), 0);
	}
}

static void stat_gives_two_numbers(void **state)
{
	struct reply r;
	uint64_t n = 7, octets = 7;

	(void)state;
	assert_int_equal(reply_parse(slice_text("+OK 2 320 more"), &r), 0);
	assert_int_equal(reply_stat(&r, &n, &octets), 0);
	assert_int_equal(n, 2);
	assert_int_equal(octets, 320);
	assert_int_equal(reply_parse(slice_text("+OK 3"), &r), 0);
	assert_int_equal(reply_stat(&r, &n, &octets), 0);
	assert_int_equal(n, 3);
	assert_int_equal(octets, UINT64_MAX);
	assert_int_equal(reply_parse(slice_text("+OK none"), &r), 0);
	assert_int_equal(reply_stat(&r, &n, &octets), REPLY_MALFORMED);
	assert_int_equal(reply_parse(slice_text("+OK 99999999999999999999999 1"), &r), 0);
	assert_int_equal(reply_stat(&r, &n, &octets), REPLY_MALFORMED);
	assert_int_equal(n, 3);
}

static void thousands_of_messages_in_flight_come_in_order(void **state)
{
	struct session s;
	enum { MESSAGES = 4096 };
	uint32_t done = 0;
	static char body[6000];
	char text[40];

	(void)state;
	memset(body, 'b', sizeof body);
	setup(&s, LINE_ENDS_CRLF);
	for (uint32_t i = 1; i <= MESSAGES; i++)
		command(&s, POP3_RETR, i);
	command(&s, POP3_NOOP, 0);
	send_all(&s);
	for (uint32_t i = 1; i <= MESSAGES; i++) {
		int n = snprintf(text, sizeof text, "+OK\r\n%u:", i);
		receive(&s, text, (size_t)n, 1000);
		receive(&s, body, sizeof body - i, 4096);
		receive(&s, "\r\n.\r\n", 5, 1000);
	}
	receive(&s, "+OK\r\n", 5, 1000);
	assert_int_equal(s.last, 0);
	const char *log = log_of(&s), *end = log + strlen(log);
	/* Not strstr(): ASan's strict_string_checks would read all the rest each time. */
	while ((log = memmem(log, (size_t)(end - log), "message-end", 11)) != NULL) {
		int digits = snprintf(text, sizeof text, "%u:", ++done);
		(void)snprintf(text, sizeof text, "message-end RETR %u %zu\n", done,
			(size_t)digits + sizeof body - done + 2);
		assert_true((size_t)(end - log) >= strlen(text));
		assert_memory_equal(log, text, strlen(text));
		log++;
	}
	assert_int_equal(done, MESSAGES);
	teardown(&s);
}

/* The n-th line of a listing, or the status line before it. */
static int put_line(char *to, uint32_t n)
{
	return n == 0 ? snprintf(to, 24, "+OK\r\n") : snprintf(to, 24, "%u uidl-%u\r\n", n, n);
}

static void a_line_cut_by_a_full_buffer_is_whole_again(void **state)
{
	enum { LINES = 60000 };
	struct session s;
	char *input = malloc(LINES * 24 + 24), line[40];
	size_t len = (size_t)put_line(input, 0);

	(void)state;
	assert_non_null(input);
	for (uint32_t i = 1; i <= LINES; i++)
		len += (size_t)put_line(input + len, i);
	setup(&s, LINE_ENDS_CRLF);
	command(&s, POP3_UIDL, 0);
	send_all(&s);
	receive(&s, input, len, SIZE_MAX);
	assert_int_equal(s.last, 0);
	const char *log = log_of(&s);
	for (uint32_t i = 1; i <= LINES; i++) {
		log = strchr(log, '\n') + 1;
		int n = snprintf(line, sizeof line, "line UIDL 0 '%u uidl-%u'\n", i, i);
		assert_memory_equal(log, line, (size_t)n);
	}
	teardown(&s);
	free(input);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commands_are_sent_in_order),
		TEST(output_stays_the_same_until_it_is_sent),
		TEST(too_many_commands_are_a_limit),
		TEST(listings_come_line_by_line),
		TEST(messages_come_confirmed),
		TEST(an_unconfirmed_message_is_not_complete),
		TEST(garbage_after_a_message_makes_it_suspect),
		TEST(what_looks_like_a_reply_does_not_confirm_before_the_command_was_sent),
		TEST(one_command_at_a_time_works),
		TEST(bytes_that_nobody_asked_for_are_out_of_step),
		TEST(a_status_line_begins_with_ok_or_err),
		TEST(a_fault_stays),
		TEST(lines_of_replies_have_a_cap),
		TEST(listings_have_a_cap),
		TEST(closing_is_named_by_what_it_broke),
		TEST(lf_alone_is_enough_where_that_was_chosen),
		TEST(extended_codes_are_set_apart),
		TEST(stat_gives_two_numbers),
		TEST(a_line_cut_by_a_full_buffer_is_whole_again),
		TEST(thousands_of_messages_in_flight_come_in_order),
	};

	return cmocka_run_group_tests_name("pop3", tests, NULL, NULL);
}
