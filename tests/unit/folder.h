/* A temporary folder for a test, removed with all that is in it. */
#pragma once

#include "tests/unit/check.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int folder_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void folder_make(char path[static 64])
{
	(void)snprintf(path, 64, "/tmp/popkeep-test-XXXXXX");
	assert_non_null(mkdtemp(path));
}

static inline void folder_remove(const char *path)
{
	(void)nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The same for a test that works in it, so that errors name short relative paths. */
static inline int folder_enter(void **state)
{
	char path[64];

	folder_make(path);
	*state = strdup(path);
	return *state && chdir(path) == 0 ? 0 : -1;
}

static inline int folder_leave(void **state)
{
	folder_remove(*state);
	free(*state);
	return chdir("/");
}

/* A file with this text, mode 0600. */
static inline void folder_put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}
