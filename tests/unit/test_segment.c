#include "archive/limits.h"
#include "archive/segment.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A folder with one open segment, filled by fill(). */
struct world {
	char path[64];
	int folder;
	struct spool_pool *pool;
	struct segment_writer *writer;
	struct fault f;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	folder_make(w->path);
	w->folder = open(w->path, O_RDONLY | O_DIRECTORY);
	*state = w;
	return spool_pool_open(w->path, &w->pool, &w->f);
}

static int teardown(void **state)
{
	struct world *w = *state;

	segment_writer_close(w->writer);
	spool_pool_close(w->pool);
	close(w->folder);
	folder_remove(w->path);
	free(w);
	return 0;
}

/* Message number i: size bytes that do not repeat between messages. */
static struct spool *message(struct world *w, unsigned i, size_t size)
{
	struct spool *s = NULL;
	uint8_t *bytes = malloc(size ? size : 1);
	uint32_t x = i * 2654435761u + 1;

	for (size_t k = 0; k < size; k++) {
		x = x * 1664525u + 1013904223u;
		bytes[k] = (uint8_t)(x >> 26);
	}
	assert_int_equal(spool_new(w->pool, &s, &w->f), 0);
	assert_int_equal(spool_write(s, slice_of(bytes, size), &w->f), 0);
	spool_finish(s);
	free(bytes);
	return s;
}

struct kept {
	struct location at;
	struct digest digest;
	uint64_t size;
};

static void add(struct world *w, unsigned i, size_t size, struct kept *ret)
{
	struct spool *s CLEANUP(spool_freep) = message(w, i, size);

	assert_int_equal(segment_append(w->writer, s, 1000, &ret->at, &w->f), 0);
	ret->digest = *spool_digest(s);
	ret->size = size;
}

static void end_group(struct world *w)
{
	assert_int_equal(segment_flush(w->writer, &w->f), 0);
	assert_int_equal(segment_sync(w->writer, &w->f), 0);
}

static int open_segment(struct world *w)
{
	char name[SEGMENT_NAME];

	segment_name(1, SEGMENT_OPEN, name);
	int fd = openat(w->folder, name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static int count_bytes(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	*(uint64_t *)context += bytes.len;
	return 0;
}

static const size_t sizes[] = {0, 1, 511, 512, 513, 70000, 3 * 1024 * 1024, 9 * 1024 * 1024, 5};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void fill(struct world *w, struct kept kept[SIZES])
{
	assert_int_equal(segment_writer_open(w->folder, 1, 0, &w->writer, &w->f), 0);
	for (unsigned i = 0; i < SIZES; i++) {
		add(w, i, sizes[i], &kept[i]);
		if (i % 3 == 2)
			end_group(w);
	}
	end_group(w);
}

static void every_entry_reads_back_from_its_place(void **state)
{
	struct world *w = *state;
	struct kept kept[SIZES];
	struct frame_cache cache CLEANUP(frame_cache_deinit) = {0};

	fill(w, kept);
	int fd CLEANUP(fd_closep) = open_segment(w);
	for (unsigned i = 0; i < SIZES; i++) {
		uint64_t got = 0;

		assert_int_equal(segment_read_entry(fd, &cache, &kept[i].at, &kept[i].digest,
					 kept[i].size, UINT64_MAX, count_bytes, &got, &w->f),
			0);
		assert_int_equal(got, kept[i].size);
	}
	assert_int_equal(segment_read_entry(fd, &cache, &kept[1].at, &kept[2].digest, 511,
				 UINT64_MAX, count_bytes, &(uint64_t){0}, &w->f),
		ENTRY_OTHER);
}

static void a_walk_finds_every_entry_where_it_was_put(void **state)
{
	struct world *w = *state;
	struct kept kept[SIZES];
	struct segment_entry e;
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	uint64_t from, to;

	fill(w, kept);
	int fd CLEANUP(fd_closep) = open_segment(w);
	assert_int_equal(segment_walk_open(fd, 1, 0, segment_writer_end(w->writer), WALK_DIGEST,
				 &walk, &w->f),
		0);
	for (unsigned i = 0; i < SIZES; i++) {
		assert_int_equal(segment_walk_next(walk, &e, &from, &to, &w->f), WALK_ENTRY);
		assert_int_equal(e.kind, ENTRY_MAIL);
		assert_int_equal(digest_compare(&e.found, &kept[i].digest), 0);
		assert_int_equal(digest_compare(&e.named, &kept[i].digest), 0);
		assert_memory_equal(&e.at, &kept[i].at, sizeof e.at);
		assert_true(e.frames_end > e.at.frame_offset);
	}
	assert_int_equal(e.frames_end, segment_writer_end(w->writer));
	assert_int_equal(segment_walk_next(walk, &e, &from, &to, &w->f), 0);
}

static void a_flipped_byte_costs_its_frame_and_no_other(void **state)
{
	struct world *w = *state;
	struct kept kept[4];
	struct segment_entry e;
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	uint64_t from, to;
	uint8_t byte;

	assert_int_equal(segment_writer_open(w->folder, 1, 0, &w->writer, &w->f), 0);
	for (unsigned i = 0; i < 4; i++) {
		add(w, i, 3000, &kept[i]);
		end_group(w);
	}
	int fd CLEANUP(fd_closep) = open_segment(w);
	off_t hit = (off_t)kept[1].at.frame_offset + 700;
	assert_int_equal(pread(fd, &byte, 1, hit), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, hit), 1);
	assert_int_equal(segment_walk_open(fd, 1, 0, segment_writer_end(w->writer), WALK_DIGEST,
				 &walk, &w->f),
		0);
	unsigned whole = 0, broken = 0;
	for (int r; (r = segment_walk_next(walk, &e, &from, &to, &w->f)) != 0;) {
		if (r == WALK_ENTRY && digest_compare(&e.named, &e.found) == 0) {
			whole++;
		} else if (r == WALK_DAMAGE) {
			broken++;
			assert_int_equal(from, kept[1].at.frame_offset);
			assert_int_equal(to, kept[2].at.frame_offset);
		}
	}
	assert_int_equal(whole, 3);
	assert_int_equal(broken, 1);
}

static void a_torn_end_is_damage_behind_whole_entries(void **state)
{
	struct world *w = *state;
	struct kept kept[2];
	struct segment_entry e;
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	uint64_t from = 0, to = 0;

	assert_int_equal(segment_writer_open(w->folder, 1, 0, &w->writer, &w->f), 0);
	add(w, 1, 3000, &kept[0]);
	end_group(w);
	add(w, 2, 3000, &kept[1]);
	end_group(w);
	uint64_t end = segment_writer_end(w->writer) - 10;
	int fd CLEANUP(fd_closep) = open_segment(w);
	assert_int_equal(ftruncate(fd, (off_t)end), 0);
	assert_int_equal(segment_walk_open(fd, 1, 0, end, WALK_DIGEST, &walk, &w->f), 0);
	assert_int_equal(segment_walk_next(walk, &e, &from, &to, &w->f), WALK_ENTRY);
	int r = segment_walk_next(walk, &e, &from, &to, &w->f);
	while (r == WALK_ENTRY)
		r = segment_walk_next(walk, &e, &from, &to, &w->f);
	assert_int_equal(r, WALK_DAMAGE);
	assert_int_equal(from, kept[1].at.frame_offset);
	assert_int_equal(segment_walk_next(walk, &e, &from, &to, &w->f), 0);
}

static void an_entry_that_fits_a_frame_lies_in_one(void **state)
{
	struct world *w = *state;
	struct kept kept[2];
	struct segment_entry e;
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	uint64_t from, to;

	assert_int_equal(segment_writer_open(w->folder, 1, 0, &w->writer, &w->f), 0);
	add(w, 1, 1000000, &kept[0]);
	add(w, 2, LIMIT_FRAME_ENTRY - 1024, &kept[1]);
	end_group(w);
	assert_int_equal(kept[1].at.entry_offset, 0);
	int fd CLEANUP(fd_closep) = open_segment(w);
	assert_int_equal(segment_walk_open(fd, 1, 0, segment_writer_end(w->writer), WALK_DIGEST,
				 &walk, &w->f),
		0);
	assert_int_equal(segment_walk_next(walk, &e, &from, &to, &w->f), WALK_ENTRY);
	assert_int_equal(e.frames_end, kept[1].at.frame_offset);
}

static void only_names_of_segments_are_names_of_segments(void **state)
{
	uint64_t number;
	enum segment_state s;

	(void)state;
	assert_int_equal(segment_parse_name("000012.open.tar.zst", &number, &s), 0);
	assert_int_equal(number, 12);
	assert_int_equal(s, SEGMENT_OPEN);
	assert_int_equal(segment_parse_name("1234567.tar.zst", &number, &s), 0);
	assert_int_equal(s, SEGMENT_SEALED);
	assert_int_equal(segment_parse_name("000000.tar.zst", &number, &s), SEGMENT_OTHER);
	assert_int_equal(segment_parse_name("12.tar.zst", &number, &s), SEGMENT_OTHER);
	assert_int_equal(segment_parse_name("000012.tar.zst.tmp", &number, &s), SEGMENT_OTHER);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(every_entry_reads_back_from_its_place),
		WORLD_TEST(a_walk_finds_every_entry_where_it_was_put),
		WORLD_TEST(a_flipped_byte_costs_its_frame_and_no_other),
		WORLD_TEST(a_torn_end_is_damage_behind_whole_entries),
		WORLD_TEST(an_entry_that_fits_a_frame_lies_in_one),
		TEST(only_names_of_segments_are_names_of_segments),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
