#include "daemon/pop3.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	OUTPUT_SIZE = 4096, /* what one send takes at most; more at once dead-locked a server */
	COMMAND_ROOM = 32,  /* the longest command that is made here, and more */
	FIRST_COMMANDS = 64
};

/* RFC 1939 section 3: what the next byte from the server is part of. */
enum state {
	STATE_STATUS,  /* a status line, or nothing is to come */
	STATE_LINES,   /* a line of CAPA, UIDL or LIST, or the dot that ends them */
	STATE_MESSAGE, /* a message, or the dot that ends it */
	STATE_CONFIRM, /* the status line that confirms that dot */
	STATE_DEAD     /* out of step; fault says why */
};

struct command {
	enum pop3_kind kind;
	uint32_t number;
};

struct pop3 {
	enum state state;
	enum line_ends ends;
	struct unstuff unstuff;

	uint8_t *buffer;
	size_t begin, end; /* received and not used */
	size_t searched;   /* bytes of them that hold no LF */

	/* Counts since the start; the ring holds those from answered to queued. */
	struct command *ring;
	size_t ring_size; /* a power of two, or 0 */
	uint64_t answered, sent, formatted, queued;
	bool quit;

	char output[OUTPUT_SIZE];
	size_t output_begin, output_end;

	uint64_t octets; /* of this message */
	uint64_t lines;	 /* of this listing */
	uint32_t receiving, unconfirmed, suspect;
	struct fault fault;
};

static const char *const NAMES[] = {
	[POP3_CAPA] = "CAPA",
	[POP3_STAT] = "STAT",
	[POP3_UIDL] = "UIDL",
	[POP3_LIST] = "LIST",
	[POP3_RETR] = "RETR",
	[POP3_NOOP] = "NOOP",
	[POP3_QUIT] = "QUIT",
};

struct pop3 *pop3_new(enum line_ends ends, struct fault *f)
{
	struct pop3 *p CLEANUP(pop3_freep) = calloc(1, sizeof *p);

	if (p)
		p->buffer = malloc(POP3_BUFFER);
	if (!p || !p->buffer) {
		(void)fault_memory(f);
		return NULL;
	}
	p->ends = ends;
	return TAKE(p);
}

struct pop3 *pop3_free(struct pop3 *p)
{
	if (p) {
		free(p->buffer);
		free(p->ring);
		free(p);
	}
	return NULL;
}

void pop3_freep(struct pop3 **p)
{
	*p = pop3_free(*p);
}

static struct command *at(const struct pop3 *p, uint64_t count)
{
	return &p->ring[count & (p->ring_size - 1)];
}

static void set_state(struct pop3 *p, enum state state)
{
	p->state = state;
	switch (state) {
	case STATE_LINES:
		p->lines = 0;
		break;
	case STATE_MESSAGE:
		p->octets = 0;
		p->receiving = at(p, p->answered)->number;
		unstuff_init(&p->unstuff, p->ends);
		break;
	case STATE_STATUS:
	case STATE_CONFIRM:
	case STATE_DEAD:
		break;
	}
}

/* ---- Commands ------------------------------------------------------------------------------ */

static int grow_ring(struct pop3 *p, struct fault *f)
{
	size_t size = p->ring_size ? p->ring_size * 2 : FIRST_COMMANDS;
	struct command *ring = malloc(size * sizeof *ring);

	if (!ring)
		return fault_memory(f);
	for (uint64_t i = p->answered; i != p->queued; i++)
		ring[i & (size - 1)] = *at(p, i);
	free(p->ring);
	p->ring = ring;
	p->ring_size = size;
	return 0;
}

int pop3_command(struct pop3 *p, enum pop3_kind kind, uint32_t number, struct fault *f)
{
	assert(!p->quit && (number > 0) == (kind == POP3_RETR));
	if (p->queued - p->answered >= LIMIT_COMMANDS)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"more than %d commands in flight", LIMIT_COMMANDS);
	if (p->queued - p->answered == p->ring_size && grow_ring(p, f) < 0)
		return -1;
	*at(p, p->queued++) = (struct command){kind, number};
	p->quit = kind == POP3_QUIT;
	return 0;
}

static void format_output(struct pop3 *p)
{
	size_t n = 0;

	for (; p->formatted != p->queued && OUTPUT_SIZE - n >= COMMAND_ROOM; p->formatted++) {
		const struct command *c = at(p, p->formatted);
		size_t room = OUTPUT_SIZE - n;
		int written =
			c->kind == POP3_RETR
				? snprintf(p->output + n, room, "RETR %" PRIu32 "\r\n", c->number)
				: snprintf(p->output + n, room, "%s\r\n", NAMES[c->kind]);
		assert(written > 0 && (size_t)written < room);
		n += (size_t)written;
	}
	p->output_begin = 0;
	p->output_end = n;
}

struct slice pop3_output(struct pop3 *p)
{
	if (p->state == STATE_DEAD)
		return (struct slice){0};
	if (p->output_begin == p->output_end)
		format_output(p);
	return slice_of(p->output + p->output_begin, p->output_end - p->output_begin);
}

void pop3_sent(struct pop3 *p, size_t n)
{
	assert(n <= p->output_end - p->output_begin);
	for (size_t i = 0; i < n; i++) {
		if (p->output[p->output_begin + i] == '\n')
			p->sent++;
	}
	p->output_begin += n;
}

/* ---- What arrives --------------------------------------------------------------------------- */

uint8_t *pop3_space(struct pop3 *p, size_t *ret_room)
{
	if (p->begin == p->end) {
		p->begin = p->end = 0;
	} else if (p->end > POP3_BUFFER / 2) {
		memmove(p->buffer, p->buffer + p->begin, p->end - p->begin);
		p->end -= p->begin;
		p->begin = 0;
	}
	*ret_room = POP3_BUFFER - p->end;
	return p->buffer + p->end;
}

void pop3_received(struct pop3 *p, size_t n)
{
	assert(n <= POP3_BUFFER - p->end);
	p->end += n;
}

static struct slice received(const struct pop3 *p)
{
	return slice_of(p->buffer + p->begin, p->end - p->begin);
}

/* The session is over with the fault that was just set. */
static int die(struct pop3 *p, struct fault *f)
{
	p->fault = *f;
	set_state(p, STATE_DEAD);
	return -1;
}

static const char *name_of_next(const struct pop3 *p)
{
	return p->answered == p->sent ? "nothing" : NAMES[at(p, p->answered)->kind];
}

static int out_of_step(struct pop3 *p, struct fault *f)
{
	char text[96];
	struct slice bytes = received(p);

	if (bytes.len > 40)
		bytes.len = 40;
	escape_text(bytes, text, sizeof text);
	p->suspect = p->unconfirmed;
	if (p->suspect)
		(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"out of step after message %" PRIu32
			", whose end is not certain: \"%s\" where a reply should begin",
			p->suspect, text);
	else if (p->answered == p->sent)
		(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"out of step: the server sent \"%s\" unasked", text);
	else
		(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"out of step: \"%s\" where the reply to %s should begin", text,
			name_of_next(p));
	return die(p, f);
}

/* Of what follows a reply: 1 when a status line has begun, and a command waits for one; 0: too
 * little to tell; <0 out of step. */
static int status_begins(struct pop3 *p, struct fault *f)
{
	struct slice bytes = received(p);

	if (bytes.len == 0)
		return 0;
	const char *want = bytes.data[0] == '+' ? "+OK" : "-ERR";
	size_t n = strlen(want);
	if (p->answered == p->sent || memcmp(bytes.data, want, bytes.len < n ? bytes.len : n) != 0)
		return out_of_step(p, f);
	return bytes.len >= n;
}

/* 1 and the next line in *ret, without its line end and used up; 0: it has not arrived whole. */
static int take_line(struct pop3 *p, struct slice *ret, struct fault *f)
{
	struct slice bytes = received(p);
	size_t cap = bytes.len < LIMIT_REPLY_LINE ? bytes.len : LIMIT_REPLY_LINE;
	const uint8_t *lf = NULL;

	if (p->searched < cap)
		lf = memchr(bytes.data + p->searched, '\n', cap - p->searched);
	if (!lf && cap == LIMIT_REPLY_LINE) {
		(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"a line of more than %d bytes in the reply to %s", (int)LIMIT_REPLY_LINE,
			name_of_next(p));
		return die(p, f);
	}
	p->searched = lf ? 0 : cap;
	if (!lf)
		return 0;
	size_t n = (size_t)(lf - bytes.data);
	p->begin += n + 1;
	if (n > 0 && bytes.data[n - 1] == '\r')
		n--;
	*ret = slice_of(bytes.data, n);
	return 1;
}

/* ---- Events: 1 one was made; 0 more bytes are needed; 2 go on with the new state ------------ */

enum { GO_ON = 2 };

static struct pop3_event event_of(const struct pop3 *p, enum pop3_event_kind kind)
{
	const struct command *c = at(p, p->answered);

	return (struct pop3_event){.kind = kind, .command = c->kind, .number = c->number};
}

static int next_status(struct pop3 *p, struct pop3_event *ret, struct fault *f)
{
	struct slice line;
	struct reply reply;
	int r = status_begins(p, f);

	if (r == 1)
		r = take_line(p, &line, f);
	if (r != 1)
		return r;
	if (reply_parse(line, &reply) != 0)
		return out_of_step(p, f);
	*ret = event_of(p, POP3_REPLY);
	ret->reply = reply;
	bool has_more = ret->command == POP3_CAPA || ret->command == POP3_UIDL ||
			ret->command == POP3_LIST || ret->command == POP3_RETR;
	if (reply.status == REPLY_ERR || !has_more)
		p->answered++;
	else
		set_state(p, ret->command == POP3_RETR ? STATE_MESSAGE : STATE_LINES);
	return POP3_EVENT;
}

static int next_line(struct pop3 *p, struct pop3_event *ret, struct fault *f)
{
	struct slice line;
	int r = take_line(p, &line, f);

	if (r != 1)
		return r;
	*ret = event_of(p, POP3_LINE);
	if (line.len == 1 && line.data[0] == '.') {
		ret->kind = POP3_END;
		ret->octets = p->lines;
		p->answered++;
		set_state(p, STATE_STATUS);
		return POP3_EVENT;
	}
	uint64_t cap = ret->command == POP3_CAPA ? LIMIT_CAPA_LINES : LIMIT_LISTED;
	if (++p->lines > cap) {
		(void)fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"more than %" PRIu64 " lines in the reply to %s", cap, name_of_next(p));
		return die(p, f);
	}
	if (line.len > 0 && line.data[0] == '.')
		line = slice_of(line.data + 1, line.len - 1);
	ret->bytes = line;
	return POP3_EVENT;
}

static int next_data(struct pop3 *p, struct pop3_event *ret)
{
	size_t used = 0;
	struct slice bytes;

	if (p->begin == p->end)
		return 0;
	int r = unstuff_feed(&p->unstuff, p->buffer + p->begin, p->end - p->begin, &used, &bytes);
	p->begin += used;
	p->octets += bytes.len;
	*ret = event_of(p, POP3_DATA);
	ret->bytes = bytes;
	ret->octets = p->octets;
	if (r == UNSTUFF_END) {
		p->unconfirmed = ret->number;
		p->receiving = 0;
		p->answered++;
		set_state(p, STATE_CONFIRM);
	}
	return bytes.len > 0 ? POP3_EVENT : GO_ON;
}

static int next_confirmation(struct pop3 *p, struct pop3_event *ret, struct fault *f)
{
	int r = status_begins(p, f);

	if (r != 1)
		return r;
	*ret = (struct pop3_event){.kind = POP3_MESSAGE_END,
		.command = POP3_RETR,
		.number = p->unconfirmed,
		.octets = p->octets};
	p->unconfirmed = 0;
	set_state(p, STATE_STATUS);
	return POP3_EVENT;
}

static int step(struct pop3 *p, struct pop3_event *ret, struct fault *f)
{
	switch (p->state) {
	case STATE_STATUS:
		return next_status(p, ret, f);
	case STATE_LINES:
		return next_line(p, ret, f);
	case STATE_MESSAGE:
		return next_data(p, ret);
	case STATE_CONFIRM:
		return next_confirmation(p, ret, f);
	case STATE_DEAD:
		break;
	}
	*f = p->fault;
	return -1;
}

int pop3_next(struct pop3 *p, struct pop3_event *ret, struct fault *f)
{
	struct pop3_event event;
	int r;

	do {
		r = step(p, &event, f);
	} while (r == GO_ON);
	if (r == POP3_EVENT)
		*ret = event;
	return r;
}

int pop3_closed(struct pop3 *p, struct fault *f)
{
	bool idle = p->answered == p->queued;

	if (p->state == STATE_DEAD) {
		*f = p->fault;
		return -1;
	}
	if (p->receiving)
		(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server closed the connection within message %" PRIu32
			", after %" PRIu64 " bytes of it",
			p->receiving, p->octets);
	else if (p->unconfirmed)
		(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server closed the connection before the end of message %" PRIu32
			" was confirmed",
			p->unconfirmed);
	else if (idle || (p->state == STATE_STATUS && at(p, p->answered)->kind == POP3_QUIT))
		return 0;
	else
		(void)fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server closed the connection before the end of its reply to %s",
			NAMES[at(p, p->answered)->kind]);
	return die(p, f);
}

size_t pop3_outstanding(const struct pop3 *p)
{
	return (size_t)(p->queued - p->answered);
}

uint32_t pop3_unconfirmed(const struct pop3 *p)
{
	return p->unconfirmed;
}

uint32_t pop3_receiving(const struct pop3 *p)
{
	return p->receiving;
}

uint32_t pop3_suspect(const struct pop3 *p)
{
	return p->suspect;
}

bool pop3_is_waiting(const struct pop3 *p)
{
	return p->answered != p->sent;
}
