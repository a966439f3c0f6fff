#include "archive/frame.h"
#include "archive/limits.h"
#include "archive/segment.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Frames that libarchive has read ahead of the entry that it is at: it asks for a few kilobytes
 * more than it needs, and frames can be as small as one message. */
enum { FRAMES_AHEAD_MAX = 4096, TAR_BLOCK = 512 };

struct frame_place {
	uint64_t offset;  /* in the file */
	uint64_t decoded; /* where its bytes begin in the decoded stream */
	uint64_t end;	  /* in the file; 0 not known yet */
};

/* Decoded frames as one stream for libarchive. */
struct stream {
	struct frame_reader *frames;
	struct archive *tar;
	uint64_t skip; /* decoded bytes to pass over before the first entry */
	uint64_t decoded;
	struct frame_place *place;
	size_t places, places_size;
	bool broken; /* a frame could not be decoded: *fault says why */
	uint64_t broken_at;
	struct fault fault;
};

static void stream_end_tar(struct stream *s)
{
	if (s->tar)
		archive_read_free(s->tar);
	s->tar = NULL;
}

static void stream_deinit(struct stream *s)
{
	stream_end_tar(s);
	s->frames = frame_reader_close(s->frames);
	free(s->place);
	s->place = NULL;
}

static int add_place(struct stream *s, uint64_t start)
{
	if (s->places == FRAMES_AHEAD_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (s->places == s->places_size) {
		size_t size = s->places_size ? s->places_size * 2 : 16;
		struct frame_place *grown = realloc(s->place, size * sizeof *grown);

		if (!grown)
			return -1;
		s->place = grown;
		s->places_size = size;
	}
	s->place[s->places++] = (struct frame_place){.offset = start, .decoded = s->decoded};
	return 0;
}

/* Remembers the frame that the reader is in. errno says why not. */
static int note_frame(struct stream *s)
{
	uint64_t start = frame_reader_start(s->frames);
	bool known = s->places > 0 && s->place[s->places - 1].offset == start;

	if (!known && add_place(s, start) < 0)
		return -1;
	s->place[s->places - 1].end = frame_reader_end(s->frames);
	return 0;
}

static la_ssize_t on_read(struct archive *a, void *context, const void **ret)
{
	struct stream *s = context;
	struct slice bytes;

	for (;;) {
		int r = frame_read(s->frames, &bytes, &s->fault);

		if (r == 0)
			return 0;
		if (r < 0) {
			s->broken = true;
			s->broken_at = frame_reader_start(s->frames);
			archive_set_error(a, EIO, "%s", s->fault.text);
			return -1;
		}
		if (bytes.len > s->skip)
			break;
		s->skip -= bytes.len;
	}
	if (note_frame(s) < 0) {
		archive_set_error(a, errno, "%s",
			errno == ENOMEM ? "out of memory" : "too many frames for one entry");
		return -1;
	}
	*ret = bytes.data + s->skip;
	size_t n = bytes.len - (size_t)s->skip;
	s->skip = 0;
	s->decoded += n;
	return (la_ssize_t)n;
}

/* Begins to read entries at the frames' present place. */
static int stream_begin_tar(struct stream *s, struct fault *f)
{
	stream_end_tar(s);
	s->decoded = 0;
	s->places = 0;
	s->broken = false;
	s->tar = archive_read_new();
	if (!s->tar)
		return fault_memory(f);
	if (archive_read_support_format_tar(s->tar) != ARCHIVE_OK)
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libarchive has no tar");
	return 0;
}

/* archive_read_open reads the first bytes: its failure is that of the first frame. */
static int stream_open_tar(struct stream *s)
{
	return archive_read_open(s->tar, s, NULL, on_read, NULL);
}

/* The digest in the name mail/<digest>.eml. */
static bool parse_mail_name(const char *name, struct digest *ret)
{
	size_t len = name ? strlen(name) : 0;

	if (len != 5 + DIGEST_HEX + 4 || memcmp(name, "mail/", 5) != 0 ||
		memcmp(name + 5 + DIGEST_HEX, ".eml", 4) != 0)
		return false;
	return digest_parse(slice_of(name + 5, DIGEST_HEX), ret) == 0;
}

/* ---- One entry -------------------------------------------------------------------------- */

/* Lack of memory says nothing of the bytes: to take it for damage would lose mail in replay. */
static bool lacks_memory(const struct stream *s)
{
	return s->broken ? s->fault.code == FAULT_MEMORY
			 : s->tar && archive_errno(s->tar) == ENOMEM;
}

static int damage(struct stream *s, struct fault *f)
{
	if (lacks_memory(s))
		return fault_memory(f);
	if (s->broken) {
		*f = s->fault;
		return ENTRY_OTHER;
	}
	const char *why = archive_error_string(s->tar);
	fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "no tar entry there: %s",
		why ? why : "end of file");
	return ENTRY_OTHER;
}

static int give_entry(
	struct stream *s, uint64_t limit, message_sink *sink, void *context, struct fault *f)
{
	const void *data;
	size_t len;
	la_int64_t offset;

	while (limit > 0) {
		int r = archive_read_data_block(s->tar, &data, &len, &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return damage(s, f);
		if (len > limit)
			len = (size_t)limit;
		limit -= len;
		if (len > 0 && sink(context, slice_of(data, len), f) < 0)
			return -1;
	}
	return 0;
}

/* The entry that libarchive is to find next must be the message. */
static int check_header(
	struct stream *s, const struct digest *digest, uint64_t size, struct fault *f)
{
	struct archive_entry *entry;
	struct digest named;

	if (archive_read_next_header(s->tar, &entry) != ARCHIVE_OK)
		return damage(s, f);
	if (parse_mail_name(archive_entry_pathname(entry), &named) &&
		digest_compare(&named, digest) == 0 &&
		archive_entry_size(entry) == (la_int64_t)size)
		return 0;
	fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "another entry lies there");
	return ENTRY_OTHER;
}

void frame_cache_deinit(struct frame_cache *c)
{
	buffer_deinit(&c->bytes);
	*c = (struct frame_cache){0};
}

/* Decodes the frame as far as it can be. >0: it is larger than any of ours, or memory is short. */
static int fill_cache(int fd, struct frame_cache *c, const struct location *at, struct fault *f)
{
	struct frame_reader *r CLEANUP(frame_reader_closep) = NULL;
	struct slice bytes;
	int n;

	if (c->filled && c->segment == at->segment && c->frame_offset == at->frame_offset)
		return 0;
	c->filled = c->broken = false;
	c->bytes.max = LIMIT_FRAME_ENTRY;
	buffer_clear(&c->bytes);
	if (frame_reader_open(fd, at->frame_offset, UINT64_MAX, &r, f) < 0)
		return -1;
	while ((n = frame_read(r, &bytes, &c->fault)) == FRAME_BYTES) {
		if (frame_reader_start(r) != at->frame_offset)
			break; /* a skippable frame lay there, and the next one began */
		if (buffer_append(&c->bytes, bytes.data, bytes.len, f) < 0)
			return 1;
		if (frame_reader_end(r) > 0)
			break;
	}
	if (n < 0 && c->fault.code == FAULT_MEMORY)
		return fault_memory(f);
	c->broken = n < 0;
	c->segment = at->segment;
	c->frame_offset = at->frame_offset;
	c->filled = true;
	return 0;
}

static int read_from_cache(struct frame_cache *c, const struct location *at,
	const struct digest *digest, uint64_t size, uint64_t limit, message_sink *sink,
	void *context, struct fault *f)
{
	struct stream s CLEANUP(stream_deinit) = {0};

	if (stream_begin_tar(&s, f) < 0)
		return -1;
	s.broken = c->broken;
	s.fault = c->fault;
	if (archive_read_open_memory(s.tar, c->bytes.data + at->entry_offset,
		    c->bytes.len - (size_t)at->entry_offset) != ARCHIVE_OK)
		return damage(&s, f);
	int r = check_header(&s, digest, size, f);
	return r != 0 ? r : give_entry(&s, limit, sink, context, f);
}

/* Whether the entry's header and bytes lie in the frame that was decoded. */
static bool holds(const struct frame_cache *c, const struct location *at, uint64_t size)
{
	uint64_t have = c->bytes.len;

	return at->entry_offset <= have && TAR_BLOCK + size <= have - at->entry_offset;
}

/* An entry that spans frames. */
static int read_from_file(int fd, const struct location *at, const struct digest *digest,
	uint64_t size, uint64_t limit, message_sink *sink, void *context, struct fault *f)
{
	struct stream s CLEANUP(stream_deinit) = {.skip = at->entry_offset};

	if (frame_reader_open(fd, at->frame_offset, UINT64_MAX, &s.frames, f) < 0 ||
		stream_begin_tar(&s, f) < 0)
		return -1;
	if (stream_open_tar(&s) != ARCHIVE_OK)
		return damage(&s, f);
	int r = check_header(&s, digest, size, f);
	return r != 0 ? r : give_entry(&s, limit, sink, context, f);
}

int segment_read_entry(int fd, struct frame_cache *cache, const struct location *at,
	const struct digest *digest, uint64_t size, uint64_t limit, message_sink *sink,
	void *context, struct fault *f)
{
	if (size < LIMIT_FRAME_ENTRY - TAR_BLOCK && at->entry_offset < LIMIT_FRAME_ENTRY) {
		int r = fill_cache(fd, cache, at, f);

		if (r < 0)
			return -1;
		if (r == 0 && holds(cache, at, size))
			return read_from_cache(cache, at, digest, size, limit, sink, context, f);
	}
	return read_from_file(fd, at, digest, size, limit, sink, context, f);
}

/* ---- The walk ------------------------------------------------------------------------------ */

struct segment_walk {
	struct stream s;
	struct hasher *hasher;
	int fd;
	uint64_t number, from, end; /* from: where the next stretch begins */
};

int segment_walk_open(int fd, uint64_t number, uint64_t from, uint64_t end,
	struct segment_walk **ret, struct fault *f)
{
	struct segment_walk *w CLEANUP(segment_walk_closep) = calloc(1, sizeof *w);

	if (!w)
		return fault_memory(f);
	w->fd = fd;
	w->number = number;
	w->from = from;
	w->end = end;
	if (hasher_new(&w->hasher, f) < 0 || frame_reader_open(fd, from, end, &w->s.frames, f) < 0)
		return -1;
	*ret = TAKE(w);
	return 0;
}

struct segment_walk *segment_walk_close(struct segment_walk *w)
{
	if (!w)
		return NULL;
	stream_deinit(&w->s);
	hasher_free(w->hasher);
	free(w);
	return NULL;
}

void segment_walk_closep(struct segment_walk **w)
{
	*w = segment_walk_close(*w);
}

uint64_t segment_walk_offset(const struct segment_walk *w)
{
	return frame_reader_offset(w->s.frames);
}

/* The frame in which decoded byte `position` lies; forgets those before it. */
static const struct frame_place *find_place(struct stream *s, uint64_t position)
{
	size_t i = 0;

	while (i + 1 < s->places && s->place[i + 1].decoded <= position)
		i++;
	if (i > 0) {
		s->places -= i;
		memmove(s->place, s->place + i, s->places * sizeof *s->place);
	}
	return &s->place[0];
}

/* What could not be read: from the frame that broke, or from the entry's, to the next frame that
 * decodes and begins an entry. */
static int pass_damage(struct segment_walk *w, uint64_t from, uint64_t *ret_from, uint64_t *ret_to,
	struct fault *f)
{
	struct stream *s = &w->s;
	struct fault why = s->fault;
	uint64_t next;

	if (lacks_memory(s))
		return fault_memory(f);
	if (!s->broken) {
		const char *text = s->tar ? archive_error_string(s->tar) : NULL;

		fault_record(&why, FAULT_DAMAGE, SCOPE_MESSAGE, 0,
			"no tar entry at byte %" PRIu64 ": %s", from, text ? text : "unknown");
	}
	stream_end_tar(s);
	int r = frame_find(w->fd, from + 1, w->end, &next, f);
	if (r < 0)
		return -1;
	if (r == FRAME_NONE)
		next = w->end;
	w->from = next;
	frame_reader_seek(s->frames, next);
	*ret_from = from;
	*ret_to = next;
	*f = why;
	return WALK_DAMAGE;
}

/* Where trouble is: the broken frame, or the frame that libarchive was in. */
static uint64_t trouble_at(const struct segment_walk *w)
{
	if (w->s.broken)
		return w->s.broken_at;
	return w->s.places ? w->s.place[0].offset : w->from;
}

static int digest_entry(struct segment_walk *w, struct segment_entry *e)
{
	const void *data;
	size_t len;
	la_int64_t offset;
	int r;

	e->size = 0;
	while ((r = archive_read_data_block(w->s.tar, &data, &len, &offset)) == ARCHIVE_OK) {
		hasher_add(w->hasher, data, len);
		e->size += len;
	}
	hasher_end(w->hasher, &e->found);
	return r == ARCHIVE_EOF ? 0 : -1;
}

int segment_walk_next(struct segment_walk *w, struct segment_entry *ret, uint64_t *ret_from,
	uint64_t *ret_to, struct fault *f)
{
	struct archive_entry *entry;
	struct segment_entry e = {.at.segment = w->number};

	if (!w->s.tar) {
		if (w->from >= w->end)
			return 0;
		if (stream_begin_tar(&w->s, f) < 0)
			return -1;
		if (stream_open_tar(&w->s) != ARCHIVE_OK)
			return pass_damage(w, trouble_at(w), ret_from, ret_to, f);
	}
	int r = archive_read_next_header(w->s.tar, &entry);
	if (r == ARCHIVE_EOF) {
		stream_end_tar(&w->s);
		w->from = w->end;
		return 0;
	}
	if (r != ARCHIVE_OK)
		return pass_damage(w, trouble_at(w), ret_from, ret_to, f);
	uint64_t position = (uint64_t)archive_read_header_position(w->s.tar);
	const struct frame_place *place = find_place(&w->s, position);
	e.at.frame_offset = place->offset;
	e.at.entry_offset = position - place->decoded;
	e.is_mail = parse_mail_name(archive_entry_pathname(entry), &e.named);
	if (digest_entry(w, &e) < 0)
		return pass_damage(w, trouble_at(w), ret_from, ret_to, f);
	/* The last byte of the padding tells in which frame the entry ends. */
	uint64_t last = position + TAR_BLOCK + (e.size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK - 1;
	for (size_t i = 0; i < w->s.places && w->s.place[i].decoded <= last; i++)
		e.frames_end = w->s.place[i].end;
	*ret = e;
	return WALK_ENTRY;
}
