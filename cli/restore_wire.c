#include "cli/restore_wire.h"

/* How many bytes at the beginning stay as they are: up to a bare LF. */
static size_t run_of(const struct wire *w, struct slice bytes)
{
	const uint8_t *at = bytes.data, *end = bytes.data + bytes.len;

	while ((at = memchr(at, '\n', (size_t)(end - at)))) {
		bool crlf = at > bytes.data ? at[-1] == '\r' : w->after_cr;

		if (!crlf)
			return (size_t)(at - bytes.data);
		at++;
	}
	return bytes.len;
}

int wire_add(void *context, struct slice bytes, struct fault *f)
{
	struct wire *w = (struct wire *)context;

	w->has_nul |= bytes.len > 0 && memchr(bytes.data, '\0', bytes.len);
	while (bytes.len > 0) {
		size_t n = run_of(w, bytes);

		if (n > 0 && spool_write(w->to, slice_of(bytes.data, n), f) < 0)
			return -1;
		w->after_cr = n > 0 ? bytes.data[n - 1] == '\r' : w->after_cr;
		bytes = slice_of(bytes.data + n, bytes.len - n);
		if (bytes.len == 0)
			break;
		if (spool_write(w->to, slice_of("\r\n", 2), f) < 0)
			return -1;
		w->bare_lfs++;
		w->after_cr = false;
		bytes = slice_of(bytes.data + 1, bytes.len - 1);
	}
	return 0;
}
