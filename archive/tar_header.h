/* A ustar header (POSIX.1-1988), as far as segments have it. */
#pragma once

#include "archive/bytes.h"
#include "archive/tar_write.h"

enum { TAR_NAME = 100 };

struct tar_header {
	char name[TAR_NAME + 1]; /* "" where it is no regular file of such a name */
	uint64_t size;		 /* of what follows, without the padding */
};

/* block: TAR_BLOCK bytes. 0, TAR_ZERO when they are all zero, TAR_NONE when they are no header. */
enum { TAR_ZERO = 1, TAR_NONE };
int tar_header_parse(const uint8_t *block, struct tar_header *ret) MUST_CHECK;
