#include "daemon/imap_preamble.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/imap_token.h"

void imap_preamble_init(struct imap_preamble *p)
{
	*p = (struct imap_preamble){0};
}

static void keep(char ret[static PREAMBLE_GREETING], struct slice line)
{
	size_t n = line.len < PREAMBLE_GREETING ? line.len : PREAMBLE_GREETING - 1;

	if (n > 0)
		memcpy(ret, line.data, n);
	ret[n] = '\0';
}

static int not_imap(struct slice line, const char *where, struct fault *f)
{
	char text[200];

	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "no IMAP server: %s \"%s\"", where,
		escape_text(line, text, sizeof text));
}

static struct slice take_word(struct slice *line)
{
	const uint8_t *space = line->len ? memchr(line->data, ' ', line->len) : NULL;
	size_t n = space ? (size_t)(space - line->data) : line->len;
	struct slice word = slice_of(line->data, n);

	if (space)
		n++;
	*line = slice_of(line->data + n, line->len - n);
	return word;
}

static int add_greeting(struct imap_preamble *p, struct slice line, struct fault *f)
{
	struct slice rest = line;
	bool untagged = imap_is(take_word(&rest), "*");
	struct slice word = take_word(&rest);

	if (untagged && imap_is(word, "BYE")) {
		keep(p->refusal, line);
		return 0;
	}
	if (!untagged || (!imap_is(word, "OK") && !imap_is(word, "PREAUTH")))
		return not_imap(line, "it greets with", f);
	p->preauth = imap_is(word, "PREAUTH");
	p->state = IMAP_PREAMBLE_CAPABILITY;
	return 0;
}

/* What is said beside the capabilities counts for nothing, but for BYE. */
static int add_capability(
	struct imap_preamble *p, struct slice line, enum imap_preamble_state next, struct fault *f)
{
	struct slice rest = line, tag = take_word(&rest), words = rest;
	struct imap_reply reply;

	if (!imap_is(tag, "*")) {
		if (imap_reply_parse(rest, &reply) != 0)
			return not_imap(line, "it answers CAPABILITY with", f);
		p->state = next;
		return 0;
	}
	struct slice word = take_word(&words);
	if (imap_is(word, "CAPABILITY"))
		return imap_capabilities_parse(&p->capabilities, words, f);
	if (imap_is(word, "BYE"))
		keep(p->refusal, line);
	return 0;
}

/* What was offered in clear counts no more (RFC 3501 section 6.2.1). */
static int add_starttls(struct imap_preamble *p, struct slice line, struct fault *f)
{
	struct slice rest = line;
	struct imap_reply reply;

	if (imap_is(take_word(&rest), "*"))
		return 0;
	if (imap_reply_parse(rest, &reply) != 0)
		return not_imap(line, "it answers STARTTLS with", f);
	if (reply.status != IMAP_OK) {
		keep(p->refusal, line);
		return 0;
	}
	imap_capabilities_init(&p->capabilities);
	p->state = IMAP_PREAMBLE_SECURE_CAPABILITY;
	return 0;
}

static struct slice without_end(struct slice line)
{
	if (line.len > 0 && line.data[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

int imap_preamble_add_line(struct imap_preamble *p, struct slice line, struct fault *f)
{
	if (line.len > LIMIT_REPLY_LINE || ++p->lines > LIMIT_CAPA_LINES)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"no IMAP server: a line of more than %d bytes, or more than %d lines, "
			"before the login",
			(int)LIMIT_REPLY_LINE, LIMIT_CAPA_LINES);
	line = without_end(line);
	switch (p->state) {
	case IMAP_PREAMBLE_GREETING:
		return add_greeting(p, line, f);
	case IMAP_PREAMBLE_CAPABILITY:
		return add_capability(p, line, IMAP_PREAMBLE_STARTTLS, f);
	case IMAP_PREAMBLE_STARTTLS:
		return add_starttls(p, line, f);
	case IMAP_PREAMBLE_SECURE_CAPABILITY:
		return add_capability(p, line, IMAP_PREAMBLE_END, f);
	case IMAP_PREAMBLE_END:
		break;
	}
	return not_imap(line, "it says unasked", f);
}
