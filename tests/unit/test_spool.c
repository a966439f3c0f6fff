#include "archive/spool.h"

#include "archive/limits.h"
#include "tests/unit/folder.h"

/* What large messages of stalled sessions hold must not cost a descriptor for each small one. */
static void small_messages_stay_in_memory_when_large_ones_fill_it(void **state)
{
	enum { LARGE = 8, SMALL = 3000, HALF = 4 * 1024 * 1024 };
	static uint8_t bytes[HALF];
	struct spool *large[LARGE], *small[SMALL];
	struct spool_pool *pool;
	struct fault f = {0};
	char path[64];

	(void)state;
	folder_make(path);
	assert_int_equal(spool_pool_open(path, &pool, &f), 0);
	for (size_t i = 0; i < LARGE; i++) {
		assert_int_equal(spool_new(pool, &large[i], &f), 0);
		assert_int_equal(spool_write(large[i], slice_of(bytes, HALF), &f), 0);
	}
	for (size_t i = 0; i < SMALL; i++) {
		assert_int_equal(spool_new(pool, &small[i], &f), 0);
		assert_int_equal(spool_write(small[i], slice_of(bytes, 2000), &f), 0);
		spool_finish(small[i]);
		assert_non_null(spool_memory(small[i]).data);
	}
	for (size_t i = 0; i < LARGE; i++)
		spool_free(large[i]);
	for (size_t i = 0; i < SMALL; i++)
		spool_free(small[i]);
	spool_pool_close(pool);
	folder_remove(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(small_messages_stay_in_memory_when_large_ones_fill_it),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
