/* The frames that were decoded last, each only as far as somebody needed it: neighbours are read
 * together, a frame holds dozens of them, and the parts of a message lie in other frames than its
 * recipe. At most LIMIT_CACHED_FRAMES of LIMIT_SEALED_FRAME bytes, with as many decoders. */
#pragma once

#include "archive/bytes.h"
#include "archive/frame.h"
#include "archive/limits.h"

struct cached_frame {
	uint64_t segment, start; /* of which, and where it begins in the file */
	uint64_t end;		 /* where it ends, once all of it is decoded; 0 before */
	struct buffer bytes;	 /* so far; they move when the frame is extended */
	bool broken;		 /* it could not be decoded any further: fault says why */
	struct fault fault;

	/* the cache's own */
	struct frame_reader *reader;
	uint64_t used;
	unsigned held;
	bool filled;
};

/* Embedded; {0} at first. */
struct frame_cache {
	struct cached_frame frame[LIMIT_CACHED_FRAMES];
	uint64_t clock;
	uint64_t end;  /* of the file, as far as it is looked at; 0: all of it */
	bool in_order; /* frames are asked for one after the other, of a file that does not
			* change: what was read ahead for one is used for the next */
};
void frame_cache_deinit(struct frame_cache *c);

/* The frame that begins at `at` or, behind skippable ones, next. *ret is held until
 * frame_cache_release(); at most LIMIT_CACHED_FRAMES - 1 may be held when this is called. 0, or
 * FRAME_NONE at the end of the file. Only lack of memory is a failure: a frame that cannot be
 * decoded is `broken`. */
int frame_cache_hold(struct frame_cache *c, int fd, uint64_t segment, uint64_t at,
	struct cached_frame **ret, struct fault *f) MUST_CHECK;
/* Decodes until `want` bytes are there, or all that there are. FAULT_MEMORY. */
int frame_cache_extend(struct cached_frame *frame, uint64_t want, struct fault *f) MUST_CHECK;
/* A broken one is forgotten: who asks again reads it again. NULL is nothing. */
void frame_cache_release(struct cached_frame *frame);
