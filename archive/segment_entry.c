#include "archive/segment_entry.h"

#include <inttypes.h>

static int damaged(struct segment_entry_reader *e, struct fault *f)
{
	if (e->frame->broken) {
		*f = e->frame->fault;
		return ENTRY_DAMAGED;
	}
	fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
		"no tar entry in the frame at byte %" PRIu64 ", byte %" PRIu64, e->frame->start,
		e->at);
	return ENTRY_DAMAGED;
}

static int parse_header(struct segment_entry_reader *e, struct fault *f)
{
	if (frame_cache_extend(e->frame, e->at + TAR_BLOCK, f) < 0)
		return -1;
	if (e->frame->bytes.len < TAR_BLOCK || e->at > e->frame->bytes.len - TAR_BLOCK)
		return damaged(e, f);
	int r = tar_header_parse(e->frame->bytes.data + e->at, &e->header);
	if (r == TAR_ZERO)
		return ENTRY_ZERO;
	if (r != 0)
		return damaged(e, f);
	e->at += TAR_BLOCK;
	e->left = e->header.size;
	return 0;
}

int segment_entry_open(struct segment_entry_reader *e, int fd, struct cached_frame *frame,
	uint64_t offset, uint64_t file_end, struct fault *f)
{
	*e = (struct segment_entry_reader){
		.fd = fd, .frame = frame, .at = offset, .file_end = file_end};
	int r = offset > LIMIT_SEALED_FRAME ? damaged(e, f) : parse_header(e, f);
	if (r != 0)
		segment_entry_close(e);
	return r;
}

/* Of the frame that it began in. */
static int next_cached(
	struct segment_entry_reader *e, uint64_t most, struct slice *ret, struct fault *f)
{
	if (frame_cache_extend(e->frame, e->at + most, f) < 0)
		return -1;
	uint64_t have = e->frame->bytes.len - e->at;
	*ret = slice_of(e->frame->bytes.data + e->at, (size_t)(have < most ? have : most));
	return 0;
}

/* The bytes at hand may be those of a further frame. The one before was whole then, and ended where
 * this one begins. */
static void begin_next(struct segment_entry_reader *e)
{
	uint64_t start = frame_reader_start(e->more);

	if (start != e->more_start) {
		if (e->more_start != UINT64_MAX)
			frame_expect_meet(e->expect, e->more_start, start, e->more_decoded);
		e->at = e->more_decoded = 0;
		e->more_start = start;
	}
	e->more_decoded += e->rest.len;
}

/* Of those behind it. */
static int next_frames(
	struct segment_entry_reader *e, uint64_t most, struct slice *ret, struct fault *f)
{
	uint64_t end = e->file_end > 0 ? e->file_end : UINT64_MAX;

	if (!e->more) {
		if (frame_reader_open(e->fd, e->frame->end, end, &e->more, f) < 0)
			return -1;
		e->more_start = UINT64_MAX;
	}
	if (e->rest.len == 0) {
		int r = frame_read(e->more, &e->rest, f);

		if (r < 0)
			e->more_start = frame_reader_start(e->more);
		if (r < 0)
			return f->code == FAULT_MEMORY ? -1 : ENTRY_DAMAGED;
		if (r == 0) {
			fault_record(
				f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "the file ends within an entry");
			return ENTRY_DAMAGED;
		}
		begin_next(e);
	}
	*ret = slice_of(e->rest.data, e->rest.len < most ? e->rest.len : (size_t)most);
	e->rest = slice_of(e->rest.data + ret->len, e->rest.len - ret->len);
	return 0;
}

int segment_entry_next(
	struct segment_entry_reader *e, uint64_t most, struct slice *ret, struct fault *f)
{
	struct slice bytes = slice_of(e->frame->bytes.data, 0);
	int r = 0;

	if (most > e->left)
		most = e->left;
	if (most > 0 && !e->more)
		r = next_cached(e, most, &bytes, f);
	if (r == 0 && most > 0 && bytes.len == 0) {
		if (e->frame->broken || (!e->more && e->frame->end == 0))
			return damaged(e, f);
		r = next_frames(e, most, &bytes, f);
	}
	if (r != 0)
		return r;
	e->at += bytes.len;
	e->left -= bytes.len;
	*ret = bytes;
	return 0;
}

uint64_t segment_entry_frame(const struct segment_entry_reader *e)
{
	return e->more && e->more_start != UINT64_MAX ? e->more_start : e->frame->start;
}

void segment_entry_close(struct segment_entry_reader *e)
{
	frame_cache_release(e->frame);
	e->frame = NULL;
	e->more = frame_reader_close(e->more);
}
