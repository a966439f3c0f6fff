/* A temporary folder for a test, removed with all that is in it. */
#pragma once

#include "tests/unit/check.h"

#include <ftw.h>
#include <stdlib.h>

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
