#include "archive/frame_table.h"
#include "archive/limits.h"
#include "tests/unit/check.h"

#include <sys/mman.h>

enum { FRAMES = 3, BYTES = 100 + 200 + 300, LEAST_SEEK = 9 };

/* A file of three "frames" and both tables. */
struct world {
	int fd;
	struct frame_table table;
	struct buffer file;
	struct fault f;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	uint8_t zeros[BYTES] = {0};

	w->fd = memfd_create("table", MFD_CLOEXEC);
	w->file = buffer_make(1 << 20);
	for (uint32_t i = 1; i <= FRAMES; i++) {
		struct digest d;

		memset(d.byte, (int)i, sizeof d.byte);
		assert_int_equal(frame_table_add(&w->table, 100 * i, 1000 * i, &d, &w->f), 0);
	}
	assert_int_equal(buffer_append(&w->file, zeros, sizeof zeros, &w->f), 0);
	assert_int_equal(frame_table_format(&w->table, &w->file, &w->f), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	frame_table_deinit(&w->table);
	buffer_deinit(&w->file);
	close(w->fd);
	free(w);
	return 0;
}

static int read_table(struct world *w, const uint8_t *data, size_t len, struct frame_table *ret)
{
	assert_int_equal(ftruncate(w->fd, 0), 0);
	assert_int_equal(pwrite(w->fd, data, len, 0), len);
	return frame_table_read(w->fd, len, ret, &w->f);
}

static void a_table_reads_back(void **state)
{
	struct world *w = *state;
	struct frame_table t CLEANUP(frame_table_deinit) = {0};

	assert_int_equal(read_table(w, w->file.data, w->file.len, &t), 0);
	assert_int_equal(t.frames, FRAMES);
	assert_memory_equal(t.frame, w->table.frame, FRAMES * sizeof *t.frame);
	assert_int_equal(t.frame[2].offset, 300);
	assert_int_equal(frame_table_end(&t), BYTES);
}

static void a_file_without_tables_has_none(void **state)
{
	struct world *w = *state;
	struct frame_table t = {0};

	assert_int_equal(read_table(w, w->file.data, BYTES, &t), TABLE_NONE);
	assert_int_equal(read_table(w, w->file.data, 0, &t), TABLE_NONE);
	assert_int_equal(read_table(w, w->file.data, 5, &t), TABLE_NONE);
	assert_int_equal(read_table(w, w->file.data, w->file.len - 1, &t), TABLE_NONE);
}

static void what_stands_before_or_behind_the_frames_is_noticed(void **state)
{
	struct world *w = *state;
	struct frame_table t = {0};
	struct buffer longer CLEANUP(buffer_deinit) = buffer_make(1 << 20);

	assert_int_equal(buffer_append_text(&longer, "x", &w->f), 0);
	assert_int_equal(buffer_append(&longer, w->file.data, w->file.len, &w->f), 0);
	assert_int_equal(read_table(w, longer.data, longer.len, &t), -1);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
	assert_int_equal(read_table(w, w->file.data + 1, w->file.len - 1, &t), -1);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
}

static void each_flipped_bit_of_the_tables_is_noticed(void **state)
{
	struct world *w = *state;
	struct frame_table t = {0};

	for (size_t bit = 8 * BYTES; bit < 8 * w->file.len; bit++) {
		w->file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		int r = read_table(w, w->file.data, w->file.len, &t);
		/* A footer without its magic is no footer: who knows that the segment is sealed
		 * takes that for damage. */
		if (bit / 8 >= w->file.len - 4)
			assert_int_equal(r, TABLE_NONE);
		else
			assert_true(r == -1 && w->f.code == FAULT_DAMAGE);
		w->file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void a_footer_that_promises_more_than_the_file_has_is_damage(void **state)
{
	struct world *w = *state;
	struct frame_table t = {0};
	uint8_t footer[LEAST_SEEK] = {0xff, 0xff, 0xff, 0xff, 0, 0xb1, 0xea, 0x92, 0x8f};

	assert_int_equal(read_table(w, footer, sizeof footer, &t), -1);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
	footer[1] = footer[2] = footer[3] = 0;
	assert_int_equal(read_table(w, footer, sizeof footer, &t), -1);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
	footer[0] = 0;
	assert_int_equal(read_table(w, footer, sizeof footer, &t), -1);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
}

static void a_frame_of_more_than_a_frame_can_hold_is_damage(void **state)
{
	struct world *w = *state;
	struct frame_table t = {0};
	struct digest d = {{0}};

	buffer_clear(&w->file);
	frame_table_deinit(&w->table);
	assert_int_equal(
		frame_table_add(&w->table, 1, (uint32_t)LIMIT_SEALED_FRAME + 1, &d, &w->f), 0);
	assert_int_equal(buffer_append_text(&w->file, "x", &w->f), 0);
	assert_int_equal(frame_table_format(&w->table, &w->file, &w->f), 0);
	assert_int_equal(read_table(w, w->file.data, w->file.len, &t), -1);
	assert_int_equal(w->f.code, FAULT_DAMAGE);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_table_reads_back),
		WORLD_TEST(a_file_without_tables_has_none),
		WORLD_TEST(what_stands_before_or_behind_the_frames_is_noticed),
		WORLD_TEST(each_flipped_bit_of_the_tables_is_noticed),
		WORLD_TEST(a_footer_that_promises_more_than_the_file_has_is_damage),
		WORLD_TEST(a_frame_of_more_than_a_frame_can_hold_is_damage),
	};

	return cmocka_run_group_tests_name("frame_table", tests, NULL, NULL);
}
