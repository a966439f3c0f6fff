/* Receiving: bytes become responses (RFC 3501 section 4). Literals are counted, never searched; a
 * message that was asked for streams through. */
#include "daemon/imap.h"

#include "archive/decimal.h"
#include "daemon/imap_private.h"

#include <assert.h>
#include <inttypes.h>

enum { FIRST_COMMANDS = 64 };
enum {
	LINE_SIZE = LIMIT_IMAP_LINE + LIMIT_IMAP_LITERALS * (LIMIT_IMAP_LITERAL + IMAP_LITERAL_HEAD)
};

/* ---- Life ------------------------------------------------------------------------------------ */

struct imap *imap_new(const struct imap_capabilities *capabilities, struct fault *f)
{
	struct imap *i CLEANUP(imap_freep) = calloc(1, sizeof *i);

	if (i) {
		i->in = malloc(IMAP_BUFFER);
		i->out = malloc(IMAP_BUFFER);
	}
	if (!i || !i->in || !i->out) {
		(void)fault_memory(f);
		return NULL;
	}
	i->capabilities = *capabilities;
	i->line = buffer_make(LINE_SIZE);
	return TAKE(i);
}

struct imap *imap_free(struct imap *i)
{
	if (!i)
		return NULL;
	for (uint64_t n = i->oldest; n < i->queued; n++)
		free(imap_at(i, n)->text);
	free(i->ring);
	free(i->in);
	free(i->out);
	buffer_deinit(&i->line);
	free(i);
	return NULL;
}

void imap_freep(struct imap **i)
{
	*i = imap_free(*i);
}

int imap_die(struct imap *i, struct fault *f)
{
	i->fault = *f;
	i->state = IMAP_DEAD;
	return -1;
}

static int grow_ring(struct imap *i, struct fault *f)
{
	size_t size = i->ring_size ? i->ring_size * 2 : FIRST_COMMANDS;
	struct imap_command *ring = calloc(size, sizeof *ring);

	if (!ring)
		return fault_memory(f);
	for (uint64_t n = i->oldest; n != i->queued; n++)
		ring[n & (size - 1)] = *imap_at(i, n);
	if (i->streaming) {
		uint64_t n = i->oldest;

		while (imap_at(i, n) != i->streaming)
			n++;
		i->streaming = &ring[n & (size - 1)];
	}
	free(i->ring);
	i->ring = ring;
	i->ring_size = size;
	return 0;
}

int imap_command(struct imap *i, const struct imap_order *order, struct fault *f)
{
	struct imap_command c;

	assert(!i->logout);
	if (i->queued - i->oldest >= LIMIT_IMAP_COMMANDS)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"more than %d commands in flight", LIMIT_IMAP_COMMANDS);
	if (i->queued - i->oldest == i->ring_size && grow_ring(i, f) < 0)
		return -1;
	if (imap_command_text(i, order, &c, f) < 0)
		return -1;
	*imap_at(i, i->queued++) = c;
	i->outstanding++;
	i->logout = c.kind == IMAP_LOGOUT;
	if (c.kind == IMAP_APPEND) {
		i->appends++;
		i->append_bytes += c.size;
	}
	return 0;
}

int imap_retry(struct imap *i, uint64_t index, struct fault *f)
{
	if (i->queued - i->oldest == i->ring_size && grow_ring(i, f) < 0)
		return -1;
	struct imap_command *old = imap_at(i, index);
	/* The old one may not be written whole, and is written to its end. */
	char *text = malloc(old->text_len);
	if (!text)
		return fault_memory(f);
	assert(old->text);
	memcpy(text, old->text, old->text_len);
	struct imap_command again = {.kind = old->kind,
		.cookie = old->cookie,
		.size = old->size,
		.alone = true,
		.text = text,
		.text_len = old->text_len,
		.member_at = old->member_at};
	uint64_t at = i->queued++;

	old->answered = true;
	if (i->logout) {
		*imap_at(i, at) = *imap_at(i, at - 1);
		at--;
	}
	*imap_at(i, at) = again;
	return 0;
}

bool imap_has_room(const struct imap *i)
{
	return i->appends == 0 ||
	       (i->appends < LIMIT_IMAP_WINDOW && i->append_bytes < LIMIT_IMAP_WINDOW_BYTES);
}

size_t imap_outstanding(const struct imap *i)
{
	return i->outstanding;
}

/* Not for one whose message the owner has not given yet. */
bool imap_is_waiting(const struct imap *i)
{
	for (uint64_t n = i->oldest; n < i->queued && i->sent == i->written; n++) {
		const struct imap_command *c = imap_at(i, n);

		if (c->phase != IMAP_WRITTEN && c->phase != IMAP_ASKING)
			return false;
		if (!c->answered && !(i->batch_open && c->leader == i->batch))
			return true;
	}
	return i->sent < i->written;
}

const struct imap_selected *imap_selected(const struct imap *i)
{
	return &i->selected;
}

const struct imap_capabilities *imap_capabilities(const struct imap *i)
{
	return &i->capabilities;
}

const struct imap_end *imap_end(const struct imap *i)
{
	return &i->how;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

uint8_t *imap_space(struct imap *i, size_t *ret_room)
{
	assert(i->in_begin == i->in_end);
	i->in_begin = i->in_end = 0;
	*ret_room = IMAP_BUFFER;
	return i->in;
}

void imap_received(struct imap *i, size_t n)
{
	assert(n <= IMAP_BUFFER - i->in_end);
	i->in_end += n;
}

static struct slice received(const struct imap *i)
{
	return slice_of(i->in + i->in_begin, i->in_end - i->in_begin);
}

static int broken(struct imap *i, enum fault_code code, const char *what, struct fault *f)
{
	(void)fault_set(f, code, SCOPE_SESSION, 0, "the server sends %s", what);
	return imap_die(i, f);
}

static int keep(struct imap *i, struct slice bytes, struct fault *f)
{
	return buffer_append(&i->line, bytes.data, bytes.len, f) < 0 ? imap_die(i, f) : 0;
}

/* Results of a step besides IMAP_EVENT and <0. */
enum { MORE = 0, GO_ON = 2 };

static bool has_prefix(struct slice text, const char *prefix)
{
	size_t n = strlen(prefix);

	return text.len >= n && imap_is(slice_of(text.data, n), prefix);
}

/* Whether the line so far may end with a literal: a text for people may end in braces too. */
static bool may_have_literal(const struct imap *i)
{
	static const char *const texts[] = {"OK ", "NO ", "BAD ", "BYE ", "PREAUTH "};
	struct slice line = buffer_slice(&i->line);

	if (!has_prefix(line, "* "))
		return false;
	for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
		if (has_prefix(slice_of(line.data + 2, line.len - 2), texts[n]))
			return false;
	}
	return true;
}

/* "{n}" at the line's end, which it takes off. */
static bool take_literal(struct imap *i, uint64_t *ret)
{
	size_t at = i->line.len;
	uint64_t value = 0;
	const uint8_t *line = i->line.data;

	if (at < i->tail + 3 || line[--at] != '}' || !may_have_literal(i))
		return false;
	size_t end = at;
	while (at > i->tail && line[at - 1] >= '0' && line[at - 1] <= '9')
		at--;
	struct slice digits = slice_of(line + at, end - at);
	if (at == i->tail || line[at - 1] != '{' || digits.len == 0)
		return false;
	if (decimal_take(&digits, &value) != 0)
		value = UINT64_MAX;
	i->line.len = at - 1;
	*ret = value;
	return true;
}

static bool is_fetch(const struct imap *i)
{
	struct slice line = buffer_slice(&i->line);
	size_t n = 2;

	while (n < line.len && line.data[n] >= '0' && line.data[n] <= '9')
		n++;
	return has_prefix(slice_of(line.data + n, line.len - n), " FETCH (");
}

static bool ends_with_body(const struct imap *i)
{
	static const char name[] = "BODY[] ";
	size_t n = sizeof name - 1;

	return i->line.len > n && imap_is(slice_of(i->line.data + i->line.len - n, n), name);
}

static int put_head(struct imap *i, uint64_t kept, struct fault *f)
{
	const uint8_t head[IMAP_LITERAL_HEAD] = {0, (uint8_t)kept, (uint8_t)(kept >> 8),
		(uint8_t)(kept >> 16), (uint8_t)(kept >> 24)};

	return keep(i, slice_of(head, sizeof head), f);
}

static int begin_literal(struct imap *i, uint64_t size, struct fault *f)
{
	if (size > LIMIT_MESSAGE)
		return broken(i, FAULT_LIMIT, "a literal larger than any message may be", f);
	if (++i->literals > LIMIT_IMAP_LITERALS)
		return broken(i, FAULT_LIMIT, "a response with too many literals", f);
	i->literal = size;
	struct imap_command *c = ends_with_body(i) && is_fetch(i) ? imap_asker(i) : NULL;
	if (c && i->streaming)
		return broken(i, FAULT_PROTOCOL, "two messages in one response", f);
	if (c) {
		i->streaming = c;
		i->body = 0;
		i->state = IMAP_IN_BODY;
		return put_head(i, 0, f) < 0 ? -1 : GO_ON;
	}
	i->kept = size < LIMIT_IMAP_LITERAL ? size : LIMIT_IMAP_LITERAL;
	i->state = IMAP_IN_LITERAL;
	return put_head(i, i->kept, f) < 0 ? -1 : GO_ON;
}

static void begin_text(struct imap *i)
{
	i->state = IMAP_IN_LINE;
	i->tail = i->line.len;
}

static void begin_response(struct imap *i)
{
	buffer_clear(&i->line);
	i->tail = 0;
	i->text_bytes = 0;
	i->literals = 0;
	i->line_is_over = false;
}

static int next_line(struct imap *i, struct imap_event *ret, struct fault *f)
{
	struct slice bytes = received(i);
	uint64_t literal;

	if (bytes.len == 0)
		return MORE;
	if (i->line_is_over)
		begin_response(i);
	const uint8_t *lf = memchr(bytes.data, '\n', bytes.len);
	size_t n = lf ? (size_t)(lf - bytes.data) : bytes.len;
	if (n > LIMIT_IMAP_LINE - i->text_bytes)
		return broken(i, FAULT_LIMIT, "a line that does not end", f);
	if (memchr(bytes.data, '\0', n))
		return broken(i, FAULT_PROTOCOL, "a NUL within a line", f);
	if (keep(i, slice_of(bytes.data, n), f) < 0)
		return -1;
	i->text_bytes += n;
	i->in_begin += lf ? n + 1 : n;
	if (!lf)
		return MORE;
	if (i->line.len > i->tail && i->line.data[i->line.len - 1] == '\r')
		i->line.len--;
	if (take_literal(i, &literal))
		return begin_literal(i, literal, f);
	i->line_is_over = true;
	int r = imap_respond(i, ret, f);
	return r == 0 ? GO_ON : r;
}

static int next_literal(struct imap *i, struct fault *f)
{
	struct slice bytes = received(i);
	size_t n = bytes.len < i->literal ? bytes.len : (size_t)i->literal;
	size_t kept = n < i->kept ? n : (size_t)i->kept;

	if (kept > 0 && keep(i, slice_of(bytes.data, kept), f) < 0)
		return -1;
	i->kept -= kept;
	i->literal -= n;
	i->in_begin += n;
	if (i->literal > 0)
		return MORE;
	begin_text(i);
	return GO_ON;
}

static int next_body(struct imap *i, struct imap_event *ret)
{
	struct slice bytes = received(i);
	size_t n = bytes.len < i->literal ? bytes.len : (size_t)i->literal;

	if (i->literal == 0) {
		begin_text(i);
		return GO_ON;
	}
	if (n == 0)
		return MORE;
	*ret = (struct imap_event){.kind = IMAP_BODY,
		.command = i->streaming->kind,
		.cookie = i->streaming->cookie,
		.bytes = slice_of(bytes.data, n),
		.offset = i->body};
	i->body += n;
	i->literal -= n;
	i->in_begin += n;
	return IMAP_EVENT;
}

static int step(struct imap *i, struct imap_event *ret, struct fault *f)
{
	switch (i->state) {
	case IMAP_IN_LINE:
		return next_line(i, ret, f);
	case IMAP_IN_LITERAL:
		return next_literal(i, f);
	case IMAP_IN_BODY:
		return next_body(i, ret);
	case IMAP_DEAD:
		break;
	}
	*f = i->fault;
	return -1;
}

/* What is known already without further bytes of the server's. */
static bool next_due(struct imap *i, struct imap_event *ret)
{
	if (i->end_due) {
		i->end_due = false;
		*ret = i->end;
		return true;
	}
	if (i->due_n == 0)
		return false;
	struct imap_command *c = imap_at(i, i->due_at++);
	*ret = (struct imap_event){
		.kind = IMAP_REPLY, .command = c->kind, .cookie = c->cookie, .reply = i->due};
	imap_reply_append_uid(&i->due, i->due_of - i->due_n--, i->due_of, &ret->reply);
	imap_answer(i, c);
	return true;
}

int imap_next(struct imap *i, struct imap_event *ret, struct fault *f)
{
	int r;

	do {
		if (next_due(i, ret))
			return IMAP_EVENT;
		r = step(i, ret, f);
	} while (r == GO_ON);
	return r != MORE ? r : i->end_due ? imap_next(i, ret, f) : imap_fill(i, ret);
}

int imap_closed(struct imap *i, struct fault *f)
{
	if (i->state == IMAP_DEAD) {
		*f = i->fault;
		return -1;
	}
	if (i->outstanding == 0 || imap_waiting(i, IMAP_LOGOUT, IMAP_LOGOUT))
		return 0;
	(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
		"the server closed the connection with %zu commands unanswered", i->outstanding);
	return imap_die(i, f);
}
