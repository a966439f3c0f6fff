#include "daemon/control_path.h"

#include "archive/store.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <string.h>
#include <sys/stat.h>

static char folder[64], archive[80], id[STORE_ID];
static struct fault f;

static int setup(void **state)
{
	(void)state;
	folder_make(folder);
	(void)snprintf(archive, sizeof archive, "%s/mail", folder);
	return store_create(archive, NULL, &f) < 0 || store_identify(archive, id, &f) < 0 ||
	       unsetenv("RUNTIME_DIRECTORY") < 0 || unsetenv("XDG_RUNTIME_DIR") < 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(folder);
	return 0;
}

static void assert_path(const char *path, const char *in)
{
	char expected[300];

	(void)snprintf(expected, sizeof expected, "%s/%s.sock", in, id);
	assert_string_equal(path, expected);
}

static void a_service_prefers_what_was_configured(void **state)
{
	char *path CLEANUP(freep) = NULL;
	char runtime[100], systemd[200];

	(void)state;
	(void)snprintf(runtime, sizeof runtime, "%s/run", folder);
	(void)snprintf(systemd, sizeof systemd, "%s/systemd:/elsewhere", folder);
	assert_int_equal(setenv("RUNTIME_DIRECTORY", systemd, 1), 0);
	assert_int_equal(control_choose_path(runtime, archive, &path, &f), 0);
	assert_path(path, runtime);
	struct stat st;
	assert_int_equal(stat(runtime, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void a_service_takes_the_first_folder_of_systemd(void **state)
{
	char *path CLEANUP(freep) = NULL;
	char systemd[200], expected[100];

	(void)state;
	(void)snprintf(expected, sizeof expected, "%s/systemd", folder);
	(void)snprintf(systemd, sizeof systemd, "%s:/elsewhere", expected);
	assert_int_equal(setenv("RUNTIME_DIRECTORY", systemd, 1), 0);
	assert_int_equal(control_choose_path(NULL, archive, &path, &f), 0);
	assert_path(path, expected);
}

static void a_service_goes_on_to_the_users_folder(void **state)
{
	char *path CLEANUP(freep) = NULL;
	char user[100];

	(void)state;
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/nowhere/at/all", 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
	assert_int_equal(control_choose_path(NULL, archive, &path, &f), 0);
	(void)snprintf(user, sizeof user, "%s/popkeep", folder);
	assert_path(path, user);
}

static void a_configured_folder_that_cannot_be_made_is_refused(void **state)
{
	char *path CLEANUP(freep) = NULL;

	(void)state;
	assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
	assert_int_equal(control_choose_path("/nowhere/at/all", archive, &path, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_non_null(strstr(f.text, "/nowhere/at/all"));
	assert_null(path);
}

static void a_path_that_is_too_long_names_its_length_and_the_limit(void **state)
{
	char *path CLEANUP(freep) = NULL;
	char runtime[200];

	(void)state;
	/* 1 + 32 + 5 for the name, and 70 are one too many. */
	(void)snprintf(runtime, sizeof runtime, "%s/%0*d", folder, 69 - (int)strlen(folder), 0);
	assert_int_equal(control_choose_path(runtime, archive, &path, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_non_null(strstr(f.text, "has 108 bytes"));
	assert_non_null(strstr(f.text, "107"));
	assert_non_null(strstr(f.text, "runtime-dir"));
	assert_non_null(strstr(f.text, runtime));
	runtime[69] = '\0';
	assert_int_equal(control_choose_path(runtime, archive, &path, &f), 0);
	assert_int_equal(strlen(path), CONTROL_PATH_MOST);
}

static void a_client_tries_them_all_in_the_same_order(void **state)
{
	struct control_paths paths CLEANUP(control_paths_deinit) = {0};

	(void)state;
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/of/a/unit", 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
	assert_int_equal(control_candidates("/set", archive, CONTROL_CLIENT, &paths, &f), 0);
	assert_int_equal(paths.n, 4);
	assert_path(paths.path[0], "/set");
	assert_path(paths.path[1], "/run/user/7/popkeep");
	assert_path(paths.path[2], "/run/popkeep");
	assert_path(paths.path[3], archive);
	control_paths_deinit(&paths);
	assert_int_equal(control_candidates("/set", archive, CONTROL_SERVICE, &paths, &f), 0);
	assert_int_equal(paths.n, CONTROL_PATHS);
	assert_path(paths.path[1], "/of/a/unit");
}

static void a_relative_folder_of_the_environment_is_passed_over(void **state)
{
	struct control_paths paths CLEANUP(control_paths_deinit) = {0};

	(void)state;
	assert_int_equal(setenv("XDG_RUNTIME_DIR", "run", 1), 0);
	assert_int_equal(control_candidates(NULL, archive, CONTROL_CLIENT, &paths, &f), 0);
	assert_int_equal(paths.n, 2);
	assert_path(paths.path[0], "/run/popkeep");
}

static void without_an_archive_there_is_no_socket(void **state)
{
	struct control_paths paths CLEANUP(control_paths_deinit) = {0};

	(void)state;
	assert_int_equal(control_candidates(NULL, folder, CONTROL_CLIENT, &paths, &f), -1);
	assert_int_equal(f.code, FAULT_MISSING);
	assert_int_equal(paths.n, 0);
}

#define WITH_ARCHIVE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ARCHIVE(a_service_prefers_what_was_configured),
		WITH_ARCHIVE(a_service_takes_the_first_folder_of_systemd),
		WITH_ARCHIVE(a_service_goes_on_to_the_users_folder),
		WITH_ARCHIVE(a_configured_folder_that_cannot_be_made_is_refused),
		WITH_ARCHIVE(a_path_that_is_too_long_names_its_length_and_the_limit),
		WITH_ARCHIVE(a_client_tries_them_all_in_the_same_order),
		WITH_ARCHIVE(a_relative_folder_of_the_environment_is_passed_over),
		WITH_ARCHIVE(without_an_archive_there_is_no_socket),
	};

	return cmocka_run_group_tests_name("control_path", tests, NULL, NULL);
}
