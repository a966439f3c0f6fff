/* A set of digests on disk. */
#include "cli/digest_table.h"
#include "tests/unit/folder.h"

#include <fcntl.h>

static struct digest digest_of(uint32_t n)
{
	struct digest d;

	memset(d.byte, 0, sizeof d.byte);
	/* The same beginning for three of four, so that they share their slots. */
	memcpy(d.byte + (n % 4 ? 4 : 0), &n, sizeof n);
	return d;
}

static void expect_number(struct digest_table *t, uint32_t n)
{
	const struct digest d = digest_of(n);
	struct digest_search at = {0};
	uint64_t number = 0;
	struct fault f;

	do
		assert_int_equal(digest_table_next(t, &d, &at, &number, &f), DIGEST_LIKE);
	while (number != n);
}

static void what_was_added_is_found_however_many_there_are(void **state)
{
	enum { MANY = 4000 };
	int folder CLEANUP(fd_closep) = open(".", O_RDONLY | O_DIRECTORY);
	struct digest_table *t CLEANUP(digest_table_closep) = NULL;
	struct digest_search at = {0};
	struct fault f;
	uint64_t number;

	(void)state;
	assert_int_equal(digest_table_open(folder, 0, &t, &f), 0);
	for (uint32_t n = 1; n <= MANY; n++) {
		const struct digest d = digest_of(n);

		assert_int_equal(digest_table_add(t, &d, n, &f), 0);
	}
	for (uint32_t n = 1; n <= MANY; n++)
		expect_number(t, n);
	const struct digest other = digest_of(MANY + 4);
	assert_int_equal(digest_table_next(t, &other, &at, &number, &f), 0);
}

static void an_id_is_known_by_its_twelve_digits(void **state)
{
	int folder CLEANUP(fd_closep) = open(".", O_RDONLY | O_DIRECTORY);
	struct digest_table *t CLEANUP(digest_table_closep) = NULL;
	struct digest a = {{0xff, 1, 2, 3, 4, 5, 6, 7}}, b = a;
	struct fault f;

	(void)state;
	assert_int_equal(digest_table_open(folder, 10, &t, &f), 0);
	assert_int_equal(digest_table_has_id(t, &a, &f), 0);
	assert_int_equal(digest_table_add(t, &a, 0, &f), 0);
	b.byte[6] = 0;
	assert_int_equal(digest_table_has_id(t, &b, &f), DIGEST_LIKE);
	b.byte[5] = 0;
	assert_int_equal(digest_table_has_id(t, &b, &f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_added_is_found_however_many_there_are),
		TEST(an_id_is_known_by_its_twelve_digits),
	};

	return cmocka_run_group_tests_name("digest_table", tests, folder_enter, folder_leave);
}
