#include "archive/frame_table.h"

#include "archive/limits.h"

#include <errno.h>
#include <inttypes.h>

/* frame table: skippable header (8), magic text (16), number (8), frames (40 each), SHA-256 (32)
 * seek table:  skippable header (8), frames (8 each), number (4), descriptor (1), magic (4)
 *
 * Reading begins at the end: the seek table's footer gives the number of frames, and with it where
 * both tables must begin. Everything else is compared with that and with the file's size. */
#define TABLE_TEXT "popkeep-frames 1"
#define SKIP_TABLE UINT32_C(0x184D2A50) /* RFC 8878 section 3.1.2 */
#define SKIP_SEEK  UINT32_C(0x184D2A5E)
#define SEEK_MAGIC UINT32_C(0x8F92EAB1)

enum {
	SKIP_HEADER = 8,
	TABLE_TEXT_LEN = sizeof TABLE_TEXT - 1,
	TABLE_HEAD = TABLE_TEXT_LEN + 8,
	TABLE_FRAME = 8 + DIGEST_LEN,
	SEEK_FRAME = 8,
	SEEK_FOOTER = 9,
	FIRST_FRAMES = 256,
};

void frame_table_deinit(struct frame_table *t)
{
	free(t->frame);
	*t = (struct frame_table){0};
}

uint64_t frame_table_end(const struct frame_table *t)
{
	const struct frame_sum *last = t->frames ? &t->frame[t->frames - 1] : NULL;

	return last ? last->offset + last->size : 0;
}

int frame_table_add(struct frame_table *t, uint32_t size, uint32_t decoded,
	const struct digest *digest, struct fault *f)
{
	if (t->frames == LIMIT_SEALED_FRAMES)
		return fault_set(f, FAULT_LIMIT, SCOPE_ARCHIVE, 0, "more than %d frames",
			LIMIT_SEALED_FRAMES);
	if (t->frames == t->size) {
		size_t n = t->size ? t->size * 2 : FIRST_FRAMES;
		struct frame_sum *grown = realloc(t->frame, n * sizeof *grown);

		if (!grown)
			return fault_memory(f);
		t->frame = grown;
		t->size = n;
	}
	uint64_t offset = frame_table_end(t);
	t->frame[t->frames++] = (struct frame_sum){offset, size, decoded, *digest};
	return 0;
}

/* ---- Numbers ------------------------------------------------------------------------------- */

static uint8_t *put32(uint8_t *at, uint32_t n)
{
	for (unsigned i = 0; i < 4; i++)
		*at++ = (uint8_t)(n >> (8 * i));
	return at;
}

static uint8_t *put64(uint8_t *at, uint64_t n)
{
	return put32(put32(at, (uint32_t)n), (uint32_t)(n >> 32));
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static uint64_t get64(const uint8_t *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

/* Lengths of the skippable frames' contents. */
static size_t table_len(size_t frames)
{
	return TABLE_HEAD + frames * TABLE_FRAME + DIGEST_LEN;
}

static size_t seek_len(size_t frames)
{
	return frames * SEEK_FRAME + SEEK_FOOTER;
}

static int digest_of(const uint8_t *data, size_t len, struct digest *ret, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;

	if (hasher_new(&h, f) < 0)
		return -1;
	hasher_add(h, data, len);
	hasher_end(h, ret);
	return 0;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static uint8_t *format_table(const struct frame_table *t, uint8_t *at)
{
	at = put32(put32(at, SKIP_TABLE), (uint32_t)table_len(t->frames));
	memcpy(at, TABLE_TEXT, TABLE_TEXT_LEN);
	at = put64(at + TABLE_TEXT_LEN, t->frames);
	for (size_t i = 0; i < t->frames; i++) {
		at = put32(put32(at, t->frame[i].size), t->frame[i].decoded);
		memcpy(at, t->frame[i].digest.byte, DIGEST_LEN);
		at += DIGEST_LEN;
	}
	return at;
}

static void format_seek(const struct frame_table *t, uint8_t *at)
{
	at = put32(put32(at, SKIP_SEEK), (uint32_t)seek_len(t->frames));
	for (size_t i = 0; i < t->frames; i++)
		at = put32(put32(at, t->frame[i].size), t->frame[i].decoded);
	at = put32(at, (uint32_t)t->frames);
	*at++ = 0; /* no checksums */
	put32(at, SEEK_MAGIC);
}

int frame_table_format(const struct frame_table *t, struct buffer *to, struct fault *f)
{
	size_t both = 2 * SKIP_HEADER + table_len(t->frames) + seek_len(t->frames);
	struct digest sum;

	if (buffer_reserve(to, both, f) < 0)
		return -1;
	uint8_t *begin = to->data + to->len, *text = begin + SKIP_HEADER;
	uint8_t *at = format_table(t, begin);
	if (digest_of(text, (size_t)(at - text), &sum, f) < 0)
		return -1;
	memcpy(at, sum.byte, DIGEST_LEN);
	format_seek(t, at + DIGEST_LEN);
	to->len += both;
	return 0;
}

/* ---- Reading ------------------------------------------------------------------------------- */

static int wrong(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0, "the frame table %s", what);
}

static int read_at(int fd, uint64_t offset, uint8_t *to, size_t len, struct fault *f)
{
	while (len > 0) {
		ssize_t n = pread(fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno,
				"cannot read the frame table");
		if (n == 0)
			return wrong(f, "is cut short");
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The number of frames, of the footer. TABLE_NONE: there is no footer. */
static int read_footer(int fd, uint64_t file_size, size_t *ret, struct fault *f)
{
	uint8_t footer[SEEK_FOOTER];

	if (file_size < SEEK_FOOTER)
		return TABLE_NONE;
	if (read_at(fd, file_size - SEEK_FOOTER, footer, sizeof footer, f) < 0)
		return -1;
	if (get32(footer + 5) != SEEK_MAGIC)
		return TABLE_NONE;
	uint32_t frames = get32(footer);
	if (frames == 0 || frames > LIMIT_SEALED_FRAMES)
		return wrong(f, "has an impossible number of frames");
	if (footer[4] != 0)
		return wrong(f, "is followed by a seek table with checksums");
	if (2 * SKIP_HEADER + table_len(frames) + seek_len(frames) > file_size)
		return wrong(f, "is larger than the file");
	*ret = frames;
	return 0;
}

/* bytes: both tables, which begin at `begin`. */
static int check_frame_table(const uint8_t *bytes, size_t frames, struct fault *f)
{
	const uint8_t *text = bytes + SKIP_HEADER;
	size_t summed = table_len(frames) - DIGEST_LEN;
	struct digest sum;

	if (get32(bytes) != SKIP_TABLE || get32(bytes + 4) != table_len(frames) ||
		memcmp(text, TABLE_TEXT, TABLE_TEXT_LEN) != 0 ||
		get64(text + TABLE_TEXT_LEN) != frames)
		return wrong(f, "does not begin where it should");
	if (digest_of(text, summed, &sum, f) < 0)
		return -1;
	if (memcmp(sum.byte, text + summed, DIGEST_LEN) != 0)
		return wrong(f, "has another SHA-256 than it says");
	return 0;
}

static int take_frames(
	const uint8_t *bytes, size_t frames, uint64_t begin, struct frame_table *t, struct fault *f)
{
	const uint8_t *at = bytes + SKIP_HEADER + TABLE_HEAD;
	const uint8_t *seek = bytes + SKIP_HEADER + table_len(frames);
	struct digest digest;

	if (get32(seek) != SKIP_SEEK || get32(seek + 4) != seek_len(frames))
		return wrong(f, "is not followed by a seek table");
	seek += SKIP_HEADER;
	for (size_t i = 0; i < frames; i++, at += TABLE_FRAME, seek += SEEK_FRAME) {
		if (memcmp(at, seek, SEEK_FRAME) != 0)
			return wrong(f, "differs from the seek table");
		if (get32(at) == 0)
			return wrong(f, "has an empty frame");
		if (get32(at + 4) > LIMIT_SEALED_FRAME)
			return wrong(f, "has too large a frame");
		memcpy(digest.byte, at + SEEK_FRAME, DIGEST_LEN);
		if (frame_table_add(t, get32(at), get32(at + 4), &digest, f) < 0)
			return -1;
	}
	if (frame_table_end(t) != begin)
		return wrong(f, "does not stand behind its frames");
	return 0;
}

int frame_table_read(int fd, uint64_t file_size, struct frame_table *ret, struct fault *f)
{
	struct frame_table t CLEANUP(frame_table_deinit) = {0};
	uint8_t *bytes CLEANUP(freep) = NULL;
	size_t frames = 0;

	int r = read_footer(fd, file_size, &frames, f);
	if (r != 0)
		return r;
	size_t both = 2 * SKIP_HEADER + table_len(frames) + seek_len(frames);
	uint64_t begin = file_size - both;
	bytes = malloc(both);
	if (!bytes)
		return fault_memory(f);
	if (read_at(fd, begin, bytes, both, f) < 0 || check_frame_table(bytes, frames, f) < 0 ||
		take_frames(bytes, frames, begin, &t, f) < 0)
		return -1;
	*ret = t;
	t = (struct frame_table){0};
	return 0;
}

/* ---- Frames as they are ---------------------------------------------------------------------- */

int frame_expect_begin(struct frame_expect *e, const struct frame_table *t, struct fault *f)
{
	uint8_t *seen = calloc(t->frames + 1, sizeof *seen);

	if (!seen)
		return fault_memory(f);
	*e = (struct frame_expect){.table = t, .seen = seen, .left = t->frames};
	return 0;
}

void frame_expect_deinit(struct frame_expect *e)
{
	free(e->seen);
	*e = (struct frame_expect){0};
}

static int compare_offset(const void *key, const void *item)
{
	uint64_t offset = *(const uint64_t *)key;
	const struct frame_sum *frame = item;

	return (offset > frame->offset) - (offset < frame->offset);
}

void frame_expect_meet(struct frame_expect *e, uint64_t start, uint64_t end, uint64_t decoded)
{
	const struct frame_sum *s;

	if (!e || !e->table)
		return;
	s = bsearch(&start, e->table->frame, e->table->frames, sizeof *s, compare_offset);
	if (!s || end - start != s->size || decoded != s->decoded) {
		e->wrong = true;
		return;
	}
	uint8_t *seen = &e->seen[s - e->table->frame];
	e->left -= *seen == 0;
	*seen = 1;
}

bool frame_expect_fits(const struct frame_expect *e)
{
	return !e->wrong && e->left == 0;
}
