/* `account check` against a server in a child process that answers by rote. */
#include "daemon/probe.h"
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
	const char *command;
	const char *text; /* NULL: silence */
};

static void serve(int fd, const struct answer *answers)
{
	FILE *in = fdopen(fd, "r+");
	char line[256];

	if (!in)
		_exit(1);
	setbuf(in, NULL);
	(void)fputs("+OK hi\r\n", in);
	while (fgets(line, sizeof line, in)) {
		const struct answer *a = answers;

		while (a->command && strncmp(line, a->command, strlen(a->command)) != 0)
			a++;
		if (!a->command)
			(void)fputs("-ERR unknown\r\n", in);
		else if (a->text)
			(void)fputs(a->text, in);
		if (strncmp(line, "QUIT", 4) == 0)
			break;
	}
	_exit(0);
}

static int probe(const struct answer *answers, struct probe_report *ret, struct fault *f)
{
	static char host[] = "127.0.0.1", user[] = "anna", password[] = "geheim";
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)alarm(30);
		serve(accept(listener, NULL, NULL), answers);
	}
	(void)close(listener);
	struct account a = {.host = host,
		.port = ntohs(address.sin_port),
		.user = user,
		.tls = TLS_NONE,
		.secret_source = SECRET_ASK,
		.timeout_ms = 1000};
	const struct secret secret = {password, strlen(password)};
	int r = account_probe(&a, &secret, ret, f);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	return r;
}

static void a_mailbox_is_described(void **state)
{
	static const struct answer answers[] = {
		{"CAPA",
			"+OK\r\nUSER\r\nTOP\r\nPIPELINING\r\nEXPIRE 30\r\nLOGIN-DELAY 10\r\n.\r\n"},
		{"USER", "+OK\r\n"}, {"PASS geheim", "+OK\r\n"}, {"STAT", "+OK 2 320\r\n"},
		{"UIDL", "+OK\r\n1 a\r\n2 b\r\n.\r\n"}, {"QUIT", "+OK\r\n"}, {0}};
	struct probe_report report;
	struct fault f = {0};

	(void)state;
	if (probe(answers, &report, &f) < 0)
		fail_msg("%s", f.text);
	assert_string_equal(report.tls, "none");
	assert_string_equal(report.mechanism, "USER");
	assert_string_equal(
		report.capabilities, "USER, TOP, PIPELINING, EXPIRE 30, LOGIN-DELAY 10");
	assert_int_equal(report.messages, 2);
	assert_int_equal(report.bytes, 320);
	assert_true(report.has_uidl && report.has_top && report.has_pipelining);
	assert_true(report.expire_known && report.expire_days == 30);
	assert_int_equal(report.login_delay_s, 10);
	assert_true(report.sample_bytes > 0 && report.login_ms >= 0);
}

static void a_server_without_uidl_and_capa_is_described_too(void **state)
{
	static const struct answer answers[] = {{"USER", "+OK\r\n"}, {"PASS geheim", "+OK\r\n"},
		{"STAT", "+OK 2 320\r\n"}, {"LIST", "+OK\r\n1 100\r\n2 220\r\n.\r\n"},
		{"QUIT", NULL}, {0}};
	struct probe_report report;
	struct fault f = {0};

	(void)state;
	if (probe(answers, &report, &f) < 0)
		fail_msg("%s", f.text);
	assert_false(report.has_uidl);
	assert_string_equal(report.capabilities, "");
	assert_true(report.sample_bytes > 0);
}

static void a_server_that_falls_silent_is_left(void **state)
{
	static const struct answer answers[] = {
		{"USER", "+OK\r\n"}, {"PASS geheim", "+OK\r\n"}, {"STAT", NULL}, {0}};
	struct probe_report report;
	struct fault f = {0};

	(void)state;
	assert_int_equal(probe(answers, &report, &f), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
	assert_string_equal(f.text, "the server did not answer within 1 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mailbox_is_described),
		TEST(a_server_without_uidl_and_capa_is_described_too),
		TEST(a_server_that_falls_silent_is_left),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
