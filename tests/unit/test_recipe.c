#include "archive/limits.h"
#include "archive/recipe.h"
#include "tests/unit/check.h"

static struct recipe recipe; /* large */

static struct digest some_digest(uint8_t fill)
{
	struct digest d;

	memset(d.byte, fill, sizeof d.byte);
	return d;
}

#define HEX "abababababababababababababababababababababababababababababababab"

static int parse(const char *text, uint64_t size)
{
	struct fault f;
	int r = recipe_parse(slice_text(text), size, &recipe, &f);

	assert_true(r == 0 || f.code == FAULT_DAMAGE);
	return r;
}

static void what_is_written_reads_back(void **state)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_RECIPE);
	struct recipe *r CLEANUP(freep) = calloc(1, sizeof *r);
	struct fault f;

	(void)state;
	r->pieces = 4;
	r->piece[0] = (struct piece){.kind = PIECE_LITERAL, .size = 5};
	r->piece[1] = (struct piece){.kind = PIECE_BASE64,
		.part = some_digest(0xab),
		.part_size = 60,
		.line = 76,
		.eol = PIECE_CRLF,
		.size = 82,
		.frame_offset = 7,
		.entry_offset = 1024};
	r->piece[2] = (struct piece){.kind = PIECE_RAW,
		.part = some_digest(1),
		.part_size = 100,
		.size = 100,
		.frame_offset = UINT64_MAX};
	r->piece[3] = (struct piece){.kind = PIECE_LITERAL, .size = 2};
	r->size = 5 + 82 + 100 + 2;
	r->literal_bytes = 7;
	assert_int_equal(recipe_format(r, &text, &f), 0);
	assert_int_equal(r->header_len, text.len);
	assert_int_equal(buffer_append_text(&text, "literal", &f), 0);
	assert_int_equal(recipe_parse(buffer_slice(&text), r->size, &recipe, &f), 0);
	assert_memory_equal(&recipe, r, sizeof recipe);
}

static void as_many_pieces_as_there_can_be_are_read_and_no_more(void **state)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(LIMIT_RECIPE);
	struct fault f;

	(void)state;
	recipe = (struct recipe){.pieces = LIMIT_RECIPE_PIECES, .size = 3 * LIMIT_RECIPE_PIECES};
	for (size_t i = 0; i < LIMIT_RECIPE_PIECES; i++)
		recipe.piece[i] = (struct piece){.kind = PIECE_RAW,
			.part_size = 3,
			.frame_offset = UINT64_MAX,
			.entry_offset = UINT64_MAX};
	assert_int_equal(recipe_format(&recipe, &text, &f), 0);
	assert_true(text.len < LIMIT_RECIPE_HEADER);
	assert_int_equal(recipe_parse(buffer_slice(&text), recipe.size, &recipe, &f), 0);
	text.len--;
	assert_int_equal(buffer_append_text(&text, "literal 1\n\nx", &f), 0);
	assert_int_equal(recipe_parse(buffer_slice(&text), recipe.size + 1, &recipe, &f), -1);
	assert_int_equal(f.code, FAULT_DAMAGE);
	recipe.pieces = LIMIT_RECIPE_PIECES + 1;
	assert_int_equal(recipe_format(&recipe, &text, &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
}

static void a_header_that_does_not_end_is_refused(void **state)
{
	size_t len = (size_t)(2 * LIMIT_RECIPE_HEADER);
	char *text CLEANUP(freep) = malloc(len);
	struct fault f;
	static const char begin[] = "popkeep-recipe 1\nsize ";

	(void)state;
	memset(text, '1', len);
	memcpy(text, begin, sizeof begin - 1);
	text[len - 2] = text[len - 1] = '\n';
	assert_int_equal(recipe_parse(slice_of(text, len), 1, &recipe, &f), -1);
	assert_int_equal(parse("popkeep-recipe 1\nsize 0\n", 0), -1);
	assert_int_equal(parse("popkeep-recipe 1\nsize 0\n\n", 0), 0);
}

static void numbers_are_canonical_and_do_not_overflow(void **state)
{
	static const char *const bad[] = {
		"01", "+1", "-1", "", " 1", "1 ", "1 2", "0x1", "18446744073709551617", "0", "1\r"};
	char text[256];

	(void)state;
	assert_int_equal(parse("popkeep-recipe 1\nsize 1\nliteral 1\n\nx", 1), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		(void)snprintf(
			text, sizeof text, "popkeep-recipe 1\nsize 1\nliteral %s\n\nx", bad[i]);
		assert_int_equal(parse(text, 1), -1);
		(void)snprintf(
			text, sizeof text, "popkeep-recipe 1\nsize %s\nliteral 1\n\nx", bad[i]);
		assert_int_equal(parse(text, 1), -1);
	}
}

static void pieces_must_be_exactly_the_size(void **state)
{
	(void)state;
	assert_int_equal(parse("popkeep-recipe 1\nsize 2\nliteral 1\n\nx", 2), -1);
	assert_int_equal(parse("popkeep-recipe 1\nsize 1\nliteral 1\n\nx", 2), -1);
	assert_int_equal(parse("popkeep-recipe 1\nsize 1\nliteral 1\n\nxy", 1), -1);
	assert_int_equal(parse("popkeep-recipe 1\nsize 1\nliteral 1\n\n", 1), -1);
	/* Sums that come round to the size again */
	assert_int_equal(parse("popkeep-recipe 1\nsize 4\nliteral 5\n"
			       "raw " HEX " 18446744073709551615 0 0\n\n12345",
				 4),
		-1);
	assert_int_equal(parse("popkeep-recipe 1\nsize 4\nliteral 4\n"
			       "base64 " HEX " 18446744073709551615 1 crlf 0 0\n\n1234",
				 4),
		-1);
}

static void a_line_with_anything_else_is_none(void **state)
{
	static const char *const bad[] = {"raw " HEX " 4 0", "raw " HEX " 4 0 0 0",
		"raw  " HEX " 4 0 0", "raw ABAB 4 0 0", "raw " HEX "ab 4 0 0", "raw " HEX " 0 0 0",
		"base64 " HEX " 3 76 cr 0 0", "base64 " HEX " 3 4294967296 lf 0 0",
		"base64 " HEX " 3 crlf 0 0", "mail " HEX " 4 0 0", "raw", "raw " HEX " 4 0 0\r",
		" raw " HEX " 4 0 0", "literal 4 "};
	char text[256];

	(void)state;
	assert_int_equal(parse("popkeep-recipe 1\nsize 4\nraw " HEX " 4 0 0\n\n", 4), 0);
	assert_int_equal(parse("popkeep-recipe 1\nsize 4\nbase64 " HEX " 3 76 lf 0 0\n\n", 4), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		(void)snprintf(text, sizeof text, "popkeep-recipe 1\nsize 4\n%s\n\n", bad[i]);
		assert_int_equal(parse(text, 4), -1);
	}
	assert_int_equal(parse("popkeep-recipe 2\nsize 1\nliteral 1\n\nx", 1), -1);
	assert_int_equal(parse("", 0), -1);
}

static void encode(
	uint32_t line, enum piece_eol eol, struct slice bytes, size_t step, struct buffer *to)
{
	struct base64_lines b;
	struct fault f;

	buffer_clear(to);
	base64_lines_init(&b, line, eol);
	for (size_t at = 0; at < bytes.len; at += step) {
		size_t n = bytes.len - at < step ? bytes.len - at : step;

		assert_int_equal(base64_lines_add(&b, slice_of(bytes.data + at, n), to, &f), 0);
	}
	assert_int_equal(base64_lines_end(&b, to, &f), 0);
}

static void lines_are_as_the_rfc_says(void **state)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(1024);

	(void)state;
	encode(0, PIECE_CRLF, slice_text("foobar"), 100, &to);
	assert_string_equal(buffer_text(&to), "Zm9vYmFy");
	encode(4, PIECE_CRLF, slice_text("foobar"), 1, &to);
	assert_string_equal(buffer_text(&to), "Zm9v\r\nYmFy");
	encode(5, PIECE_LF, slice_text("fooba"), 2, &to);
	assert_string_equal(buffer_text(&to), "Zm9vY\nmE=");
	encode(1, PIECE_LF, slice_text("f"), 2, &to);
	assert_string_equal(buffer_text(&to), "Z\ng\n=\n=");
	encode(76, PIECE_LF, slice_text(""), 2, &to);
	assert_int_equal(to.len, 0);
}

static void a_part_in_pieces_of_any_size_makes_the_same_lines(void **state)
{
	static uint8_t bytes[40000];
	static const uint32_t lines[] = {0, 1, 3, 4, 60, 73, 76, 998, 100000};
	static const size_t steps[] = {1, 2, 3, 57, 1000, 12288, 12289};
	struct buffer whole CLEANUP(buffer_deinit) = buffer_make(1000000);
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(1000000);

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		for (size_t len = sizeof bytes - 3; len < sizeof bytes; len++) {
			uint64_t size;

			encode(lines[i], PIECE_CRLF, slice_of(bytes, len), len, &whole);
			assert_true(piece_encoded_size(len, lines[i], PIECE_CRLF, &size));
			assert_int_equal(whole.len, size);
			for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
				encode(lines[i], PIECE_CRLF, slice_of(bytes, len), steps[k], &to);
				assert_int_equal(
					slice_compare(buffer_slice(&to), buffer_slice(&whole)), 0);
			}
		}
	}
}

static void encoding_stops_at_the_buffers_maximum(void **state)
{
	struct buffer to CLEANUP(buffer_deinit) = buffer_make(9);
	struct base64_lines b;
	struct fault f;

	(void)state;
	base64_lines_init(&b, 4, PIECE_LF);
	assert_int_equal(base64_lines_add(&b, slice_text("foobar"), &to, &f), 0);
	assert_int_equal(to.len, 9);
	assert_int_equal(base64_lines_add(&b, slice_text("foo"), &to, &f), -1);
	assert_int_equal(f.code, FAULT_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_reads_back),
		TEST(as_many_pieces_as_there_can_be_are_read_and_no_more),
		TEST(a_header_that_does_not_end_is_refused),
		TEST(numbers_are_canonical_and_do_not_overflow),
		TEST(pieces_must_be_exactly_the_size),
		TEST(a_line_with_anything_else_is_none),
		TEST(lines_are_as_the_rfc_says),
		TEST(a_part_in_pieces_of_any_size_makes_the_same_lines),
		TEST(encoding_stops_at_the_buffers_maximum),
	};

	return cmocka_run_group_tests_name("recipe", tests, NULL, NULL);
}
