/* What a response that has arrived whole means. */
#include "archive/decimal.h"
#include "archive/escape.h"
#include "daemon/imap_name.h"
#include "daemon/imap_private.h"

#include <inttypes.h>

static struct slice rest_of(const struct imap_cursor *c)
{
	return slice_of(c->at, (size_t)(c->end - c->at));
}

static int strange(struct imap *i, const char *what, struct slice line, struct fault *f)
{
	char text[200];

	(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "out of step: %s: \"%s\"", what,
		escape_text(line, text, sizeof text));
	return imap_die(i, f);
}

struct imap_command *imap_waiting(const struct imap *i, enum imap_kind a, enum imap_kind b)
{
	for (uint64_t n = i->oldest; n < i->queued; n++) {
		struct imap_command *c = imap_at(i, n);

		if (c->phase == IMAP_TEXT)
			break;
		if (!c->answered && (c->kind == a || c->kind == b))
			return c;
	}
	return NULL;
}

static struct imap_event event_of(enum imap_event_kind kind, const struct imap_command *c)
{
	return (struct imap_event){.kind = kind, .command = c->kind, .cookie = c->cookie};
}

/* ---- Status ---------------------------------------------------------------------------------- */

static void keep_flags(struct imap_selected *s, struct slice list)
{
	struct imap_cursor c = {
		(uint8_t *)(uintptr_t)list.data, (uint8_t *)(uintptr_t)list.data + list.len};
	size_t used = 0;

	if (!imap_take_char(&c, '('))
		return;
	s->keywords_known = true;
	s->keywords_any = false;
	for (struct slice flag; (flag = imap_take_atom(&c)).len > 0;) {
		if (imap_is(flag, "\\*")) {
			s->keywords_any = true;
		} else if (used + flag.len + 2 <= sizeof s->permanent_flags) {
			if (used > 0)
				s->permanent_flags[used++] = ' ';
			memcpy(s->permanent_flags + used, flag.data, flag.len);
			used += flag.len;
		}
	}
	s->permanent_flags[used] = '\0';
}

static uint32_t number_of(struct slice text)
{
	uint64_t value = 0;

	return decimal_take(&text, &value) == 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

/* Codes that tell something, in tagged and untagged replies. */
static int note_code(struct imap *i, const struct imap_reply *r, struct fault *f)
{
	struct imap_selected *s =
		imap_waiting(i, IMAP_SELECT, IMAP_EXAMINE) ? &i->selecting : &i->selected;

	switch ((int)r->code) {
	case IMAP_CODE_CAPABILITY:
		if (imap_capabilities_parse(&i->capabilities, r->argument, f) < 0)
			return imap_die(i, f);
		break;
	case IMAP_CODE_PERMANENTFLAGS:
		keep_flags(s, r->argument);
		break;
	case IMAP_CODE_UIDNEXT:
		s->uid_next = number_of(r->argument);
		break;
	case IMAP_CODE_UIDVALIDITY:
		s->uid_validity = number_of(r->argument);
		break;
	case IMAP_CODE_READ_ONLY:
		s->read_only = true;
		break;
	case IMAP_CODE_READ_WRITE:
		s->read_only = false;
		break;
	default:
		break;
	}
	return 0;
}

/* RFC 3501 section 7.1.3: an untagged BAD is an error whose command the server cannot tell, so that
 * nobody knows any more what it takes for a command. */
static int on_status(struct imap *i, struct slice line, struct imap_event *ret, struct fault *f)
{
	struct imap_reply r;

	if (imap_reply_parse(line, &r) != 0)
		return 0;
	if (r.status == IMAP_BAD)
		return strange(i, "the server says", line, f);
	if (note_code(i, &r, f) < 0)
		return -1;
	if (r.code != IMAP_CODE_ALERT)
		return 0;
	*ret = (struct imap_event){.kind = IMAP_NOTICE, .reply = r};
	return IMAP_EVENT;
}

static int on_bye(struct imap *i, struct slice rest, struct fault *f)
{
	struct imap_reply r = {.text = rest};
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(2 * LIMIT_IMAP_LINE);
	char text[300];

	if (i->logout && imap_waiting(i, IMAP_LOGOUT, IMAP_LOGOUT))
		return 0;
	/* Its code and text are as those of NO. */
	if (buffer_append_text(&line, "NO ", f) < 0 ||
		buffer_append(&line, rest.data, rest.len, f) < 0 ||
		imap_reply_parse(buffer_slice(&line), &r) != 0)
		r = (struct imap_reply){.text = rest};
	i->how = (struct imap_end){.bye = true, .code = r.code, .wait_ms = r.wait_ms};
	(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "the server ends the session: \"%s\"",
		escape_text(rest, text, sizeof text));
	return imap_die(i, f);
}

/* ---- Data ------------------------------------------------------------------------------------ */

static int on_list(struct imap *i, struct imap_cursor *c, struct imap_event *ret)
{
	const struct imap_command *command = imap_waiting(i, IMAP_LIST, IMAP_LIST);
	struct imap_listed listed = {0};
	struct slice delimiter, attribute;
	bool nil;

	if (!command || !imap_take_char(c, '('))
		return 0;
	while ((attribute = imap_take_atom(c)).len > 0) {
		listed.no_select |=
			imap_is(attribute, "\\Noselect") || imap_is(attribute, "\\NonExistent");
		listed.no_inferiors |= imap_is(attribute, "\\Noinferiors");
	}
	if (!imap_take_char(c, ')') || !imap_take_string(c, &delimiter, &nil))
		return 0;
	if (!nil && (delimiter.len != 1 || delimiter.data[0] <= ' ' || delimiter.data[0] > '~'))
		return 0;
	listed.delimiter = nil ? '\0' : (char)delimiter.data[0];
	/* A mailbox may be named NIL. */
	const uint8_t *at = c->at;
	if (!imap_take_string(c, &listed.name, &nil))
		return 0;
	if (nil)
		listed.name = slice_of(at, 3);
	*ret = event_of(IMAP_LISTED, command);
	ret->listed = listed;
	return IMAP_EVENT;
}

/* RFC 2342: (("prefix" "delimiter" …) …) or NIL. */
static int on_namespace(struct imap *i, struct imap_cursor *c, struct imap_event *ret)
{
	const struct imap_command *command = imap_waiting(i, IMAP_NAMESPACE, IMAP_NAMESPACE);
	struct slice delimiter;
	bool nil;

	if (!command)
		return 0;
	*ret = event_of(IMAP_LISTED, command);
	bool has_some = imap_take_char(c, '(');
	if (!has_some || !imap_take_char(c, '(') || !imap_take_string(c, &ret->listed.name, &nil) ||
		!imap_take_string(c, &delimiter, &nil))
		return 0;
	if (!nil && delimiter.len == 1)
		ret->listed.delimiter = (char)delimiter.data[0];
	return IMAP_EVENT;
}

static int on_mailbox_status(struct imap *i, struct imap_cursor *c, struct imap_event *ret)
{
	const struct imap_command *command = imap_waiting(i, IMAP_STATUS, IMAP_STATUS);
	struct slice item;
	bool nil;

	if (!command)
		return 0;
	*ret = event_of(IMAP_STATUS_DATA, command);
	if (!imap_take_string(c, &ret->status.name, &nil) || !imap_take_char(c, '('))
		return 0;
	while ((item = imap_take_atom(c)).len > 0) {
		uint64_t value;

		if (!imap_take_number(c, &value))
			return 0;
		if (imap_is(item, "MESSAGES"))
			ret->status.messages = value;
		else if (imap_is(item, "UIDNEXT") && value <= UINT32_MAX)
			ret->status.uid_next = (uint32_t)value;
		else if (imap_is(item, "UIDVALIDITY") && value <= UINT32_MAX)
			ret->status.uid_validity = (uint32_t)value;
	}
	return IMAP_EVENT;
}

/* ---- FETCH ----------------------------------------------------------------------------------- */

struct fetched {
	struct imap_message message;
	bool has_size, has_body;
	struct slice body;
};

/* A header field with its end and the empty line behind it. Its line breaks and spaces at the ends
 * go, in place. */
static struct slice message_id_of(struct slice field)
{
	uint8_t *to = (uint8_t *)(uintptr_t)field.data;
	const uint8_t *colon = field.len ? memchr(field.data, ':', field.len) : NULL;
	size_t n = 0;

	if (!colon)
		return slice_of("", 0);
	for (const uint8_t *at = colon + 1; at < field.data + field.len; at++) {
		bool space = *at == ' ' || *at == '\t' || *at == '\r' || *at == '\n';

		if (!space || (n > 0 && *at != '\r' && *at != '\n'))
			to[n++] = *at;
	}
	while (n > 0 && (to[n - 1] == ' ' || to[n - 1] == '\t'))
		n--;
	const uint8_t *open = n ? memchr(to, '<', n) : NULL;
	const uint8_t *close = open ? memchr(open, '>', n - (size_t)(open - to)) : NULL;
	return close ? slice_of(open + 1, (size_t)(close - open) - 1) : slice_of(to, n);
}

static bool begins(struct slice word, const char *with)
{
	size_t n = strlen(with);

	return word.len >= n && imap_is(slice_of(word.data, n), with);
}

/* One item; false: the rest cannot be read. */
static bool fetch_item(struct imap_cursor *c, struct fetched *to)
{
	struct slice name = imap_take_atom(c), value;
	uint64_t number;
	bool nil;

	if (name.len == 0)
		return false;
	if (imap_is(name, "UID")) {
		if (!imap_take_number(c, &number) || number > UINT32_MAX)
			return false;
		to->message.uid = (uint32_t)number;
		return true;
	}
	if (imap_is(name, "RFC822.SIZE")) {
		to->has_size = imap_take_number(c, &to->message.size);
		return to->has_size;
	}
	if (imap_is(name, "FLAGS"))
		return imap_take_list(c, &to->message.flags);
	bool date = imap_is(name, "INTERNALDATE"), header = begins(name, "BODY[HEADER"),
	     body = imap_is(name, "BODY[]");
	if (!date && !header && !body)
		return imap_skip_value(c);
	if (!imap_take_string(c, &value, &nil))
		return false;
	if (date)
		to->message.has_received = imap_date_parse(value, &to->message.received) == 0;
	else if (header)
		to->message.message_id = message_id_of(value);
	to->has_body |= body && !nil;
	if (body)
		to->body = value;
	return true;
}

static void due_end(
	struct imap *i, struct imap_command *c, const struct fetched *got, uint64_t size)
{
	c->has_body = true;
	i->end = event_of(IMAP_BODY_END, c);
	i->end.message = got->message;
	i->end.message.flags = i->end.message.message_id = slice_of("", 0);
	i->end.offset = size;
	i->end_due = true;
}

/* The message came as a string within the response, as a short one may. */
static int on_short_body(
	struct imap *i, struct imap_command *c, const struct fetched *got, struct imap_event *ret)
{
	due_end(i, c, got, got->body.len);
	*ret = event_of(IMAP_BODY, c);
	ret->bytes = got->body;
	return got->body.len > 0 ? IMAP_EVENT : 0;
}

/* The command of a kind that brings this UID, else the oldest that may; a message comes once. */
static struct imap_command *fetcher(const struct imap *i, enum imap_kind kind, uint32_t uid)
{
	struct imap_command *oldest = NULL;

	for (uint64_t n = i->oldest; n < i->queued; n++) {
		struct imap_command *c = imap_at(i, n);

		if (c->phase == IMAP_TEXT)
			break;
		if (c->answered || c->kind != kind || c->has_body)
			continue;
		if (uid >= c->first && uid <= c->last)
			return c;
		oldest = oldest ? oldest : c;
	}
	return oldest;
}

struct imap_command *imap_asker(struct imap *i)
{
	struct imap_cursor c = {i->line.data, i->line.data + i->line.len};
	struct fetched got = {0};
	uint64_t number;

	if (imap_waiting(i, IMAP_FETCH_BODY, IMAP_FETCH_BODY) && imap_take_char(&c, '*') &&
		imap_take_number(&c, &number) && imap_is(imap_take_atom(&c), "FETCH") &&
		imap_take_char(&c, '(')) {
		while (fetch_item(&c, &got))
			;
	}
	return fetcher(i, IMAP_FETCH_BODY, got.message.uid);
}

static int on_fetch(struct imap *i, struct imap_cursor *c, struct imap_event *ret)
{
	struct fetched got = {0};
	struct imap_command *command;

	if (imap_take_char(c, '(')) {
		while (fetch_item(c, &got))
			;
	}
	if (i->streaming) {
		due_end(i, TAKE(i->streaming), &got, i->body);
		return 0;
	}
	command = got.has_body ? fetcher(i, IMAP_FETCH_BODY, got.message.uid) : NULL;
	if (command)
		return on_short_body(i, command, &got, ret);
	command = fetcher(i, IMAP_FETCH_LIST, got.message.uid);
	/* Else somebody else's change of flags, told in between. */
	if (!command || !got.has_size || got.message.uid == 0)
		return 0;
	*ret = event_of(IMAP_MESSAGE, command);
	ret->message = got.message;
	return IMAP_EVENT;
}

/* "* 12 EXISTS" and the like. */
static int on_number(struct imap *i, struct imap_cursor *c, uint64_t number, struct imap_event *ret)
{
	struct slice what = imap_take_atom(c);
	struct imap_selected *s =
		imap_waiting(i, IMAP_SELECT, IMAP_EXAMINE) ? &i->selecting : &i->selected;

	if (imap_is(what, "FETCH"))
		return on_fetch(i, c, ret);
	if (imap_is(what, "EXISTS"))
		s->exists = number;
	else if (imap_is(what, "EXPUNGE") && s->exists > 0)
		s->exists--;
	return 0;
}

static int on_untagged(
	struct imap *i, struct imap_cursor *c, struct imap_event *ret, struct fault *f)
{
	struct slice line = rest_of(c), what;
	uint64_t number;

	if (imap_take_number(c, &number))
		return on_number(i, c, number, ret);
	what = imap_take_atom(c);
	if (imap_is(what, "BYE"))
		return on_bye(i, rest_of(c), f);
	if (imap_is(what, "CAPABILITY"))
		return imap_capabilities_parse(&i->capabilities, rest_of(c), f) < 0 ? imap_die(i, f)
										    : 0;
	if (imap_is(what, "LIST"))
		return on_list(i, c, ret);
	if (imap_is(what, "NAMESPACE"))
		return on_namespace(i, c, ret);
	if (imap_is(what, "STATUS"))
		return on_mailbox_status(i, c, ret);
	return on_status(i, line, ret, f);
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* Its command, where it was sent and has no reply yet. */
static struct imap_command *command_of(const struct imap *i, struct slice tag)
{
	struct slice digits = slice_of(tag.data + 1, tag.len ? tag.len - 1 : 0);
	uint64_t number;

	if (tag.len < 2 || tag.data[0] != 'A' || !decimal_parse(digits, &number) ||
		number < i->oldest || number >= i->queued)
		return NULL;
	struct imap_command *c = imap_at(i, number);
	bool sent = c->begun && c->leader == number && c->phase != IMAP_TEXT;
	return !sent || c->answered || i->sent < c->line_end ? NULL : c;
}

static bool has_all(const struct imap *i, const struct imap_command *c)
{
	return c->phase == IMAP_WRITTEN && i->sent >= c->end &&
	       !(i->batch_open && i->batch == c->leader);
}

/* A batch was refused, and none of it has arrived: where that may be for one of them, each is sent
 * alone; else all are told. */
static int on_batch(
	struct imap *i, struct imap_command *c, const struct imap_reply *r, struct fault *f)
{
	enum imap_verdict verdict = imap_verdict(r);
	uint64_t first = c->leader, members = c->members;

	if (verdict != IMAP_FULL && verdict != IMAP_TOO_BIG && verdict != IMAP_REFUSED) {
		i->due = *r;
		i->due_at = first;
		i->due_n = i->due_of = c->members;
		return 0;
	}
	if (r->status == IMAP_BAD)
		i->capabilities.multiappend = false;
	for (uint64_t n = 0; n < members; n++) {
		if (imap_retry(i, first + n, f) < 0)
			return imap_die(i, f);
	}
	return 0;
}

static void end_select(struct imap *i, const struct imap_reply *r)
{
	static const struct imap_selected none = {0};

	i->selected = r->status == IMAP_OK ? i->selecting : none;
	i->selecting = none;
}

static int on_reply(struct imap *i, struct slice tag, struct slice line, struct imap_event *ret,
	struct fault *f)
{
	struct imap_command *c = command_of(i, tag);
	struct imap_reply r;

	if (!c)
		return strange(i, "an answer to nothing", tag, f);
	if (imap_reply_parse(line, &r) != 0)
		return strange(i, "neither OK, NO nor BAD", line, f);
	if (r.status == IMAP_OK && !has_all(i, c))
		return strange(i, "OK to a message that it does not have yet", line, f);
	if (note_code(i, &r, f) < 0)
		return -1;
	if (c->kind == IMAP_SELECT || c->kind == IMAP_EXAMINE)
		end_select(i, &r);
	i->unasked = 0;
	if (c->members > 1)
		return on_batch(i, c, &r, f);
	*ret = event_of(IMAP_REPLY, c);
	ret->reply = r;
	ret->unasked = c->phase == IMAP_ASKING;
	imap_answer(i, c);
	return IMAP_EVENT;
}

static int count_unasked(struct imap *i, struct fault *f)
{
	uint64_t most =
		imap_waiting(i, IMAP_LIST, IMAP_FETCH_LIST) ? LIMIT_LISTED : LIMIT_IMAP_UNASKED;

	if (++i->unasked <= most)
		return 0;
	(void)fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
		"more than %" PRIu64 " responses that belong to no command", most);
	return imap_die(i, f);
}

int imap_respond(struct imap *i, struct imap_event *ret, struct fault *f)
{
	struct imap_cursor c = {i->line.data, i->line.data + i->line.len};
	struct slice tag = imap_take_atom(&c);

	if (imap_is(tag, "*"))
		return count_unasked(i, f) < 0 ? -1 : on_untagged(i, &c, ret, f);
	if (!imap_is(tag, "+"))
		return on_reply(i, tag, rest_of(&c), ret, f);
	return imap_grant(i)
		       ? 0
		       : strange(i, "the server asks for what was not announced", rest_of(&c), f);
}
