#include "archive/limits.h"
#include "archive/split.h"
#include "tests/unit/check.h"

#include <time.h>

enum { PART = 20000, MESSAGE_MAX = 40 * 1024 * 1024 };

struct world {
	struct buffer message, scratch, decoded, encoded;
	struct split split;
	struct fault f;
	uint8_t part[PART];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	w->message = buffer_make(MESSAGE_MAX);
	w->scratch = buffer_make(1 << 20);
	w->decoded = buffer_make(MESSAGE_MAX);
	w->encoded = buffer_make((size_t)3 * MESSAGE_MAX);
	for (size_t i = 0; i < PART; i++)
		w->part[i] = (uint8_t)(i * 2654435761u >> 11);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	buffer_deinit(&w->message);
	buffer_deinit(&w->scratch);
	buffer_deinit(&w->decoded);
	buffer_deinit(&w->encoded);
	free(w);
	return 0;
}

static void put(struct world *w, const char *text)
{
	assert_int_equal(buffer_append_text(&w->message, text, &w->f), 0);
}

static void put_n(struct world *w, const char *text, size_t n)
{
	while (n-- > 0)
		put(w, text);
}

static void encode(
	struct world *w, uint32_t line, enum piece_eol eol, struct slice bytes, struct buffer *to)
{
	struct base64_lines b;

	base64_lines_init(&b, line, eol);
	assert_int_equal(base64_lines_add(&b, bytes, to, &w->f), 0);
	assert_int_equal(base64_lines_end(&b, to, &w->f), 0);
}

static void put_part(struct world *w, size_t size, uint32_t line, enum piece_eol eol)
{
	encode(w, line, eol, slice_of(w->part, size), &w->message);
}

/* Splits; whatever it finds lies in the message, in order, and makes the same bytes again. */
static size_t split(struct world *w)
{
	struct slice m = buffer_slice(&w->message);
	uint64_t at = 0;

	assert_int_equal(split_message(m, &w->scratch, &w->split, &w->f), 0);
	for (size_t i = 0; i < w->split.spans; i++) {
		const struct split_span *s = &w->split.span[i];

		assert_true(s->offset >= at && s->offset + s->size <= m.len);
		assert_true(s->part_size >= LIMIT_PART_LEAST);
		at = s->offset + s->size;
		assert_int_equal(split_decode(m, s, &w->decoded, &w->f), 0);
		assert_int_equal(w->decoded.len, s->part_size);
		buffer_clear(&w->encoded);
		if (s->kind == PIECE_BASE64)
			encode(w, s->line, s->eol, buffer_slice(&w->decoded), &w->encoded);
		struct slice made = buffer_slice(s->kind == PIECE_RAW ? &w->decoded : &w->encoded);
		assert_int_equal(slice_compare(made, slice_of(m.data + s->offset, s->size)), 0);
	}
	return w->split.spans;
}

static void a_base64_body_of_any_shape_is_found_whole(void **state)
{
	struct world *w = *state;
	static const uint32_t lines[] = {0, 4, 60, 72, 73, 75, 76, 998};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		for (int eol = PIECE_CRLF; eol <= PIECE_LF; eol++) {
			for (size_t size = PART - 3; size < PART; size++) {
				buffer_clear(&w->message);
				put(w, "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n");
				put_part(w, size, lines[i], eol);
				put(w, eol == PIECE_CRLF ? "\r\n\r\n--b--\r\n" : "\n");
				assert_int_equal(split(w), 1);
				assert_int_equal(w->split.span[0].kind, PIECE_BASE64);
				assert_int_equal(w->split.span[0].part_size, size);
				assert_int_equal(w->split.span[0].line, lines[i]);
				assert_memory_equal(w->decoded.data, w->part, size);
			}
		}
	}
}

static void small_parts_stay_where_they_are(void **state)
{
	struct world *w = *state;

	put(w, "A: b\r\n\r\n");
	put_part(w, LIMIT_PART_LEAST - 1, 76, PIECE_CRLF);
	put(w, "\r\n");
	assert_int_equal(split(w), 0);
	put(w, "\r\n");
	put_part(w, LIMIT_PART_LEAST, 76, PIECE_CRLF);
	assert_int_equal(split(w), 1);
}

static void what_is_exact_of_an_odd_ending_is_used(void **state)
{
	/* behind whole lines of 76 characters */
	static const char *const endings[] = {"", "A", "AB", "ABC", "ABC\r\n",
		"AB=", "A=", "A==", "A===", "AB==", "AA==", "AAA=", "AAB=", "ABCDE",
		"ABCDEF=", "ABCDEFG==", "=", "==", "AAAA====", "AB==AB==", "AA==\r\nAA==\r\n",
		"AAA.", "AAAA ", "\t", "AAA\0", "AAAA\r", "AA\r\n==\r\n", "AAAA\nAAAA\n", "A-_A",
		"\xc3\xa4"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		buffer_clear(&w->message);
		put(w, "A: b\r\n\r\n");
		put_part(w, 57 * 300, 76, PIECE_CRLF);
		put(w, "\r\n");
		put(w, endings[i]);
		assert_int_equal(split(w), 1);
		assert_true(w->split.span[0].part_size >= 57 * 300);
		assert_true(w->split.span[0].part_size <= 57 * 300 + 6);
	}
}

static void wrong_bits_in_the_last_quantum_stay_in_the_message(void **state)
{
	struct world *w = *state;

	put(w, "\r\n");
	put_part(w, 57 * 300, 76, PIECE_CRLF);
	put(w, "\r\nAB==\r\n");
	assert_int_equal(split(w), 1);
	assert_int_equal(w->split.span[0].part_size, 57 * 300);
	buffer_clear(&w->message);
	put(w, "\r\n");
	put_part(w, 57 * 300, 76, PIECE_CRLF);
	put(w, "\r\nAA==\r\n");
	assert_int_equal(split(w), 1);
	assert_int_equal(w->split.span[0].part_size, 57 * 300 + 1);
}

static void lines_of_varying_length_are_exact_or_left(void **state)
{
	struct world *w = *state;

	put(w, "\r\n");
	for (uint32_t i = 0; i < 3000; i++) {
		put_part(w, 3 * (1 + i * 7 % 19), 0, PIECE_CRLF);
		put(w, i % 5 ? "\r\n" : "\n");
	}
	assert_int_equal(split(w), 0);
	put_part(w, PART, 76, PIECE_CRLF);
	put(w, "\r\n");
	put_part(w, PART, 64, PIECE_LF);
	assert_int_equal(split(w), 2);
	assert_int_equal(w->split.span[1].line, 64);
	assert_int_equal(w->split.span[1].eol, PIECE_LF);
}

static void bytes_that_are_no_text_are_passed_over(void **state)
{
	struct world *w = *state;
	uint8_t zeros[PART] = {0};

	assert_int_equal(split(w), 0);
	assert_int_equal(buffer_append(&w->message, zeros, sizeof zeros, &w->f), 0);
	assert_int_equal(split(w), 0);
	put_n(w, "\r", 40000);
	put_n(w, "\n", 40000);
	put_n(w, "=", 40000);
	put_n(w, "=\r\n", 40000);
	assert_int_equal(split(w), 0);
	put_part(w, PART, 0, PIECE_LF);
	assert_int_equal(buffer_append(&w->message, zeros, 1, &w->f), 0);
	assert_int_equal(split(w), 0); /* one line, and no base64 */
}

static void a_body_between_named_boundaries_is_found(void **state)
{
	struct world *w = *state;

	put(w, "Content-Type: multipart/mixed; BOUNDARY=\"=_a b\"; x=y\r\n\r\n");
	put(w, "--=_a b\r\nContent-Type: text/html\r\n\r\n");
	uint64_t at = w->message.len;
	put_n(w, "a line = of text\r\n", 2000);
	put(w, "\r\n--=_a b \r\n\r\nsmall\r\n--=_a b\r\n\r\n");
	put_n(w, "and another one\n", 2000);
	put(w, "--=_a b--\r\n\r\n");
	put_n(w, "behind the last is no body\n", 2000);
	put(w, "--=_a b--\r\n\r\n");
	assert_int_equal(split(w), 2);
	assert_int_equal(w->split.span[0].kind, PIECE_RAW);
	assert_int_equal(w->split.span[0].offset, at);
	assert_int_equal(w->split.span[0].size, 2000 * 18);
	assert_int_equal(w->split.span[1].size, 2000 * 16 - 1);
}

static void a_body_with_base64_is_not_taken_twice(void **state)
{
	struct world *w = *state;

	put(w, "Content-Type: a/b;\n boundary=x\n\n--x\n\n");
	put_n(w, "a line = of text\n", 2000);
	put_part(w, PART, 76, PIECE_LF);
	put(w, "\n--x--\n");
	assert_int_equal(split(w), 1);
	assert_int_equal(w->split.span[0].kind, PIECE_BASE64);
}

static void boundaries_that_never_come_or_have_no_end_find_nothing(void **state)
{
	struct world *w = *state;

	put(w, "Content-Type: a/b; boundary=\"never\"; boundary=; boundary=\"\"; boundary=\n");
	put(w, "Content-Type: a/b; boundary=\"no end\n");
	put(w, "Content-Type: a/b; boundary=");
	put_n(w, "long", 1000);
	put(w, "\n boundary=\n\n--\n\n--other\n\n");
	put_n(w, "a line = of text\n", 2000);
	put(w, "--\n--other--\n");
	assert_int_equal(split(w), 0);
}

static void a_thousand_parts_in_each_other_are_passed_through(void **state)
{
	struct world *w = *state;
	char text[128];

	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof text,
			"Content-Type: multipart/x; boundary=b%u\n\n--b%u\n", i, i);
		put(w, text);
	}
	put(w, "\n");
	put_n(w, "a line = of text\n", 2000);
	for (unsigned i = 1000; i-- > 0;) {
		(void)snprintf(text, sizeof text, "--b%u--\n", i);
		put(w, text);
	}
	assert_int_equal(split(w), 1);
	assert_int_equal(w->split.span[0].kind, PIECE_RAW);
}

static void more_parts_than_a_recipe_holds_stay_in_the_message(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 600; i++) {
		put_part(w, LIMIT_PART_LEAST, 76, PIECE_LF);
		put(w, "\n\n");
	}
	assert_int_equal(split(w), (LIMIT_RECIPE_PIECES - 1) / 2);
}

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What takes the longest for its length must not take longer for each byte when there is more of
 * it: hours, where it was not linear. */
static void time_is_linear_whatever_comes(void **state)
{
	static const char *const texts[] = {"A", "A\n", "AAAA\n", "AAAA\nAAAA.\n", " boundary=a\n",
		" boundary=;boundary=", "--a\n", "-", "=", "--a\n\n", "AAA\nAA\nA\n"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		buffer_clear(&w->message);
		put(w, "Content-Type: a/b; boundary=a\n");
		put_n(w, texts[i], 4 * 1024 * 1024 / strlen(texts[i]));
		double begin = seconds();
		assert_int_equal(
			split_message(buffer_slice(&w->message), &w->scratch, &w->split, &w->f), 0);
		assert_true(seconds() - begin < 30);
	}
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_base64_body_of_any_shape_is_found_whole),
		WORLD_TEST(small_parts_stay_where_they_are),
		WORLD_TEST(what_is_exact_of_an_odd_ending_is_used),
		WORLD_TEST(wrong_bits_in_the_last_quantum_stay_in_the_message),
		WORLD_TEST(lines_of_varying_length_are_exact_or_left),
		WORLD_TEST(bytes_that_are_no_text_are_passed_over),
		WORLD_TEST(a_body_between_named_boundaries_is_found),
		WORLD_TEST(a_body_with_base64_is_not_taken_twice),
		WORLD_TEST(boundaries_that_never_come_or_have_no_end_find_nothing),
		WORLD_TEST(a_thousand_parts_in_each_other_are_passed_through),
		WORLD_TEST(more_parts_than_a_recipe_holds_stay_in_the_message),
		WORLD_TEST(time_is_linear_whatever_comes),
	};

	return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
