/* One tar entry of a segment, read in order: from the frame cache as long as it lies in the frame
 * that it begins in, frame by frame from the file beyond. */
#pragma once

#include "archive/frame_cache.h"
#include "archive/frame_table.h"
#include "archive/tar_header.h"

struct segment_entry_reader {
	struct tar_header header;
	uint64_t left;		    /* bytes of it that were not given yet */
	struct cached_frame *frame; /* it begins in */
	uint64_t at;		    /* how far in the frame, or in the one that `more` is in */
	int fd;
	uint64_t file_end;
	struct frame_reader *more;   /* frames behind the first */
	uint64_t more_start;	     /* of the one that it is in */
	struct slice rest;	     /* of them, decoded and not given */
	uint64_t more_decoded;	     /* of the one that it is in */
	struct frame_expect *expect; /* NULL, or the caller's: learns of the whole ones of them */
};

/* Opens the entry whose header is at `offset` of the frame, which it takes over (also where it
 * fails: it is released). file_end: 0, or how much of the file counts. 0, or ENTRY_DAMAGED with *f:
 * there is no header; ENTRY_ZERO: zero bytes instead. FAULT_MEMORY. */
enum { ENTRY_DAMAGED = 1, ENTRY_ZERO };
int segment_entry_open(struct segment_entry_reader *e, int fd, struct cached_frame *frame,
	uint64_t offset, uint64_t file_end, struct fault *f) MUST_CHECK;
/* The next bytes, at most `most`, borrowed until the next call; empty at the entry's end.
 * ENTRY_DAMAGED with *f. FAULT_MEMORY. */
int segment_entry_next(struct segment_entry_reader *e, uint64_t most, struct slice *ret,
	struct fault *f) MUST_CHECK;
/* The file offset of the frame where it stands; `at` is how far in it. */
uint64_t segment_entry_frame(const struct segment_entry_reader *e);
void segment_entry_close(struct segment_entry_reader *e);
