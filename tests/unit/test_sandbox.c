/* What the sandbox takes away. */
#include "tests/unit/house.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITISED 1
#else
#define SANITISED 0
#endif

static int list_outside(const struct house *h)
{
	return result(open(h->outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
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
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
