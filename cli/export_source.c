#include "cli/export_source.h"

#include "archive/limits.h"

static int append(void *context, struct slice bytes, struct fault *f)
{
	return buffer_append((struct buffer *)context, bytes.data, bytes.len, f);
}

int export_source_read(
	struct export_source *x, struct store *s, const struct message *m, struct fault *f)
{
	x->bytes.max = LIMIT_EXPORT_WHOLE;
	x->whole = m->size_bytes <= LIMIT_EXPORT_WHOLE;
	buffer_clear(&x->bytes);
	if (!x->whole)
		return message_peek(s, m, LIMIT_HEADER_BYTES, &x->bytes, f);
	if (m->size_bytes > 0 && buffer_reserve(&x->bytes, (size_t)m->size_bytes, f) < 0)
		return -1;
	return message_read(s, m, append, &x->bytes, f);
}

int export_source_header(struct export_source *x, struct fault *f)
{
	struct slice bytes = buffer_slice(&x->bytes);

	if (bytes.len > LIMIT_HEADER_BYTES)
		bytes.len = LIMIT_HEADER_BYTES;
	return header_read(bytes, &x->header, f);
}

void export_source_deinit(struct export_source *x)
{
	buffer_deinit(&x->bytes);
	header_deinit(&x->header);
}
