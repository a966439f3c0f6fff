#include "archive/dense.h"
#include "archive/frame_table.h"
#include "archive/limits.h"
#include "archive/tar_write.h"
#include "tests/unit/sealed.h"

#include <fcntl.h>
#include <sys/mman.h>

#define FRAME (64 * KIB)

struct world {
	int fd;
	struct dense *dense;
	struct fault f;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	*state = w;
	w->fd = memfd_create("sealed", MFD_CLOEXEC);
	return dense_open(w->fd, &(struct dense_options){3, FRAME}, &w->dense, &w->f);
}

static int teardown(void **state)
{
	struct world *w = *state;

	dense_close(w->dense);
	close(w->fd);
	free(w);
	return 0;
}

static uint8_t byte_at(unsigned entry, size_t i)
{
	return (uint8_t)((i * 2654435761u + entry * 97u) >> 13);
}

static void add(struct world *w, unsigned number, size_t size, uint64_t *frame, uint64_t *entry)
{
	uint8_t *bytes = malloc(size + 1);
	char name[64];

	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_at(number, i);
	(void)snprintf(name, sizeof name, "entry/%u", number);
	assert_int_equal(dense_begin(w->dense, name, size, 5000, frame, entry, &w->f), 0);
	for (size_t at = 0; at < size; at += 50000) {
		size_t n = size - at < 50000 ? size - at : 50000;

		assert_int_equal(dense_put(w->dense, slice_of(bytes + at, n), &w->f), 0);
	}
	free(bytes);
}

static void every_entry_lies_where_it_was_said(void **state)
{
	static const size_t sizes[] = {0, 1, 511, 512, 513, 60000, 8000, FRAME - 512, FRAME - 511,
		300000, 3, 100, 100000, 7};
	enum { N = sizeof sizes / sizeof *sizes };
	struct world *w = *state;
	uint64_t frame[N], entry[N];
	struct sealed *s CLEANUP(sealed_closep) = NULL;

	for (unsigned i = 0; i < N; i++)
		add(w, i, sizes[i], &frame[i], &entry[i]);
	assert_int_equal(dense_end(w->dense, &w->f), 0);
	s = sealed_open(w->fd);
	assert_int_equal(s->entries, N);
	for (unsigned i = 0; i < N; i++) {
		const struct sealed_entry *e = &s->entry[i];

		assert_int_equal(e->bytes.len, sizes[i]);
		assert_int_equal(e->frame, frame[i]);
		assert_int_equal(e->entry, entry[i]);
		assert_int_equal(e->mtime, 5);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(e->bytes.data[k], byte_at(i, k));
		if (tar_entry_bytes(sizes[i]) <= FRAME)
			assert_int_equal(e->last_frame, e->frame);
		else
			assert_int_equal(e->entry, 0);
		if (i > 0 && tar_entry_bytes(sizes[i - 1]) > FRAME)
			assert_int_equal(e->entry, 0);
	}
}

static void no_frame_holds_more_than_was_asked_for(void **state)
{
	struct world *w = *state;
	struct sealed *s CLEANUP(sealed_closep) = NULL;

	for (unsigned i = 0; i < 60; i++)
		add(w, i, 700 * i, NULL, NULL);
	assert_int_equal(dense_end(w->dense, &w->f), 0);
	s = sealed_open(w->fd);
	assert_true(s->frames > 15);
	for (size_t i = 1; i < s->frames; i++)
		assert_true(s->frame[i].decoded - s->frame[i - 1].decoded <= FRAME);
	assert_true(s->decoded.len - s->frame[s->frames - 1].decoded <= FRAME);
}

static void the_table_has_the_digest_of_each_frame(void **state)
{
	struct world *w = *state;
	struct frame_table t CLEANUP(frame_table_deinit) = {0};
	struct sealed *s CLEANUP(sealed_closep) = NULL;
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	static uint8_t bytes[4 * FRAME];
	struct digest d;

	for (unsigned i = 0; i < 9; i++)
		add(w, i, 30000, NULL, NULL);
	assert_int_equal(dense_end(w->dense, &w->f), 0);
	s = sealed_open(w->fd);
	assert_int_equal(hasher_new(&h, &w->f), 0);
	assert_int_equal(frame_table_read(w->fd, s->file_size, &t, &w->f), 0);
	assert_int_equal(t.frames, s->frames);
	for (size_t i = 0; i < t.frames; i++) {
		assert_int_equal(t.frame[i].offset, s->frame[i].offset);
		assert_int_equal(pread(w->fd, bytes, t.frame[i].size, (off_t)t.frame[i].offset),
			t.frame[i].size);
		hasher_add(h, bytes, t.frame[i].size);
		hasher_end(h, &d);
		assert_int_equal(digest_compare(&d, &t.frame[i].digest), 0);
	}
}

static void what_is_kept_together_lies_in_one_frame(void **state)
{
	struct world *w = *state;
	uint64_t frame[3];

	add(w, 0, 40000, NULL, NULL);
	assert_int_equal(dense_keep_together(
				 w->dense, tar_entry_bytes(20000) + tar_entry_bytes(20000), &w->f),
		0);
	add(w, 1, 20000, &frame[1], NULL);
	add(w, 2, 20000, &frame[2], NULL);
	assert_true(frame[1] > 0);
	assert_int_equal(frame[1], frame[2]);
}

static void what_fits_no_frame_begins_in_the_open_one(void **state)
{
	struct world *w = *state;
	uint64_t frame;

	add(w, 0, 1000, NULL, NULL);
	assert_int_equal(dense_keep_together(w->dense, FRAME + 1, &w->f), 0);
	add(w, 1, 1000, &frame, NULL);
	assert_int_equal(frame, 0);
}

static void an_empty_segment_is_two_blocks_and_tables(void **state)
{
	struct world *w = *state;
	struct sealed *s CLEANUP(sealed_closep) = NULL;

	assert_int_equal(dense_end(w->dense, &w->f), 0);
	s = sealed_open(w->fd);
	assert_int_equal(s->entries, 0);
	assert_int_equal(s->frames, 1);
}

static void a_descriptor_that_takes_nothing_is_a_failed_write(void **state)
{
	struct world *w = *state;
	struct dense *d CLEANUP(dense_closep) = NULL;
	int full CLEANUP(fd_closep) = open("/dev/full", O_WRONLY);

	assert_int_equal(dense_open(full, &(struct dense_options){3, FRAME}, &d, &w->f), 0);
	assert_int_equal(dense_end(d, &w->f), -1);
	assert_int_equal(w->f.code, FAULT_WRITE);
}

static void a_pipe_is_written_to_as_a_file(void **state)
{
	struct world *w = *state;
	struct dense *d CLEANUP(dense_closep) = NULL;
	static uint8_t file[FRAME], piped[FRAME];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dense_open(ends[1], &(struct dense_options){3, FRAME}, &d, &w->f), 0);
	assert_int_equal(dense_end(d, &w->f), 0);
	assert_int_equal(dense_end(w->dense, &w->f), 0);
	ssize_t n = pread(w->fd, file, sizeof file, 0);
	assert_int_equal(read(ends[0], piped, sizeof piped), n);
	assert_memory_equal(file, piped, (size_t)n);
	close(ends[0]);
	close(ends[1]);
}

#define DENSE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DENSE(every_entry_lies_where_it_was_said),
		DENSE(no_frame_holds_more_than_was_asked_for),
		DENSE(the_table_has_the_digest_of_each_frame),
		DENSE(what_is_kept_together_lies_in_one_frame),
		DENSE(what_fits_no_frame_begins_in_the_open_one),
		DENSE(an_empty_segment_is_two_blocks_and_tables),
		DENSE(a_descriptor_that_takes_nothing_is_a_failed_write),
		DENSE(a_pipe_is_written_to_as_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
