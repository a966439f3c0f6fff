/* The directory at the end of a zip file that an export wrote: what most programs read first. */
#pragma once

#include "cli/found_files.h"

/* Does it tell of the entries that were found, each at a place where such an entry begins, and of
 * one more (SHA256SUMS)? 0; ZIP_NONE: fd is no zip file; ZIP_WRONG: its directory is not that. */
enum { ZIP_NONE = 1, ZIP_WRONG };
int zip_check(int fd, struct found_files *found, struct fault *f) MUST_CHECK;

/* The bytes from where its directory begins to its end, by what it says itself; 0: it is no zip, or
 * one that says nothing. Any file may be asked. */
uint64_t zip_directory_size(int fd);
