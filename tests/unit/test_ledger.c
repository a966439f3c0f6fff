#include "archive/ledger.h"
#include "archive/limits.h"
#include "tests/unit/check.h"
#include "tests/unit/folder.h"

#include <fcntl.h>
#include <sys/stat.h>

struct world {
	char path[64];
	int folder;
	struct ledger_at at; /* end of what was written */
	struct fault f;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	folder_make(w->path);
	w->folder = open(w->path, O_RDONLY | O_DIRECTORY);
	*state = w;
	return w->folder < 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->folder);
	folder_remove(w->path);
	free(w);
	return 0;
}

/* A group of n vanish lines. */
static void write_group(struct world *w, unsigned n, enum ledger_roll roll)
{
	struct ledger_group g CLEANUP(ledger_group_deinit) = {0};
	struct event e = {.kind = EVENT_VANISH, .maildrop = 1, .uidl = slice_text("x")};
	uint64_t number;

	assert_int_equal(ledger_group_begin(&g, w->folder, &w->at, roll, "id", 0, &w->f), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(ledger_group_add(&g, &e, &number, &w->f), 0);
	assert_int_equal(ledger_group_write(&g, w->folder, 0, &w->f), 0);
	w->at = g.at;
}

static int open_file(struct world *w, uint64_t number)
{
	char name[LEDGER_NAME];

	ledger_name(number, name);
	int fd = openat(w->folder, name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

/* Reads all; each result as a letter: G group, B bad, T tail, E error. */
static void read_all(
	struct world *w, char results[static 32], uint64_t *ret_lines, struct ledger_tail *ret_tail)
{
	struct ledger_at start = {0};
	struct ledger_reader *r CLEANUP(ledger_reader_closep) = NULL;
	size_t n = 0;
	struct slice line;
	uint64_t number;
	int got;

	*ret_lines = 0;
	assert_int_equal(ledger_reader_open(w->folder, &start, &r, &w->f), 0);
	while ((got = ledger_reader_next(r, &w->f)) > 0 && n < 30) {
		results[n++] = "?GBT"[got];
		while (got != LEDGER_TAIL && ledger_reader_line(r, &line, &number))
			assert_int_equal(number, (*ret_lines)++);
		if (got == LEDGER_TAIL) {
			*ret_tail = ledger_reader_tail(r);
			break;
		}
	}
	if (got < 0)
		results[n++] = 'E';
	results[n] = '\0';
}

static void groups_read_back_over_several_files(void **state)
{
	struct world *w = *state;
	char results[32];
	struct ledger_tail tail;
	uint64_t lines;

	write_group(w, 3, ROLL_WHEN_FULL);
	write_group(w, 1, ROLL_WHEN_FULL);
	write_group(w, 2, ROLL_NOW);
	assert_int_equal(w->at.file, 2);
	read_all(w, results, &lines, &tail);
	assert_string_equal(results, "GGG");
	assert_int_equal(lines, w->at.tree.size);
	assert_int_equal(lines, 1 + 3 + 1 + 1 + 1 + 1 + 2 + 1);
}

static void a_group_cut_short_anywhere_is_a_tail(void **state)
{
	struct world *w = *state;
	char results[32];
	struct ledger_tail tail;
	uint64_t lines;

	write_group(w, 1, ROLL_WHEN_FULL);
	uint64_t whole = w->at.length;
	write_group(w, 2, ROLL_WHEN_FULL);
	for (uint64_t end = w->at.length - 1; end > whole; end--) {
		int fd CLEANUP(fd_closep) = open_file(w, 1);

		assert_int_equal(ftruncate(fd, (off_t)end), 0);
		read_all(w, results, &lines, &tail);
		assert_string_equal(results, "GT");
		assert_int_equal(tail.offset, whole);
		assert_int_equal(tail.bytes, end - whole);
	}
}

static void a_file_whose_first_group_is_torn_is_a_tail_as_a_whole(void **state)
{
	struct world *w = *state;
	char results[32];
	struct ledger_tail tail;
	uint64_t lines;

	write_group(w, 1, ROLL_WHEN_FULL);
	write_group(w, 1, ROLL_NOW);
	int fd CLEANUP(fd_closep) = open_file(w, 2);
	assert_int_equal(ftruncate(fd, 30), 0);
	read_all(w, results, &lines, &tail);
	assert_string_equal(results, "GT");
	assert_int_equal(tail.file, 2);
	assert_int_equal(tail.offset, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	read_all(w, results, &lines, &tail);
	assert_string_equal(results, "G");
}

static void any_flipped_bit_before_the_last_group_is_damage(void **state)
{
	struct world *w = *state;
	char results[32];
	struct ledger_tail tail;
	uint64_t lines;
	uint8_t byte;

	write_group(w, 2, ROLL_WHEN_FULL);
	uint64_t whole = w->at.length;
	write_group(w, 1, ROLL_WHEN_FULL);
	int fd CLEANUP(fd_closep) = open_file(w, 1);
	for (uint64_t at = 0; at < whole; at++) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		uint8_t flipped = byte ^ (uint8_t)(1u << (at % 8));
		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
		read_all(w, results, &lines, &tail);
		assert_non_null(strchr(results, 'B'));
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	read_all(w, results, &lines, &tail);
	assert_string_equal(results, "GG");
}

static void a_changed_file_before_is_damage_at_the_next_ones_beginning(void **state)
{
	struct world *w = *state;
	struct ledger_at behind_first;
	struct ledger_reader *r CLEANUP(ledger_reader_closep) = NULL;

	write_group(w, 2, ROLL_WHEN_FULL);
	behind_first = w->at;
	write_group(w, 2, ROLL_NOW);
	write_group(w, 1, ROLL_WHEN_FULL);
	int fd CLEANUP(fd_closep) = open_file(w, 1);
	assert_int_equal(pwrite(fd, "V", 1, 0), 1);
	assert_int_equal(ledger_reader_open(w->folder, &behind_first, &r, &w->f), 0);
	assert_int_equal(ledger_reader_next(r, &w->f), LEDGER_BAD);
	assert_non_null(strstr(w->f.text, "the file before it has changed"));
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(groups_read_back_over_several_files),
		WORLD_TEST(a_group_cut_short_anywhere_is_a_tail),
		WORLD_TEST(a_file_whose_first_group_is_torn_is_a_tail_as_a_whole),
		WORLD_TEST(any_flipped_bit_before_the_last_group_is_damage),
		WORLD_TEST(a_changed_file_before_is_damage_at_the_next_ones_beginning),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
