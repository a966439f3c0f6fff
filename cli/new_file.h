/* Files that appear whole, and never over another one: written under a temporary name in the same
 * folder, synced, renamed. Folders are descriptors, borrowed. */
#pragma once

#include "archive/bytes.h"

#include <sys/types.h>

/* Writes all of it at the file's position. -1 with errno. */
int new_file_append(int fd, struct slice bytes) MUST_CHECK;

/* Renames from to to unless there is something: -1 with errno EEXIST then, or another one. */
int new_file_rename(int folder, const char *from, const char *to) MUST_CHECK;

/* Whose a file becomes (only root can give it away), and whether it may take another one's place.
 */
struct new_file_as {
	mode_t mode;
	uid_t owner;
	gid_t group;
	bool replaces;
};

/* The whole of it: written, synced, renamed, and the folder synced. -1 with errno, EEXIST where
 * there is one that it may not replace; nothing of it stays then. */
int new_file_write(
	int folder, const char *name, struct slice bytes, const struct new_file_as *as) MUST_CHECK;

/* Syncs the folder that path lies in, so that its name is durable. -1 with errno. */
int new_file_sync_above(const char *path) MUST_CHECK;
/* Makes a folder, 0700 and durable. -1 with errno, EEXIST where there is
 * something. */
int new_folder(const char *path) MUST_CHECK;
/* Makes the folders that path_below lies in, likewise. */
int new_folders_above(const char *path_below, struct fault *f) MUST_CHECK;
