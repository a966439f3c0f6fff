#include "archive/bytes.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST_SIZE = 256 };

void buffer_deinit(struct buffer *b)
{
	free(b->data);
	*b = buffer_make(b->max);
}

int buffer_reserve(struct buffer *b, size_t n, struct fault *f)
{
	if (n > b->max || b->len > b->max - n)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0, "more than %zu bytes", b->max);
	size_t need = b->len + n;
	if (need <= b->size)
		return 0;
	size_t size = b->size ? b->size : FIRST_SIZE;
	while (size < need)
		size = size > b->max / 2 ? b->max : size * 2;
	if (size > b->max)
		size = b->max;
	uint8_t *data = realloc(b->data, size);
	if (!data)
		return fault_memory(f);
	b->data = data;
	b->size = size;
	return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t n, struct fault *f)
{
	if (n == 0)
		return 0;
	if (buffer_reserve(b, n, f) < 0)
		return -1;
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

int buffer_append_text(struct buffer *b, const char *text, struct fault *f)
{
	return buffer_append(b, text, strlen(text), f);
}

int buffer_append_format(struct buffer *b, struct fault *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		return fault_set(f, FAULT_SYSTEM, SCOPE_SESSION, 0, "bad format");
	if (buffer_reserve(b, (size_t)n + 1, f) < 0)
		return -1;
	va_start(args, format);
	(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, args);
	va_end(args);
	b->len += (size_t)n;
	return 0;
}

const char *buffer_text(struct buffer *b)
{
	struct fault ignored;

	if (buffer_reserve(b, 1, &ignored) < 0)
		return NULL;
	b->data[b->len] = '\0';
	return (const char *)b->data;
}
