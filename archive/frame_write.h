/* Writing a run of zstd frames, each with a content checksum: what is compressed goes through one
 * bounded buffer to a sink. Says where frames begin, so that a tar entry can be found by its frame
 * and its offset in it. */
#pragma once

#include "archive/bytes.h"

struct frame_write_options {
	int level;	     /* of zstd */
	int window_log;	     /* 0: as the level has it; LIMIT_FRAME_WINDOW_LOG at most */
	int hash_log;	     /* likewise */
	int search_log;	     /* likewise */
	uint64_t most_bytes; /* decoded: with so many a frame ends by itself */
	uint64_t offset;     /* in the file, where the first frame begins */
};

struct frame_sink {
	int (*write)(void *context, struct slice bytes, struct fault *f);
	/* NULL, or: a frame has ended, and all its bytes were written. */
	int (*ended)(void *context, uint64_t size, uint64_t decoded, struct fault *f);
	void *context;
};

struct frame_writer;
int frame_writer_open(const struct frame_write_options *options, const struct frame_sink *sink,
	struct frame_writer **ret, struct fault *f) MUST_CHECK;
/* What was not flushed is lost. */
struct frame_writer *frame_writer_close(struct frame_writer *w);
void frame_writer_closep(struct frame_writer **w);

/* Into the frame that is open, or a new one. */
int frame_writer_add(struct frame_writer *w, struct slice bytes, struct fault *f) MUST_CHECK;
/* Ends the frame that is open, if one is. */
int frame_writer_end_frame(struct frame_writer *w, struct fault *f) MUST_CHECK;
/* Gives the sink all that there is; frames are flushed by themselves only when the buffer is full,
 * or when the sink wants to know where they end. */
int frame_writer_flush(struct frame_writer *w, struct fault *f) MUST_CHECK;

/* Decoded bytes in the frame that is open; 0: none is. */
uint64_t frame_writer_decoded(const struct frame_writer *w);
/* Where the frame begins in the file that the next byte goes into. */
uint64_t frame_writer_start(const struct frame_writer *w);
