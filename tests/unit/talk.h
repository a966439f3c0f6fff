/* Transcripts of a login, POP3's or IMAP's: say() is the server, hear() what the client must send,
 * to the byte. */
#pragma once

#include "archive/limits.h"
#include "daemon/imap_login.h"
#include "daemon/login.h"
#include "tests/unit/check.h"

struct talk {
	struct account account;
	struct secret secret;
	struct preamble preamble;
	struct login *login;
	struct imap_preamble imap_preamble;
	struct imap_login *imap; /* this or login */
	struct fault fault;
};

static inline int talk_step(struct talk *t)
{
	return t->imap ? imap_login_step(t->imap, &t->fault) : login_step(t->login, &t->fault);
}

static inline int talk_input(struct talk *t, struct slice bytes)
{
	return t->imap ? login_wire_input(imap_login_wire(t->imap), bytes, &t->fault)
		       : login_input(t->login, bytes, &t->fault);
}

static inline struct slice talk_output(const struct talk *t)
{
	return t->imap ? login_wire_output(imap_login_wire(t->imap)) : login_output(t->login);
}

static inline void talk_sent(struct talk *t, size_t n)
{
	if (t->imap)
		login_wire_sent(imap_login_wire(t->imap), n);
	else
		login_sent(t->login, n);
}

static char user[] = "anna", password[] = "geheim", host[] = "pop.example.com";

static inline void begin(struct talk *t, enum tls_mode tls, const char *auth)
{
	*t = (struct talk){0};
	t->account.user = user;
	t->account.host = host;
	t->account.port = 995;
	t->account.tls = tls;
	t->account.auth = auth ? strdup(auth) : NULL;
	t->account.secret_source = SECRET_FILE;
	t->secret = (struct secret){password, strlen(password)};
	preamble_init(&t->preamble);
}

static inline void preamble_says(struct talk *t, const char *line)
{
	char text[512];

	(void)snprintf(text, sizeof text, "%s\r\n", line);
	assert_int_equal(preamble_add_line(&t->preamble, slice_text(text), &t->fault), 0);
}

/* capabilities: one a line; NULL: the server knows no CAPA. */
static inline void connect_with(struct talk *t, const char *greeting, const char *capabilities)
{
	enum connection_channel channel = t->account.tls == TLS_NONE ? CHANNEL_CLEAR : CHANNEL_TLS;

	preamble_says(t, greeting);
	if (capabilities) {
		preamble_says(t, "+OK");
		char *copy = strdup(capabilities), *rest = copy;
		for (char *line; (line = strsep(&rest, "\n"));)
			preamble_says(t, line);
		free(copy);
		preamble_says(t, ".");
	} else {
		preamble_says(t, "-ERR");
	}
	if (login_new(&t->account, &t->secret, &t->preamble, channel, &t->login, &t->fault) < 0)
		fail_msg("%s", t->fault.text);
}

static inline void end(struct talk *t)
{
	login_freep(&t->login);
	imap_login_freep(&t->imap);
	free(t->account.auth);
}

/* Sends what is there in pieces of one byte. */
static inline void take_output(struct talk *t, char *ret, size_t size)
{
	size_t n = 0;

	while (talk_output(t).len > 0) {
		assert_true(n + 1 < size);
		ret[n++] = (char)talk_output(t).data[0];
		talk_sent(t, 1);
	}
	ret[n] = '\0';
}

static inline void hear_any(struct talk *t, char *ret, size_t size)
{
	int r = talk_step(t);

	if (r < 0)
		fail_msg("%s", t->fault.text);
	assert_int_equal(r, LOGIN_WANT_WRITE);
	take_output(t, ret, size);
	assert_int_equal(talk_step(t), LOGIN_WANT_READ);
}

static inline void hear(struct talk *t, const char *line)
{
	char text[LIMIT_SASL_LINE + 64], expected[1024];

	hear_any(t, text, sizeof text);
	(void)snprintf(expected, sizeof expected, "%s\r\n", line);
	assert_string_equal(text, expected);
}

static inline void say(struct talk *t, const char *line)
{
	/* Byte by byte: nothing may happen before the line's end. */
	for (const char *c = line; *c; c++) {
		assert_int_equal(talk_input(t, slice_of(c, 1)), 0);
		assert_int_equal(talk_step(t), LOGIN_WANT_READ);
	}
	assert_int_equal(talk_input(t, slice_text("\r\n")), 0);
}

static inline void hear_end(struct talk *t, const char *mechanism)
{
	hear(t, "CAPA");
	say(t, "+OK");
	say(t, "UIDL");
	say(t, "PIPELINING");
	assert_int_equal(login_input(t->login, slice_text(".\r\n"), &t->fault), 0);
	assert_int_equal(login_step(t->login, &t->fault), LOGIN_DONE);
	assert_string_equal(login_result(t->login)->mechanism, mechanism);
	assert_true(login_result(t->login)->capabilities.pipelining);
	assert_false(login_result(t->login)->capabilities.user);
	assert_false(login_result(t->login)->lf_only);
	end(t);
}

static inline void hear_fault(
	struct talk *t, enum fault_code code, enum fault_scope scope, const char *part)
{
	assert_int_equal(talk_step(t), -1);
	if (!strstr(t->fault.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, t->fault.text);
	assert_int_equal(t->fault.code, code);
	assert_int_equal(t->fault.scope, scope);
	assert_null(strstr(t->fault.text, password));
	end(t);
}
