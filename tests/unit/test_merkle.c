#include "archive/merkle.h"
#include "tests/unit/check.h"

static int setup(void **state)
{
	struct fault f = {0};
	struct hasher *h = NULL;

	if (hasher_new(&h, &f) < 0)
		return -1;
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	hasher_free(*state);
	return 0;
}

/* The definition of RFC 6962 section 2.1, word for word. */
static void root_by_definition(
	struct hasher *h, const struct slice *line, size_t n, struct digest *ret)
{
	struct digest left, right;
	size_t k = 1;

	if (n == 1) {
		hasher_add(h, "\0", 1);
		hasher_add(h, line[0].data, line[0].len);
		hasher_end(h, ret);
		return;
	}
	while (k * 2 < n)
		k *= 2;
	root_by_definition(h, line, k, &left);
	root_by_definition(h, line + k, n - k, &right);
	hasher_add(h, "\1", 1);
	hasher_add(h, left.byte, DIGEST_LEN);
	hasher_add(h, right.byte, DIGEST_LEN);
	hasher_end(h, ret);
}

static void the_root_of_any_size_is_that_of_the_definition(void **state)
{
	struct merkle m = {0};
	struct slice line[70];
	char text[70][16];

	for (size_t i = 0; i < 70; i++) {
		struct digest root, expected;

		(void)snprintf(text[i], sizeof text[i], "line %zu", i);
		line[i] = slice_text(text[i]);
		merkle_add(&m, line[i], *state);
		merkle_root(&m, *state, &root);
		root_by_definition(*state, line, i + 1, &expected);
		assert_memory_equal(root.byte, expected.byte, DIGEST_LEN);
	}
}

static void an_empty_tree_has_the_digest_of_nothing(void **state)
{
	struct merkle m = {0};
	struct digest root;
	char hex[DIGEST_HEX + 1];

	merkle_root(&m, *state, &root);
	digest_hex(&root, hex);
	assert_string_equal(
		hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void a_restored_frontier_goes_on_as_the_first(void **state)
{
	struct merkle m = {0}, again = {0};
	uint8_t frontier[MERKLE_DEPTH * DIGEST_LEN];
	struct digest a, b;

	for (int i = 0; i < 23; i++)
		merkle_add(&m, slice_of(&i, sizeof i), *state);
	size_t len = merkle_frontier(&m, frontier);
	assert_int_equal(merkle_restore(&again, 23, slice_of(frontier, len)), 0);
	merkle_add(&m, slice_text("next"), *state);
	merkle_add(&again, slice_text("next"), *state);
	merkle_root(&m, *state, &a);
	merkle_root(&again, *state, &b);
	assert_memory_equal(a.byte, b.byte, DIGEST_LEN);
	assert_int_equal(merkle_restore(&again, 24, slice_of(frontier, len)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_root_of_any_size_is_that_of_the_definition),
		TEST(an_empty_tree_has_the_digest_of_nothing),
		TEST(a_restored_frontier_goes_on_as_the_first),
	};

	return cmocka_run_group_tests_name("merkle", tests, setup, teardown);
}
