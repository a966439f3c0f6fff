/* What the sandbox leaves, and what it says where a kernel has not all of it. */
#include "daemon/sandbox_private.h"
#include "tests/unit/house.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

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
		return f.code == FAULT_USAGE && strstr(f.text, "no Landlock on this kernel") ? 1
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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

	return cmocka_run_group_tests_name("sandbox_left", tests, NULL, NULL);
}
