/* What goes to the server, in one stream of bytes: command lines, and messages between them. */
#include "daemon/imap_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* Less room than this is not worth asking the owner for bytes, unless the message ends in it. */
enum { LEAST_ROOM = 4096, TAG_ROOM = 24 };

static size_t room(struct imap *i)
{
	if (i->out_begin == i->out_end)
		i->out_begin = i->out_end = 0;
	if (i->out_begin > IMAP_BUFFER / 2) {
		memmove(i->out, i->out + i->out_begin, i->out_end - i->out_begin);
		i->out_end -= i->out_begin;
		i->out_begin = 0;
	}
	return IMAP_BUFFER - i->out_end;
}

/* As much as there is room for; how much that was. */
static size_t put(struct imap *i, const void *bytes, size_t n)
{
	size_t space = room(i);

	n = n < space ? n : space;
	if (n > 0)
		memcpy(i->out + i->out_end, bytes, n);
	i->out_end += n;
	i->written += n;
	return n;
}

/* False: there is no room for a tag. */
static bool begin_text(struct imap *i, struct imap_command *c)
{
	char tag[TAG_ROOM];

	if (room(i) < TAG_ROOM)
		return false;
	(void)put(i, tag, (size_t)snprintf(tag, sizeof tag, "A%" PRIu64 " ", i->formatting));
	c->begun = true;
	c->leader = i->formatting;
	c->members = 1;
	if (c->kind == IMAP_APPEND) {
		i->batch_open = true;
		i->batch = c->leader;
		i->batch_bytes = c->size;
	}
	return true;
}

static void put_text(struct imap *i, struct imap_command *c)
{
	if (!c->begun && !begin_text(i, c))
		return;
	c->text_at += put(i, c->text + c->text_at, c->text_len - c->text_at);
	if (c->text_at < c->text_len)
		return;
	c->line_end = c->end = i->written;
	c->phase = c->kind != IMAP_APPEND ? IMAP_WRITTEN : c->asks ? IMAP_ASKING : IMAP_FEEDING;
}

/* RFC 3502: the next message to the same mailbox can go into the same command, which spares the
 * server a transaction. All of them arrive or none. */
static bool joins(const struct imap *i, const struct imap_command *c)
{
	if (!i->capabilities.multiappend || i->formatting + 1 == i->queued ||
		c->leader < i->oldest || imap_at(i, c->leader)->answered)
		return false;
	const struct imap_command *next = imap_at(i, i->formatting + 1);
	return next->kind == IMAP_APPEND && !c->asks && !next->asks && !c->alone && !next->alone &&
	       imap_at(i, c->leader)->members < LIMIT_IMAP_BATCH &&
	       i->batch_bytes + next->size <= LIMIT_IMAP_BATCH_BYTES &&
	       next->member_at == c->member_at && memcmp(next->text, c->text, c->member_at) == 0;
}

static void join(struct imap *i, struct imap_command *c)
{
	struct imap_command *next = imap_at(i, i->formatting + 1);

	next->begun = true;
	next->leader = c->leader;
	next->text_at = next->member_at;
	imap_at(i, c->leader)->members++;
	i->batch_bytes += next->size;
	c->phase = IMAP_WRITTEN;
}

static void put_end(struct imap *i, struct imap_command *c)
{
	if (joins(i, c)) {
		join(i, c);
		return;
	}
	if (room(i) < 2)
		return;
	(void)put(i, "\r\n", 2);
	/* Where the answer has come already, its place may be another's. */
	if (c->leader >= i->oldest)
		imap_at(i, c->leader)->end = i->written;
	i->batch_open = false;
	c->phase = IMAP_WRITTEN;
}

/* True: *ret wants bytes of c. */
static bool wants(struct imap *i, struct imap_command *c, struct imap_event *ret)
{
	uint64_t rest = c->size - c->fed;
	size_t space = room(i);

	if (rest == 0) {
		c->phase = IMAP_CLOSING;
		return false;
	}
	if (space < LEAST_ROOM && rest > space)
		return false;
	*ret = (struct imap_event){.kind = IMAP_WANT_BYTES,
		.command = c->kind,
		.cookie = c->cookie,
		.offset = c->fed,
		.room = rest < space ? (size_t)rest : space};
	return true;
}

/* Commands that were answered and written whole need no place any more. */
static void retire(struct imap *i)
{
	while (i->oldest < i->formatting && imap_at(i, i->oldest)->answered) {
		free(TAKE(imap_at(i, i->oldest)->text));
		i->oldest++;
	}
}

int imap_fill(struct imap *i, struct imap_event *ret)
{
	while (i->formatting < i->queued) {
		struct imap_command *c = imap_at(i, i->formatting);
		enum imap_phase before = c->phase;

		/* Dovecot answers LOGOUT before a FETCH whose output had to wait. */
		if (c->kind == IMAP_LOGOUT && i->outstanding > 1)
			break;
		if (c->phase == IMAP_TEXT)
			put_text(i, c);
		else if (c->phase == IMAP_FEEDING && wants(i, c, ret))
			return IMAP_EVENT;
		else if (c->phase == IMAP_CLOSING)
			put_end(i, c);
		if (c->phase == IMAP_WRITTEN)
			i->formatting++;
		else if (c->phase == before)
			break;
	}
	retire(i);
	return 0;
}

size_t imap_give(struct imap *i, struct slice bytes)
{
	struct imap_command *c = i->formatting < i->queued ? imap_at(i, i->formatting) : NULL;

	if (!c || c->phase != IMAP_FEEDING || i->state == IMAP_DEAD)
		return 0;
	uint64_t rest = c->size - c->fed;
	size_t n = put(i, bytes.data, bytes.len < rest ? bytes.len : (size_t)rest);
	c->fed += n;
	return n;
}

bool imap_grant(struct imap *i)
{
	struct imap_command *c = i->formatting < i->queued ? imap_at(i, i->formatting) : NULL;

	if (!c || c->phase != IMAP_ASKING || i->sent < c->line_end)
		return false;
	c->phase = IMAP_FEEDING;
	return true;
}

/* RFC 7888 section 4: what was announced without asking is sent, answered or not. What was asked
 * for and refused is not: its bytes would be commands. */
void imap_answer(struct imap *i, struct imap_command *c)
{
	c->answered = true;
	i->outstanding--;
	if (c->kind == IMAP_APPEND) {
		i->appends--;
		i->append_bytes -= c->size;
	}
	if (c->phase == IMAP_ASKING) {
		c->phase = IMAP_WRITTEN;
		i->formatting++;
	}
	retire(i);
}

struct slice imap_output(struct imap *i)
{
	if (i->state == IMAP_DEAD)
		return (struct slice){0};
	return slice_of(i->out + i->out_begin, i->out_end - i->out_begin);
}

void imap_sent(struct imap *i, size_t n)
{
	assert(n <= i->out_end - i->out_begin);
	i->out_begin += n;
	i->sent += n;
}
