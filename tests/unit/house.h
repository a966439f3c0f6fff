/* What tests of the sandbox try, in a process of its own: what is shut in stays so. */
#pragma once

#include "daemon/sandbox.h"
#include "tests/unit/folder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_SIZE = 256, NOT_ENTERED = 250, WRONG = 251 };

struct house {
	char inside[64];
	char outside[64];
	char inner[PATH_SIZE]; /* a file inside */
	char outer[PATH_SIZE]; /* a file outside */
	int listener;	       /* TCP, on loopback */
	int socket;	       /* Unix, listening, inside */
	char address[PATH_SIZE];
	uint16_t port;
};

static inline int setup(void **state)
{
	struct house *h = calloc(1, sizeof(*h));
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(in);

	assert_non_null(h);
	folder_make(h->inside);
	folder_make(h->outside);
	(void)snprintf(h->inner, sizeof(h->inner), "%s/inner", h->inside);
	(void)snprintf(h->outer, sizeof(h->outer), "%s/outer", h->outside);
	(void)snprintf(h->address, sizeof(h->address), "%s/socket", h->inside);
	for (int i = 0; i < 2; i++) {
		int fd = open(i ? h->inner : h->outer, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, "mail", 4), 4);
		close(fd);
	}
	h->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(h->listener, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(h->listener, 4), 0);
	assert_int_equal(getsockname(h->listener, (struct sockaddr *)&in, &size), 0);
	h->port = ntohs(in.sin_port);
	h->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(un.sun_path, h->address, strlen(h->address) + 1);
	assert_int_equal(bind(h->socket, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(h->socket, 4), 0);
	*state = h;
	return 0;
}

static inline int teardown(void **state)
{
	struct house *h = *state;

	close(h->listener);
	close(h->socket);
	folder_remove(h->inside);
	folder_remove(h->outside);
	free(h);
	return 0;
}

static inline int enter(
	const struct house *h, enum sandbox_mode mode, struct sandbox_state *ret, struct fault *f)
{
	const char *const folders[] = {h->inside};
	const char *const reads[] = {"/nowhere/at/all"};
	const struct sandbox_plan plan = {.write_folders = folders,
		.write_folders_n = 1,
		.read_paths = reads,
		.read_paths_n = 1,
		.mode = mode};

	return sandbox_enter(&plan, ret, f);
}

typedef int attempt(const struct house *h);

static inline int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* What the attempt gave from inside: 0 when it worked, an errno when not. */
static inline int from_inside(void **state, attempt *try)
{
	struct sandbox_state s;
	struct fault f = {0};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (enter(*state, SANDBOX_BEST, &s, &f) < 0) {
			(void)fprintf(stderr, "# %s\n", f.text);
			_exit(NOT_ENTERED);
		}
		_exit(try(*state));
	}
	return wait_for(pid);
}

static inline int from_outside(void **state, attempt *try)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(try(*state));
	return wait_for(pid);
}

/* Landlock's version here; 0: none. */
static inline long landlock(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

	return abi < 0 ? 0 : abi;
}

/* skip() of cmocka counts as failed in TAP. */
#define NEED(what)                                                                                 \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			print_message("# not here: " #what "\n");                                  \
			return;                                                                    \
		}                                                                                  \
	} while (0)

static inline int result(long r)
{
	return r < 0 ? errno : 0;
}

/* Attempts that both files make. */

static inline int read_outer(const struct house *h)
{
	return result(open(h->outer, O_RDONLY | O_CLOEXEC));
}

static inline int write_outer(const struct house *h)
{
	return result(open(h->outer, O_WRONLY | O_CLOEXEC));
}

static inline int remove_outer(const struct house *h)
{
	return result(unlink(h->outer));
}

static inline int run_true(const struct house *h)
{
	char *const arguments[] = {NULL};

	(void)h;
	return result(execve("/bin/true", arguments, arguments));
}

static inline int signal_parent(const struct house *h)
{
	(void)h;
	return result(kill(getppid(), 0));
}

static inline int bind_port(const struct house *h)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)h;
	return fd < 0 ? WRONG : result(bind(fd, (struct sockaddr *)&in, sizeof(in)));
}

#define INSIDE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
