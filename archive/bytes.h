/* Mail is bytes: a borrowed slice, and an owning buffer that cannot be made without a maximum. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed; may hold NUL. */
struct slice {
	const uint8_t *data;
	size_t len;
};

static inline struct slice slice_of(const void *data, size_t len)
{
	return (struct slice){data, len};
}

static inline struct slice slice_text(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

/* As memcmp; where one is the beginning of the other, the shorter is less. */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.data, b.data, n) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Owning and growing up to max. */
struct buffer {
	uint8_t *data;
	size_t len, size, max;
};

static inline struct buffer buffer_make(size_t max)
{
	return (struct buffer){.max = max};
}

/* For CLEANUP(); leaves an empty buffer with the same maximum. */
void buffer_deinit(struct buffer *b);
/* Keeps the storage. */
static inline void buffer_clear(struct buffer *b)
{
	b->len = 0;
}
static inline struct slice buffer_slice(const struct buffer *b)
{
	return (struct slice){b->data, b->len};
}

/* Room for n more bytes behind len. FAULT_LIMIT beyond max, FAULT_MEMORY. */
int buffer_reserve(struct buffer *b, size_t n, struct fault *f) MUST_CHECK;
int buffer_append(struct buffer *b, const void *data, size_t n, struct fault *f) MUST_CHECK;
int buffer_append_text(struct buffer *b, const char *text, struct fault *f) MUST_CHECK;
int buffer_append_format(struct buffer *b, struct fault *f, const char *format, ...)
	__attribute__((format(printf, 3, 4), warn_unused_result));
/* The bytes as NUL-terminated text, borrowed until the next change; NULL when out of memory. */
const char *buffer_text(struct buffer *b);
