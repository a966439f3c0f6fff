#include "cli/mboxrd.h"

#include "archive/limits.h"

#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

static const char FROM[] = "From ";
enum { FROM_LEN = sizeof FROM - 1 };

void mboxrd_begin(struct mboxrd *m, moment_ms archived, enum mboxrd_ends ends)
{
	*m = (struct mboxrd){.archived = archived, .ends = ends, .state = MBOXRD_IN_FIRST};
}

/* ---- The line before the message ------------------------------------------------------------ */

/* An address that no reader of mbox can take for anything else. */
static bool is_plain_address(const char *at, size_t len)
{
	const char *sign = memchr(at, '@', len);

	if (!sign || sign == at || sign == at + len - 1 || len > LIMIT_USER)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (at[i] <= ' ' || at[i] >= 0x7f || strchr("<>()[]\\,;:\"", at[i]))
			return false;
	}
	return !memchr(sign + 1, '@', len - (size_t)(sign + 1 - at));
}

/* The address of a first line "Return-Path: <anna@example.com>", borrowed; len 0: it is none. */
static struct slice return_path(const struct mboxrd *m)
{
	static const char NAME[] = "Return-Path:";
	const char *at = (const char *)m->first, *end = at + m->first_len;
	struct slice none = {0};

	while (end > at && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' '))
		end--;
	if ((size_t)(end - at) < strlen(NAME) || strncasecmp(at, NAME, strlen(NAME)) != 0)
		return none;
	at += strlen(NAME);
	while (at < end && *at == ' ')
		at++;
	if (end - at < 2 || at[0] != '<' || end[-1] != '>')
		return none;
	return is_plain_address(at + 1, (size_t)(end - at) - 2)
		       ? slice_of(at + 1, (size_t)(end - at) - 2)
		       : none;
}

static int write_from(const struct mboxrd *m, struct buffer *out, struct fault *f)
{
	struct slice sender = return_path(m);
	time_t seconds = (time_t)(m->archived / 1000);
	char date[64] = "Thu Jan  1 00:00:00 1970";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm);
	if (sender.len == 0)
		sender = slice_text("MAILER-DAEMON");
	if (buffer_append_text(out, FROM, f) < 0 ||
		buffer_append(out, sender.data, sender.len, f) < 0)
		return -1;
	return buffer_append_format(out, f, " %s\n", date);
}

/* ---- The message ----------------------------------------------------------------------------- */

/* At a line's beginning: takes the ">" and "From " that may stand there. Returns how many bytes. */
static int line_begins(
	struct mboxrd *m, struct slice in, size_t *ret_taken, struct buffer *out, struct fault *f)
{
	size_t taken = 0;

	while (taken < in.len && m->matched == 0 && in.data[taken] == '>')
		taken++;
	if (taken > 0) {
		m->open = true;
		if (buffer_append(out, in.data, taken, f) < 0)
			return -1;
	}
	while (taken < in.len && m->matched < FROM_LEN &&
		in.data[taken] == (uint8_t)FROM[m->matched]) {
		taken++;
		m->matched++;
	}
	*ret_taken = taken;
	if (taken == in.len && m->matched < FROM_LEN)
		return 0;
	if ((m->matched == FROM_LEN && buffer_append_text(out, ">", f) < 0) ||
		buffer_append(out, FROM, m->matched, f) < 0)
		return -1;
	m->open |= m->matched > 0;
	m->matched = 0;
	m->state = MBOXRD_IN_LINE;
	return 0;
}

/* Up to the line's end; MBOXRD_BARE_LF. */
static int in_line(
	struct mboxrd *m, struct slice in, size_t *ret_taken, struct buffer *out, struct fault *f)
{
	const uint8_t *lf = memchr(in.data, '\n', in.len);
	size_t len = lf ? (size_t)(lf - in.data) : in.len, taken = lf ? len + 1 : len;
	bool converts = m->ends == MBOXRD_CRLF;

	if (m->cr && len > 0) {
		m->cr = false;
		if (buffer_append_text(out, "\r", f) < 0)
			return -1;
	}
	if (converts && len > 0 && in.data[len - 1] == '\r') {
		m->cr = true;
		len--;
	}
	if (lf && converts && !m->cr)
		return MBOXRD_BARE_LF;
	if (buffer_append(out, in.data, len, f) < 0)
		return -1;
	m->open = true;
	*ret_taken = taken;
	if (!lf)
		return 0;
	m->cr = m->open = false;
	m->state = MBOXRD_LINE_BEGINS;
	return buffer_append_text(out, "\n", f);
}

static int body(struct mboxrd *m, struct slice in, struct buffer *out, struct fault *f)
{
	while (in.len > 0) {
		size_t taken = 0;
		int r = m->state == MBOXRD_LINE_BEGINS ? line_begins(m, in, &taken, out, f)
						       : in_line(m, in, &taken, out, f);

		if (r != 0)
			return r;
		in = slice_of(in.data + taken, in.len - taken);
	}
	return 0;
}

/* The first line is known as far as it matters. */
static int end_first(struct mboxrd *m, struct buffer *out, struct fault *f)
{
	if (write_from(m, out, f) < 0)
		return -1;
	m->state = MBOXRD_LINE_BEGINS;
	return body(m, slice_of(m->first, m->first_len), out, f);
}

int mboxrd_add(struct mboxrd *m, struct slice bytes, struct buffer *out, struct fault *f)
{
	if (m->state == MBOXRD_IN_FIRST) {
		size_t room = sizeof m->first - m->first_len;
		size_t n = bytes.len < room ? bytes.len : room;
		const uint8_t *lf = n ? memchr(bytes.data, '\n', n) : NULL;

		n = lf ? (size_t)(lf - bytes.data) + 1 : n;
		if (n > 0)
			memcpy(m->first + m->first_len, bytes.data, n);
		m->first_len += n;
		bytes = slice_of(bytes.data + n, bytes.len - n);
		int r = lf || n == room ? end_first(m, out, f) : 0;
		if (r != 0)
			return r;
	}
	return m->state == MBOXRD_IN_FIRST ? 0 : body(m, bytes, out, f);
}

int mboxrd_end(struct mboxrd *m, struct buffer *out, struct fault *f)
{
	int r = m->state == MBOXRD_IN_FIRST ? end_first(m, out, f) : 0;

	if (r != 0)
		return r;
	if (buffer_append(out, FROM, m->matched, f) < 0 ||
		(m->cr && buffer_append_text(out, "\r", f) < 0))
		return -1;
	if ((m->open || m->matched || m->cr) && buffer_append_text(out, "\n", f) < 0)
		return -1;
	return buffer_append_text(out, "\n", f);
}
