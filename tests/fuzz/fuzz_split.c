/* Any bytes as a message. The first byte says how often what follows comes one after the other,
 * since parts are large. What is found lies in it, in order, and makes the same bytes again. */
#include "archive/split.h"
#include "tests/fuzz/fuzz.h"

enum { MESSAGE_MAX = 1024 * 1024, REPEAT_MAX = 96 * 1024 };

static struct split split; /* large */

static void check_span(struct slice message, const struct split_span *span)
{
	struct buffer part CLEANUP(buffer_deinit) = buffer_make(MESSAGE_MAX);
	struct buffer made CLEANUP(buffer_deinit) = buffer_make(MESSAGE_MAX);
	struct slice was = slice_of(message.data + span->offset, (size_t)span->size);
	struct base64_lines b;
	struct fault f;
	uint64_t size;

	require(split_decode(message, span, &part, &f) == 0 && part.len == span->part_size);
	require(part.len >= LIMIT_PART_LEAST);
	if (span->kind == PIECE_RAW) {
		require(slice_compare(buffer_slice(&part), was) == 0);
		return;
	}
	base64_lines_init(&b, span->line, span->eol);
	require(base64_lines_add(&b, buffer_slice(&part), &made, &f) == 0);
	require(base64_lines_end(&b, &made, &f) == 0);
	require(slice_compare(buffer_slice(&made), was) == 0);
	require(piece_encoded_size(span->part_size, span->line, span->eol, &size));
	require(size == span->size);
}

static void check(struct slice message)
{
	struct buffer scratch CLEANUP(buffer_deinit) = buffer_make(MESSAGE_MAX);
	struct fault f;
	uint64_t at = 0;

	require(split_message(message, &scratch, &split, &f) == 0);
	require(split.spans <= sizeof split.span / sizeof *split.span);
	for (size_t i = 0; i < split.spans; i++) {
		const struct split_span *span = &split.span[i];

		require(span->kind == PIECE_RAW || span->kind == PIECE_BASE64);
		require(span->offset >= at && span->offset <= message.len);
		require(span->size <= message.len - span->offset);
		at = span->offset + span->size;
		check_span(message, span);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer message CLEANUP(buffer_deinit) = buffer_make(MESSAGE_MAX);
	struct fault f;

	if (size < 2 || size > MESSAGE_MAX / 2)
		return 0;
	size_t times = data[0] * 32U;
	do {
		require(buffer_append(&message, data + 1, size - 1, &f) == 0);
	} while (times-- > 0 && message.len < REPEAT_MAX);
	/* A block of its own size, so that a sanitizer sees a read behind its end. */
	uint8_t *copy CLEANUP(freep) = malloc(message.len);
	require(copy);
	memcpy(copy, message.data, message.len);
	check(slice_of(copy, message.len));
	return 0;
}
