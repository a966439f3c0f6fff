/* Archives that cannot be opened, or not for writing. */
#include "archive/maildrop.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[64];
static struct fault f;

static int setup(void **state)
{
	struct store *s CLEANUP(store_closep) = NULL;
	struct maildrop m CLEANUP(maildrop_deinit) = {0};

	(void)state;
	folder_make(folder);
	if (store_create(folder, NULL, &f) < 0 || store_open(folder, NULL, STORE_WRITE, &s, &f) < 0)
		return -1;
	return store_maildrop(s, "anna", "h", "anna", &m, &f) == MAILDROP_NEW ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(folder);
	return 0;
}

static void no_archive_is_made_over_one_that_lost_its_first_file(void **state)
{
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/POPKEEP", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_create(folder, NULL, &f), -1);
	assert_int_equal(f.code, FAULT_DAMAGE);
	(void)snprintf(path, sizeof path, "%s/catalog.db", folder);
	assert_int_equal(access(path, F_OK), 0);
}

static void an_archive_says_its_id_without_its_databases(void **state)
{
	struct store *s CLEANUP(store_closep) = NULL;
	char path[128], id[STORE_ID];

	(void)state;
	assert_int_equal(store_open(folder, NULL, STORE_READ, &s, &f), 0);
	(void)snprintf(path, sizeof path, "%s/catalog.db", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_identify(folder, id, &f), 0);
	assert_string_equal(id, store_id(s));
}

static void an_id_that_is_no_name_of_a_file_is_refused(void **state)
{
	char path[128], id[STORE_ID] = "untouched";

	(void)state;
	(void)snprintf(path, sizeof path, "%s/POPKEEP", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_identify(folder, id, &f), -1);
	assert_int_equal(f.code, FAULT_MISSING);
	FILE *text = fopen(path, "w");
	assert_non_null(text);
	assert_true(fputs("format=1\nid=../../../../../../../etc/passwd.\n", text) > 0);
	assert_int_equal(fclose(text), 0);
	assert_int_equal(store_identify(folder, id, &f), -1);
	assert_int_equal(f.code, FAULT_DAMAGE);
	assert_non_null(strstr(f.text, "hex"));
	assert_string_equal(id, "untouched");
}

static int give_to_nobody(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	return (geteuid() == 0 && chown(path, 65534, 65534) < 0) ||
	       chmod(path, type == FTW_F ? 0400 : 0500) < 0 || st == NULL;
}

/* In a process of its own, which is no root: root may write everywhere. */
static int read_as_nobody(void)
{
	struct store *s CLEANUP(store_closep) = NULL;
	struct maildrop *all = NULL;
	size_t n = 0;

	if (geteuid() == 0 &&
		(setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
		return 1;
	if (store_open(folder, NULL, STORE_READ, &s, &f) < 0 ||
		store_maildrops(s, &all, &n, &f) < 0) {
		(void)fprintf(stderr, "%s\n", f.text);
		return 2;
	}
	maildrops_free(all, n);
	if (n != 1)
		return 3;
	s = store_close(s);
	return store_open(folder, NULL, STORE_WRITE, &s, &f) < 0 && strstr(f.text, "written") ? 0
											      : 4;
}

static void an_archive_that_cannot_be_written_can_be_read(void **state)
{
	int status = -1;

	(void)state;
	assert_int_equal(nftw(folder, give_to_nobody, 16, FTW_DEPTH | FTW_PHYS), 0);
	pid_t child = fork();
	if (child == 0)
		_exit(read_as_nobody());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	if (geteuid() != 0)
		assert_int_equal(chmod(folder, 0700), 0);
}

static void without_descriptors_nothing_is_taken_for_damage(void **state)
{
	int lowest = fcntl(0, F_DUPFD, 0), r = -1;
	struct rlimit before, few;

	(void)state;
	assert_true(lowest > 0);
	assert_int_equal(close(lowest), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	for (rlim_t n = (rlim_t)lowest; r < 0 && n < (rlim_t)lowest + 20; n++) {
		struct store *s CLEANUP(store_closep) = NULL;

		few.rlim_cur = n;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = store_open(folder, NULL, STORE_WRITE, &s, &f);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		if (r < 0 && f.code == FAULT_DAMAGE)
			fail_msg("%s", f.text);
	}
	assert_int_equal(r, 0);
}

#define WITH_ARCHIVE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ARCHIVE(no_archive_is_made_over_one_that_lost_its_first_file),
		WITH_ARCHIVE(an_archive_says_its_id_without_its_databases),
		WITH_ARCHIVE(an_id_that_is_no_name_of_a_file_is_refused),
		WITH_ARCHIVE(without_descriptors_nothing_is_taken_for_damage),
		WITH_ARCHIVE(an_archive_that_cannot_be_written_can_be_read),
	};

	return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
