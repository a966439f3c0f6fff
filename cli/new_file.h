/* Files that appear whole, and never over another one: written under a temporary name in the same
 * folder, synced, renamed. Folders are descriptors, borrowed. */
#pragma once

#include "archive/bytes.h"

/* Writes all of it at the file's position. -1 with errno. */
int new_file_append(int fd, struct slice bytes) MUST_CHECK;

/* Renames from to to unless there is something: -1 with errno EEXIST then, or another one. */
int new_file_rename(int folder, const char *from, const char *to) MUST_CHECK;
