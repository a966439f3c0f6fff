/* Decoding a run of zstd frames from a file: where each begins, and its bytes. Skippable frames are
 * passed over. A frame that needs more than 2^LIMIT_FRAME_WINDOW_LOG bytes of window is refused. */
#pragma once

#include "archive/bytes.h"

struct frame_reader;

/* Decodes from `from`, a frame's start, up to `end`. fd is borrowed and read with pread. */
int frame_reader_open(
	int fd, uint64_t from, uint64_t end, struct frame_reader **ret, struct fault *f) MUST_CHECK;
struct frame_reader *frame_reader_close(struct frame_reader *r);
void frame_reader_closep(struct frame_reader **r);
/* Begins again at another place. */
void frame_reader_seek(struct frame_reader *r, uint64_t from);

/* The next decoded bytes, borrowed until the next call; never of two frames at once. FRAME_BYTES,
 * or 0 at the end. FAULT_DAMAGE: the frame that begins at frame_reader_start() is torn, corrupt or
 * none at all. */
enum { FRAME_BYTES = 1 };
int frame_read(struct frame_reader *r, struct slice *ret, struct fault *f) MUST_CHECK;
/* The same into `to`, at most room (> 0) of them. It returns at the end of each frame too, of
 * skippable ones as well, so that *ret may be 0. */
int frame_read_into(
	struct frame_reader *r, uint8_t *to, size_t room, size_t *ret, struct fault *f) MUST_CHECK;
/* File offset of the frame that the last bytes (or the failure) came from, and the end of it, once
 * its last bytes were given (0 before). */
uint64_t frame_reader_start(const struct frame_reader *r);
uint64_t frame_reader_end(const struct frame_reader *r);
/* What is read of the file so far. */
uint64_t frame_reader_offset(const struct frame_reader *r);
/* Reads on from another descriptor of the same file. */
void frame_reader_use(struct frame_reader *r, int fd);

/* The first offset in [from, end) at which a whole frame decodes whose bytes begin with a tar
 * header; FRAME_NONE when there is none. For going on behind damage. */
enum { FRAME_NONE = 1 };
int frame_find(int fd, uint64_t from, uint64_t end, uint64_t *ret, struct fault *f) MUST_CHECK;
