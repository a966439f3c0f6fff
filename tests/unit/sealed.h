/* A sealed segment taken apart for tests, by nothing but its frames and tar's headers: every entry
 * with its bytes and its place. */
#pragma once

#include "archive/digest.h"
#include "archive/frame.h"
#include "archive/recipe.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <sys/stat.h>

struct sealed_entry {
	char name[101];
	struct slice bytes;
	uint64_t frame, entry; /* as recipes say places */
	uint64_t mtime, last_frame;
};

struct sealed {
	struct buffer decoded;
	struct {
		uint64_t offset, decoded;
	} frame[4096];
	size_t frames;
	struct sealed_entry entry[4096];
	size_t entries;
	uint64_t file_size;
};

static inline uint64_t sealed_octal(const uint8_t *field, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		n = n * 8 + (uint64_t)(field[i] - '0');
	return n;
}

static inline size_t sealed_frame_of(const struct sealed *s, uint64_t decoded)
{
	size_t i = s->frames;

	while (i > 0 && s->frame[i - 1].decoded > decoded)
		i--;
	assert_true(i > 0);
	return i - 1;
}

static inline void sealed_decode(struct sealed *s, int fd)
{
	struct frame_reader *r CLEANUP(frame_reader_closep) = NULL;
	struct slice bytes;
	struct fault f;
	struct stat st;
	int n;

	assert_int_equal(fstat(fd, &st), 0);
	s->file_size = (uint64_t)st.st_size;
	assert_int_equal(frame_reader_open(fd, 0, s->file_size, &r, &f), 0);
	while ((n = frame_read(r, &bytes, &f)) == FRAME_BYTES) {
		uint64_t start = frame_reader_start(r);

		if (s->frames == 0 || s->frame[s->frames - 1].offset != start) {
			assert_true(s->frames < sizeof s->frame / sizeof *s->frame);
			s->frame[s->frames].offset = start;
			s->frame[s->frames++].decoded = s->decoded.len;
		}
		assert_int_equal(buffer_append(&s->decoded, bytes.data, bytes.len, &f), 0);
	}
	assert_int_equal(n, 0);
}

/* Decodes it all; it must end with the two zero blocks of tar, in a frame. */
static inline struct sealed *sealed_open(int fd)
{
	struct sealed *s = calloc(1, sizeof *s);
	uint64_t at = 0;

	assert_non_null(s);
	s->decoded = buffer_make(SIZE_MAX);
	sealed_decode(s, fd);
	if (!s->decoded.data) {
		fail_msg("it has no bytes");
		return s;
	}
	while (s->decoded.data[at] != 0) {
		struct sealed_entry *e = &s->entry[s->entries++];
		const uint8_t *header = s->decoded.data + at;
		uint64_t size = sealed_octal(header + 124, 12);
		size_t first = sealed_frame_of(s, at);

		assert_true(s->entries < sizeof s->entry / sizeof *s->entry);
		assert_memory_equal(header + 257, "ustar", 5);
		assert_int_equal(sealed_octal(header + 100, 8), 0400);
		memcpy(e->name, header, 100);
		e->bytes = slice_of(header + 512, size);
		e->mtime = sealed_octal(header + 136, 12);
		e->frame = s->frame[first].offset;
		e->entry = at - s->frame[first].decoded;
		at += 512 + (size + 511) / 512 * 512;
		e->last_frame = s->frame[sealed_frame_of(s, at - 1)].offset;
	}
	assert_int_equal(s->decoded.len - at, 1024);
	for (uint64_t i = at; i < s->decoded.len; i++)
		assert_int_equal(s->decoded.data[i], 0);
	return s;
}

static inline void sealed_closep(struct sealed **s)
{
	if (*s)
		buffer_deinit(&(*s)->decoded);
	free(*s);
}

static inline const struct sealed_entry *sealed_find(const struct sealed *s, const char *name)
{
	for (size_t i = 0; i < s->entries; i++) {
		if (strcmp(s->entry[i].name, name) == 0)
			return &s->entry[i];
	}
	return NULL;
}

static inline size_t sealed_count(const struct sealed *s, const char *folder, const char *ending)
{
	size_t n = 0;

	for (size_t i = 0; i < s->entries; i++) {
		const char *name = s->entry[i].name;
		size_t len = strlen(name), tail = strlen(ending);

		n += strncmp(name, folder, strlen(folder)) == 0 && len > tail &&
		     strcmp(name + len - tail, ending) == 0;
	}
	return n;
}

/* The bytes of a piece that is a part, which must lie before the recipe and where it says. */
static inline void sealed_add_part(const struct sealed *s, const struct sealed_entry *recipe,
	const struct piece *p, struct buffer *to)
{
	char name[DIGEST_HEX + 16] = "part/";
	struct base64_lines b;
	struct fault f;

	digest_hex(&p->part, name + 5);
	const struct sealed_entry *part = sealed_find(s, name);
	assert_non_null(part);
	assert_true(part < recipe);
	assert_int_equal(part->bytes.len, p->part_size);
	assert_int_equal(part->frame, p->frame_offset);
	assert_int_equal(part->entry, p->entry_offset);
	if (p->kind == PIECE_RAW) {
		assert_int_equal(buffer_append(to, part->bytes.data, part->bytes.len, &f), 0);
		return;
	}
	base64_lines_init(&b, p->line, p->eol);
	assert_int_equal(base64_lines_add(&b, part->bytes, to, &f), 0);
	assert_int_equal(base64_lines_end(&b, to, &f), 0);
}

/* Puts a message together; false: it is not in the segment. */
static inline bool sealed_message(
	const struct sealed *s, const struct digest *d, uint64_t size, struct buffer *to)
{
	static struct recipe r;
	char hex[DIGEST_HEX + 1], name[DIGEST_HEX + 16];
	struct fault f;

	digest_hex(d, hex);
	buffer_clear(to);
	(void)snprintf(name, sizeof name, "mail/%s.eml", hex);
	const struct sealed_entry *e = sealed_find(s, name);
	if (e) {
		assert_int_equal(buffer_append(to, e->bytes.data, e->bytes.len, &f), 0);
		return true;
	}
	(void)snprintf(name, sizeof name, "mail/%s.recipe", hex);
	e = sealed_find(s, name);
	if (!e)
		return false;
	assert_int_equal(recipe_parse(e->bytes, size, &r, &f), 0);
	const uint8_t *literal = e->bytes.data + r.header_len;
	for (size_t i = 0; i < r.pieces; i++) {
		const struct piece *p = &r.piece[i];

		if (p->kind != PIECE_LITERAL) {
			sealed_add_part(s, e, p, to);
			continue;
		}
		assert_int_equal(buffer_append(to, literal, (size_t)p->size, &f), 0);
		literal += p->size;
	}
	return true;
}
