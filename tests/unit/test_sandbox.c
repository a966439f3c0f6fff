/* Each test forks: what is shut in stays so. */
#include "daemon/sandbox.h"

#include "archive/own.h"
#include "daemon/sandbox_private.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITISED 1
#else
#define SANITISED 0
#endif

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

static int setup(void **state)
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

static int teardown(void **state)
{
	struct house *h = *state;

	close(h->listener);
	close(h->socket);
	folder_remove(h->inside);
	folder_remove(h->outside);
	free(h);
	return 0;
}

static int enter(
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

static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* What the attempt gave from inside: 0 when it worked, an errno when not. */
static int from_inside(void **state, attempt *try)
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

static int from_outside(void **state, attempt *try)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(try(*state));
	return wait_for(pid);
}

/* Landlock's version here; 0: none. */
static long landlock(void)
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

static int result(long r)
{
	return r < 0 ? errno : 0;
}

/* What is taken away. */

static int read_outer(const struct house *h)
{
	return result(open(h->outer, O_RDONLY | O_CLOEXEC));
}

static int write_outer(const struct house *h)
{
	return result(open(h->outer, O_WRONLY | O_CLOEXEC));
}

static int list_outside(const struct house *h)
{
	return result(open(h->outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int remove_outer(const struct house *h)
{
	return result(unlink(h->outer));
}

static int carry_out(const struct house *h)
{
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/carried", h->outside);
	return result(rename(h->inner, path));
}

static int write_passwd(const struct house *h)
{
	(void)h;
	return result(open("/etc/passwd", O_WRONLY | O_CLOEXEC));
}

static void files_outside_cannot_be_reached(void **state)
{
	NEED(landlock() >= 1);
	assert_int_equal(from_outside(state, read_outer), 0);
	assert_int_equal(from_inside(state, read_outer), EACCES);
	assert_int_equal(from_inside(state, write_outer), EACCES);
	assert_int_equal(from_inside(state, list_outside), EACCES);
	assert_int_equal(from_inside(state, remove_outer), EACCES);
	assert_int_equal(from_inside(state, write_passwd), EACCES);
	int r = from_inside(state, carry_out);
	assert_true(r == EACCES || r == EXDEV);
}

static int truncate_outer(const struct house *h)
{
	return result(truncate(h->outer, 0));
}

static int truncate_while_reading(const struct house *h)
{
	return result(open(h->inner, O_RDONLY | O_TRUNC | O_CLOEXEC));
}

static int truncate_without_access(const struct house *h)
{
	return result(open(h->inner, O_ACCMODE | O_TRUNC | O_CLOEXEC));
}

static void a_path_cannot_be_truncated(void **state)
{
	assert_int_equal(from_inside(state, truncate_outer), EPERM);
	assert_int_equal(from_inside(state, truncate_while_reading), EPERM);
	assert_int_equal(from_inside(state, truncate_without_access), EPERM);
	assert_int_equal(from_outside(state, truncate_outer), 0);
}

static int chmod_outer(const struct house *h)
{
	return result(chmod(h->outer, 0644));
}

static int change_mode(const struct house *h, mode_t mode)
{
	int fd = open(h->inner, O_RDWR | O_CLOEXEC);

	return fd < 0 ? WRONG : result(fchmod(fd, mode));
}

static int fchmod_to_write(const struct house *h)
{
	return change_mode(h, 0602);
}

static int fchmod_to_run(const struct house *h)
{
	return change_mode(h, 0701);
}

static int fchmod_to_become(const struct house *h)
{
	return change_mode(h, 04700);
}

static int fchmod_to_read(const struct house *h)
{
	return change_mode(h, 0644);
}

static int chown_inner(const struct house *h)
{
	return result(chown(h->inner, geteuid(), getegid()));
}

static int mark_inner(const struct house *h)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	return result(utimensat(AT_FDCWD, h->inner, times, 0));
}

static int mark_open(const struct house *h)
{
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	int fd = open(h->inner, O_RDWR | O_CLOEXEC);

	return fd < 0 ? WRONG : result(futimens(fd, times));
}

static void modes_owners_and_times_stay(void **state)
{
	assert_int_equal(from_inside(state, chmod_outer), EPERM);
	assert_int_equal(from_inside(state, fchmod_to_write), EPERM);
	assert_int_equal(from_inside(state, fchmod_to_run), EPERM);
	assert_int_equal(from_inside(state, fchmod_to_become), EPERM);
	assert_int_equal(from_inside(state, fchmod_to_read), 0);
	assert_int_equal(from_inside(state, chown_inner), EPERM);
	assert_int_equal(from_inside(state, mark_inner), EPERM);
	assert_int_equal(from_inside(state, mark_open), 0);
}

static int run_true(const struct house *h)
{
	char *const arguments[] = {NULL};

	(void)h;
	return result(execve("/bin/true", arguments, arguments));
}

static void no_program_can_be_run(void **state)
{
	assert_int_equal(from_outside(state, run_true), 0);
	assert_int_equal(from_inside(state, run_true), EPERM);
}

static int fork_once(const struct house *h)
{
	(void)h;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int raw_fork(const struct house *h)
{
	(void)h;
	long pid = syscall(SYS_clone, (unsigned long)SIGCHLD | (UINT64_C(1) << 40), 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int trace_parent(const struct house *h)
{
	(void)h;
	return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static void no_process_can_be_made_or_traced(void **state)
{
	NEED(!SANITISED);
	assert_int_equal(from_inside(state, fork_once), EPERM);
	assert_int_equal(from_inside(state, raw_fork), EPERM);
	assert_int_equal(from_inside(state, trace_parent), EPERM);
}

static int signal_parent(const struct house *h)
{
	(void)h;
	return result(kill(getppid(), 0));
}

static int signal_group(const struct house *h)
{
	(void)h;
	return result(kill(0, 0));
}

static int signal_self(const struct house *h)
{
	(void)h;
	return result(kill(getpid(), 0));
}

static int own_descriptor(const struct house *h)
{
	return result(fcntl(h->listener, F_SETOWN, getppid()));
}

static int limit_parent(const struct house *h)
{
	(void)h;
	return result(syscall(SYS_prlimit64, getppid(), 0, NULL, NULL));
}

static int abort_now(const struct house *h)
{
	(void)h;
	(void)signal(SIGABRT, SIG_DFL);
	abort();
}

static void other_processes_get_no_signal(void **state)
{
	assert_int_equal(from_outside(state, signal_parent), 0);
	assert_int_equal(from_inside(state, signal_parent), EPERM);
	assert_int_equal(from_inside(state, signal_group), EPERM);
	assert_int_equal(from_inside(state, own_descriptor), EPERM);
	assert_int_equal(from_inside(state, limit_parent), EPERM);
	assert_int_equal(from_inside(state, signal_self), 0);
	assert_int_equal(from_inside(state, abort_now), 1000 + SIGABRT);
}

static int packet_socket(const struct house *h)
{
	(void)h;
	return result(socket(AF_PACKET, SOCK_DGRAM, 0));
}

static int disguised_socket(const struct house *h)
{
	(void)h;
	return result(syscall(SYS_socket, AF_PACKET | (INT64_C(1) << 33), SOCK_DGRAM, 0));
}

static int vsock_socket(const struct house *h)
{
	(void)h;
	return result(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int audit_socket(const struct house *h)
{
	(void)h;
	return result(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
}

static int listen_again(const struct house *h)
{
	return result(listen(h->socket, 1));
}

static int bind_port(const struct house *h)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)h;
	return fd < 0 ? WRONG : result(bind(fd, (struct sockaddr *)&in, sizeof(in)));
}

static void only_the_internet_and_unix_sockets_are_left(void **state)
{
	assert_int_equal(from_inside(state, packet_socket), EPERM);
	assert_int_equal(from_inside(state, disguised_socket), EPERM);
	assert_int_equal(from_inside(state, vsock_socket), EPERM);
	assert_int_equal(from_inside(state, audit_socket), EPERM);
	assert_int_equal(from_inside(state, listen_again), EPERM);
}

static void no_tcp_port_can_be_bound(void **state)
{
	NEED(landlock() >= 4);
	assert_int_equal(from_outside(state, bind_port), 0);
	assert_int_equal(from_inside(state, bind_port), EACCES);
}

static int writable_code(const struct house *h)
{
	(void)h;
	void *code = mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return code == MAP_FAILED ? errno : 0;
}

static int data_to_code(const struct house *h)
{
	(void)h;
	void *data = mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return data == MAP_FAILED ? WRONG : result(mprotect(data, 4096, PROT_READ | PROT_EXEC));
}

static int type_into_terminal(const struct house *h)
{
	return result(syscall(SYS_ioctl, h->listener, TIOCSTI | (INT64_C(1) << 32), "x"));
}

static int new_user_space(const struct house *h)
{
	(void)h;
	return result(unshare(CLONE_NEWUSER));
}

static int become_root(const struct house *h)
{
	(void)h;
	return result(setuid(geteuid()));
}

static int call_of_tomorrow(const struct house *h)
{
	(void)h;
	return result(syscall(500));
}

static int ring(const struct house *h)
{
	(void)h;
	return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static void what_attacks_use_is_denied(void **state)
{
	assert_int_equal(from_inside(state, writable_code), EPERM);
	assert_int_equal(from_inside(state, data_to_code), EPERM);
	assert_int_equal(from_inside(state, type_into_terminal), EPERM);
	assert_int_equal(from_inside(state, new_user_space), EPERM);
	assert_int_equal(from_inside(state, become_root), EPERM);
	assert_int_equal(from_inside(state, call_of_tomorrow), ENOSYS);
	assert_int_equal(from_inside(state, ring), ENOSYS);
}

/* What must go on working. */

static int use_sqlite(const struct house *h)
{
	char path[PATH_SIZE];
	sqlite3 *db = NULL;

	(void)snprintf(path, sizeof(path), "%s/catalog.db", h->inside);
	int r = sqlite3_open(path, &db);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db,
			"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			"CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);"
			"INSERT INTO t (b) VALUES ('x'), ('y');"
			"PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM t; VACUUM;",
			NULL, NULL, NULL);
	if (r == SQLITE_OK && access(h->inside, F_OK) < 0)
		r = WRONG;
	(void)sqlite3_close(db);
	return r;
}

static void sqlite_works_in_wal_mode(void **state)
{
	assert_int_equal(from_inside(state, use_sqlite), 0);
}

static int use_files(const struct house *h)
{
	char path[PATH_SIZE], folder[PATH_SIZE];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	struct statvfs space;

	(void)snprintf(folder, sizeof(folder), "%s/segments", h->inside);
	(void)snprintf(path, sizeof(path), "%s/segments/renamed", h->inside);
	int hidden = open(h->inside, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int inner = open(h->inner, O_RDWR | O_CLOEXEC);
	int inside = open(h->inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (hidden < 0 || inner < 0 || inside < 0)
		return 1;
	if (write(hidden, "x", 1) != 1 || ftruncate(hidden, 0) < 0)
		return 2;
	if (fcntl(inner, F_OFD_SETLK, &lock) < 0 || flock(inside, LOCK_EX) < 0)
		return 3;
	if (fallocate(inner, FALLOC_FL_KEEP_SIZE, 0, 65536) < 0 && errno != EOPNOTSUPP)
		return 4;
	if (mkdir(folder, 0700) < 0 || fdatasync(inner) < 0 || fsync(inside) < 0)
		return 5;
	if (rename(h->inner, path) < 0 && !(errno == EXDEV && landlock() == 1))
		return 6;
	if (statvfs(h->inside, &space) < 0 || eventfd(0, EFD_CLOEXEC) < 0)
		return 7;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	return null < 0 || write(null, "x", 1) != 1 ? 8 : 0;
}

static void what_the_archive_does_with_files_works(void **state)
{
	assert_int_equal(from_inside(state, use_files), 0);
}

static void *answer(void *argument)
{
	*(int *)argument = 42;
	return argument;
}

static int use_threads(const struct house *h)
{
	int value = 0;
	pthread_t thread;

	(void)h;
	int r = pthread_create(&thread, NULL, answer, &value);
	if (r != 0)
		return r;
	return pthread_join(thread, NULL) == 0 && value == 42 ? 0 : WRONG;
}

static void threads_work(void **state)
{
	assert_int_equal(from_inside(state, use_threads), 0);
}

static int look_up(const struct house *h)
{
	struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};

	(void)h;
	int r = getaddrinfo("localhost", "pop3", &hints, &found);
	if (r == 0)
		freeaddrinfo(found);
	return r == 0 ? 0 : WRONG;
}

static void names_are_looked_up(void **state)
{
	assert_int_equal(from_inside(state, look_up), 0);
}

static int connect_by_curl(const struct house *h)
{
	char url[PATH_SIZE];
	CURL *easy = curl_easy_init();

	(void)snprintf(url, sizeof(url), "http://localhost:%u/", (unsigned)h->port);
	(void)curl_easy_setopt(easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
	CURLcode r = curl_easy_perform(easy);
	curl_easy_cleanup(easy);
	return (int)r;
}

static void libcurl_connects(void **state)
{
	assert_int_equal(from_inside(state, connect_by_curl), 0);
}

static int accept_one(const struct house *h)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, h->address, strlen(h->address) + 1);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return errno;
	int got = accept4(h->socket, NULL, NULL, SOCK_CLOEXEC);
	if (got < 0 || getsockopt(got, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return errno;
	return peer.pid == getpid() ? 0 : WRONG;
}

static void a_socket_that_listens_accepts(void **state)
{
	assert_int_equal(from_inside(state, accept_one), 0);
}

static int read_proc(const struct house *h)
{
	(void)h;
	return result(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
}

static int read_certificates(const struct house *h)
{
	(void)h;
	return result(open("/etc/ssl/certs", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static void certificates_and_what_tells_of_itself_can_be_read(void **state)
{
	assert_int_equal(from_inside(state, read_proc), 0);
	if (access("/etc/ssl/certs", R_OK) == 0)
		assert_int_equal(from_inside(state, read_certificates), 0);
}

/* Kernels without it, and plans that are wrong. */

static void take_away(int call, int error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), call, 0) < 0 ||
		seccomp_load(filter) < 0)
		_exit(WRONG);
	seccomp_release(filter);
}

static int enter_without_landlock(const struct house *h, enum sandbox_mode mode)
{
	struct sandbox_state s = {0};
	struct fault f = {0};

	take_away(SCMP_SYS(landlock_create_ruleset), ENOSYS);
	if (enter(h, mode, &s, &f) < 0)
		return f.code == FAULT_SYSTEM && strstr(f.text, "no Landlock on this kernel") ? 1
											      : 2;
	if (!s.incomplete || strcmp(s.text, "no Landlock on this kernel, seccomp") != 0)
		return 3;
	return run_true(h) == EPERM ? 0 : 4;
}

static int best_without_landlock(const struct house *h)
{
	return enter_without_landlock(h, SANDBOX_BEST);
}

static int required_without_landlock(const struct house *h)
{
	return enter_without_landlock(h, SANDBOX_REQUIRED);
}

static void best_goes_on_without_landlock_and_says_so(void **state)
{
	assert_int_equal(from_outside(state, best_without_landlock), 0);
}

static void required_refuses_a_kernel_without_landlock(void **state)
{
	assert_int_equal(from_outside(state, required_without_landlock), 1);
}

static int required_with_all(const struct house *h)
{
	struct sandbox_state s = {0};
	struct fault f = {0};
	char text[SANDBOX_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "Landlock %ld, seccomp", landlock());
	if (enter(h, SANDBOX_REQUIRED, &s, &f) < 0)
		return 1;
	return s.incomplete || strcmp(s.text, text) != 0 ? 2 : 0;
}

static void the_state_names_what_is_in_force(void **state)
{
	NEED(landlock() >= 1);
	assert_int_equal(from_outside(state, required_with_all), 0);
}

static int abi_to_try;

static int enter_as(const struct house *h)
{
	const char *const folders[] = {h->inside};
	const struct sandbox_plan plan = {.write_folders = folders, .write_folders_n = 1};
	char lack[SANDBOX_LACK_MAX];
	struct fault f;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		sandbox_landlock_as(abi_to_try, &plan, lack, &f) != 0)
		return 20;
	if (read_outer(h) != EACCES || write_outer(h) != EACCES || remove_outer(h) != EACCES)
		return 21;
	if (bind_port(h) != (abi_to_try >= 4 ? EACCES : 0))
		return 22;
	if (signal_parent(h) != (abi_to_try >= 6 ? EPERM : 0))
		return 23;
	int moved = use_files(h);
	return abi_to_try == 1 && moved == 6 ? 0 : moved;
}

static void older_versions_of_landlock_do_what_they_can(void **state)
{
	NEED(landlock() >= 1);
	for (abi_to_try = 1; abi_to_try <= 6 && abi_to_try <= landlock(); abi_to_try++) {
		assert_int_equal(from_outside(state, enter_as), 0);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static int missing_folder(const struct house *h)
{
	struct house other = *h;
	struct sandbox_state s = {0};
	struct fault f = {0};

	(void)snprintf(other.inside, sizeof(other.inside), "/nowhere/at all");
	if (enter(&other, SANDBOX_BEST, &s, &f) == 0)
		return 1;
	return f.code == FAULT_SYSTEM && strstr(f.text, "/nowhere/at all") ? 0 : 2;
}

static void a_write_folder_that_is_missing_is_an_error(void **state)
{
	NEED(landlock() >= 1);
	assert_int_equal(from_outside(state, missing_folder), 0);
}

static void *wait_for_ever(void *argument)
{
	for (;;)
		(void)pause();
	return argument;
}

static int with_a_thread(const struct house *h)
{
	struct sandbox_state s = {0};
	struct fault f = {0};
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
		return 1;
	return enter(h, SANDBOX_BEST, &s, &f) < 0 && f.code == FAULT_SYSTEM ? 0 : 2;
}

static void a_thread_that_would_stay_outside_is_an_error(void **state)
{
	assert_int_equal(from_outside(state, with_a_thread), 0);
}

#define INSIDE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		INSIDE(files_outside_cannot_be_reached),
		INSIDE(a_path_cannot_be_truncated),
		INSIDE(modes_owners_and_times_stay),
		INSIDE(no_program_can_be_run),
		INSIDE(no_process_can_be_made_or_traced),
		INSIDE(other_processes_get_no_signal),
		INSIDE(only_the_internet_and_unix_sockets_are_left),
		INSIDE(no_tcp_port_can_be_bound),
		INSIDE(what_attacks_use_is_denied),
		INSIDE(sqlite_works_in_wal_mode),
		INSIDE(what_the_archive_does_with_files_works),
		INSIDE(threads_work),
		INSIDE(names_are_looked_up),
		INSIDE(libcurl_connects),
		INSIDE(a_socket_that_listens_accepts),
		INSIDE(certificates_and_what_tells_of_itself_can_be_read),
		INSIDE(best_goes_on_without_landlock_and_says_so),
		INSIDE(required_refuses_a_kernel_without_landlock),
		INSIDE(the_state_names_what_is_in_force),
		INSIDE(older_versions_of_landlock_do_what_they_can),
		INSIDE(a_write_folder_that_is_missing_is_an_error),
		INSIDE(a_thread_that_would_stay_outside_is_an_error),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
