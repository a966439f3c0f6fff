#include "daemon/runner_private.h"
#include "tests/unit/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

ssize_t __real_send(int socket, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int socket, const void *bytes, size_t len, int flags);

/* Of this process when there is no room for what is sent; what it forked keeps it. */
static int sends_left = -1; /* <0: none fails */

ssize_t __wrap_send(int socket, const void *bytes, size_t len, int flags)
{
	if (sends_left == 0)
		return (errno = ENOBUFS, -1);
	sends_left -= sends_left > 0;
	return __real_send(socket, bytes, len, flags);
}

/* Long enough for a busy machine; a test that waits this long has failed. */
enum { PATIENCE_MS = 20000 };

static const struct runner_times patient = {
	.secret_ms = 15000, .alert_ms = 15000, .stop_ms = 15000};
static const struct runner_times hasty = {.secret_ms = 400, .alert_ms = 400, .stop_ms = 400};

#define ACCOUNT(name, key, value)                                                                  \
	"account \"" name "\" {\n server = \"pop3s://pop.example.com\"\n user = \"" name           \
	"\"\n " key " = '" value "'\n}\n"

static struct runner *start(const char *config, const struct runner_times *times)
{
	struct runner *r = NULL;
	struct fault f = {0};

	folder_put("popkeep.conf", config);
	if (runner_start_timed("popkeep.conf", "/the/archive", times, &r, &f) < 0)
		fail_msg("%s", f.text);
	return r;
}

/* The next answer, whatever it is; <0 when the runner is gone. */
static int next(struct runner *r, struct runner_answer *ret, struct fault *f)
{
	int64_t deadline = monotonic_ms() + PATIENCE_MS;
	int kind;

	while ((kind = runner_take(r, ret, f)) == RUNNER_NOTHING) {
		struct pollfd p = {.fd = runner_fd(r), .events = POLLIN};

		if (monotonic_ms() > deadline)
			fail_msg("no answer came");
		/* What runner_take() would find without being told does not count. */
		(void)poll(&p, 1, PATIENCE_MS + 1000);
	}
	return kind;
}

static void ask(struct runner *r, const char *account, uint64_t tag)
{
	struct fault f = {0};

	if (runner_ask(r, account, 0, tag, &f) < 0)
		fail_msg("%s", f.text);
}

static void alert(struct runner *r, enum alert_event event, const char *account, const char *text)
{
	const struct alert a = {.event = event, .account = account, .text = text, .since = 1500};
	struct fault f = {0};

	if (runner_alert(r, &a, &f) < 0)
		fail_msg("%s", f.text);
}

static void expect_secret(struct runner *r, uint64_t tag, const char *secret)
{
	struct runner_answer a;
	struct fault f = {0};

	assert_int_equal(next(r, &a, &f), RUNNER_SECRET);
	if (a.fault.code != FAULT_NONE)
		fail_msg("%s", a.fault.text);
	assert_int_equal(a.tag, tag);
	assert_string_equal(a.secret.text, secret);
	assert_int_equal(a.secret.len, strlen(secret));
	secret_deinit(&a.secret);
}

static void expect_fault(struct runner *r, uint64_t tag, enum fault_code code, const char *part)
{
	struct runner_answer a;
	struct fault f = {0};

	assert_int_equal(next(r, &a, &f), RUNNER_SECRET);
	assert_int_equal(a.tag, tag);
	assert_null(a.secret.text);
	if (!strstr(a.fault.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, a.fault.text);
	assert_int_equal(a.fault.code, code);
	assert_int_equal(a.fault.scope, SCOPE_ACCOUNT);
}

static void expect_gone(struct runner *r)
{
	struct runner_answer a;
	struct fault f = {0};

	assert_int_equal(next(r, &a, &f), -1);
	assert_int_equal(f.code, FAULT_SYSTEM);
}

/* What the file holds as soon as it ends with a line "end". */
static const char *wait_for_file(const char *path, const char *end)
{
	static char text[65536];
	int64_t deadline = monotonic_ms() + PATIENCE_MS;

	for (;;) {
		FILE *file = fopen(path, "r");
		size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;

		text[n] = '\0';
		if (file)
			(void)fclose(file);
		if (strstr(text, end))
			return text;
		if (monotonic_ms() > deadline)
			fail_msg("%s: \"%s\" never came after \"%s\"", path, end, text);
		(void)poll(NULL, 0, 5);
	}
}

/* The process of that id has ended within our patience; it may be somebody else's child. */
static void expect_ended(pid_t pid)
{
	int64_t deadline = monotonic_ms() + PATIENCE_MS;

	while (monotonic_ms() < deadline) {
		char path[64], text[256] = "";

		if (kill(pid, 0) < 0 && errno == ESRCH)
			return;
		/* Where nobody reaps orphans, a zombie has ended as well. */
		(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
		FILE *file = fopen(path, "r");
		if (file) {
			size_t n = fread(text, 1, sizeof text - 1, file);
			text[n] = '\0';
			(void)fclose(file);
		}
		if (strstr(text, ") Z "))
			return;
		(void)poll(NULL, 0, 5);
	}
	fail_msg("process %d lives", (int)pid);
}

static pid_t pid_in(const char *path)
{
	char *end = NULL;

	return (pid_t)strtoul(wait_for_file(path, "\n"), &end, 10);
}

static void a_command_and_a_file_give_their_secret(void **state)
{
	(void)state;
	folder_put("password", "geheim\n");
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo secret; echo more")
				ACCOUNT("bert", "password-file", "password")
					ACCOUNT("carl", "token-command", "printf token"),
			&patient);

	ask(r, "anna", 7);
	expect_secret(r, 7, "secret");
	ask(r, "bert", UINT64_MAX);
	expect_secret(r, UINT64_MAX, "geheim");
	ask(r, "carl", 0);
	expect_secret(r, 0, "token");
}

static void a_credential_is_read(void **state)
{
	(void)state;
	folder_put("pop", "geheim");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", *state, 1), 0);
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "credential", "pop"), &patient);

	ask(r, "anna", 1);
	expect_secret(r, 1, "geheim");
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void the_longest_secret_passes(void **state)
{
	char expected[LIMIT_SECRET];

	(void)state;
	memset(expected, 'x', sizeof expected - 1);
	expected[sizeof expected - 1] = '\0';
	folder_put("password", expected);
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-file", "password"), &patient);
	ask(r, "anna", 1);
	expect_secret(r, 1, expected);
}

static void what_gives_no_secret_is_named_with_the_account(void **state)
{
	(void)state;
	assert_int_equal(mkfifo("pipe", 0600), 0);
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("quiet", "password-command", "true") ACCOUNT("bad", "token-command",
			      "echo geheim; exit 3") ACCOUNT("none", "class", "x")
				ACCOUNT("lost", "password-file", "not-there")
					ACCOUNT("pipe", "password-file", "pipe"),
			&patient);

	ask(r, "quiet", 1);
	expect_fault(
		r, 1, FAULT_ACCESS, "account quiet: password-command: the command prints nothing");
	ask(r, "bad", 2);
	expect_fault(
		r, 2, FAULT_ACCESS, "account bad: token-command: the command ended with status 3");
	ask(r, "none", 3);
	expect_fault(r, 3, FAULT_USAGE, "account none: nobody is there to ask");
	ask(r, "lost", 4);
	expect_fault(r, 4, FAULT_ACCESS, "account lost: cannot open");
	ask(r, "pipe", 5);
	expect_fault(r, 5, FAULT_USAGE, "account pipe: password-file is a pipe");
	ask(r, "nobody", 6);
	expect_fault(r, 6, FAULT_MISSING, "account nobody: not in the configuration");
}

static void a_command_that_hangs_is_ended(void **state)
{
	(void)state;
	struct runner *r CLEANUP(runner_stopp) = start(
		ACCOUNT("anna", "password-command", "echo $$ >pid; sleep 1000 & wait"), &hasty);

	ask(r, "anna", 1);
	expect_fault(r, 1, FAULT_ACCESS, "account anna: password-command: the command did not end");
	expect_ended(pid_in("pid"));
}

static void files_never_wait_for_commands_that_hang(void **state)
{
	(void)state;
	folder_put("password", "geheim\n");
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("slow", "password-command", "sleep 1000")
				ACCOUNT("anna", "password-file", "password"),
			&patient);

	for (uint64_t i = 0; i < 2 * LIMIT_RUNNER_COMMANDS; i++)
		ask(r, "slow", i);
	ask(r, "anna", 1000);
	expect_secret(r, 1000, "geheim");
}

/* Each waits for the others, in groups of as many as may run at once. */
static void commands_run_side_by_side_but_not_too_many(void **state)
{
	char command[256], config[512];
	bool seen[50] = {0};
	struct fault f = {0};
	struct runner_answer a;

	(void)state;
	(void)snprintf(command, sizeof command,
		"echo x >>ran; n=0; while [ $(wc -l <ran) -lt %d ]; do sleep 0.02; done; "
		"echo geheim",
		LIMIT_RUNNER_COMMANDS);
	(void)snprintf(config, sizeof config, ACCOUNT("anna", "password-command", "%s"), command);
	struct runner *r CLEANUP(runner_stopp) = start(config, &patient);
	for (uint64_t i = 0; i < 50; i++)
		ask(r, "anna", i);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(next(r, &a, &f), RUNNER_SECRET);
		assert_string_equal(a.secret.text, "geheim");
		assert_in_range(a.tag, 0, 49);
		assert_false(seen[a.tag]);
		seen[a.tag] = true;
		secret_deinit(&a.secret);
	}
}

/* Who breaks this is not found out each time; but it never fails without reason. */
static void no_more_commands_than_the_cap_run_at_once(void **state)
{
	char all[2 * LIMIT_RUNNER_COMMANDS + 1] = "";

	(void)state;
	folder_put("password", "geheim\n");
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo x >>ran; sleep 1000")
				ACCOUNT("last", "password-command", "echo x >last; sleep 1000")
					ACCOUNT("file", "password-file", "password"),
			&patient);
	for (uint64_t i = 0; i < LIMIT_RUNNER_COMMANDS; i++) {
		ask(r, "anna", i);
		memcpy(all + strlen(all), "x\n", 3);
	}
	ask(r, "last", 100);
	ask(r, "file", 101);
	expect_secret(r, 101, "geheim");
	assert_string_equal(wait_for_file("ran", all), all);
	assert_int_equal(access("last", F_OK), -1);
}

static void more_asks_than_the_cap_are_refused_and_the_others_answered(void **state)
{
	struct fault f = {0};
	struct runner_answer a;

	(void)state;
	folder_put("password", "geheim\n");
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-file", "password"), &patient);
	/* Not reading, so that sockets and queues fill. */
	for (uint64_t i = 0; i < LIMIT_RUNNER_ASKS; i++)
		ask(r, "anna", i);
	assert_int_equal(runner_ask(r, "anna", 0, 1, &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
	for (uint64_t i = 0; i < LIMIT_RUNNER_ASKS; i++)
		expect_secret(r, i, "geheim");
	assert_int_equal(runner_take(r, &a, &f), RUNNER_NOTHING);
	ask(r, "anna", 5);
	expect_secret(r, 5, "geheim");
}

static void what_the_socket_did_not_take_is_sent_when_there_is_room(void **state)
{
	struct runner_answer a;

	(void)state;
	struct runner *r CLEANUP(runner_stopp) = start("", &patient);
	assert_int_equal(kill(r->pid, SIGSTOP), 0);
	for (int i = 0; i < LIMIT_RUNNER_QUEUE / 2; i++)
		alert(r, ALERT_WELL, NULL, NULL);
	assert_true(r->queue.len > r->sent);
	assert_int_equal(runner_reload(r, &a.fault), 0);
	assert_int_equal(kill(r->pid, SIGCONT), 0);
	assert_int_equal(next(r, &a, &(struct fault){0}), RUNNER_RELOADED);
}

static void a_queue_that_is_full_is_a_fault(void **state)
{
	const struct alert a = {.event = ALERT_WELL};
	struct fault f = {0};
	int n = 0;

	(void)state;
	struct runner *r CLEANUP(runner_stopp) = start("", &patient);
	assert_int_equal(kill(r->pid, SIGSTOP), 0);
	while (n < 2 * LIMIT_RUNNER_QUEUE && runner_alert(r, &a, &f) == 0)
		n++;
	assert_int_equal(f.code, FAULT_LIMIT);
	assert_in_range(n, LIMIT_RUNNER_QUEUE, 2 * LIMIT_RUNNER_QUEUE - 1);
	assert_int_equal(kill(r->pid, SIGCONT), 0);
}

static void a_name_that_is_none_is_not_sent(void **state)
{
	struct fault f = {0};

	(void)state;
	struct runner *r CLEANUP(runner_stopp) = start("", &patient);
	assert_int_equal(runner_ask(r, "../etc", 0, 1, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_int_equal(runner_ask(r, "", 0, 1, &f), -1);
	const struct alert a = {.event = ALERT_WELL, .account = "a b"};
	assert_int_equal(runner_alert(r, &a, &f), -1);
}

static void a_broken_configuration_starts_nothing(void **state)
{
	struct runner *r = NULL;
	struct fault f = {0};

	(void)state;
	folder_put("popkeep.conf", "nix = 1\n");
	assert_int_equal(runner_start("popkeep.conf", NULL, &r, &f), -1);
	assert_null(r);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_string_equal(f.text, "popkeep.conf:1: unknown key \"nix\"");
}

static int reload(struct runner *r, struct runner_answer *ret)
{
	struct fault f = {0};

	assert_int_equal(runner_reload(r, &f), 0);
	return next(r, ret, &f);
}

static void a_reload_takes_the_new_configuration(void **state)
{
	struct runner_answer a;

	(void)state;
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo old"), &patient);
	folder_put("popkeep.conf", ACCOUNT("bert", "password-command", "echo new"));
	assert_int_equal(reload(r, &a), RUNNER_RELOADED);
	assert_int_equal(a.fault.code, FAULT_NONE);
	ask(r, "bert", 1);
	expect_secret(r, 1, "new");
	ask(r, "anna", 2);
	expect_fault(r, 2, FAULT_MISSING, "account anna");
}

static void a_broken_reload_leaves_the_old_configuration_in_force(void **state)
{
	struct runner_answer a;

	(void)state;
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo old"), &patient);
	folder_put("popkeep.conf", "\nnix = 1\n");
	assert_int_equal(reload(r, &a), RUNNER_RELOADED);
	assert_int_equal(a.fault.code, FAULT_USAGE);
	assert_string_equal(a.fault.text, "popkeep.conf:2: unknown key \"nix\"");
	ask(r, "anna", 1);
	expect_secret(r, 1, "old");
}

static void alerts_run_in_order_with_their_environment(void **state)
{
	(void)state;
	assert_int_equal(setenv("POPKEEP_TEXT", "of the service", 1), 0);
	struct runner *r CLEANUP(runner_stopp) =
		start("alert-command = 'printf \"%s|\" \"$POPKEEP_EVENT\" \"$POPKEEP_ACCOUNT\" "
		      "\"$POPKEEP_TEXT\" \"$POPKEEP_ARCHIVE\" \"$POPKEEP_SINCE\" "
		      "\"$POPKEEP_DROPPED\" >>log; echo >>log'\n",
			&patient);
	assert_int_equal(unsetenv("POPKEEP_TEXT"), 0);

	alert(r, ALERT_ATTENTION, "anna", "login\nrefused: \\x0a \"$(id)\" \x1b[2J");
	alert(r, ALERT_WELL, "anna", NULL);
	alert(r, ALERT_CONFIG_BROKEN, NULL, "popkeep.conf:1: no");
	assert_string_equal(wait_for_file("log", "config-broken||popkeep.conf:1: no|/the/archive|"
						 "1970-01-01T00:00:01.500Z|0|\n"),
		"attention|anna|login\\x0arefused: \\x0a \"$(id)\" \\x1b[2J|/the/archive|"
		"1970-01-01T00:00:01.500Z|0|\n"
		"well|anna||/the/archive|1970-01-01T00:00:01.500Z|0|\n"
		"config-broken||popkeep.conf:1: no|/the/archive|1970-01-01T00:00:01.500Z|0|\n");
}

static void a_failing_alert_command_is_complained_of(void **state)
{
	struct runner_answer a;
	struct fault f = {0};

	(void)state;
	struct runner *r CLEANUP(runner_stopp) = start("alert-command = 'exit 4'\n", &patient);
	alert(r, ALERT_DISK_FULL, NULL, "full");
	assert_int_equal(next(r, &a, &f), RUNNER_COMPLAINT);
	assert_string_equal(a.text,
		"alert-command: the command ended with status 4; run it by hand to see why");
}

static void an_alert_command_that_hangs_is_ended_and_the_next_runs(void **state)
{
	struct runner_answer a;
	struct fault f = {0};

	(void)state;
	struct runner *r CLEANUP(runner_stopp) =
		start("alert-command = 'echo $$ >$POPKEEP_EVENT; sleep 1000'\n", &hasty);
	alert(r, ALERT_DISK_FULL, NULL, "full");
	alert(r, ALERT_DISK_OK, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(next(r, &a, &f), RUNNER_COMPLAINT);
		assert_non_null(strstr(a.text, "alert-command: the command did not end within"));
	}
	expect_ended(pid_in("disk-full"));
	expect_ended(pid_in("disk-ok"));
}

static void alerts_that_cannot_wait_are_counted(void **state)
{
	char last[64];

	(void)state;
	struct runner *r CLEANUP(runner_stopp) =
		start("alert-command = 'while [ ! -e go ]; do sleep 0.02; done; "
		      "echo $POPKEEP_TEXT $POPKEEP_DROPPED >>log'\n",
			&patient);
	for (int i = 0; i < LIMIT_ALERTS + 11; i++) {
		(void)snprintf(last, sizeof last, "%d", i);
		alert(r, ALERT_WELL, NULL, last);
	}
	/* The runner has taken them all when it answers what came after them. */
	struct runner_answer a;
	assert_int_equal(reload(r, &a), RUNNER_RELOADED);
	folder_put("go", "");
	(void)snprintf(last, sizeof last, "\n%d 0\n", LIMIT_ALERTS + 10);
	const char *log = wait_for_file("log", last);
	assert_memory_equal(log, "0 0\n11 10\n12 0\n", 15);
}

static void without_an_alert_command_nothing_happens(void **state)
{
	struct runner_answer a;

	(void)state;
	struct runner *r CLEANUP(runner_stopp) = start("", &patient);
	alert(r, ALERT_WRITE_FAILED, NULL, "x");
	assert_int_equal(reload(r, &a), RUNNER_RELOADED);
}

static void stopping_lets_alerts_end(void **state)
{
	(void)state;
	struct runner *r =
		start("alert-command = 'sleep 0.1; echo $POPKEEP_EVENT >>log'\n", &patient);

	alert(r, ALERT_WRITE_FAILED, NULL, "x");
	alert(r, ALERT_WELL, NULL, "x");
	assert_null(runner_stop(r));
	assert_string_equal(wait_for_file("log", "well\n"), "write-failed\nwell\n");
	assert_null(runner_stop(NULL));
}

static void stopping_waits_no_longer_than_the_limit(void **state)
{
	int64_t begun = monotonic_ms();

	(void)state;
	struct runner *r = start("alert-command = 'echo $$ >pid; sleep 1000'\n" ACCOUNT(
					 "anna", "password-command", "echo $$ >other; sleep 1000"),
		&(struct runner_times){15000, 15000, 300});
	alert(r, ALERT_WELL, NULL, "x");
	ask(r, "anna", 1);
	pid_t pid = pid_in("pid"), other = pid_in("other");
	assert_null(runner_stop(r));
	assert_in_range(monotonic_ms() - begun, 300, 10000);
	expect_ended(pid);
	expect_ended(other);
}

static void a_runner_that_dies_is_a_fault(void **state)
{
	struct fault f = {0};

	(void)state;
	struct runner *r CLEANUP(runner_stopp) = start("", &patient);
	assert_int_equal(kill(r->pid, SIGKILL), 0);
	expect_gone(r);
	assert_int_equal(runner_ask(r, "anna", 0, 1, &f), -1);
	assert_int_equal(f.code, FAULT_SYSTEM);
}

static void signals_for_the_service_leave_the_runner_alone(void **state)
{
	(void)state;
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo geheim"), &patient);
	assert_int_equal(kill(r->pid, SIGINT), 0);
	assert_int_equal(kill(r->pid, SIGTERM), 0);
	assert_int_equal(kill(r->pid, SIGHUP), 0);
	ask(r, "anna", 1);
	expect_secret(r, 1, "geheim");
}

/* What a service that was taken over may try. */
static void send_raw(const void *bytes, size_t len)
{
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo geheim"), &patient);

	assert_int_equal(send(r->socket, bytes, len, MSG_NOSIGNAL), len);
	expect_gone(r);
	expect_ended(r->pid);
}

static void what_is_no_request_ends_the_runner(void **state)
{
	const struct runner_request good = {.kind = REQUEST_SECRET, .account = "anna"};
	struct runner_request q = good;
	char long_one[sizeof q + 1] = {0};

	(void)state;
	memcpy(long_one, &good, sizeof good);
	send_raw(long_one, sizeof long_one);
	send_raw(&good, sizeof good - 1);
	send_raw("x", 1);
	q.kind = 0;
	send_raw(&q, sizeof q);
	q.kind = REQUEST_RELOAD + 1;
	send_raw(&q, sizeof q);
	q = good;
	memset(q.account, 'a', sizeof q.account);
	send_raw(&q, sizeof q);
	q = (struct runner_request){.kind = REQUEST_SECRET, .account = "../x"};
	send_raw(&q, sizeof q);
	q = (struct runner_request){.kind = REQUEST_SECRET};
	send_raw(&q, sizeof q);
	q = (struct runner_request){.kind = REQUEST_ALERT, .event = ALERT_EVENTS};
	send_raw(&q, sizeof q);
	q.event = UINT32_MAX;
	send_raw(&q, sizeof q);
	q = (struct runner_request){.kind = REQUEST_ALERT, .account = "a\nb"};
	send_raw(&q, sizeof q);
	q = (struct runner_request){.kind = REQUEST_ALERT};
	memset(q.text, 'a', sizeof q.text);
	send_raw(&q, sizeof q);
}

static void more_asks_than_the_service_would_send_are_refused(void **state)
{
	const struct runner_request q = {.kind = REQUEST_SECRET, .account = "anna"};
	enum { MORE = LIMIT_RUNNER_ASKS + LIMIT_RUNNER_COMMANDS + 1 };
	struct runner_answer a;
	struct fault f = {0};

	(void)state;
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "sleep 1000"), &patient);
	for (int i = 0; i < MORE; i++)
		assert_int_equal(send(r->socket, &q, sizeof q, MSG_NOSIGNAL), sizeof q);
	assert_int_equal(next(r, &a, &f), RUNNER_SECRET);
	assert_int_equal(a.fault.code, FAULT_LIMIT);
}

enum helper { ALONE, WITH_HELPER };

static void put_pid(const char *path, pid_t pid)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%d\n", (int)pid);
	folder_put(path, text);
}

/* Runs until it is killed. A helper outlives it, and holds the runner's socket open. */
_Noreturn static void be_a_service(enum helper helper)
{
	const struct runner_times times = {15000, 15000, 300};
	const struct alert a = {.event = ALERT_WELL};
	struct runner *r = NULL;
	struct fault f;

	if (runner_start_timed("popkeep.conf", NULL, &times, &r, &f) < 0 ||
		runner_alert(r, &a, &f) < 0 || runner_ask(r, "anna", 0, 1, &f) < 0)
		_exit(1);
	pid_t pid = helper == WITH_HELPER ? fork() : -1;
	if (pid != 0) {
		put_pid("helper", pid);
		put_pid("runner", r->pid);
	}
	for (;;)
		(void)pause();
}

static void kill_a_service(enum helper helper)
{
	folder_put("popkeep.conf", "alert-command = 'echo $$ >alert; sleep 1000'\n" ACCOUNT("anna",
					   "password-command", "echo $$ >command; sleep 1000"));
	pid_t service = fork();
	assert_true(service >= 0);
	if (service == 0)
		be_a_service(helper);
	pid_t runner = pid_in("runner"), command = pid_in("command"), other = pid_in("alert");
	assert_int_equal(kill(service, SIGKILL), 0);
	assert_int_equal(waitpid(service, NULL, 0), service);
	expect_ended(command);
	expect_ended(other);
	expect_ended(runner);
	if (helper == WITH_HELPER)
		assert_int_equal(kill(pid_in("helper"), SIGKILL), 0);
}

static void when_the_service_dies_nothing_stays(void **state)
{
	(void)state;
	kill_a_service(ALONE);
}

static void when_the_service_dies_its_helpers_keep_no_runner(void **state)
{
	(void)state;
	kill_a_service(WITH_HELPER);
}

static void commands_do_not_get_the_services_environment(void **state)
{
	(void)state;
	assert_int_equal(setenv("NOTIFY_SOCKET", "/nonexistent", 1), 0);
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo \"<$NOTIFY_SOCKET>\""), &patient);
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	ask(r, "anna", 1);
	expect_secret(r, 1, "<>");
}

/* Standard ones, its socket and its signals. */
static void the_runner_keeps_five_descriptors(void **state)
{
	int fd CLEANUP(fd_closep) = open("/dev/null", O_RDONLY);
	char path[64];
	int n = 0;

	(void)state;
	assert_true(fd > 2);
	struct runner *r CLEANUP(runner_stopp) = start("", &patient);
	(void)snprintf(path, sizeof path, "/proc/%d/fd", (int)r->pid);
	DIR *folder = opendir(path);
	if (!folder && errno == EACCES)
		skip(); /* it is hardened against its own user */
	for (const struct dirent *e; folder && (e = readdir(folder));)
		n += e->d_name[0] != '.';
	if (folder)
		(void)closedir(folder);
	assert_int_equal(n, 5);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, folder_enter, folder_leave)

static void one_that_cannot_answer_any_more_goes(void **state)
{
	struct runner_answer a;
	struct fault f = {0};

	(void)state;
	folder_put("password", "geheim\n");
	sends_left = 1; /* that it has started */
	struct runner *r = start(ACCOUNT("anna", "password-file", "password"), &patient);
	sends_left = -1;
	ask(r, "anna", 7);
	assert_int_equal(next(r, &a, &f), -1);
	assert_int_equal(f.code, FAULT_SYSTEM);
	assert_non_null(strstr(f.text, "gone"));
	assert_null(runner_stop(r));
}

static void a_password_is_given_for_the_place_that_was_meant(void **state)
{
	char host[] = "pop.example.com", other[] = "pop.example.org", user[] = "anna";
	struct account meant = {.host = host, .user = user, .port = 995};
	struct runner *r CLEANUP(runner_stopp) =
		start(ACCOUNT("anna", "password-command", "echo geheim"), &patient);
	struct fault f;

	(void)state;
	assert_int_equal(runner_ask(r, "anna", account_place(&meant), 1, &f), 0);
	expect_secret(r, 1, "geheim");
	meant.host = other;
	assert_int_equal(runner_ask(r, "anna", account_place(&meant), 2, &f), 0);
	expect_fault(r, 2, FAULT_MISSING, "was changed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(a_password_is_given_for_the_place_that_was_meant),
		IN_FOLDER(a_command_and_a_file_give_their_secret),
		IN_FOLDER(a_credential_is_read),
		IN_FOLDER(one_that_cannot_answer_any_more_goes),
		IN_FOLDER(the_longest_secret_passes),
		IN_FOLDER(what_gives_no_secret_is_named_with_the_account),
		IN_FOLDER(a_command_that_hangs_is_ended),
		IN_FOLDER(files_never_wait_for_commands_that_hang),
		IN_FOLDER(commands_run_side_by_side_but_not_too_many),
		IN_FOLDER(no_more_commands_than_the_cap_run_at_once),
		IN_FOLDER(more_asks_than_the_cap_are_refused_and_the_others_answered),
		IN_FOLDER(what_the_socket_did_not_take_is_sent_when_there_is_room),
		IN_FOLDER(a_queue_that_is_full_is_a_fault),
		IN_FOLDER(a_name_that_is_none_is_not_sent),
		IN_FOLDER(a_broken_configuration_starts_nothing),
		IN_FOLDER(a_reload_takes_the_new_configuration),
		IN_FOLDER(a_broken_reload_leaves_the_old_configuration_in_force),
		IN_FOLDER(alerts_run_in_order_with_their_environment),
		IN_FOLDER(a_failing_alert_command_is_complained_of),
		IN_FOLDER(an_alert_command_that_hangs_is_ended_and_the_next_runs),
		IN_FOLDER(alerts_that_cannot_wait_are_counted),
		IN_FOLDER(without_an_alert_command_nothing_happens),
		IN_FOLDER(stopping_lets_alerts_end),
		IN_FOLDER(stopping_waits_no_longer_than_the_limit),
		IN_FOLDER(a_runner_that_dies_is_a_fault),
		IN_FOLDER(signals_for_the_service_leave_the_runner_alone),
		IN_FOLDER(what_is_no_request_ends_the_runner),
		IN_FOLDER(more_asks_than_the_service_would_send_are_refused),
		IN_FOLDER(when_the_service_dies_nothing_stays),
		IN_FOLDER(when_the_service_dies_its_helpers_keep_no_runner),
		IN_FOLDER(commands_do_not_get_the_services_environment),
		IN_FOLDER(the_runner_keeps_five_descriptors),
	};

	return cmocka_run_group_tests_name("runner", tests, NULL, NULL);
}
