/* What was found in an export: the names of files or entries, each with its digest, on disk, so
 * that memory does not grow with them. */
#pragma once

#include "archive/digest.h"

struct found_files;

/* folder: a descriptor, borrowed, for files without a name; most: so many at most are added. */
int found_files_open(
	int folder, uint64_t most, struct found_files **ret, struct fault *f) MUST_CHECK;
struct found_files *found_files_close(struct found_files *x);
void found_files_closep(struct found_files **x);

struct found_file {
	struct digest digest;
	uint64_t size;
};
/* name: the first LIMIT_EXPORT_NAME bytes count. */
int found_files_add(struct found_files *x, struct slice name, const struct found_file *file,
	struct fault *f) MUST_CHECK;
/* FOUND_FILE with *ret; it is known as wanted from now on. FOUND_AGAIN: it was wanted before. */
enum { FOUND_FILE = 1, FOUND_AGAIN };
int found_files_want(struct found_files *x, struct slice name, struct found_file *ret,
	struct fault *f) MUST_CHECK;
/* Only looks. */
int found_files_look(struct found_files *x, struct slice name, struct found_file *ret,
	struct fault *f) MUST_CHECK;
uint64_t found_files_count(const struct found_files *x);
/* One after the other, those that nobody wanted: FOUND_FILE with the name, borrowed until the next
 * call; 0 at the end. */
int found_files_unwanted(struct found_files *x, struct slice *ret, struct fault *f) MUST_CHECK;
