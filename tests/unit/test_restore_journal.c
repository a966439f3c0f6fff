#include "cli/restore_journal.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char ARCHIVE[] = "0123456789abcdef0123456789abcdef", TARGET[] = "imaps://bob@host x";

struct place {
	char folder[64], path[96];
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	assert_non_null(p);
	(void)snprintf(p->folder, sizeof p->folder, "/tmp/popkeep-journal-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	(void)snprintf(p->path, sizeof p->path, "%s/below/x.journal", p->folder);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char below[96];

	(void)snprintf(below, sizeof below, "%s/below", p->folder);
	(void)unlink(p->path);
	(void)rmdir(below);
	(void)rmdir(p->folder);
	free(p);
	return 0;
}

static struct journal *opened(const struct place *p)
{
	struct journal *j = NULL;
	struct fault f;

	if (journal_open(p->path, ARCHIVE, TARGET, &j, &f) < 0)
		fail_msg("%s", f.text);
	return j;
}

/* Lines of each kind are known by their id; returns how many there are. */
static size_t read_all(struct journal *j, struct journal_line *ret, size_t most)
{
	struct fault f;
	size_t n = 0;
	int r;
	struct journal_line line;

	while ((r = journal_next(j, &line, &f)) == JOURNAL_LINE) {
		if (n < most)
			ret[n] = line;
		n++;
	}
	assert_int_equal(r, 0);
	return n;
}

static void add(struct journal *j, const struct journal_line *line)
{
	struct fault f;

	assert_int_equal(journal_add(j, line, &f), 0);
}

static const struct journal_line INTENT = {.kind = JOURNAL_INTENT,
					 .folder = 3,
					 .id = 1234567,
					 .digest = UINT64_C(0x0123456789abcdef),
					 .size = 98765,
					 .t = INT64_C(1795293296123)},
				 DONE = {.kind = JOURNAL_DONE,
					 .folder = 3,
					 .id = 1234567,
					 .digest = UINT64_C(0xf123456789abcdef),
					 .size = 98765,
					 .uid_validity = 4000000000u,
					 .uid = 77},
				 MAILBOX = {.kind = JOURNAL_MAILBOX,
					 .folder = 3,
					 .uid_validity = 5,
					 .uid = 6,
					 .t = 7},
				 NOT = {.kind = JOURNAL_NOT, .folder = 3, .id = 9, .digest = 1};

static void write_some(struct journal *j)
{
	struct fault f;
	struct journal_line none[1];
	const struct journal_line folder = {
		.kind = JOURNAL_FOLDER, .folder = 3, .name = slice_text("Übung/a b%\n")};

	assert_int_equal(read_all(j, none, 1), 0);
	add(j, &folder);
	add(j, &MAILBOX);
	add(j, &INTENT);
	add(j, &DONE);
	add(j, &NOT);
	assert_int_equal(journal_sync(j, &f), 0);
}

static void what_was_written_is_read_back(void **state)
{
	struct journal *j CLEANUP(journal_closep) = opened(*state);
	struct journal_line line;
	struct fault f;

	write_some(j);
	j = journal_close(j);
	j = opened(*state);
	assert_int_equal(journal_next(j, &line, &f), JOURNAL_LINE);
	assert_int_equal(line.kind, JOURNAL_FOLDER);
	assert_int_equal(slice_compare(line.name, slice_text("Übung/a b%\n")), 0);
	assert_int_equal(journal_next(j, &line, &f), JOURNAL_LINE);
	assert_int_equal(line.uid_validity, 5);
	assert_int_equal(line.uid, 6);
	assert_int_equal(journal_next(j, &line, &f), JOURNAL_LINE);
	assert_int_equal(line.kind, JOURNAL_INTENT);
	assert_int_equal(line.id, INTENT.id);
	assert_int_equal(line.digest, INTENT.digest);
	assert_int_equal(line.size, INTENT.size);
	assert_int_equal(line.t, INTENT.t);
	assert_int_equal(journal_next(j, &line, &f), JOURNAL_LINE);
	assert_int_equal(line.uid_validity, DONE.uid_validity);
	assert_int_equal(line.uid, DONE.uid);
	assert_int_equal(journal_next(j, &line, &f), JOURNAL_LINE);
	assert_int_equal(line.kind, JOURNAL_NOT);
	assert_int_equal(journal_next(j, &line, &f), 0);
	assert_int_equal(journal_damaged(j), 0);
}

static off_t size_of(const struct place *p)
{
	struct stat st;

	assert_int_equal(stat(p->path, &st), 0);
	return st.st_size;
}

static void cut_anywhere_it_keeps_whole_lines_and_goes_on(void **state)
{
	const struct place *p = *state;
	struct journal *j CLEANUP(journal_closep) = opened(p);
	struct journal_line lines[8];
	size_t before = 5;

	write_some(j);
	j = journal_close(j);
	const off_t whole = size_of(p);
	char bytes[4096];
	int fd CLEANUP(fd_closep) = open(p->path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, bytes, sizeof bytes, 0), whole);
	for (off_t size = whole; size > 0; size--) {
		struct fault f;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, bytes, (size_t)size, 0), size);
		j = opened(p);
		size_t n = read_all(j, lines, 8);
		assert_true(n <= before);
		before = n;
		/* The next run's lines are read too. */
		add(j, &NOT);
		assert_int_equal(journal_sync(j, &f), 0);
		j = journal_close(j);
		j = opened(p);
		assert_int_equal(read_all(j, lines, 8), n + 1);
		assert_int_equal(lines[n].kind, JOURNAL_NOT);
		assert_int_equal(journal_damaged(j), 0);
		j = journal_close(j);
	}
	assert_int_equal(before, 0);
}

static void bytes_that_fail_the_check_are_passed_over_or_cut(void **state)
{
	const struct place *p = *state;
	struct journal *j CLEANUP(journal_closep) = opened(p);
	struct journal_line lines[8];
	off_t head = size_of(p);

	write_some(j);
	j = journal_close(j);
	off_t size = size_of(p);
	int fd CLEANUP(fd_closep) = open(p->path, O_RDWR | O_CLOEXEC);
	for (off_t at = head; at < size; at++) {
		char byte, flipped;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		flipped = (char)(byte ^ 0x10);
		assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
		j = opened(p);
		assert_true(read_all(j, lines, 8) <= 4);
		j = journal_close(j);
		/* Its end may have been cut. */
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		if (size_of(p) < size)
			break;
	}
}

static void another_archive_or_target_is_refused(void **state)
{
	const struct place *p = *state;
	struct journal *j CLEANUP(journal_closep) = opened(p), *other = NULL;
	struct fault f;

	j = journal_close(j);
	assert_int_equal(journal_open(p->path, ARCHIVE, "imaps://bob@other", &other, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_int_equal(
		journal_open(p->path, "ffffffffffffffffffffffffffffffff", TARGET, &other, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
}

static void a_file_of_something_else_stays_as_it_is(void **state)
{
	const struct place *p = *state;
	struct journal *j CLEANUP(journal_closep) = opened(p), *other = NULL;
	struct fault f;

	j = journal_close(j);
	int fd CLEANUP(fd_closep) = open(p->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "a diary", 7), 7);
	assert_int_equal(journal_open(p->path, ARCHIVE, TARGET, &other, &f), -1);
	assert_int_equal(f.code, FAULT_USAGE);
	assert_int_equal(size_of(p), 7);
}

static void two_at_once_are_refused(void **state)
{
	struct journal *j CLEANUP(journal_closep) = opened(*state), *other = NULL;
	const struct place *p = *state;
	struct fault f;

	assert_non_null(j);
	assert_int_equal(journal_open(p->path, ARCHIVE, TARGET, &other, &f), -1);
	assert_int_equal(f.code, FAULT_BUSY);
}

int main(void)
{
#define IN_PLACE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_PLACE(what_was_written_is_read_back),
		IN_PLACE(cut_anywhere_it_keeps_whole_lines_and_goes_on),
		IN_PLACE(bytes_that_fail_the_check_are_passed_over_or_cut),
		IN_PLACE(another_archive_or_target_is_refused),
		IN_PLACE(a_file_of_something_else_stays_as_it_is),
		IN_PLACE(two_at_once_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
