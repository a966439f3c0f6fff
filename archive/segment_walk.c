#include "archive/frame_table.h"
#include "archive/limits.h"
#include "archive/recipe.h"
#include "archive/segment.h"
#include "archive/segment_entry.h"

#include <inttypes.h>

enum { STEP = 1024 * 1024, RECIPE_BEGINNING = 64 };

struct segment_walk {
	int fd;
	uint64_t number, end;
	enum walk_mode mode;
	struct hasher *hasher;
	struct frame_cache cache;
	struct cached_frame *frame; /* held while the walk is in it, decoded whole */
	uint64_t next;		    /* where the next frame is looked for when there is none */
	uint64_t at;		    /* how far in the frame, or in the next */
	uint64_t frames_end;
	enum walk_tail tail;
	bool ended;
	struct frame_expect expect;
};

int segment_walk_open(int fd, uint64_t number, uint64_t from, uint64_t end, enum walk_mode mode,
	struct segment_walk **ret, struct fault *f)
{
	struct segment_walk *w CLEANUP(segment_walk_closep) = calloc(1, sizeof *w);

	if (!w)
		return fault_memory(f);
	w->fd = fd;
	w->number = number;
	w->end = end;
	w->mode = mode;
	w->next = w->frames_end = from;
	w->tail = TAIL_NONE;
	w->ended = from >= end;
	w->cache.end = end;
	w->cache.in_order = true;
	if (hasher_new(&w->hasher, f) < 0)
		return -1;
	*ret = TAKE(w);
	return 0;
}

struct segment_walk *segment_walk_close(struct segment_walk *w)
{
	if (!w)
		return NULL;
	frame_cache_deinit(&w->cache);
	hasher_free(w->hasher);
	frame_expect_deinit(&w->expect);
	free(w);
	return NULL;
}

void segment_walk_closep(struct segment_walk **w)
{
	*w = segment_walk_close(*w);
}

int segment_walk_expect(struct segment_walk *w, const struct frame_table *t, struct fault *f)
{
	return frame_expect_begin(&w->expect, t, f);
}

bool segment_walk_fits(const struct segment_walk *w)
{
	return frame_expect_fits(&w->expect);
}

uint64_t segment_walk_offset(const struct segment_walk *w)
{
	if (w->frame)
		return w->frame->end > 0 ? w->frame->end : w->frame->start;
	return w->next < w->end ? w->next : w->end;
}

enum walk_tail segment_walk_tail(const struct segment_walk *w, uint64_t *ret_frames_end)
{
	*ret_frames_end = w->frames_end;
	return w->tail;
}

/* ---- From frame to frame --------------------------------------------------------------------- */

static void leave(struct segment_walk *w, uint64_t next, uint64_t at)
{
	frame_cache_release(w->frame);
	w->frame = NULL;
	w->next = next;
	w->at = at;
}

/* Holds the frame that the walk is in, or the next, decoded as far as it can be. FRAME_NONE: there
 * is no further one. */
static int enter(struct segment_walk *w, struct fault *f)
{
	if (w->frame)
		return 0;
	if (w->next >= w->end)
		return FRAME_NONE;
	int r = frame_cache_hold(&w->cache, w->fd, w->number, w->next, &w->frame, f);
	if (r != 0)
		return r;
	if (frame_cache_extend(w->frame, UINT64_MAX, f) < 0)
		return -1;
	if (w->frame->end > w->frames_end)
		w->frames_end = w->frame->end;
	if (w->frame->end > 0)
		frame_expect_meet(&w->expect, w->frame->start, w->frame->end, w->frame->bytes.len);
	return 0;
}

/* What could not be read: from `from`, a frame's start, to the next frame that decodes and begins
 * with an entry. */
static int pass_damage(struct segment_walk *w, uint64_t from, uint64_t *ret_from, uint64_t *ret_to,
	struct fault *f)
{
	struct fault why = *f;
	uint64_t next;

	leave(w, from, 0);
	int r = frame_find(w->fd, from + 1, w->end, &next, f);
	if (r < 0)
		return -1;
	if (r == FRAME_NONE)
		next = w->end;
	w->next = next;
	w->ended = next >= w->end;
	*ret_from = from;
	*ret_to = next;
	*f = why;
	return WALK_DAMAGE;
}

/* ---- An entry ------------------------------------------------------------------------------ */

static int add_to_digest(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	hasher_add(context, bytes.data, bytes.len);
	return 0;
}

/* The rest of the entry's bytes, digested unless that is not wanted. */
static int pass_bytes(struct segment_entry_reader *e, struct hasher *hasher, struct fault *f)
{
	struct slice bytes;

	while (e->left > 0) {
		int r = segment_entry_next(e, STEP, &bytes, f);

		if (r != 0)
			return r;
		if (hasher)
			hasher_add(hasher, bytes.data, bytes.len);
	}
	return 0;
}

/* The message that a recipe makes. Whatever stands in the way of it is told of the entry. */
static int put_together(struct segment_walk *w, struct segment_entry *e, struct fault *f)
{
	int r = segment_read_entry(w->fd, &w->cache, &e->at, &e->named, e->size, UINT64_MAX,
		add_to_digest, w->hasher, f);

	hasher_end(w->hasher, &e->found);
	if (r == ENTRY_OTHER) {
		e->unread = true;
		memset(&e->found, 0, sizeof e->found); /* nobody's name */
	}
	return r < 0 ? -1 : 0;
}

static int read_recipe(struct segment_walk *w, struct segment_entry_reader *reader,
	struct segment_entry *e, struct fault *f)
{
	struct slice head;
	int r = segment_entry_next(reader, RECIPE_BEGINNING, &head, f);

	if (r != 0)
		return r;
	if (recipe_size(head, &e->size, f) < 0) {
		e->unread = true;
		e->size = reader->header.size;
		return pass_bytes(reader, NULL, &(struct fault){0});
	}
	r = pass_bytes(reader, NULL, f);
	return r != 0 || w->mode == WALK_NAMES ? r : put_together(w, e, f);
}

static int read_entry(struct segment_walk *w, struct segment_entry_reader *reader,
	struct segment_entry *e, struct fault *f)
{
	e->at = (struct location){w->number, w->frame->start, w->at};
	e->kind = segment_entry_kind(reader->header.name, &e->named);
	e->size = reader->header.size;
	if (e->kind == ENTRY_RECIPE)
		return read_recipe(w, reader, e, f);
	int r = pass_bytes(reader, w->mode == WALK_DIGEST ? w->hasher : NULL, f);
	if (w->mode == WALK_DIGEST)
		hasher_end(w->hasher, &e->found);
	return r;
}

/* To behind the entry; it may have gone on through further frames. */
static int go_behind(struct segment_walk *w, const struct segment_entry_reader *reader,
	struct segment_entry *e, struct fault *f)
{
	uint64_t size = reader->header.size;
	uint64_t padding = tar_entry_bytes(size) - TAR_BLOCK - size;
	uint64_t start = segment_entry_frame(reader);

	if (start != w->frame->start) {
		leave(w, start, 0);
		int r = enter(w, f);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	w->at = reader->at + padding;
	e->frames_end = w->frame->end;
	return 0;
}

static int walk_entry(struct segment_walk *w, struct segment_entry_reader *reader,
	struct segment_entry *ret, uint64_t *ret_from, uint64_t *ret_to, struct fault *f)
{
	struct segment_entry e = {.kind = ENTRY_UNKNOWN};
	int r = read_entry(w, reader, &e, f);

	if (r < 0)
		return -1;
	if (r > 0)
		return pass_damage(w, segment_entry_frame(reader), ret_from, ret_to, f);
	if (go_behind(w, reader, &e, f) < 0)
		return -1;
	*ret = e;
	return WALK_ENTRY;
}

/* ---- The end --------------------------------------------------------------------------------- */

static bool zero_until_end(const struct cached_frame *frame, uint64_t at)
{
	while (at < frame->bytes.len && frame->bytes.data[at] == 0)
		at++;
	return at == frame->bytes.len && frame->end > 0;
}

/* Zero bytes where a header should be: the end of the tar file, behind which there must be no
 * further frame. */
static int end_blocks(struct segment_walk *w, uint64_t *ret_from, uint64_t *ret_to, struct fault *f)
{
	uint64_t blocks = (w->frame->bytes.len - w->at) / TAR_BLOCK;

	if (!zero_until_end(w->frame, w->at)) {
		fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
			"zero bytes before the end of the frame at byte %" PRIu64, w->frame->start);
		return pass_damage(w, w->frame->start, ret_from, ret_to, f);
	}
	leave(w, w->frame->end, 0);
	int r = enter(w, f);
	if (r < 0)
		return -1;
	if (r == 0) {
		fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
			"a frame at byte %" PRIu64 " behind the end blocks", w->frame->start);
		return pass_damage(w, w->frame->start, ret_from, ret_to, f);
	}
	w->tail = blocks >= 2 ? TAIL_BLOCKS : TAIL_NONE;
	w->ended = true;
	return 0;
}

/* No further frame. An entry's padding that is missing was seen only now. */
static int end_file(struct segment_walk *w, uint64_t *ret_from, uint64_t *ret_to, struct fault *f)
{
	bool torn = w->at > 0;

	w->ended = true;
	if (!torn || w->next == 0)
		return 0;
	fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "the file ends within an entry");
	*ret_from = w->next - 1;
	*ret_to = w->end;
	return WALK_DAMAGE;
}

/* Whether the walk is behind the last byte of its frame; then it goes on to the next. */
static bool go_on(struct segment_walk *w)
{
	const struct cached_frame *frame = w->frame;

	if (w->at < frame->bytes.len || frame->end == 0)
		return false;
	leave(w, frame->end, w->at - frame->bytes.len);
	return true;
}

int segment_walk_next(struct segment_walk *w, struct segment_entry *ret, uint64_t *ret_from,
	uint64_t *ret_to, struct fault *f)
{
	struct segment_entry_reader reader;
	struct cached_frame *held;

	do {
		if (w->ended)
			return 0;
		int r = enter(w, f);
		if (r != 0)
			return r < 0 ? -1 : end_file(w, ret_from, ret_to, f);
	} while (go_on(w));
	/* Its own hold: the entry lets go of it. */
	if (frame_cache_hold(&w->cache, w->fd, w->number, w->frame->start, &held, f) != 0)
		return -1;
	int r = segment_entry_open(&reader, w->fd, held, w->at, w->end, f);
	if (r < 0)
		return -1;
	if (r == ENTRY_ZERO)
		return end_blocks(w, ret_from, ret_to, f);
	if (r > 0)
		return pass_damage(w, w->frame->start, ret_from, ret_to, f);
	reader.expect = &w->expect;
	r = walk_entry(w, &reader, ret, ret_from, ret_to, f);
	segment_entry_close(&reader);
	return r;
}
