#include "daemon/notify.h"

#include "archive/bytes.h"
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int manager = -1;

static int begin(void **state)
{
	char folder[] = "/tmp/popkeep-notify-XXXXXX";

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return bind(manager, (const struct sockaddr *)&address, sizeof address) < 0 ||
			       setenv("NOTIFY_SOCKET", address.sun_path, 1) < 0
		       ? -1
		       : 0;
}

static int end(void **state)
{
	(void)state;
	(void)close(manager);
	(void)unlink(address.sun_path);
	*strrchr(address.sun_path, '/') = '\0';
	return unsetenv("NOTIFY_SOCKET") == 0 && rmdir(address.sun_path) == 0 ? 0 : -1;
}

static const char *told(void)
{
	static char text[4096];
	ssize_t n = recv(manager, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void the_manager_is_told_what_the_service_does(void **state)
{
	(void)state;
	if (!POPKEEP_SYSTEMD)
		skip();
	notify_ready();
	assert_string_equal(told(), "READY=1");
	notify_stopping();
	assert_string_equal(told(), "STOPPING=1");
	notify_watchdog();
	assert_string_equal(told(), "WATCHDOG=1");
	notify_status("3 accounts, 1 failing");
	assert_string_equal(told(), "STATUS=3 accounts, 1 failing");
}

static void a_reload_is_told_with_its_time(void **state)
{
	static const char BEGIN[] = "RELOADING=1\nMONOTONIC_USEC=";

	(void)state;
	if (!POPKEEP_SYSTEMD)
		skip();
	notify_reloading();
	const char *text = told();
	assert_memory_equal(text, BEGIN, strlen(BEGIN));
	const char *digits = text + strlen(BEGIN);
	assert_in_range(strlen(digits), 1, 19);
	assert_int_equal(strspn(digits, "0123456789"), strlen(digits));
}

static void a_status_can_say_nothing_else(void **state)
{
	(void)state;
	if (!POPKEEP_SYSTEMD)
		skip();
	notify_status("x\nMAINPID=1 \\x0a");
	assert_string_equal(told(), "STATUS=x\\x0aMAINPID=1 \\x0a");
}

static void without_a_manager_nothing_happens(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	notify_ready();
	notify_reloading();
	notify_status("x");
	assert_string_equal(told(), "");
}

static void the_watchdog_is_fed_twice_as_often_as_asked(void **state)
{
	char pid[32];

	(void)state;
	if (!POPKEEP_SYSTEMD)
		skip();
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 15000);
	assert_int_equal(setenv("WATCHDOG_USEC", "1", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 1);
	(void)snprintf(pid, sizeof pid, "%d", (int)getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(notify_watchdog_ms(), 1);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "nonsense", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TOLD(the_manager_is_told_what_the_service_does),
		TOLD(a_reload_is_told_with_its_time),
		TOLD(a_status_can_say_nothing_else),
		TOLD(without_a_manager_nothing_happens),
		TOLD(the_watchdog_is_fed_twice_as_often_as_asked),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
