#include "daemon/control_message.h"

#include "tests/unit/check.h"

static struct fault f;

static struct slice without_end(const struct buffer *line)
{
	assert_true(line->len > 0 && line->data[line->len - 1] == '\n');
	assert_null(memchr(line->data, '\n', line->len - 1));
	return slice_of(line->data, line->len - 1);
}

static void pass_through(const struct control_reply *from, struct control_reply *ret)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REPLY + 2);

	assert_int_equal(control_reply_encode(from, &line, &f), 0);
	assert_int_equal(control_reply_decode(without_end(&line), ret, &f), 0);
}

static int decode_request(const char *line, struct control_request *ret)
{
	return control_request_decode(slice_text(line), ret, &f);
}

/* ---- Requests --------------------------------------------------------------------------- */

static void each_request_goes_through(void **state)
{
	char anna[] = "anna", bert[] = "bert@example.com", *names[] = {anna, bert};

	(void)state;
	for (int verb = CONTROL_FETCH; verb <= CONTROL_RELOAD; verb++) {
		struct buffer line CLEANUP(buffer_deinit) = buffer_make(1000);
		struct control_request got CLEANUP(control_request_deinit) = {0};
		struct control_request request = {.verb = (enum control_verb)verb,
			.extent = verb % 2 ? CONTROL_ALL : CONTROL_SOME,
			.accounts = names,
			.accounts_n = (size_t)verb % 3};

		assert_int_equal(control_request_encode(&request, &line, &f), 0);
		assert_int_equal(control_request_decode(without_end(&line), &got, &f), 0);
		assert_int_equal(got.verb, verb);
		assert_int_equal(got.extent, request.extent);
		assert_int_equal(got.accounts_n, request.accounts_n);
		for (size_t i = 0; i < got.accounts_n; i++)
			assert_string_equal(got.accounts[i], names[i]);
	}
}

static void ten_thousand_of_the_longest_names_fit(void **state)
{
	static char name[LIMIT_ACCOUNTS][LIMIT_ACCOUNT_NAME + 1], *names[LIMIT_ACCOUNTS + 1];
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REQUEST + 2);
	struct control_request got CLEANUP(control_request_deinit) = {0};

	(void)state;
	for (int i = 0; i < LIMIT_ACCOUNTS; i++) {
		(void)snprintf(name[i], sizeof name[i], "%064d", i);
		names[i] = name[i];
	}
	names[LIMIT_ACCOUNTS] = name[0];
	struct control_request request = {.accounts = names, .accounts_n = LIMIT_ACCOUNTS};
	assert_int_equal(control_request_encode(&request, &line, &f), 0);
	assert_int_equal(control_request_decode(without_end(&line), &got, &f), 0);
	assert_int_equal(got.accounts_n, LIMIT_ACCOUNTS);
	assert_string_equal(got.accounts[9999], names[9999]);

	control_request_deinit(&got);
	buffer_clear(&line);
	request.accounts_n++;
	assert_int_equal(control_request_encode(&request, &line, &f), 0);
	assert_int_equal(control_request_decode(without_end(&line), &got, &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
	assert_int_equal(got.accounts_n, 0);
}

static void what_is_no_request_is_refused(void **state)
{
	static const struct {
		const char *line, *words;
		enum fault_code code;
	} cases[] = {
		{"", "JSON", FAULT_USAGE},
		{"{\"v\":1}", "\"request\"", FAULT_USAGE},
		{"{\"request\":\"fetch\"}", "version", FAULT_USAGE},
		{"{\"v\":\"1\",\"request\":\"fetch\"}", "version", FAULT_USAGE},
		{"{\"v\":0,\"request\":\"fetch\"}", "version 0", FAULT_USAGE},
		{"{\"v\":1,\"request\":7}", "\"request\"", FAULT_USAGE},
		{"{\"v\":1,\"request\":\"fetch\"} x", "JSON", FAULT_USAGE},
		{"{\"v\":1,\"request\":\"fetch\",\"accounts\":[1]}", "no text", FAULT_USAGE},
		{"{\"v\":1,\"request\":\"fetch\",\"accounts\":[\"\"]}", "name", FAULT_USAGE},
		{"{\"v\":1,\"request\":\"fetch\",\"accounts\":[\"a\\u0000\"]}", "u0000",
			FAULT_USAGE},
		{"{\"v\":1,\"request\":\"sto\xff\"}", "JSON", FAULT_USAGE},
		{"[[[[[[[[[", "deep", FAULT_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct control_request got = {.client = 99};

		assert_int_equal(decode_request(cases[i].line, &got), -1);
		assert_int_equal(f.code, cases[i].code);
		if (!strstr(f.text, cases[i].words))
			fail_msg("%s: %s", cases[i].line, f.text);
		assert_int_equal(got.client, 99);
	}
}

static void brackets_inside_texts_are_not_nested(void **state)
{
	struct control_request got CLEANUP(control_request_deinit) = {0};

	(void)state;
	assert_int_equal(
		decode_request(
			"{\"v\":1,\"request\":\"status\","
			"\"x\":\"[[[[[[[[[[\\\"[[[[[[[[[[\",\"y\":[[],[],[],[],[],[],[],[],[],[]]}",
			&got),
		0);
	assert_int_equal(got.verb, CONTROL_STATUS);
}

/* ---- Replies ---------------------------------------------------------------------------- */

static const struct sums sums = {
	.listed = 10, .archived = 6, .pending = 3, .refused = 1, .vanished = 2};

static void assert_sums(const struct sums *got)
{
	assert_memory_equal(got, &sums, sizeof sums);
}

static void a_polls_end_goes_through(void **state)
{
	struct control_reply got, from = {.kind = CONTROL_EVENT};
	struct poller_event *e = &from.event.event;

	(void)state;
	*e = (struct poller_event){.kind = POLLER_DONE,
		.to_fetch = 1,
		.to_fetch_bytes = 2,
		.fetched = 3,
		.fetched_bytes = 4,
		.sums = sums,
		.new_messages = 5,
		.duplicates = 6,
		.new_bytes = UINT64_C(7) << 40,
		.sessions = 8,
		.elapsed_ms = 9,
		.retrieve_ms = 10,
		.hindrance = HINDRANCE_TOO_SOON,
		.login_delay_s = 900};
	fault_record(&e->fault, FAULT_LOGIN, SCOPE_ACCOUNT, 0, "the server: \"%s\"", "-ERR ß");
	(void)snprintf(from.event.account, sizeof from.event.account, "anna");
	pass_through(&from, &got);
	assert_int_equal(got.kind, CONTROL_EVENT);
	assert_string_equal(got.event.account, "anna");
	const struct poller_event *g = &got.event.event;
	assert_int_equal(g->kind, POLLER_DONE);
	assert_null(g->account);
	assert_int_equal(g->to_fetch, 1);
	assert_int_equal(g->to_fetch_bytes, 2);
	assert_int_equal(g->fetched, 3);
	assert_int_equal(g->fetched_bytes, 4);
	assert_sums(&g->sums);
	assert_int_equal(g->new_messages, 5);
	assert_int_equal(g->duplicates, 6);
	assert_true(g->new_bytes == UINT64_C(7) << 40);
	assert_int_equal(g->sessions, 8);
	assert_int_equal(g->elapsed_ms, 9);
	assert_int_equal(g->retrieve_ms, 10);
	assert_int_equal(g->hindrance, HINDRANCE_TOO_SOON);
	assert_int_equal(g->login_delay_s, 900);
	assert_int_equal(g->fault.code, FAULT_LOGIN);
	assert_int_equal(g->fault.scope, SCOPE_ACCOUNT);
	assert_string_equal(g->fault.text, "the server: \"-ERR ß\"");
}

static void every_kind_of_failure_and_hindrance_goes_through(void **state)
{
	(void)state;
	for (int i = FAULT_USAGE; i <= FAULT_INTERRUPT; i++) {
		struct control_reply got, from = {.kind = CONTROL_EVENT};

		from.event.event.kind = POLLER_DONE;
		from.event.event.fault.code = (enum fault_code)i;
		from.event.event.fault.scope = (enum fault_scope)(i % (SCOPE_ARCHIVE + 1));
		from.event.event.hindrance = (enum hindrance)(i % (HINDRANCE_STOPPED + 1));
		pass_through(&from, &got);
		assert_int_equal(got.event.event.fault.code, i);
		assert_int_equal(got.event.event.fault.scope, from.event.event.fault.scope);
		assert_int_equal(got.event.event.hindrance, from.event.event.hindrance);
	}
}

static void progress_and_notices_go_through(void **state)
{
	struct account anna = {.name = (char[]){"anna"}};
	struct poller_event e = {
		.kind = POLLER_PROGRESS, .account = &anna, .to_fetch = 5, .fetched = 2};
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REPLY);
	struct control_reply got;

	(void)state;
	assert_int_equal(control_event_encode(&e, &line, &f), 0);
	assert_int_equal(control_reply_decode(without_end(&line), &got, &f), 0);
	assert_int_equal(got.event.event.kind, POLLER_PROGRESS);
	assert_string_equal(got.event.account, "anna");
	assert_int_equal(got.event.event.to_fetch, 5);
	assert_int_equal(got.event.event.fetched, 2);

	e = (struct poller_event){.kind = POLLER_NOTICE, .text = "cut 312 bytes"};
	buffer_clear(&line);
	assert_int_equal(control_event_encode(&e, &line, &f), 0);
	assert_int_equal(control_reply_decode(without_end(&line), &got, &f), 0);
	assert_int_equal(got.event.event.kind, POLLER_NOTICE);
	assert_string_equal(got.event.account, "");
	assert_string_equal(got.event.event.text, "cut 312 bytes");
}

static void the_daemons_state_goes_through(void **state)
{
	struct control_reply got, from = {.kind = CONTROL_DAEMON,
					  .daemon = {.pid = 4711,
						  .started = 1700000000123,
						  .version = "0.1.0",
						  .archive = "/var/lib/popkeep",
						  .config_error = "popkeep.conf:3: no",
						  .disk = "disk full",
						  .sandbox = "Landlock 3",
						  .worker_sandbox = "seccomp",
						  .sessions = 1,
						  .accounts = 2,
						  .failing = 3,
						  .attention = 4}};

	(void)state;
	pass_through(&from, &got);
	assert_int_equal(got.kind, CONTROL_DAEMON);
	assert_int_equal(got.daemon.pid, 4711);
	assert_true(got.daemon.started == 1700000000123);
	assert_string_equal(got.daemon.version, "0.1.0");
	assert_string_equal(got.daemon.archive, "/var/lib/popkeep");
	assert_string_equal(got.daemon.config_error, "popkeep.conf:3: no");
	assert_string_equal(got.daemon.disk, "disk full");
	assert_string_equal(got.daemon.sandbox, "Landlock 3");
	assert_string_equal(got.daemon.worker_sandbox, "seccomp");
	assert_int_equal(got.daemon.sessions, 1);
	assert_int_equal(got.daemon.accounts, 2);
	assert_int_equal(got.daemon.failing, 3);
	assert_int_equal(got.daemon.attention, 4);
}

static void an_accounts_state_goes_through(void **state)
{
	struct control_reply got, from = {.kind = CONTROL_ACCOUNT,
					  .account = {.name = "anna",
						  .activity = CONTROL_POLLING,
						  .health = SCHEDULE_ATTENTION,
						  .since = 1,
						  .next = 1700000000000,
						  .succeeded = 1600000000999,
						  .failures = 21,
						  .code = FAULT_REACH,
						  .hindrance = HINDRANCE_PASSING,
						  .text = "no route",
						  .sums = sums,
						  .to_fetch = 1,
						  .to_fetch_bytes = 2,
						  .fetched = 3,
						  .fetched_bytes = 4}};

	(void)state;
	pass_through(&from, &got);
	assert_int_equal(got.kind, CONTROL_ACCOUNT);
	assert_string_equal(got.account.name, "anna");
	assert_int_equal(got.account.activity, CONTROL_POLLING);
	assert_int_equal(got.account.health, SCHEDULE_ATTENTION);
	assert_true(got.account.since == 1);
	assert_true(got.account.next == 1700000000000);
	assert_true(got.account.succeeded == 1600000000999);
	assert_int_equal(got.account.failures, 21);
	assert_int_equal(got.account.code, FAULT_REACH);
	assert_int_equal(got.account.hindrance, HINDRANCE_PASSING);
	assert_string_equal(got.account.text, "no route");
	assert_sums(&got.account.sums);
	assert_int_equal(got.account.to_fetch, 1);
	assert_int_equal(got.account.to_fetch_bytes, 2);
	assert_int_equal(got.account.fetched, 3);
	assert_int_equal(got.account.fetched_bytes, 4);
}

static void errors_and_the_end_go_through(void **state)
{
	struct control_reply got, from = {.kind = CONTROL_ERROR,
					  .error = {.status = 2, .text = "no account \"ana\""}};

	(void)state;
	pass_through(&from, &got);
	assert_int_equal(got.kind, CONTROL_ERROR);
	assert_int_equal(got.error.status, 2);
	assert_string_equal(got.error.text, "no account \"ana\"");
	from = (struct control_reply){.kind = CONTROL_END, .end = {.status = 74}};
	pass_through(&from, &got);
	assert_int_equal(got.kind, CONTROL_END);
	assert_int_equal(got.end.status, 74);
}

static void the_longest_texts_fit_into_a_line(void **state)
{
	struct control_reply got, from = {.kind = CONTROL_DAEMON};

	(void)state;
	/* Bytes that are no UTF-8: each becomes four that are escaped. */
	memset(from.daemon.archive, 0xff, sizeof from.daemon.archive - 1);
	memset(from.daemon.config_error, 0xff, sizeof from.daemon.config_error - 1);
	memset(from.daemon.disk, 1, sizeof from.daemon.disk - 1);
	memset(from.daemon.sandbox, 0x7f, sizeof from.daemon.sandbox - 1);
	memset(from.daemon.worker_sandbox, 0x7f, sizeof from.daemon.worker_sandbox - 1);
	pass_through(&from, &got);
	assert_int_equal(strncmp(got.daemon.archive, "\\xff\\xff", 8), 0);
}

static void a_text_that_was_cut_inside_a_character_still_goes(void **state)
{
	struct control_reply got, from = {.kind = CONTROL_ERROR, .error = {.text = "stra\xc3"}};

	(void)state;
	pass_through(&from, &got);
	assert_string_equal(got.error.text, "stra\\xc3");
}

static int decode_reply(const char *line, struct control_reply *ret)
{
	return control_reply_decode(slice_text(line), ret, &f);
}

static void nothing_in_a_reply_drives_a_terminal(void **state)
{
	struct control_reply got;

	(void)state;
	assert_int_equal(decode_reply("{\"v\":1,\"reply\":\"error\",\"status\":1,"
				      "\"text\":\"a\\u001b[2J\\u009b\\u007f\\n\\u00df\"}",
				 &got),
		0);
	assert_string_equal(got.error.text, "a?[2J???ß");
}

static void a_text_that_is_too_long_is_cut_at_a_character(void **state)
{
	char line[4000] = "{\"v\":1,\"reply\":\"notice\",\"account\":\"";
	struct control_reply got;

	(void)state;
	for (int i = 0; i < 100; i++)
		memcpy(line + strlen(line), "ß", sizeof "ß");
	memcpy(line + strlen(line), "\"}", sizeof "\"}");
	assert_int_equal(decode_reply(line, &got), 0);
	assert_int_equal(strlen(got.event.account), 64);
	assert_string_equal(got.event.account + 62, "ß");

	(void)snprintf(
		line, sizeof line, "{\"v\":1,\"reply\":\"notice\",\"account\":\"%0100d\"}", 0);
	assert_int_equal(decode_reply(line, &got), 0);
	assert_int_equal(strlen(got.event.account), 64);
}

static void what_is_out_of_range_reads_as_nothing(void **state)
{
	struct control_reply got;

	(void)state;
	assert_int_equal(decode_reply("{\"v\":1,\"reply\":\"account\",\"account\":7,"
				      "\"activity\":\"dancing\",\"health\":[],\"listed\":-1,"
				      "\"archived\":1.5,\"pending\":\"3\",\"next\":\"soon\"}",
				 &got),
		0);
	assert_string_equal(got.account.name, "");
	assert_int_equal(got.account.activity, CONTROL_WAITING);
	assert_int_equal(got.account.health, SCHEDULE_WELL);
	assert_int_equal(got.account.sums.listed, 0);
	assert_int_equal(got.account.sums.archived, 0);
	assert_int_equal(got.account.sums.pending, 0);
	assert_int_equal(got.account.next, 0);
	/* An end that does not say how is not a good one. */
	assert_int_equal(decode_reply("{\"v\":1,\"reply\":\"end\",\"status\":512}", &got), 0);
	assert_int_equal(got.end.status, 1);
}

static void a_failure_of_a_later_kind_is_still_one(void **state)
{
	struct control_reply got;

	(void)state;
	assert_int_equal(
		decode_reply(
			"{\"v\":1,\"reply\":\"done\",\"fault\":\"flood\",\"text\":\"wet\"}", &got),
		0);
	assert_int_equal(got.event.event.fault.code, FAULT_SYSTEM);
	assert_string_equal(got.event.event.fault.text, "wet");
}

static void what_is_no_reply_is_refused(void **state)
{
	struct control_reply got = {.kind = CONTROL_END};

	(void)state;
	assert_int_equal(decode_reply("{\"v\":1,\"reply\":\"weather\"}", &got), CONTROL_UNKNOWN);
	assert_int_equal(decode_reply("{\"v\":1,\"reply\":\"secret\"}", &got), CONTROL_UNKNOWN);
	assert_int_equal(decode_reply("{\"v\":9,\"reply\":\"end\"}", &got), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
	assert_int_equal(decode_reply("{\"v\":1,\"request\":\"fetch\"}", &got), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_request_goes_through),
		TEST(ten_thousand_of_the_longest_names_fit),
		TEST(what_is_no_request_is_refused),
		TEST(brackets_inside_texts_are_not_nested),
		TEST(a_polls_end_goes_through),
		TEST(every_kind_of_failure_and_hindrance_goes_through),
		TEST(progress_and_notices_go_through),
		TEST(the_daemons_state_goes_through),
		TEST(an_accounts_state_goes_through),
		TEST(errors_and_the_end_go_through),
		TEST(the_longest_texts_fit_into_a_line),
		TEST(a_text_that_was_cut_inside_a_character_still_goes),
		TEST(nothing_in_a_reply_drives_a_terminal),
		TEST(a_text_that_is_too_long_is_cut_at_a_character),
		TEST(what_is_out_of_range_reads_as_nothing),
		TEST(a_failure_of_a_later_kind_is_still_one),
		TEST(what_is_no_reply_is_refused),
	};

	return cmocka_run_group_tests_name("control_message", tests, NULL, NULL);
}
