/* Files and folders that are reached by a descriptor, as far as more than one module needs it. */
#pragma once

#include "archive/bytes.h"

#include <dirent.h>

/* Writes all bytes at offset, again and again where the kernel takes less. -1 with errno. */
int file_write_at(int fd, struct slice bytes, uint64_t offset) MUST_CHECK;

/* For `DIR *dir CLEANUP(dir_closep) = NULL`. */
void dir_closep(DIR **dir);

/* For readdir(), from the beginning; folder_fd is borrowed and stays open. NULL with errno. */
DIR *folder_read(int folder_fd);

/* The number that a name of numbered files begins with: 7 for "000007.log"; 0 without digits, and
 * where it would not fit. The caller compares with the name that it gives this number itself. */
uint64_t file_number(const char *name);
