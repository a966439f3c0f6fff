/* The wire of a login, POP3's or IMAP's, without I/O: the server's lines, and what goes out. What
 * goes out may hold the password, so its storage never moves and is wiped once it was sent. */
#pragma once

#include "archive/bytes.h"

#include <stdbool.h>

/* Embedded. */
struct login_wire {
	struct buffer in; /* from in_at on: not looked at */
	size_t in_at;
	struct buffer out; /* append to it */
	size_t out_at;
};

int login_wire_init(struct login_wire *w, struct fault *f) MUST_CHECK;
void login_wire_deinit(struct login_wire *w);

/* What the server sent; copied. FAULT_PROTOCOL: more than a login can have to say. */
int login_wire_input(struct login_wire *w, struct slice bytes, struct fault *f) MUST_CHECK;
/* What was sent and not looked at; borrowed until the next input. */
struct slice login_wire_rest(const struct login_wire *w);
/* The next line without its end, borrowed likewise; *ret_crlf: it had CR too.
 * LOGIN_WIRE_WANT_READ: it is not whole yet. FAULT_PROTOCOL: it is too long. */
enum { LOGIN_WIRE_WANT_READ = 1 };
int login_wire_take_line(
	struct login_wire *w, struct slice *ret, bool *ret_crlf, struct fault *f) MUST_CHECK;

/* What is to be sent; the same bytes again until login_wire_sent() takes some off. */
struct slice login_wire_output(const struct login_wire *w);
void login_wire_sent(struct login_wire *w, size_t n);
