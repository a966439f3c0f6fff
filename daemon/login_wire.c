#include "daemon/login_wire.h"

#include "archive/limits.h"

/* The longest line of SASL, and a command around it. */
enum { OUT_SIZE = LIMIT_SASL_LINE + 64 };

int login_wire_init(struct login_wire *w, struct fault *f)
{
	*w = (struct login_wire){
		.in = buffer_make(LIMIT_LOGIN_INPUT), .out = buffer_make(OUT_SIZE)};
	return buffer_reserve(&w->out, OUT_SIZE, f);
}

static void wipe(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->size);
	b->len = 0;
}

void login_wire_deinit(struct login_wire *w)
{
	buffer_deinit(&w->in);
	wipe(&w->out);
	buffer_deinit(&w->out);
}

int login_wire_input(struct login_wire *w, struct slice bytes, struct fault *f)
{
	if (w->in_at > 0 && w->in_at == w->in.len) {
		buffer_clear(&w->in);
		w->in_at = 0;
	}
	if (bytes.len > w->in.max - w->in.len)
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server sends without end where a short answer was due");
	return buffer_append(&w->in, bytes.data, bytes.len, f);
}

struct slice login_wire_rest(const struct login_wire *w)
{
	return slice_of(w->in.data + w->in_at, w->in.len - w->in_at);
}

int login_wire_take_line(struct login_wire *w, struct slice *ret, bool *ret_crlf, struct fault *f)
{
	struct slice left = login_wire_rest(w);
	const uint8_t *end = left.len ? memchr(left.data, '\n', left.len) : NULL;
	size_t len = end ? (size_t)(end - left.data) : left.len;

	if (len > LIMIT_SASL_LINE + sizeof "+ \r")
		return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server sends a line of more than %d bytes during the login",
			(int)LIMIT_SASL_LINE);
	if (!end)
		return LOGIN_WIRE_WANT_READ;
	w->in_at += len + 1;
	*ret_crlf = len > 0 && left.data[len - 1] == '\r';
	*ret = slice_of(left.data, *ret_crlf ? len - 1 : len);
	return 0;
}

struct slice login_wire_output(const struct login_wire *w)
{
	return slice_of(w->out.data + w->out_at, w->out.len - w->out_at);
}

void login_wire_sent(struct login_wire *w, size_t n)
{
	w->out_at += n;
	if (w->out_at < w->out.len)
		return;
	w->out_at = 0;
	wipe(&w->out);
}
