/* What popkeep-worker cannot do and what it can, tried from inside. */
#include "daemon/worker_sandbox.h"

#include "daemon/sandbox_private.h"
#include "tests/unit/house.h"

#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITISED 1
#else
#define SANITISED 0
#endif

/* Made before the sandbox is entered, as the worker is given them. */
struct given {
	struct house house;
	int source;  /* h.inner, for reading */
	int scratch; /* for reading and writing */
	int pipes[2];
};

static struct given *given;

static int set_up(void **state)
{
	void *house = NULL;
	char path[PATH_SIZE + 16];

	assert_int_equal(setup(&house), 0);
	given = calloc(1, sizeof *given);
	assert_non_null(given);
	memcpy(&given->house, house, sizeof given->house);
	free(house);
	given->source = open(given->house.inner, O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof path, "%s/scratch", given->house.inside);
	given->scratch = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(given->source >= 0 && given->scratch >= 0);
	assert_int_equal(pipe(given->pipes), 0);
	*state = given;
	return 0;
}

static int tear_down(void **state)
{
	struct given *g = *state;
	struct house *h = malloc(sizeof *h);

	assert_non_null(h);
	(void)close(g->source);
	(void)close(g->scratch);
	(void)close(g->pipes[0]);
	(void)close(g->pipes[1]);
	memcpy(h, &g->house, sizeof *h);
	free(g);
	void *house = h;
	return teardown(&house);
}

typedef int deed(const struct given *g);

static int inside(deed *try)
{
	struct sandbox_state s;
	struct fault f = {0};
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (worker_sandbox_enter(SANDBOX_BEST, &s, &f) < 0)
			_exit(NOT_ENTERED);
		_exit(try(given));
	}
	return wait_for(pid);
}

static int outside(deed *try)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(try(given));
	return wait_for(pid);
}

/* What is tried is possible outside, so that it is the sandbox that denies it. */
#define DENIED(deed)                                                                               \
	do {                                                                                       \
		assert_int_equal(outside(deed), 0);                                                \
		assert_int_equal(inside(deed), EPERM);                                             \
	} while (0)

/* ---- Paths ----------------------------------------------------------------------------------- */

static int open_to_read(const struct given *g)
{
	return result(open(g->house.inner, O_RDONLY));
}
static int open_to_write(const struct given *g)
{
	return result(open(g->house.inner, O_WRONLY));
}
static int open_path_only(const struct given *g)
{
	return result(open(g->house.inner, O_PATH));
}
static int open_old(const struct given *g)
{
	return result(syscall(SYS_open, g->house.inner, O_RDONLY));
}
static int open_how(const struct given *g)
{
	uint64_t how[3] = {O_RDONLY, 0, 0};

	return result(syscall(SYS_openat2, AT_FDCWD, g->house.inner, how, sizeof how));
}
static int open_null(const struct given *g)
{
	(void)g;
	return result(open("/dev/null", O_RDWR));
}
static int open_temporary(const struct given *g)
{
	return result(open(g->house.inside, O_TMPFILE | O_RDWR, 0600));
}
static int create(const struct given *g)
{
	char path[PATH_SIZE + 8];

	(void)snprintf(path, sizeof path, "%s/new", g->house.inside);
	return result(open(path, O_CREAT | O_WRONLY, 0600));
}
static int reopen_a_descriptor(const struct given *g)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", g->source);
	return result(open(path, O_RDWR));
}
static int own_memory_file(const struct given *g)
{
	(void)g;
	return result(open("/proc/self/mem", O_RDWR));
}

static void nothing_can_be_opened(void **state)
{
	(void)state;
	DENIED(open_to_read);
	DENIED(open_to_write);
	DENIED(open_path_only);
	DENIED(open_old);
	DENIED(open_how);
	DENIED(open_null);
	DENIED(open_temporary);
	DENIED(create);
	DENIED(reopen_a_descriptor);
	DENIED(own_memory_file);
}

static int unlink_inner(const struct given *g)
{
	return result(unlink(g->house.inner));
}
static int rename_inner(const struct given *g)
{
	return result(rename(g->house.inner, g->house.outer));
}
static int link_inner(const struct given *g)
{
	char path[PATH_SIZE + 8];

	(void)snprintf(path, sizeof path, "%s/link", g->house.inside);
	return result(link(g->house.inner, path));
}
static int link_symbolically(const struct given *g)
{
	char path[PATH_SIZE + 8];

	(void)snprintf(path, sizeof path, "%s/sym", g->house.inside);
	return result(symlink("inner", path));
}
static int make_folder(const struct given *g)
{
	char path[PATH_SIZE + 8];

	(void)snprintf(path, sizeof path, "%s/dir", g->house.inside);
	return result(mkdir(path, 0700));
}
static int make_fifo(const struct given *g)
{
	char path[PATH_SIZE + 8];

	(void)snprintf(path, sizeof path, "%s/fifo", g->house.inside);
	return result(mkfifo(path, 0600));
}
static int truncate_inner(const struct given *g)
{
	return result(truncate(g->house.inner, 4));
}
static int truncate_scratch(const struct given *g)
{
	return result(ftruncate(g->scratch, 0));
}
static int chmod_inner(const struct given *g)
{
	return result(chmod(g->house.inner, 0600));
}
static int chmod_source(const struct given *g)
{
	return result(fchmod(g->source, 0600));
}
static int chown_inner(const struct given *g)
{
	return result(chown(g->house.inner, geteuid(), getegid()));
}
static int chown_source(const struct given *g)
{
	return result(fchown(g->source, geteuid(), getegid()));
}
static int mark_inner(const struct given *g)
{
	return result(utimensat(AT_FDCWD, g->house.inner, NULL, 0));
}
static int look_at_inner(const struct given *g)
{
	struct stat st;

	return result(stat(g->house.inner, &st));
}
static int ask_for_access(const struct given *g)
{
	return result(access(g->house.inner, R_OK));
}
static int go_elsewhere(const struct given *g)
{
	return result(chdir(g->house.inside));
}
static int where_am_i(const struct given *g)
{
	char path[4096];

	(void)g;
	return result(syscall(SYS_getcwd, path, sizeof path));
}
static int read_a_link(const struct given *g)
{
	char path[4096];

	(void)g;
	return result(readlink("/proc/self/exe", path, sizeof path));
}
static int lock_source(const struct given *g)
{
	return result(flock(g->source, LOCK_SH));
}

static void no_file_can_be_changed_or_looked_for(void **state)
{
	(void)state;
	/* Those first that go on working on what is there. */
	DENIED(look_at_inner);
	DENIED(ask_for_access);
	DENIED(truncate_inner);
	DENIED(truncate_scratch);
	DENIED(chmod_inner);
	DENIED(chmod_source);
	DENIED(chown_inner);
	DENIED(chown_source);
	DENIED(mark_inner);
	DENIED(go_elsewhere);
	DENIED(where_am_i);
	DENIED(read_a_link);
	DENIED(lock_source);
	assert_int_equal(inside(link_inner), EPERM);
	assert_int_equal(inside(link_symbolically), EPERM);
	assert_int_equal(inside(make_folder), EPERM);
	assert_int_equal(inside(make_fifo), EPERM);
	assert_int_equal(inside(rename_inner), EPERM);
	assert_int_equal(inside(unlink_inner), EPERM);
	assert_int_equal(outside(unlink_inner), 0);
}

static int write_to_source(const struct given *g)
{
	return result(write(g->source, "x", 1));
}

static void a_segment_cannot_be_written(void **state)
{
	(void)state;
	assert_int_equal(inside(write_to_source), EBADF);
}

/* ---- The network ----------------------------------------------------------------------------- */

static int connect_known(const struct given *g)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons(g->house.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int r = connect(g->house.listener, (struct sockaddr *)&in, sizeof in);

	/* Outside it is refused for what the socket is, not for who asks. */
	return r < 0 && errno == EISCONN ? 0 : result(r);
}
static int pair_up(const struct given *g)
{
	int ends[2];

	(void)g;
	return result(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}
static int listen_known(const struct given *g)
{
	return result(listen(g->house.listener, 1));
}
static int new_pipe(const struct given *g)
{
	int ends[2];

	(void)g;
	return result(pipe(ends));
}

static int try_family(const struct given *g)
{
	(void)g;
	for (int family = 0; family <= AF_MAX; family++) {
		for (int type = SOCK_STREAM; type <= SOCK_PACKET; type++) {
			if (socket(family, type, 0) >= 0 || errno != EPERM)
				return WRONG;
		}
	}
	return result(syscall(SYS_socket, AF_INET | (INT64_C(1) << 33), SOCK_STREAM, 0));
}

static void there_is_no_network(void **state)
{
	(void)state;
	assert_int_equal(inside(try_family), EPERM);
	assert_int_equal(inside(connect_known), EPERM);
	DENIED(pair_up);
	DENIED(listen_known);
	DENIED(new_pipe);
}

/* ---- Processes ------------------------------------------------------------------------------- */

static int run_program(const struct given *g)
{
	return run_true(&g->house);
}
static int run_by_descriptor(const struct given *g)
{
	char *const arguments[] = {NULL};

	return result(syscall(SYS_execveat, g->source, "", arguments, arguments, AT_EMPTY_PATH));
}
static int run_from_memory(const struct given *g)
{
	(void)g;
	return result(memfd_create("program", 0));
}
static int fork_once(const struct given *g)
{
	(void)g;
	long pid = syscall(SYS_fork);

	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int vfork_once(const struct given *g)
{
	(void)g;
	return result(syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
}
static int clone_once(const struct given *g)
{
	(void)g;
	long pid = syscall(SYS_clone, (unsigned long)SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int clone_again(const struct given *g)
{
	uint64_t arguments[8] = {[4] = SIGCHLD};

	(void)g;
	long pid = syscall(SYS_clone3, arguments, sizeof arguments);
	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int trace_parent(const struct given *g)
{
	(void)g;
	return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}
static int be_traced(const struct given *g)
{
	(void)g;
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static int read_itself(const struct given *g)
{
	char from = 'x', to = 0;
	struct iovec local = {&to, 1}, remote = {&from, 1};

	(void)g;
	return result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}
static int write_itself(const struct given *g)
{
	char from = 'x', to = 0;
	struct iovec local = {&from, 1}, remote = {&to, 1};

	(void)g;
	return result(process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
}

static void no_program_can_be_run_and_no_process_made(void **state)
{
	(void)state;
	DENIED(run_program);
	DENIED(run_from_memory);
	DENIED(fork_once);
	DENIED(clone_once);
	DENIED(clone_again);
	assert_int_equal(inside(vfork_once), EPERM);
	assert_int_equal(inside(run_by_descriptor), EPERM);
}

static void no_process_can_be_read_or_traced(void **state)
{
	(void)state;
	DENIED(read_itself);
	DENIED(write_itself);
	DENIED(be_traced);
	assert_int_equal(inside(trace_parent), EPERM);
}

static int kill_parent(const struct given *g)
{
	return signal_parent(&g->house);
}
static int kill_itself(const struct given *g)
{
	(void)g;
	return result(kill(getpid(), 0));
}
static int kill_everyone(const struct given *g)
{
	(void)g;
	return result(kill(0, 0));
}
static int signal_thread(const struct given *g)
{
	pid_t parent = getppid();

	(void)g;
	return result(syscall(SYS_tgkill, parent, parent, 0));
}
static int open_process(const struct given *g)
{
	(void)g;
	return result(syscall(SYS_pidfd_open, getppid(), 0));
}
static int own_descriptor(const struct given *g)
{
	return result(fcntl(g->pipes[0], F_SETOWN, getpid()));
}
static int abort_now(const struct given *g)
{
	(void)g;
	abort();
}

/* getppid() is denied as well, which then asks about process -1; what counts is who says no. */
static void nobody_gets_a_signal_but_its_own_abort(void **state)
{
	(void)state;
	DENIED(kill_parent);
	DENIED(kill_itself);
	DENIED(kill_everyone);
	DENIED(signal_thread);
	DENIED(open_process);
	DENIED(own_descriptor);
	if (!SANITISED)
		assert_int_equal(inside(abort_now), 1000 + SIGABRT);
}

/* ---- What it is ------------------------------------------------------------------------------ */

static int raise_a_limit(const struct given *g)
{
	struct rlimit limit = {100, 100};

	(void)g;
	return result(setrlimit(RLIMIT_NOFILE, &limit));
}
static int be_dumpable(const struct given *g)
{
	(void)g;
	return result(prctl(PR_SET_DUMPABLE, 1));
}
static int live_on_alone(const struct given *g)
{
	(void)g;
	return result(prctl(PR_SET_PDEATHSIG, 0));
}
static int new_filter(const struct given *g)
{
	(void)g;
	return result(syscall(SYS_seccomp, 3 /* SECCOMP_GET_NOTIF_SIZES */, 0, &(uint64_t){0}));
}
static int be_root(const struct given *g)
{
	(void)g;
	return result(setuid(geteuid()));
}
static int leave_the_group(const struct given *g)
{
	(void)g;
	return result(setpgid(0, 0));
}
static int be_alone(const struct given *g)
{
	(void)g;
	return result(unshare(CLONE_FS));
}
static int mount_something(const struct given *g)
{
	return result(mount("none", g->house.inside, "tmpfs", 0, NULL));
}
static int ring(const struct given *g)
{
	char parameters[120] = {0};

	(void)g;
	return result(syscall(SYS_io_uring_setup, 1, parameters));
}
static int load_a_program(const struct given *g)
{
	(void)g;
	return result(syscall(SYS_bpf, 0, NULL, 0));
}
static int fault_for_others(const struct given *g)
{
	(void)g;
	return result(syscall(SYS_userfaultfd, 0));
}
static int keep_a_key(const struct given *g)
{
	(void)g;
	return result(syscall(SYS_add_key, "user", "x", "x", 1, -2));
}
static int control_a_device(const struct given *g)
{
	int n;

	return result(syscall(SYS_ioctl, g->pipes[0], 0x541B /* FIONREAD */, &n));
}
static int duplicate(const struct given *g)
{
	return result(dup(g->source));
}
static int call_of_tomorrow(const struct given *g)
{
	(void)g;
	return result(syscall(500));
}

static void it_cannot_become_something_else(void **state)
{
	(void)state;
	DENIED(raise_a_limit);
	DENIED(be_dumpable);
	DENIED(live_on_alone);
	DENIED(be_root);
	DENIED(leave_the_group);
	DENIED(be_alone);
	DENIED(control_a_device);
	DENIED(duplicate);
	assert_int_equal(inside(new_filter), EPERM);
	assert_int_equal(inside(mount_something), EPERM);
	assert_int_equal(inside(ring), EPERM);
	assert_int_equal(inside(load_a_program), EPERM);
	assert_int_equal(inside(fault_for_others), EPERM);
	assert_int_equal(inside(keep_a_key), EPERM);
	assert_int_equal(inside(call_of_tomorrow), EPERM);
}

static int no_new_limits(const struct given *g)
{
	struct rlimit limit;

	(void)g;
	return result(getrlimit(RLIMIT_NOFILE, &limit));
}

static void not_even_limits_can_be_asked_for(void **state)
{
	(void)state;
	DENIED(no_new_limits);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static int map(int protection, int flags, int fd)
{
	return mmap(NULL, 4096, protection, flags, fd, 0) == MAP_FAILED ? errno : 0;
}
static int code(const struct given *g)
{
	(void)g;
	return map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}
static int writable_code(const struct given *g)
{
	(void)g;
	return map(PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}
static int map_a_file(const struct given *g)
{
	return map(PROT_READ, MAP_PRIVATE, g->source);
}
static int share_memory(const struct given *g)
{
	(void)g;
	return map(PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1);
}
static int data_to_code(const struct given *g)
{
	(void)g;
	void *data = mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return data == MAP_FAILED ? WRONG : result(mprotect(data, 4096, PROT_READ | PROT_EXEC));
}

static void memory_is_private_and_cannot_be_executed(void **state)
{
	(void)state;
	DENIED(code);
	DENIED(writable_code);
	DENIED(map_a_file);
	DENIED(share_memory);
	DENIED(data_to_code);
}

/* ---- What it needs --------------------------------------------------------------------------- */

static int read_source(const struct given *g)
{
	char text[5] = "";

	return pread(g->source, text, 4, 0) == 4 && strcmp(text, "mail") == 0 ? 0 : WRONG;
}
static int use_scratch(const struct given *g)
{
	char text[8];

	if (write(g->scratch, "spooled", 7) != 7 || lseek(g->scratch, 0, SEEK_SET) != 0)
		return WRONG;
	if (pwrite(g->scratch, "S", 1, 0) != 1 || read(g->scratch, text, 7) != 7)
		return WRONG;
	return memcmp(text, "Spooled", 7) == 0 ? 0 : WRONG;
}
static int use_pipes(const struct given *g)
{
	struct pollfd p = {.fd = g->pipes[0], .events = POLLIN};
	char c;

	return write(g->pipes[1], "x", 1) == 1 && poll(&p, 1, 1000) == 1 &&
			       read(g->pipes[0], &c, 1) == 1
		       ? 0
		       : WRONG;
}
static int use_memory(const struct given *g)
{
	(void)g;
	for (size_t size = 16; size <= 64 << 20; size *= 4) {
		char *data = calloc(1, size);
		char *more = data ? realloc(data, size * 2) : NULL;

		if (!more)
			return ENOMEM;
		more[size] = 1;
		free(more);
	}
	return 0;
}
static int tell_the_time(const struct given *g)
{
	struct timespec now;

	(void)g;
	return result(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now));
}

static void what_it_needs_is_left(void **state)
{
	(void)state;
	assert_int_equal(inside(read_source), 0);
	assert_int_equal(inside(use_scratch), 0);
	assert_int_equal(inside(use_pipes), 0);
	assert_int_equal(inside(use_memory), 0);
	assert_int_equal(inside(tell_the_time), 0);
}

static void it_says_what_it_is_made_of(void **state)
{
	struct sandbox_state s;
	struct fault f = {0};

	(void)state;
	NEED(landlock() >= 1);
	pid_t pid = fork();
	if (pid == 0) {
		if (worker_sandbox_enter(SANDBOX_REQUIRED, &s, &f) < 0)
			_exit(NOT_ENTERED);
		_exit(strncmp(s.text, "Landlock ", 9) == 0 && strstr(s.text, ", seccomp") &&
					!s.incomplete
				? 0
				: WRONG);
	}
	assert_int_equal(wait_for(pid), 0);
}

/* Landlock without the filter, which would be asked first. */
static int inside_landlock(deed *try)
{
	const struct sandbox_plan plan = {.who = SANDBOX_WORKER};
	char lack[SANDBOX_LACK_MAX];
	struct fault f = {0};
	int abi;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			sandbox_landlock(&plan, &abi, lack, &f) != 0)
			_exit(NOT_ENTERED);
		_exit(try(given));
	}
	return wait_for(pid);
}

static int bind_anything(const struct given *g)
{
	return bind_port(&g->house);
}
static int connect_anew(const struct given *g)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons(g->house.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? WRONG : result(connect(fd, (struct sockaddr *)&in, sizeof in));
}

static void without_the_filter_no_path_and_no_port_is_left(void **state)
{
	(void)state;
	NEED(landlock() >= 4);
	assert_int_equal(outside(connect_anew), 0);
	assert_int_equal(inside_landlock(connect_anew), EACCES);
	assert_int_equal(inside_landlock(bind_anything), EACCES);
	assert_int_equal(inside_landlock(open_to_read), EACCES);
	assert_int_equal(inside_landlock(open_to_write), EACCES);
	assert_int_equal(inside_landlock(open_null), EACCES);
	assert_int_equal(inside_landlock(create), EACCES);
	assert_int_equal(inside_landlock(run_program), EACCES);
	assert_int_equal(inside_landlock(truncate_inner), EACCES);
	assert_int_equal(inside_landlock(unlink_inner), EACCES);
}

#define SHUT_IN(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHUT_IN(nothing_can_be_opened),
		SHUT_IN(no_file_can_be_changed_or_looked_for),
		SHUT_IN(a_segment_cannot_be_written),
		SHUT_IN(there_is_no_network),
		SHUT_IN(no_program_can_be_run_and_no_process_made),
		SHUT_IN(no_process_can_be_read_or_traced),
		SHUT_IN(nobody_gets_a_signal_but_its_own_abort),
		SHUT_IN(it_cannot_become_something_else),
		SHUT_IN(not_even_limits_can_be_asked_for),
		SHUT_IN(memory_is_private_and_cannot_be_executed),
		SHUT_IN(what_it_needs_is_left),
		SHUT_IN(it_says_what_it_is_made_of),
		SHUT_IN(without_the_filter_no_path_and_no_port_is_left),
	};

	return cmocka_run_group_tests_name("worker sandbox", tests, NULL, NULL);
}
