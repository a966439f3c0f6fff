/* What a file is, by its first bytes, and the reading of one. */
#pragma once

#include "cli/import_taker.h"

#include <sys/stat.h>

/* ---- What it is ------------------------------------------------------------------------------ */

enum import_what {
	WHAT_OTHER, /* nothing that is known */
	WHAT_EMPTY,
	WHAT_MESSAGE, /* begins as a message's header does */
	WHAT_MBOX,    /* begins with a "From " line */
	WHAT_PACKED   /* tar, zip, or compressed */
};

/* begin: the first LIMIT_IMPORT_PEEK bytes, or all there are. */
enum import_what import_what(struct slice begin);
/* gzip, bzip2, xz, zstd, lz4. */
bool import_is_compressed(struct slice begin);
/* By its name: "x.eml". */
bool import_is_eml(const char *name);

/* ---- Reading it ------------------------------------------------------------------------------ */

/* Bytes of a descriptor, or of anything else, of which the first were read before. Embedded;
 * nothing to deinit. */
struct import_input {
	int fd;		   /* borrowed */
	struct slice peek; /* given first */
	uint64_t done;	   /* given */
	uint64_t base;	   /* what was done before it, for position() */
	const struct import_taker *taker;
};
/* For struct import_stream; context is a struct import_input. */
int import_input_read(void *context, void *to, size_t size, size_t *ret_n, struct fault *f);

/* Reads up to size bytes, fewer only at the end. -1 with errno. */
ssize_t import_read_full(int fd, void *to, size_t size);

/* Whether it still is the file that it was: "" or what has happened, for people. */
const char *import_change(const struct stat *before, const struct stat *now, uint64_t read);

/* The file's time. */
moment_ms import_mtime(const struct stat *st);
