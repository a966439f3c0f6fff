/* The two tables at the end of a sealed segment: FORMAT.md, "The frame table". */
#pragma once

#include "archive/digest.h"

struct frame_sum {
	uint64_t offset; /* in the file */
	uint32_t size;	 /* compressed */
	uint32_t decoded;
	struct digest digest; /* SHA-256 of the compressed bytes */
};

/* Embedded; {0} at first. At most LIMIT_SEALED_FRAMES. */
struct frame_table {
	struct frame_sum *frame;
	size_t frames, size;
};
void frame_table_deinit(struct frame_table *t);
/* Behind the frames that are in it: sets the offset itself. */
int frame_table_add(struct frame_table *t, uint32_t size, uint32_t decoded,
	const struct digest *digest, struct fault *f) MUST_CHECK;

/* Appends both skippable frames. */
int frame_table_format(const struct frame_table *t, struct buffer *to, struct fault *f) MUST_CHECK;

/* Reads them from a file's end; nothing is believed that does not fit file_size. TABLE_NONE: there
 * is none, as in open segments. FAULT_DAMAGE: there is one and it does not fit together; *f says
 * why. */
enum { TABLE_NONE = 1 };
int frame_table_read(
	int fd, uint64_t file_size, struct frame_table *ret, struct fault *f) MUST_CHECK;
/* Where the tables begin: the end of the last frame. */
uint64_t frame_table_end(const struct frame_table *t);

/* Frames against a table while something else decodes them, in any order, some of them several
 * times. Embedded; {0} at first, which expects nothing. The table must outlive it. */
struct frame_expect {
	const struct frame_table *table;
	uint8_t *seen; /* for each frame */
	size_t left;   /* not seen yet */
	bool wrong;
};
int frame_expect_begin(
	struct frame_expect *e, const struct frame_table *t, struct fault *f) MUST_CHECK;
void frame_expect_deinit(struct frame_expect *e);
/* A whole frame from start to end was decoded. NULL is nothing. */
void frame_expect_meet(struct frame_expect *e, uint64_t start, uint64_t end, uint64_t decoded);
/* Each frame of the table was met as it says, and no other. */
bool frame_expect_fits(const struct frame_expect *e);
