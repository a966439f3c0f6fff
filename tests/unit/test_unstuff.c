#include "daemon/unstuff.h"
#include "tests/unit/check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SPACE = 8192 };

/* What came out of one stream. */
struct outcome {
	uint8_t message[SPACE];
	size_t len, used;
	int ended;
};

/* Deterministic, so that a failure can be had again. */
static uint32_t random_below(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525U + 1013904223U;
	return (*seed >> 8) % n;
}

/* Each chunk in memory of its own, so that a sanitizer sees what reaches beyond it. */
static void feed_chunk(struct unstuff *u, const uint8_t *from, size_t len, struct outcome *o)
{
	uint8_t *chunk = malloc(len ? len : 1);
	size_t at = 0;

	assert_non_null(chunk);
	memcpy(chunk, from, len);
	while (at < len && !o->ended) {
		size_t used = SIZE_MAX;
		struct slice bytes;
		o->ended = unstuff_feed(u, chunk + at, len - at, &used, &bytes);
		assert_true(used <= len - at && (used > 0 || bytes.len > 0));
		assert_true(o->len + bytes.len <= SPACE);
		memcpy(o->message + o->len, bytes.data, bytes.len);
		o->len += bytes.len;
		at += used;
		o->used += used;
	}
	free(chunk);
}

/* max: the longest chunk; chunks have random lengths up to it. */
static void feed(struct outcome *o, enum line_ends ends, const void *stream, size_t len,
	uint32_t max, uint32_t *seed)
{
	struct unstuff u;
	size_t at = 0;

	memset(o, 0, sizeof *o);
	unstuff_init(&u, ends);
	while (at < len && !o->ended) {
		size_t n = 1 + random_below(seed, max);
		if (n > len - at)
			n = len - at;
		feed_chunk(&u, (const uint8_t *)stream + at, n, o);
		at += n;
	}
}

static void check_stream(
	enum line_ends ends, struct slice stream, struct slice message, size_t used)
{
	static const uint32_t chunks[] = {1, 2, 3, 5, 1000};
	struct outcome *o = malloc(sizeof *o);
	uint32_t seed = 7;

	assert_non_null(o);
	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
		feed(o, ends, stream.data, stream.len, chunks[i], &seed);
		assert_int_equal(o->len, message.len);
		assert_memory_equal(o->message, message.data, message.len);
		assert_int_equal(o->ended, used > 0);
		if (used > 0)
			assert_int_equal(o->used, used);
	}
	free(o);
}

/* The stream ends with the message; after is what follows it. */
static void check_ends(
	enum line_ends ends, struct slice stream, struct slice after, struct slice message)
{
	uint8_t all[200];

	assert_true(stream.len + after.len <= sizeof all);
	memcpy(all, stream.data, stream.len);
	memcpy(all + stream.len, after.data, after.len);
	check_stream(ends, slice_of(all, stream.len + after.len), message, stream.len);
}

/* A slice of a literal, which may hold NUL. */
#define BYTES(text) slice_of((text), sizeof(text) - 1)
#define ENDS(ends, stream, after, message)                                                         \
	check_ends((ends), BYTES(stream), BYTES(after), BYTES(message))
#define GOES_ON(ends, stream, message) check_stream((ends), BYTES(stream), BYTES(message), 0)

static void a_dot_alone_between_crlfs_ends_the_message(void **state)
{
	(void)state;
	ENDS(LINE_ENDS_CRLF, "a\r\nb\r\n.\r\n", "", "a\r\nb\r\n");
	ENDS(LINE_ENDS_CRLF, "a\r\nb\r\n.\r\n", "+OK\r\n.\r\n", "a\r\nb\r\n");
	ENDS(LINE_ENDS_CRLF, ".\r\n", "+OK", "");
	ENDS(LINE_ENDS_CRLF, "\r\n.\r\n", "", "\r\n");
	ENDS(LINE_ENDS_CRLF, "a\r\r\n.\r\n", "", "a\r\r\n");
}

static void one_dot_goes_from_the_beginning_of_a_line(void **state)
{
	(void)state;
	ENDS(LINE_ENDS_CRLF, "..\r\n.\r\n", "", ".\r\n");
	ENDS(LINE_ENDS_CRLF, "...\r\n.\r\n", "", "..\r\n");
	ENDS(LINE_ENDS_CRLF, "a\r\n..b\r\n....\r\nc.\r\n.\r\n", "", "a\r\n.b\r\n...\r\nc.\r\n");
	ENDS(LINE_ENDS_CRLF, ".a\r\n.\r\n", "", "a\r\n");
}

static void other_line_ends_begin_no_line(void **state)
{
	(void)state;
	ENDS(LINE_ENDS_CRLF, "a\n.\nb\r\n.\r\n", "", "a\n.\nb\r\n");
	ENDS(LINE_ENDS_CRLF, "a\n.\r\nb\r\n.\r\n", "", "a\n.\r\nb\r\n");
	ENDS(LINE_ENDS_CRLF, "a\n..\r\n.\r\n", "", "a\n..\r\n");
	ENDS(LINE_ENDS_CRLF, "a\r.\r\nb\r\n.\r\n", "", "a\r.\r\nb\r\n");
	ENDS(LINE_ENDS_CRLF, "\n.\r\n\r\n.\r\n", "", "\n.\r\n\r\n");
	ENDS(LINE_ENDS_CRLF, "\r\n.\n.\r\n\r\n.\r\n", "", "\r\n\n.\r\n\r\n");
}

static void a_dot_and_cr_alone_end_nothing(void **state)
{
	(void)state;
	ENDS(LINE_ENDS_CRLF, ".\ra\r\n.\r\n", "", "\ra\r\n");
	ENDS(LINE_ENDS_CRLF, ".\r\r\n.\r\n", "", "\r\r\n");
	ENDS(LINE_ENDS_CRLF, "a\r\n.\r.\r\n.\r\n", "", "a\r\n\r.\r\n");
	GOES_ON(LINE_ENDS_CRLF, "a\r\n.", "a\r\n");
	GOES_ON(LINE_ENDS_CRLF, "a\r\n.\r", "a\r\n");
}

static void nul_and_8_bit_stay(void **state)
{
	(void)state;
	ENDS(LINE_ENDS_CRLF, "\0.\xff\r\n.\0\r\n.\r\n", "", "\0.\xff\r\n\0\r\n");
}

static void lf_alone_ends_lines_where_that_was_chosen(void **state)
{
	(void)state;
	ENDS(LINE_ENDS_LF, "a\n..b\n.\n", "+OK\n", "a\n.b\n");
	ENDS(LINE_ENDS_LF, ".\n", "", "");
	ENDS(LINE_ENDS_LF, "a\r\n..\n\r\n.\r.\n.\n", "", "a\r\n.\n\r\n\r.\n");
}

/* Any bytes, those that matter often, whole lines. */
static size_t make_message(uint8_t *to, uint32_t *seed)
{
	static const char some[] = "....\r\r\n\n\r\nab\0\xff";
	size_t n = 0, want = random_below(seed, 60);

	while (n < want) {
		if (random_below(seed, 3) == 0) {
			to[n++] = '\r';
			to[n++] = '\n';
		} else {
			to[n++] = (uint8_t)some[random_below(seed, sizeof some - 1)];
		}
	}
	if (n > 0) {
		to[n++] = '\r';
		to[n++] = '\n';
	}
	return n;
}

static size_t stuff(uint8_t *to, const uint8_t *message, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bool begins =
			i == 0 || (i >= 2 && message[i - 2] == '\r' && message[i - 1] == '\n');
		if (begins && message[i] == '.')
			to[n++] = '.';
		to[n++] = message[i];
	}
	memcpy(to + n, ".\r\n", 3);
	return n + 3;
}

static void what_is_stuffed_comes_back_whatever_the_split(void **state)
{
	struct outcome *o = malloc(sizeof *o);
	uint32_t seed = 20261121;
	uint8_t message[100], stream[300];

	(void)state;
	assert_non_null(o);
	for (int i = 0; i < 100000; i++) {
		size_t len = make_message(message, &seed);
		size_t n = stuff(stream, message, len);
		memcpy(stream + n, "+OK more\r\n.\r\n", 13);
		feed(o, LINE_ENDS_CRLF, stream, n + 13, 1 + random_below(&seed, 20), &seed);
		assert_int_equal(o->ended, 1);
		assert_int_equal(o->used, n);
		assert_int_equal(o->len, len);
		assert_memory_equal(o->message, message, len);
	}
	free(o);
}

/* The rule of the header, byte by byte, as plainly as can be. */
static size_t reference(uint8_t *to, const uint8_t *s, size_t len, bool lf_only, size_t *ret_used)
{
	const char *end = lf_only ? "\n" : "\r\n";
	size_t end_len = strlen(end), n = 0;

	*ret_used = 0;
	for (size_t i = 0; i < len; i++) {
		bool begins =
			i == 0 || (i >= end_len && memcmp(s + i - end_len, end, end_len) == 0);
		if (!begins || s[i] != '.') {
			to[n++] = s[i];
			continue;
		}
		if (len - i - 1 >= end_len && memcmp(s + i + 1, end, end_len) == 0) {
			*ret_used = i + 1 + end_len;
			return n;
		}
	}
	return n;
}

static void any_stream_reads_as_the_rule_says(void **state)
{
	static const char some[] = "..\r\n\r\na";
	struct outcome *o = malloc(sizeof *o);
	uint32_t seed = 1939;
	uint8_t stream[48], want[48];

	(void)state;
	assert_non_null(o);
	for (int i = 0; i < 200000; i++) {
		size_t len = random_below(&seed, sizeof stream - 4), used;
		bool lf_only = random_below(&seed, 2) == 1;
		for (size_t j = 0; j < len; j++)
			stream[j] = (uint8_t)some[random_below(&seed, sizeof some - 1)];
		/* Nothing held back at the end. */
		memcpy(stream + len, "zz", 2);
		size_t n = reference(want, stream, len + 2, lf_only, &used);
		feed(o, lf_only ? LINE_ENDS_LF : LINE_ENDS_CRLF, stream, len + 2,
			1 + random_below(&seed, 8), &seed);
		assert_int_equal(o->ended, used > 0);
		assert_int_equal(o->len, n);
		assert_memory_equal(o->message, want, n);
		if (used > 0)
			assert_int_equal(o->used, used);
	}
	free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dot_alone_between_crlfs_ends_the_message),
		TEST(one_dot_goes_from_the_beginning_of_a_line),
		TEST(other_line_ends_begin_no_line),
		TEST(a_dot_and_cr_alone_end_nothing),
		TEST(nul_and_8_bit_stay),
		TEST(lf_alone_ends_lines_where_that_was_chosen),
		TEST(what_is_stuffed_comes_back_whatever_the_split),
		TEST(any_stream_reads_as_the_rule_says),
	};

	return cmocka_run_group_tests_name("unstuff", tests, NULL, NULL);
}
