/* Orders as command lines. */
#include "daemon/imap_name.h"
#include "daemon/imap_private.h"

#include <inttypes.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 16 * 1024 };

static int unusable(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_USAGE, SCOPE_MESSAGE, 0, "%s", what);
}

/* A quoted string (RFC 3501 section 4.3); names are modified UTF-7, so all of it is ASCII. */
static int put_quoted(struct buffer *to, const char *text, struct fault *f)
{
	if (!text || strlen(text) > 4 * LIMIT_FOLDER)
		return unusable(f, "a mailbox's name is missing or too long");
	if (buffer_append_text(to, "\"", f) < 0)
		return -1;
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			return unusable(f, "a mailbox's name holds what IMAP cannot carry");
		if ((*text == '"' || *text == '\\') && buffer_append_text(to, "\\", f) < 0)
			return -1;
		if (buffer_append(to, text, 1, f) < 0)
			return -1;
	}
	return buffer_append_text(to, "\"", f);
}

static int put_flags(struct buffer *to, const char *flags, struct fault *f)
{
	bool first = true;

	if (!flags)
		return 0;
	if (strlen(flags) > LIMIT_IMAP_FLAGS)
		return unusable(f, "the flags are too long");
	for (flags += strspn(flags, " "); *flags; flags += strspn(flags, " ")) {
		struct slice flag = slice_of(flags, strcspn(flags, " "));

		if (!imap_flag_is_valid(flag))
			return unusable(f, "a flag is none that IMAP can carry");
		if (buffer_append_text(to, first ? " (" : " ", f) < 0 ||
			buffer_append(to, flag.data, flag.len, f) < 0)
			return -1;
		first = false;
		flags += flag.len;
	}
	return first ? 0 : buffer_append_text(to, ")", f);
}

static int put_named(
	struct buffer *to, const char *verb, const char *name, const char *rest, struct fault *f)
{
	return buffer_append_text(to, verb, f) < 0 || put_quoted(to, name, f) < 0
		       ? -1
		       : buffer_append_text(to, rest, f);
}

static int put_append(const struct imap *i, struct buffer *to, const struct imap_order *o,
	struct imap_command *c, struct fault *f)
{
	char date[IMAP_DATE_TEXT];

	if (o->size > LIMIT_MESSAGE)
		return fault_set(f, FAULT_LIMIT, SCOPE_MESSAGE, 0,
			"the message is larger than %" PRIu64 " bytes", LIMIT_MESSAGE);
	if (i->capabilities.append_limit_known && o->size > i->capabilities.append_limit)
		return fault_set(f, FAULT_LIMIT, SCOPE_MESSAGE, 0,
			"the message has %" PRIu64 " bytes, and the server takes %" PRIu64
			" at most (APPENDLIMIT)",
			o->size, i->capabilities.append_limit);
	if (put_named(to, "APPEND ", o->mailbox, "", f) < 0)
		return -1;
	c->member_at = to->len;
	if (put_flags(to, o->flags, f) < 0)
		return -1;
	imap_date_format(o->received, date);
	if (o->has_received && buffer_append_format(to, f, " \"%s\"", date) < 0)
		return -1;
	c->size = o->size;
	c->asks = !imap_literal_goes_at_once(&i->capabilities, o->size);
	return buffer_append_format(to, f, " {%" PRIu64 "%s}", o->size, c->asks ? "" : "+");
}

static int put_list(struct buffer *to, const struct imap_order *o, struct fault *f)
{
	char last[12] = "*";

	if (o->last != UINT32_MAX)
		(void)snprintf(last, sizeof last, "%" PRIu32, o->last);
	return buffer_append_format(to, f,
		"UID FETCH %" PRIu32 ":%s (UID RFC822.SIZE INTERNALDATE FLAGS "
		"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])",
		o->first, last);
}

static int put_order(const struct imap *i, struct buffer *to, const struct imap_order *o,
	struct imap_command *c, struct fault *f)
{
	static const char *const verbs[] = {
		[IMAP_CREATE] = "CREATE ",
		[IMAP_SUBSCRIBE] = "SUBSCRIBE ",
		[IMAP_SELECT] = "SELECT ",
		[IMAP_EXAMINE] = "EXAMINE ",
	};

	switch (o->kind) {
	case IMAP_CAPABILITY:
		return buffer_append_text(to, "CAPABILITY", f);
	case IMAP_NOOP:
		return buffer_append_text(to, "NOOP", f);
	case IMAP_NAMESPACE:
		return buffer_append_text(to, "NAMESPACE", f);
	case IMAP_LOGOUT:
		return buffer_append_text(to, "LOGOUT", f);
	case IMAP_LIST:
		return put_named(to, "LIST \"\" ", o->mailbox, "", f);
	case IMAP_STATUS:
		return put_named(to, "STATUS ", o->mailbox, " (MESSAGES UIDNEXT UIDVALIDITY)", f);
	case IMAP_CREATE:
	case IMAP_SUBSCRIBE:
	case IMAP_SELECT:
	case IMAP_EXAMINE:
		return put_named(to, verbs[o->kind], o->mailbox, "", f);
	case IMAP_APPEND:
		return put_append(i, to, o, c, f);
	case IMAP_FETCH_LIST:
		return put_list(to, o, f);
	case IMAP_FETCH_BODY:
		return buffer_append_format(
			to, f, "UID FETCH %" PRIu32 " (UID BODY.PEEK[])", o->first);
	}
	return unusable(f, "no such command");
}

int imap_command_text(
	const struct imap *i, const struct imap_order *o, struct imap_command *ret, struct fault *f)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LINE_MAX_BYTES);
	struct imap_command c = {
		.kind = o->kind, .cookie = o->cookie, .first = o->first, .last = o->last};

	if (put_order(i, &line, o, &c, f) < 0 || buffer_append_text(&line, "\r\n", f) < 0)
		return -1;
	if (c.kind == IMAP_FETCH_BODY)
		c.last = c.first;
	c.text_len = line.len;
	c.text = (char *)TAKE(line.data);
	*ret = c;
	return 0;
}
