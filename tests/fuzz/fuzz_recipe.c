/* Any bytes as a recipe. What is taken for one adds up, and says the same when it is written and
 * read again; its literal bytes, encoded in any steps, are of the size that was promised. */
#include "archive/recipe.h"
#include "tests/fuzz/fuzz.h"

enum { FORMATTED_MAX = 2 * LIMIT_RECIPE_HEADER, ENCODED_MAX = 16 * 1024 * 1024 };

static struct recipe recipe, again; /* large */

static void check_sums(uint64_t size, size_t entry)
{
	uint64_t sum = 0, literal = 0;

	require(recipe.pieces <= LIMIT_RECIPE_PIECES && recipe.size == size);
	require(recipe.header_len + recipe.literal_bytes == entry);
	for (size_t i = 0; i < recipe.pieces; i++) {
		const struct piece *p = &recipe.piece[i];

		require(p->size > 0 && p->size <= size - sum);
		sum += p->size;
		if (p->kind == PIECE_LITERAL)
			literal += p->size;
		else
			require(p->part_size > 0 && p->part_size <= p->size);
	}
	require(sum == size && literal == recipe.literal_bytes);
}

static void write_and_read(struct slice entry)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(FORMATTED_MAX + entry.len);
	struct slice literal =
		slice_of(entry.data + recipe.header_len, entry.len - recipe.header_len);
	struct fault f;

	require(recipe_format(&recipe, &text, &f) == 0);
	require(buffer_append(&text, literal.data, literal.len, &f) == 0);
	/* Numbers are canonical: there is one way to write it. */
	require(slice_compare(buffer_slice(&text), entry) == 0);
	require(recipe_parse(buffer_slice(&text), recipe.size, &again, &f) == 0);
}

static void encode(struct slice bytes, uint32_t line, enum piece_eol eol, size_t step)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(ENCODED_MAX);
	struct base64_lines b;
	struct fault f;
	uint64_t size;

	base64_lines_init(&b, line, eol);
	for (size_t at = 0; at < bytes.len; at += step) {
		size_t n = bytes.len - at < step ? bytes.len - at : step;

		require(base64_lines_add(&b, slice_of(bytes.data + at, n), &to, &f) == 0);
	}
	require(base64_lines_end(&b, &to, &f) == 0);
	require(piece_encoded_size(bytes.len, line, eol, &size) && size == to.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice entry = slice_of(data, size);
	struct fault f;
	uint64_t said;

	if (size > 0)
		encode(entry, data[0] % 100, data[size - 1] & 1 ? PIECE_CRLF : PIECE_LF,
			1U + data[size / 2]);
	if (recipe_size(entry, &said, &f) < 0) {
		require(f.code == FAULT_DAMAGE);
		return 0;
	}
	if (recipe_parse(entry, said, &recipe, &f) < 0) {
		require(f.code == FAULT_DAMAGE && f.text[0]);
		return 0;
	}
	check_sums(said, size);
	write_and_read(entry);
	require(recipe_parse(entry, said + 1, &again, &f) < 0);
	return 0;
}
