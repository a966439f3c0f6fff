/* Transcripts of IMAP's login; see talk.h. */
#pragma once

#include "tests/unit/talk.h"

static inline void begin_imap(struct talk *t, enum tls_mode tls, const char *auth)
{
	static char imap_host[] = "imap.example.com";

	begin(t, tls, auth);
	t->account.protocol = PROTOCOL_IMAP;
	t->account.host = imap_host;
	t->account.port = 993;
	imap_preamble_init(&t->imap_preamble);
}

static inline void imap_greets(struct talk *t, const char *line)
{
	char text[512];

	(void)snprintf(text, sizeof text, "%s\r\n", line);
	assert_int_equal(imap_preamble_add_line(&t->imap_preamble, slice_text(text), &t->fault), 0);
}

static inline int imap_starts(struct talk *t, enum connection_channel channel)
{
	return imap_login_new(
		&t->account, &t->secret, &t->imap_preamble, channel, &t->imap, &t->fault);
}

/* capabilities: the words behind "* CAPABILITY". */
static inline void connect_imap(struct talk *t, const char *capabilities)
{
	char line[400];

	imap_greets(t, "* OK hi");
	(void)snprintf(line, sizeof line, "* CAPABILITY %s", capabilities);
	imap_greets(t, line);
	imap_greets(t, "A001 OK done");
	if (imap_starts(t, t->account.tls == TLS_NONE ? CHANNEL_CLEAR : CHANNEL_TLS) < 0)
		fail_msg("%s", t->fault.text);
}

static inline void expect_done(struct talk *t, const char *mechanism)
{
	int r = talk_step(t);

	if (r < 0)
		fail_msg("%s", t->fault.text);
	assert_int_equal(r, LOGIN_DONE);
	assert_string_equal(imap_login_result(t->imap)->mechanism, mechanism);
	assert_true(imap_login_result(t->imap)->capabilities.uidplus);
}

/* OK to the command with this tag, and all that comes behind it. */
static inline void let_in(struct talk *t, const char *tag, const char *mechanism)
{
	char line[100];

	(void)snprintf(line, sizeof line, "%s OK [CAPABILITY IMAP4rev1 UIDPLUS] in", tag);
	say(t, line);
	expect_done(t, mechanism);
	end(t);
}
