#include "archive/frame_cache.h"

#include <assert.h>
#include <inttypes.h>

enum { STEP = 128 * 1024 }; /* decoded at once, beyond which stopping early pays */

void frame_cache_deinit(struct frame_cache *c)
{
	for (size_t i = 0; i < LIMIT_CACHED_FRAMES; i++) {
		frame_reader_close(c->frame[i].reader);
		buffer_deinit(&c->frame[i].bytes);
	}
	*c = (struct frame_cache){0};
}

static struct cached_frame *find_frame(struct frame_cache *c, uint64_t segment, uint64_t at)
{
	for (size_t i = 0; i < LIMIT_CACHED_FRAMES; i++) {
		struct cached_frame *p = &c->frame[i];

		if (p->filled && p->segment == segment && p->start == at)
			return p;
	}
	return NULL;
}

/* The one that was not used for the longest time. */
static struct cached_frame *oldest_frame(struct frame_cache *c)
{
	struct cached_frame *oldest = NULL;

	for (size_t i = 0; i < LIMIT_CACHED_FRAMES; i++) {
		struct cached_frame *p = &c->frame[i];

		if (p->held == 0 && (!oldest || p->used < oldest->used))
			oldest = p;
	}
	assert(oldest);
	return oldest;
}

/* The reader of the frame before has read on into this one. */
static bool take_reader(
	struct frame_cache *c, struct cached_frame *p, uint64_t segment, uint64_t at)
{
	for (size_t i = 0; c->in_order && i < LIMIT_CACHED_FRAMES; i++) {
		struct cached_frame *before = &c->frame[i];

		if (before->filled && before->segment == segment && before->end == at && at > 0 &&
			before->reader && frame_reader_offset(before->reader) == at) {
			struct frame_reader *reader = before->reader;

			before->reader = p->reader;
			p->reader = reader;
			return true;
		}
	}
	return false;
}

static int begin_reader(struct frame_cache *c, struct cached_frame *p, int fd, uint64_t segment,
	uint64_t at, struct fault *f)
{
	uint64_t end = c->end > 0 ? c->end : UINT64_MAX;

	if (take_reader(c, p, segment, at))
		return 0;
	if (!p->reader)
		return frame_reader_open(fd, at, end, &p->reader, f);
	frame_reader_use(p->reader, fd);
	frame_reader_seek(p->reader, at);
	return 0;
}

/* The next bytes of the frame, some `room` of them. 0, FRAME_NONE at the end of the file. */
static int decode_some(struct cached_frame *p, uint64_t room, struct fault *f)
{
	struct buffer *b = &p->bytes;
	size_t n = 0;

	/* One more byte than there may be tells a frame that is too large. */
	if (room > b->max - b->len)
		room = b->max - b->len;
	if (buffer_reserve(b, (size_t)room, f) < 0)
		return -1;
	int r = frame_read_into(p->reader, b->data + b->len, (size_t)room, &n, &p->fault);
	if (r < 0 && p->fault.code == FAULT_MEMORY) {
		*f = p->fault;
		return -1;
	}
	if (r == 0)
		return FRAME_NONE;
	p->broken = r < 0;
	b->len += n;
	p->end = r < 0 ? 0 : frame_reader_end(p->reader);
	if (b->len > LIMIT_SEALED_FRAME) {
		p->broken = true;
		b->len = LIMIT_SEALED_FRAME;
		fault_record(&p->fault, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
			"the frame at byte %" PRIu64 " holds more than a frame may", p->start);
	}
	return 0;
}

int frame_cache_extend(struct cached_frame *p, uint64_t want, struct fault *f)
{
	while (p->bytes.len < want && p->end == 0 && !p->broken) {
		uint64_t need = want - p->bytes.len, most = p->bytes.len + STEP;
		int r = decode_some(p, need < STEP ? STEP : need > most ? most : need, f);

		if (r < 0)
			p->filled = false;
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	return 0;
}

static int begin_frame(struct frame_cache *c, struct cached_frame *p, int fd, uint64_t segment,
	uint64_t at, struct fault *f)
{
	p->filled = false;
	if (begin_reader(c, p, fd, segment, at, f) < 0)
		return -1;
	p->bytes.max = LIMIT_SEALED_FRAME + 1;
	buffer_clear(&p->bytes);
	p->segment = segment;
	p->broken = false;
	do { /* over skippable and empty frames */
		int r = decode_some(p, STEP, f);

		if (r != 0)
			return r;
	} while (p->bytes.len == 0 && !p->broken);
	p->start = frame_reader_start(p->reader);
	p->filled = true;
	return 0;
}

int frame_cache_hold(struct frame_cache *c, int fd, uint64_t segment, uint64_t at,
	struct cached_frame **ret, struct fault *f)
{
	struct cached_frame *p = find_frame(c, segment, at);

	if (p && p->reader) {
		frame_reader_use(p->reader, fd);
	} else if (!p) {
		p = oldest_frame(c);
		int r = begin_frame(c, p, fd, segment, at, f);
		if (r != 0)
			return r;
	}
	p->used = ++c->clock;
	p->held++;
	*ret = p;
	return 0;
}

void frame_cache_release(struct cached_frame *p)
{
	if (!p)
		return;
	assert(p->held > 0);
	p->held--;
	if (p->broken && p->held == 0)
		p->filled = false;
}
