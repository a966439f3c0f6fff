#include "daemon/preamble.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "daemon/status_line.h"

void preamble_init(struct preamble *p)
{
	*p = (struct preamble){0};
}

static void keep(char ret[static PREAMBLE_GREETING], struct slice line)
{
	size_t n = line.len < PREAMBLE_GREETING ? line.len : PREAMBLE_GREETING - 1;

	if (n > 0)
		memcpy(ret, line.data, n);
	ret[n] = '\0';
}

static int not_pop3(struct slice line, const char *where, struct fault *f)
{
	char text[200];

	return fault_set(f, FAULT_PROTOCOL, SCOPE_SESSION, 0, "no POP3 server: %s \"%s\"", where,
		escape_text(line, text, sizeof text));
}

/* libcurl would pass over such a line and wait for a better one. */
static int add_greeting(struct preamble *p, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_OK:
		keep(p->greeting, line);
		p->state = PREAMBLE_IN_CAPA;
		return 0;
	case STATUS_ERR:
		keep(p->refusal, line);
		return 0;
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return not_pop3(line, "it greets with", f);
}

/* The same end of the listing as libcurl's: any line that begins with a dot, and -ERR. */
static int add_capa(
	struct preamble *p, struct slice line, enum preamble_state next, struct fault *f)
{
	enum status_indicator status = status_indicator(line);

	if (status == STATUS_ERR || (p->in_listing && line.len > 0 && line.data[0] == '.')) {
		p->in_listing = false;
		p->state = next;
		return 0;
	}
	if (p->in_listing)
		return capabilities_add(&p->capabilities, line, f);
	if (status != STATUS_OK)
		return not_pop3(line, "it answers CAPA with", f);
	p->capabilities.known = true;
	p->in_listing = true;
	return 0;
}

/* What was offered in clear counts no more (RFC 2595 section 4). */
static int add_stls(struct preamble *p, struct slice line, struct fault *f)
{
	switch (status_indicator(line)) {
	case STATUS_OK:
		capabilities_init(&p->capabilities);
		p->state = PREAMBLE_IN_SECURE_CAPA;
		return 0;
	case STATUS_ERR:
		keep(p->refusal, line);
		return 0;
	case STATUS_CONTINUE:
	case STATUS_OTHER:
		break;
	}
	return not_pop3(line, "it answers STLS with", f);
}

static struct slice without_end(struct slice line, bool *ret_lf_only)
{
	*ret_lf_only = true;
	if (line.len > 0 && line.data[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.data[line.len - 1] == '\r') {
		line.len--;
		*ret_lf_only = false;
	}
	return line;
}

int preamble_add_line(struct preamble *p, struct slice line, struct fault *f)
{
	bool lf_only;

	if (line.len > LIMIT_REPLY_LINE)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"no POP3 server: a line of more than %d bytes before the login",
			(int)LIMIT_REPLY_LINE);
	line = without_end(line, &lf_only);
	p->lf_only = lf_only && (p->lf_only || p->lines == 0);
	p->lines++;
	switch (p->state) {
	case PREAMBLE_WANT_GREETING:
		return add_greeting(p, line, f);
	case PREAMBLE_IN_CAPA:
		return add_capa(p, line, PREAMBLE_WANT_STLS, f);
	case PREAMBLE_WANT_STLS:
		return add_stls(p, line, f);
	case PREAMBLE_IN_SECURE_CAPA:
		return add_capa(p, line, PREAMBLE_END, f);
	case PREAMBLE_END:
		break;
	}
	return not_pop3(line, "it says unasked", f);
}

struct slice preamble_apop_banner(const struct preamble *p)
{
	const struct slice none = {0};
	const char *from = strchr(p->greeting, '<');
	const char *to = from ? strchr(from, '>') : NULL;

	if (!to || !memchr(from, '@', (size_t)(to - from)))
		return none;
	for (const char *at = from; at < to; at++) {
		if (*at <= ' ' || *at > '~')
			return none;
	}
	return slice_of(from, (size_t)(to - from) + 1);
}
