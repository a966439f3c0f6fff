/* Files and folders that are reached by a descriptor, as far as more than one module needs it. */
#pragma once

#include "archive/digest.h"

#include <dirent.h>

/* Writes all bytes at offset, again and again where the kernel takes less. -1 with errno. */
int file_write_at(int fd, struct slice bytes, uint64_t offset) MUST_CHECK;

/* Bytes [from, to) into the hasher. -1 with errno; ENODATA: there are fewer. */
int file_add_to_hasher(int fd, uint64_t from, uint64_t to, struct hasher *h) MUST_CHECK;
/* SHA-256 of the first `size` bytes. -1 with errno; ENODATA: there are fewer. */
int file_digest(int fd, uint64_t size, struct hasher *h, struct digest *ret) MUST_CHECK;

/* A file without a name in folder, for reading and writing: O_TMPFILE where the file system has it;
 * otherwise a name that lives for a moment. -1 with errno. */
int file_open_unlinked(int folder_fd) MUST_CHECK;

/* For `DIR *dir CLEANUP(dir_closep) = NULL`. */
void dir_closep(DIR **dir);

/* For readdir(), from the beginning; folder_fd is borrowed and stays open. NULL with errno. */
DIR *folder_read(int folder_fd);

/* The number that a name of numbered files begins with: 7 for "000007.log"; 0 without digits, and
 * where it would not fit. The caller compares with the name that it gives this number itself. */
uint64_t file_number(const char *name);
