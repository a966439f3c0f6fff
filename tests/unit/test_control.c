/* Both ends of the control socket in one process. */
#include "daemon/control.h"

#include "daemon/control_client.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char folder[64];
static char path[128];
static struct control *server;
static struct fault f;
static int64_t later; /* the server's clock is so far ahead */

static int setup(void **state)
{
	(void)state;
	folder_make(folder);
	(void)snprintf(path, sizeof path, "%s/0123.sock", folder);
	later = 0;
	return control_open(path, &server, &f);
}

static int teardown(void **state)
{
	(void)state;
	server = control_close(server);
	folder_remove(folder);
	return 0;
}

/* What is ready now, and nothing that has to be waited for. */
static void turn(void)
{
	struct pollfd polled[CONTROL_POLLED];
	size_t n = control_gather(server, polled, CONTROL_POLLED);

	assert_true(poll(polled, n, 0) >= 0);
	control_serve(server, polled, n, monotonic_ms() + later);
}

static void turns(void)
{
	for (int i = 0; i < 8; i++)
		turn();
}

static struct control_client *ask(const struct control_request *request)
{
	char *at = path;
	struct control_paths paths = {.path = {at}, .n = 1};
	struct control_client *client = NULL;

	assert_int_equal(control_connect(&paths, geteuid(), request, &client, &f), 0);
	return client;
}

static struct control_client *ask_for(enum control_verb verb)
{
	struct control_request request = {.verb = verb};

	return ask(&request);
}

static int connect_raw(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

/* What has come, as text; says whether the end came after it. */
static bool hear(int fd, char *ret, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, ret + len, size - 1 - len, MSG_DONTWAIT);

		if (n > 0)
			len += (size_t)n;
		ret[len] = '\0';
		if (n <= 0)
			return n == 0 || errno == ECONNRESET;
	}
}

static uint64_t take_request(enum control_verb verb)
{
	struct control_request got CLEANUP(control_request_deinit) = {0};

	turns();
	assert_int_equal(control_take(server, &got), CONTROL_REQUEST);
	assert_int_equal(got.verb, verb);
	return got.client;
}

static void send_end(uint64_t client, int status)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(1000);

	assert_int_equal(control_end_encode(status, &line, &f), 0);
	control_send(server, client, buffer_slice(&line), CONTROL_NEEDED);
}

static void a_request_is_taken_and_answered(void **state)
{
	char anna[] = "anna", *names[] = {anna};
	struct control_request request = {
		.verb = CONTROL_FETCH, .accounts = names, .accounts_n = 1};
	struct control_client *client CLEANUP(control_client_closep) = ask(&request);
	struct control_request got CLEANUP(control_request_deinit) = {0};
	struct control_reply reply;

	(void)state;
	turns();
	assert_int_equal(control_take(server, &got), CONTROL_REQUEST);
	assert_int_equal(got.verb, CONTROL_FETCH);
	assert_int_equal(got.accounts_n, 1);
	assert_string_equal(got.accounts[0], "anna");
	send_end(got.client, 3);
	control_end(server, got.client);
	assert_int_equal(control_read(client, &reply, 1000, &f), CONTROL_REPLY);
	assert_int_equal(reply.kind, CONTROL_END);
	assert_int_equal(reply.end.status, 3);
	assert_int_equal(control_read(client, &reply, 1000, &f), 0);
	assert_int_equal(control_clients(server), 0);
	request = (struct control_request){0};
	assert_int_equal(control_take(server, &request), 0);
}

static void the_socket_is_for_its_owner_alone(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void the_socket_goes_with_the_service(void **state)
{
	(void)state;
	server = control_close(server);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(control_open(path, &server, &f), 0);
}

static void a_second_service_is_refused(void **state)
{
	struct control *second = NULL;

	(void)state;
	assert_int_equal(control_open(path, &second, &f), -1);
	assert_int_equal(f.code, FAULT_BUSY);
	assert_non_null(strstr(f.text, path));
	assert_null(second);
	/* It has left the first one's socket alone. */
	struct control_client *client = ask_for(CONTROL_RELOAD);
	(void)take_request(CONTROL_RELOAD);
	(void)control_client_close(client);
}

/* A child binds and dies without unlinking, as a service that is killed does. */
static void leave_a_socket(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		memcpy(address.sun_path, path, strlen(path));
		_exit(fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
			listen(fd, 1) < 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void a_dead_services_socket_is_replaced(void **state)
{
	char *at = path;
	struct control_paths paths = {.path = {at}, .n = 1};
	struct control_request request = {.verb = CONTROL_STATUS};
	struct control_client *client = NULL;

	(void)state;
	server = control_close(server);
	leave_a_socket();
	assert_int_equal(control_connect(&paths, geteuid(), &request, &client, &f), CONTROL_NONE);
	assert_int_equal(control_open(path, &server, &f), 0);
	client = ask(&request);
	(void)take_request(CONTROL_STATUS);
	(void)control_client_close(client);
}

static void a_socket_that_took_its_place_is_left_to_its_owner(void **state)
{
	(void)state;
	assert_int_equal(unlink(path), 0);
	leave_a_socket();
	server = control_close(server);
	assert_int_equal(access(path, F_OK), 0);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct control *second = NULL;
	char file[160];

	(void)state;
	(void)snprintf(file, sizeof file, "%s/file", folder);
	FILE *made = fopen(file, "w");
	assert_non_null(made);
	assert_int_equal(fclose(made), 0);
	assert_int_equal(control_open(file, &second, &f), -1);
	assert_int_equal(f.code, FAULT_ACCESS);
	assert_int_equal(access(file, F_OK), 0);
	/* Nor is what a link leads to. */
	char target[160];
	(void)snprintf(target, sizeof target, "%s/link", folder);
	assert_int_equal(symlink(path, target), 0);
	assert_int_equal(control_open(target, &second, &f), -1);
	assert_int_equal(f.code, FAULT_ACCESS);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_path_that_is_too_long_says_what_to_do(void **state)
{
	struct control *second = NULL;
	char file[200];

	(void)state;
	(void)snprintf(file, sizeof file, "%s/%0*d", folder, 107 - (int)strlen(folder), 0);
	assert_int_equal(strlen(file), 108);
	assert_int_equal(control_open(file, &second, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_non_null(strstr(f.text, "108"));
	assert_non_null(strstr(f.text, "107"));
	assert_non_null(strstr(f.text, "runtime-dir"));
	file[107] = '\0';
	assert_int_equal(control_open(file, &second, &f), 0);
	second = control_close(second);
}

static void hostile_bytes_are_answered_and_the_client_dropped(void **state)
{
	static const struct {
		const char *said, *answered;
	} cases[] = {
		{"\n", "JSON"},
		{"GET / HTTP/1.1\r\n\r\n", "JSON"},
		{"[]\n", "\\\"v\\\""},
		{"{\"v\":2,\"request\":\"fetch\"}\n", "version 2"},
		{"{\"v\":1,\"request\":\"obey\\u001b[2J\"}\n", "obey\\\\x1b[2J"},
		{"{\"v\":1,\"request\":\"fetch\",\"accounts\":[\"../x\"]}\n", "../x"},
		{"{\"v\":1,\"request\":\"fetch\",\"accounts\":\"anna\"}\n", "array"},
		{"{\"v\":1,\"x\":[[[[[[[[[1]]]]]]]]]}\n", "deep"},
		{"{\"v\":1,\"v\":1}\n", "duplicate"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct control_request got;
		int fd CLEANUP(fd_closep) = connect_raw();
		char answer[2000];

		say(fd, cases[i].said);
		turns();
		assert_int_equal(control_take(server, &got), 0);
		assert_true(hear(fd, answer, sizeof answer));
		if (!strstr(answer, cases[i].answered))
			fail_msg("%s: %s", cases[i].said, answer);
		assert_non_null(strstr(answer, "{\"v\":1,\"reply\":\"error\","));
		assert_non_null(strstr(answer, "\n{\"v\":1,\"reply\":\"end\","));
		assert_int_equal(control_clients(server), 0);
	}
}

static void a_request_in_pieces_is_taken_when_it_is_whole(void **state)
{
	static const char line[] = "{\"v\":1,\"request\":\"status\",\"all\":true,\"new\":{}}\n";
	struct control_request got CLEANUP(control_request_deinit) = {0};
	int fd CLEANUP(fd_closep) = connect_raw();

	(void)state;
	for (size_t i = 0; line[i]; i++) {
		assert_int_equal(control_take(server, &got), 0);
		assert_int_equal(send(fd, line + i, 1, MSG_NOSIGNAL), 1);
		turns();
	}
	assert_int_equal(control_take(server, &got), CONTROL_REQUEST);
	assert_int_equal(got.verb, CONTROL_STATUS);
	assert_int_equal(got.extent, CONTROL_ALL);
}

static void a_line_that_never_ends_is_refused(void **state)
{
	static char much[64 * 1024];
	int fd CLEANUP(fd_closep) = connect_raw();
	char answer[2000] = "";

	(void)state;
	memset(much, ' ', sizeof much);
	for (int i = 0; i < 40; i++) {
		(void)send(fd, much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT);
		turns();
	}
	(void)hear(fd, answer, sizeof answer);
	assert_non_null(strstr(answer, "1048576"));
	assert_int_equal(control_clients(server), 0);
}

static void a_client_that_says_nothing_is_dropped(void **state)
{
	int fd CLEANUP(fd_closep) = connect_raw();
	char answer[100];

	(void)state;
	turns();
	assert_int_equal(control_clients(server), 1);
	assert_in_range(control_due(server) - monotonic_ms(), 1, LIMIT_CONTROL_MS);
	say(fd, "{\"v\":1,");
	later = LIMIT_CONTROL_MS - 1000;
	turns();
	assert_int_equal(control_clients(server), 1);
	later = LIMIT_CONTROL_MS + 1;
	turns();
	assert_int_equal(control_clients(server), 0);
	assert_true(hear(fd, answer, sizeof answer));
	assert_true(control_due(server) == INT64_MAX);
}

static void no_more_clients_are_served_than_the_limit(void **state)
{
	int fds[LIMIT_CONTROL_CLIENTS + 1];
	char answer[1000];

	(void)state;
	for (size_t i = 0; i <= LIMIT_CONTROL_CLIENTS; i++) {
		fds[i] = connect_raw();
		turns();
	}
	assert_int_equal(control_clients(server), LIMIT_CONTROL_CLIENTS);
	assert_true(hear(fds[LIMIT_CONTROL_CLIENTS], answer, sizeof answer));
	assert_non_null(strstr(answer, "\"status\":6"));
	/* One goes, another one comes. */
	assert_int_equal(close(fds[0]), 0);
	turns();
	fds[0] = connect_raw();
	turns();
	assert_int_equal(control_clients(server), LIMIT_CONTROL_CLIENTS);
	for (size_t i = 0; i <= LIMIT_CONTROL_CLIENTS; i++)
		assert_int_equal(close(fds[i]), 0);
	turns();
	assert_int_equal(control_clients(server), 0);
}

static void a_client_that_leaves_is_told_of_once(void **state)
{
	struct control_client *client = ask_for(CONTROL_STATUS);
	uint64_t id = take_request(CONTROL_STATUS);
	struct control_request got;

	(void)state;
	(void)control_client_close(client);
	turns();
	assert_int_equal(control_take(server, &got), CONTROL_GONE);
	assert_int_equal(got.client, id);
	assert_int_equal(control_take(server, &got), 0);
	send_end(id, 0);
	control_end(server, id);
	assert_int_equal(control_take(server, &got), 0);
}

static void one_that_only_stops_sending_still_reads(void **state)
{
	int fd CLEANUP(fd_closep) = connect_raw();
	struct control_request got;
	char answer[1000];

	(void)state;
	say(fd, "{\"v\":1,\"request\":\"status\"}\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	uint64_t id = take_request(CONTROL_STATUS);
	turns();
	assert_int_equal(control_take(server, &got), 0);
	/* Nor does the end that was read keep the loop awake. */
	struct pollfd polled[CONTROL_POLLED];
	assert_int_equal(poll(polled, control_gather(server, polled, CONTROL_POLLED), 0), 0);
	send_end(id, 0);
	control_end(server, id);
	assert_true(hear(fd, answer, sizeof answer));
	assert_string_equal(answer, "{\"v\":1,\"reply\":\"end\",\"status\":0}\n");
}

static const char kilobyte[1024 + 1] = "";

/* Lines of a kibibyte, until the server has got rid of the client or n were sent. */
static void send_many(uint64_t client, size_t n, enum control_urgency urgency)
{
	for (size_t i = 0; i < n && control_clients(server) > 0; i++)
		control_send(server, client, slice_of(kilobyte, 1024), urgency);
}

static void a_client_that_never_reads_misses_progress_first(void **state)
{
	int fd CLEANUP(fd_closep) = connect_raw();
	struct control_request got;

	(void)state;
	say(fd, "{\"v\":1,\"request\":\"status\"}\n");
	uint64_t id = take_request(CONTROL_STATUS);
	send_many(id, 1000000, CONTROL_SKIPPABLE);
	turns();
	assert_int_equal(control_clients(server), 1);
	assert_int_equal(control_take(server, &got), 0);
	send_many(id, LIMIT_CONTROL_OUTPUT / 1024 + 1024, CONTROL_NEEDED);
	assert_int_equal(control_clients(server), 0);
	assert_int_equal(control_take(server, &got), CONTROL_GONE);
	assert_int_equal(got.client, id);
}

static void a_long_answer_arrives_whole(void **state)
{
	enum { LINES = LIMIT_CONTROL_OUTPUT / 1024 - 1 };
	int fd CLEANUP(fd_closep) = connect_raw();
	static char heard[64 * 1024];
	uint64_t got = 0;

	(void)state;
	say(fd, "{\"v\":1,\"request\":\"status\"}\n");
	uint64_t id = take_request(CONTROL_STATUS);
	send_many(id, LINES, CONTROL_NEEDED);
	control_end(server, id);
	assert_int_equal(control_clients(server), 1);
	for (ssize_t n; (n = recv(fd, heard, sizeof heard, MSG_DONTWAIT)) != 0;) {
		if (n < 0)
			turn();
		else
			got += (uint64_t)n;
	}
	assert_int_equal(got, (uint64_t)LINES * 1024);
	assert_int_equal(control_clients(server), 0);
}

static void one_that_is_always_behind_costs_no_more_in_time(void **state)
{
	int fd CLEANUP(fd_closep) = connect_raw();
	static char heard[64 * 1024];
	uint64_t got = 0;

	(void)state;
	say(fd, "{\"v\":1,\"request\":\"status\"}\n");
	uint64_t id = take_request(CONTROL_STATUS);
	send_many(id, 2048, CONTROL_NEEDED);
	while (got < 3 * LIMIT_CONTROL_OUTPUT) {
		ssize_t n = recv(fd, heard, sizeof heard, 0);

		assert_true(n > 0);
		got += (uint64_t)n;
		send_many(id, (size_t)n / 1024, CONTROL_NEEDED);
		turn();
	}
	assert_int_equal(control_clients(server), 1);
}

static void a_client_waits_no_longer_than_it_wants(void **state)
{
	struct control_client *client CLEANUP(control_client_closep) = ask_for(CONTROL_STATUS);
	struct control_reply reply;

	(void)state;
	assert_int_equal(control_read(client, &reply, 0, &f), CONTROL_NOTHING);
	assert_int_equal(control_read(client, &reply, 20, &f), CONTROL_NOTHING);
}

static void replies_of_later_versions_are_passed_over(void **state)
{
	struct control_client *client CLEANUP(control_client_closep) = ask_for(CONTROL_STATUS);
	uint64_t id = take_request(CONTROL_STATUS);
	struct control_reply reply;

	(void)state;
	control_send(server, id, slice_text("{\"v\":1,\"reply\":\"weather\",\"sun\":true}\n"),
		CONTROL_NEEDED);
	assert_int_equal(control_read(client, &reply, 0, &f), CONTROL_NOTHING);
	send_end(id, 4);
	assert_int_equal(control_read(client, &reply, 0, &f), CONTROL_REPLY);
	assert_int_equal(reply.end.status, 4);
	control_send(server, id, slice_text("what\n"), CONTROL_NEEDED);
	assert_int_equal(control_read(client, &reply, 0, &f), -1);
	assert_int_equal(f.code, FAULT_PROTOCOL);
}

static void a_client_takes_no_line_without_end(void **state)
{
	struct control_client *client CLEANUP(control_client_closep) = ask_for(CONTROL_STATUS);
	uint64_t id = take_request(CONTROL_STATUS);
	struct control_reply reply;

	(void)state;
	send_many(id, 2 * LIMIT_CONTROL_REPLY / 1024, CONTROL_NEEDED);
	assert_int_equal(control_read(client, &reply, 0, &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
}

static void a_service_of_somebody_else_is_passed_over(void **state)
{
	char nothing[160], *at = path, *first = nothing;
	struct control_paths paths = {.path = {first, at}, .n = 2};
	struct control_request request = {.verb = CONTROL_STATUS};
	struct control_client *client = NULL;

	(void)state;
	(void)snprintf(nothing, sizeof nothing, "%s/nothing", folder);
	/* Root's service is trusted by everybody; ours only by ourselves. */
	int expected = geteuid() == 0 ? 0 : CONTROL_NONE;
	assert_int_equal(control_connect(&paths, geteuid() + 1, &request, &client, &f), expected);
	(void)control_client_close(client);
	assert_int_equal(control_connect(&paths, geteuid(), &request, &client, &f), 0);
	(void)control_client_close(client);
}

/* As nobody: 0 when the server answered that it listens to its own user only. */
static int ask_as_nobody(int ready)
{
	char answer[1000], byte;
	size_t len = 0;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 1;
	int fd = connect_raw();
	if (read(ready, &byte, 1) != 1)
		return 2;
	for (ssize_t n; (n = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0;)
		len += (size_t)n;
	answer[len] = '\0';
	return strstr(answer, "\"status\":2") && strstr(answer, "own user") ? 0 : 3;
}

static void a_stranger_gets_one_error_and_is_closed(void **state)
{
	int ready[2], status = -1;

	(void)state;
	if (geteuid() != 0)
		skip();
	/* Modes that let a stranger come so far are not ours, but may be set. */
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0)
		_exit(ask_as_nobody(ready[0]));
	struct pollfd polled[CONTROL_POLLED];
	size_t n = control_gather(server, polled, CONTROL_POLLED);
	assert_int_equal(poll(polled, n, 10000), 1);
	control_serve(server, polled, n, monotonic_ms());
	assert_int_equal(control_clients(server), 0);
	assert_int_equal(write(ready[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static int control_as_nobody(void)
{
	char *at = path;
	struct control_paths paths = {.path = {at}, .n = 1};
	struct control_request request = {.verb = CONTROL_STATUS};
	struct control_client *client = NULL;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 1;
	return control_connect(&paths, 0, &request, &client, &f) < 0 && f.code == FAULT_ACCESS ? 0
											       : 2;
}

static void a_socket_that_admits_others_only_is_an_error(void **state)
{
	int status = -1;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(folder, 0755), 0);
	pid_t child = fork();
	if (child == 0)
		_exit(control_as_nobody());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

#define WITH_SERVER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(a_request_is_taken_and_answered),
		WITH_SERVER(the_socket_is_for_its_owner_alone),
		WITH_SERVER(the_socket_goes_with_the_service),
		WITH_SERVER(a_second_service_is_refused),
		WITH_SERVER(a_dead_services_socket_is_replaced),
		WITH_SERVER(a_socket_that_took_its_place_is_left_to_its_owner),
		WITH_SERVER(what_is_no_socket_is_left_alone),
		WITH_SERVER(a_path_that_is_too_long_says_what_to_do),
		WITH_SERVER(hostile_bytes_are_answered_and_the_client_dropped),
		WITH_SERVER(a_request_in_pieces_is_taken_when_it_is_whole),
		WITH_SERVER(a_line_that_never_ends_is_refused),
		WITH_SERVER(a_client_that_says_nothing_is_dropped),
		WITH_SERVER(no_more_clients_are_served_than_the_limit),
		WITH_SERVER(a_client_that_leaves_is_told_of_once),
		WITH_SERVER(one_that_only_stops_sending_still_reads),
		WITH_SERVER(a_client_that_never_reads_misses_progress_first),
		WITH_SERVER(a_long_answer_arrives_whole),
		WITH_SERVER(one_that_is_always_behind_costs_no_more_in_time),
		WITH_SERVER(a_client_waits_no_longer_than_it_wants),
		WITH_SERVER(replies_of_later_versions_are_passed_over),
		WITH_SERVER(a_client_takes_no_line_without_end),
		WITH_SERVER(a_service_of_somebody_else_is_passed_over),
		WITH_SERVER(a_stranger_gets_one_error_and_is_closed),
		WITH_SERVER(a_socket_that_admits_others_only_is_an_error),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
