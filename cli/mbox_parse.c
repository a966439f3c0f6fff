#include "cli/mbox_parse.h"

#include "archive/decimal.h"
#include "cli/mbox_from.h"

#include <strings.h>

/* What a line is. UNSEEN: the window ends before it can be told. */
enum verdict { V_NO, V_YES, V_UNSEEN };

/* What is left of the file, or the beginning of that. */
struct view {
	const uint8_t *data;
	size_t len;
	bool whole;
};

static struct view behind(struct view v, size_t n)
{
	return (struct view){v.data + n, v.len - n, v.whole};
}

static struct view view_of(struct slice s, enum mbox_window extent)
{
	static const uint8_t nothing[1];

	return (struct view){s.len ? s.data : nothing, s.len, extent == MBOX_WHOLE};
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Whether it begins with an end of line: that line is empty. *ret is its length. */
static enum verdict begins_with_end(struct view v, size_t *ret)
{
	*ret = 0;
	if (v.len == 0)
		return v.whole ? V_NO : V_UNSEEN;
	if (v.data[0] == '\n') {
		*ret = 1;
		return V_YES;
	}
	if (v.data[0] != '\r')
		return V_NO;
	if (v.len == 1)
		return v.whole ? V_NO : V_UNSEEN;
	*ret = v.data[1] == '\n' ? 2 : 0;
	return *ret ? V_YES : V_NO;
}

static enum verdict begins_with_from(struct view v)
{
	size_t n = v.len < MBOX_FROM_LEN ? v.len : MBOX_FROM_LEN;

	if (memcmp(v.data, "From ", n) != 0)
		return V_NO;
	return n == MBOX_FROM_LEN ? V_YES : v.whole ? V_NO : V_UNSEEN;
}

/* The first line with its end in *ret_len and without it in *ret; NO: it is longer than max. */
static enum verdict first_line(struct view v, size_t max, struct slice *ret, size_t *ret_len)
{
	size_t n = v.len < max ? v.len : max;
	const uint8_t *lf = memchr(v.data, '\n', n);

	if (!lf && (v.len >= max || !v.whole))
		return v.len >= max ? V_NO : V_UNSEEN;
	size_t len = lf ? (size_t)(lf - v.data) : v.len;
	*ret_len = lf ? len + 1 : len;
	if (lf && len > 0 && v.data[len - 1] == '\r')
		len--;
	*ret = slice_of(v.data, len);
	return V_YES;
}

/* RFC 5322 section 2.2: printable characters and a colon; section 4.5: blanks before it. */
static enum verdict begins_with_field(struct view v)
{
	size_t i = 0;

	while (i < v.len && i < LIMIT_MBOX_NAME && v.data[i] > ' ' && v.data[i] < 0x7f &&
		v.data[i] != ':')
		i++;
	if (i == 0 && v.len > 0)
		return V_NO;
	while (i > 0 && i < v.len && i < LIMIT_MBOX_NAME && (v.data[i] == ' ' || v.data[i] == '\t'))
		i++;
	if (i < v.len)
		return i < LIMIT_MBOX_NAME && v.data[i] == ':' ? V_YES : V_NO;
	return v.whole || i == LIMIT_MBOX_NAME ? V_NO : V_UNSEEN;
}

/* Whether it begins with a "From " line with a date; *ret_len is its length with its end. */
static enum verdict begins_with_date(struct view v, size_t *ret_len)
{
	struct slice line;
	moment_ms date;
	enum verdict r = begins_with_from(v);

	if (r == V_YES)
		r = first_line(v, LIMIT_MBOX_FROM, &line, ret_len);
	if (r == V_YES)
		r = mbox_from_parse(line, &date) == 0 ? V_YES : V_NO;
	return r;
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* What a piece of the text comes to: `run` bytes of it, and then */
struct scan {
	size_t run;
	enum {
		SCAN_ALL,   /* the window is at its end */
		SCAN_HOLD,  /* more has to be seen */
		SCAN_QUOTE, /* a ">" that is not the message's */
		SCAN_CUT    /* the end of the text, and an empty line of `skip` bytes */
	} then;
	size_t skip;
	bool line_begins; /* behind the run */
};

static struct scan scan_end(size_t run, int then, size_t skip)
{
	return (struct scan){.run = run, .then = then, .skip = skip, .line_begins = true};
}

static void count_text(struct mbox_parser *p, size_t at, enum verdict dated)
{
	if (p->counts.from_text++ == 0)
		p->counts.from_first = p->offset + at;
	p->counts.from_dated += dated == V_YES;
	p->counts.from_counted += p->state == MBOX_IN_COUNTED;
}

/* At an "F": whether a message begins here. Otherwise the line is counted, if it looks so. */
static enum verdict judge_from(struct mbox_parser *p, struct view v, size_t at, size_t blank)
{
	struct view line = behind(v, at + blank);
	size_t len = 0;
	enum verdict from = begins_with_from(line);

	if (from != V_YES)
		return from;
	if (p->state == MBOX_IN_COUNTED) {
		count_text(p, at, V_NO);
		return V_NO;
	}
	enum verdict dated = begins_with_date(line, &len);
	if (dated == V_UNSEEN || (dated == V_YES && blank > 0))
		return dated;
	struct slice text;
	bool separates =
		dated == V_YES || (blank > 0 && p->undated &&
					  first_line(line, LIMIT_MBOX_FROM, &text, &len) == V_YES);
	enum verdict header = separates ? begins_with_field(behind(line, len)) : V_NO;
	if (header == V_NO)
		count_text(p, at + blank, dated);
	return header;
}

/* At a ">": whether it is the format's; *ret is which of several. */
static enum verdict judge_quotes(struct mbox_parser *p, struct view v, size_t at, size_t *ret)
{
	size_t end = at;

	while (end < v.len && v.data[end] == '>')
		end++;
	bool more = end - at > 1 || (at == 0 && p->in_quotes);
	enum verdict from = begins_with_from(behind(v, end));
	*ret = end - 1;
	/* Where all of them are alike, the last stands for all. */
	p->in_quotes = from == V_UNSEEN && more;
	if (from != V_YES || p->state == MBOX_IN_JUNK)
		return from == V_UNSEEN ? from : V_NO;
	p->counts.quoted += !more;
	p->counts.quoted_more += more;
	bool in_body = p->offset + at >= p->header_end;
	if (p->dialect == MBOX_RD ||
		((p->dialect == MBOX_O || p->dialect == MBOX_CL) && !more && in_body))
		return V_YES;
	return V_NO;
}

/* At an empty line: whether the text ends here. NO: *at is behind it, and behind the "From " line
 * that follows it and was counted. */
static enum verdict judge_blank(struct mbox_parser *p, struct view v, size_t *at, size_t blank)
{
	size_t next = *at + blank;

	if (next == v.len)
		return v.whole ? V_YES : V_UNSEEN;
	if (v.data[next] != 'F') {
		*at = next;
		return V_NO;
	}
	enum verdict r = judge_from(p, v, *at, blank);
	*at = r == V_NO ? next + 1 : *at;
	return r;
}

/* One line of text whose end is looked for, from *at on; false when *ret says what comes. */
static bool scan_line(struct mbox_parser *p, struct view v, size_t *at, struct scan *ret)
{
	size_t begin = *at, last = 0, blank = 0;
	enum verdict r = V_NO;

	switch (v.data[begin]) {
	case '\r':
	case '\n':
		if (p->state == MBOX_IN_COUNTED)
			break;
		r = begins_with_end(behind(v, begin), &blank);
		if (r != V_YES)
			break;
		r = judge_blank(p, v, at, blank);
		if (r == V_NO && v.data[*at - 1] == '\n')
			return true;
		break;
	case 'F':
		r = judge_from(p, v, begin, 0);
		break;
	case '>':
		r = judge_quotes(p, v, begin, &last);
		if (r == V_UNSEEN)
			begin = last;
		if (r == V_YES) {
			p->counts.unquoted++;
			*ret = (struct scan){.run = last, .then = SCAN_QUOTE};
			return false;
		}
		break;
	default:
		break;
	}
	if (r != V_NO) {
		*ret = scan_end(begin, r == V_YES ? SCAN_CUT : SCAN_HOLD, blank);
		return false;
	}
	const uint8_t *lf = memchr(v.data + *at, '\n', v.len - *at);
	*at = lf ? (size_t)(lf - v.data) + 1 : v.len;
	ret->line_begins = lf != NULL;
	return true;
}

/* The window's text, up to where something else comes. Each "From " line in it is counted once:
 * whoever judged one also takes it. */
static struct scan scan(struct mbox_parser *p, struct view v)
{
	struct scan ret = {.line_begins = p->line_begins};
	size_t at = 0;

	if (!p->line_begins && v.len > 0) {
		const uint8_t *lf = memchr(v.data, '\n', v.len);

		at = lf ? (size_t)(lf - v.data) + 1 : v.len;
		ret.line_begins = lf != NULL;
	}
	while (at < v.len) {
		if (!scan_line(p, v, &at, &ret))
			return ret;
	}
	ret.run = v.len;
	ret.then = v.whole && p->state != MBOX_IN_COUNTED ? SCAN_CUT : SCAN_ALL;
	return ret;
}

/* ---- Content-Length -------------------------------------------------------------------------- */

/* The header behind a "From " line, with the empty line at its end in *ret_body. */
static enum verdict find_header(struct view v, struct slice *ret, size_t *ret_body)
{
	size_t at = 0, blank = 0;

	for (;;) {
		struct view line = behind(v, at);

		if (at >= LIMIT_HEADER_BYTES)
			break;
		enum verdict r = begins_with_end(line, &blank);
		if (r == V_NO && line.len > 0) {
			r = begins_with_from(line);
			blank = 0;
		}
		if (r == V_UNSEEN)
			return r;
		if (r == V_YES || line.len == 0)
			break;
		const uint8_t *lf = memchr(line.data, '\n', line.len);
		if (!lf && !v.whole && v.len < LIMIT_HEADER_BYTES)
			return V_UNSEEN;
		at = lf ? (size_t)(lf - v.data) + 1 : v.len;
		blank = 0;
	}
	at = at < LIMIT_HEADER_BYTES ? at : LIMIT_HEADER_BYTES;
	*ret = slice_of(v.data, at);
	*ret_body = at + blank;
	return V_YES;
}

/* The first field of that name. False: there is none, or it says nothing. */
static bool content_length(struct slice header, uint64_t *ret)
{
	static const char NAME[] = "Content-Length:";
	struct view v = view_of(header, MBOX_WHOLE);
	struct slice line = {0};
	size_t len;

	while (v.len > 0 && first_line(v, v.len + 1, &line, &len) == V_YES) {
		if (line.len > sizeof NAME &&
			strncasecmp((const char *)line.data, NAME, sizeof NAME - 1) == 0) {
			struct slice value =
				slice_of(line.data + sizeof NAME - 1, line.len - (sizeof NAME - 1));

			(void)decimal_skip_spaces(&value);
			if (decimal_take(&value, ret) != 0)
				return false;
			(void)decimal_skip_spaces(&value);
			return value.len == 0;
		}
		v = behind(v, len);
	}
	return false;
}

/* Whether a message can end behind the first byte of v, which goes on to the file's end if whole.
 */
static bool can_end(struct view v)
{
	size_t blank = 0, len;

	if (v.len == 0)
		return false;
	bool line_ended = v.data[0] == '\n';
	v = behind(v, 1);
	if (begins_with_end(v, &blank) == V_YES) {
		v = behind(v, blank);
		line_ended = true;
	}
	if (line_ended && begins_with_date(v, &len) == V_YES)
		return true;
	while (v.len > 0 && begins_with_end(v, &blank) == V_YES)
		v = behind(v, blank);
	return v.whole && v.len == 0;
}

enum { ASKED = 1 + 2 + LIMIT_MBOX_FROM };

/* Whether the message's Content-Length, which leads to `end`, is right; v is the window from the
 * byte before its body on. UNSEEN: *ret says what is wanted. */
static enum verdict check_length(
	struct mbox_parser *p, struct view v, uint64_t end, struct mbox_event *ret)
{
	uint64_t at = end - p->header_end; /* the byte before its end */

	if (p->length != MBOX_UNASKED)
		return p->length == MBOX_RIGHT ? V_YES : V_NO;
	if (p->lookup == MBOX_CANNOT_ASK && end - p->offset > LIMIT_MBOX_WINDOW - ASKED) {
		p->length = MBOX_UNKNOWN;
		return V_NO;
	}
	if (at < v.len && (v.whole || v.len - at >= ASKED)) {
		struct view last = behind(v, (size_t)at);

		if (last.len >= ASKED) /* as mbox_parser_answer() sees it */
			last = (struct view){last.data, ASKED, false};
		return can_end(last) ? V_YES : V_NO;
	}
	if (v.whole)
		return V_NO;
	*ret = (struct mbox_event){.kind = p->lookup == MBOX_CAN_ASK ? MBOX_ASK : MBOX_MORE,
		.offset = end - 1,
		.wanted = ASKED};
	return V_UNSEEN;
}

void mbox_parser_answer(struct mbox_parser *p, enum mbox_answer kind, struct slice bytes)
{
	struct view v = view_of(bytes, bytes.len < ASKED ? MBOX_WHOLE : MBOX_PART);

	p->length = kind == MBOX_NO_ANSWER ? MBOX_UNKNOWN : can_end(v) ? MBOX_RIGHT : MBOX_WRONG;
}

/* ---- States ---------------------------------------------------------------------------------- */

static void take(struct mbox_parser *p, struct mbox_event *ret, enum mbox_event_kind kind,
	struct view v, size_t n)
{
	*ret = (struct mbox_event){
		.kind = kind, .taken = n, .bytes = slice_of(v.data, n), .offset = p->offset};
	p->offset += n;
}

static void need_more(struct mbox_event *ret)
{
	*ret = (struct mbox_event){.kind = MBOX_MORE};
}

/* Where its Content-Length says that the message ends, in *ret_announced; YES: there. v as above.
 */
static enum verdict find_end(struct mbox_parser *p, struct view v, struct slice header,
	uint64_t *ret_announced, struct mbox_event *ret)
{
	uint64_t length, end;

	if (p->dialect == MBOX_O || p->dialect == MBOX_RD || !content_length(header, &length))
		return V_NO;
	if (__builtin_add_overflow(p->header_end, length, &end) || end > INT64_MAX - ASKED) {
		p->counts.length_wrong++;
		return V_NO;
	}
	enum verdict r = check_length(p, v, end, ret);
	if (r == V_UNSEEN)
		return r;
	p->counts.length_right += r == V_YES;
	p->counts.length_unknown += r == V_NO && p->length == MBOX_UNKNOWN;
	p->counts.length_wrong += r == V_NO && p->length != MBOX_UNKNOWN;
	*ret_announced = end;
	return r;
}

/* Of several "From " lines the last one counts. */
static void at_from(struct mbox_parser *p, struct view v, struct mbox_event *ret)
{
	struct slice from = {0}, header = {0};
	size_t len = 0, next, body = 0;

	need_more(ret);
	if (first_line(v, LIMIT_MBOX_FROM, &from, &len) == V_UNSEEN)
		return;
	struct view rest = behind(v, len);
	moment_ms date;
	p->undated |= p->counts.messages == 0 && mbox_from_parse(from, &date) != 0;
	enum verdict again = begins_with_date(rest, &next);
	if (again == V_YES) {
		p->counts.doubled++;
		take(p, ret, MBOX_GAP, v, len);
		return;
	}
	if (again == V_UNSEEN || find_header(rest, &header, &body) == V_UNSEEN)
		return;
	p->header_end = p->offset + len + body;
	p->counted_end = 0;
	bool has_body = body > header.len;
	enum verdict ends =
		has_body ? find_end(p, behind(rest, body - 1), header, &p->counted_end, ret) : V_NO;
	if (ends == V_UNSEEN)
		return;
	p->state = ends == V_YES ? MBOX_IN_COUNTED : MBOX_IN_MESSAGE;
	p->length = MBOX_UNASKED;
	p->line_begins = true;
	p->in_quotes = false;
	p->counts.messages++;
	take(p, ret, MBOX_BEGIN, v, len);
	ret->from = from;
	ret->header = header;
}

static void end_message(struct mbox_parser *p, struct view v, size_t blank, struct mbox_event *ret)
{
	bool at_end = blank == v.len && v.whole;

	take(p, ret, MBOX_END, v, blank);
	if (at_end && p->counted_end > ret->offset)
		ret->missing = p->counted_end - ret->offset;
	p->counts.unended += at_end && !p->line_begins;
	p->counts.no_blank += !at_end && blank == 0;
	p->state = at_end ? MBOX_BETWEEN : MBOX_AT_FROM;
}

/* Also junk, which ends in the same way. */
static void in_text(struct mbox_parser *p, struct view v, struct mbox_event *ret)
{
	enum mbox_event_kind kind = p->state == MBOX_IN_JUNK ? MBOX_JUNK : MBOX_BYTES;
	struct scan s = scan(p, v);

	need_more(ret);
	if (s.run > 0 || s.then == SCAN_QUOTE) {
		take(p, ret, kind, v, s.run);
		p->line_begins = s.line_begins;
		p->counts.junk += kind == MBOX_JUNK ? s.run : 0;
	}
	if (s.then == SCAN_QUOTE) {
		ret->taken++;
		p->offset++;
	} else if (s.then == SCAN_CUT && s.run == 0 && kind == MBOX_BYTES) {
		end_message(p, v, s.skip, ret);
	} else if (s.then == SCAN_CUT && s.run == 0) {
		p->state = s.skip == v.len && v.whole ? MBOX_BETWEEN : MBOX_AT_FROM;
		take(p, ret, MBOX_GAP, v, s.skip);
	}
}

static void in_counted(struct mbox_parser *p, struct view v, struct mbox_event *ret)
{
	uint64_t left = p->counted_end - p->offset;
	bool ends = left <= v.len;

	if (left == 0) {
		p->state = MBOX_BEHIND_COUNTED;
		take(p, ret, MBOX_BYTES, v, 0);
	} else if (v.len == 0 && v.whole) { /* the file became shorter */
		end_message(p, v, 0, ret);
	} else {
		in_text(p, (struct view){v.data, ends ? (size_t)left : v.len, ends || v.whole},
			ret);
	}
}

static void behind_counted(struct mbox_parser *p, struct view v, struct mbox_event *ret)
{
	size_t blank = 0;

	need_more(ret);
	if (begins_with_end(v, &blank) == V_UNSEEN)
		return;
	p->counts.no_blank += blank == 0 && v.len > 0;
	take(p, ret, MBOX_END, v, blank);
	p->state = MBOX_BETWEEN;
}

/* Nothing is open. Only here a "From " line needs no date: the first of a file. */
static void between(struct mbox_parser *p, struct view v, struct mbox_event *ret)
{
	size_t n = 0;
	struct slice line;

	need_more(ret);
	if (v.len == 0 && v.whole) {
		take(p, ret, MBOX_DONE, v, 0);
		return;
	}
	if (p->offset == 0 && v.len < 3 && !v.whole)
		return;
	if (p->offset == 0 && v.len >= 3 && memcmp(v.data, "\xef\xbb\xbf", 3) == 0) {
		take(p, ret, MBOX_GAP, v, 3);
		return;
	}
	enum verdict r = begins_with_end(v, &n);
	if (r == V_YES)
		take(p, ret, MBOX_GAP, v, n);
	if (r != V_NO)
		return;
	r = p->state == MBOX_BETWEEN ? begins_with_date(v, &n) : begins_with_from(v);
	if (r == V_YES)
		r = first_line(v, LIMIT_MBOX_FROM, &line, &n);
	if (r == V_UNSEEN)
		return;
	p->state = r == V_YES ? MBOX_AT_FROM : MBOX_IN_JUNK;
	p->line_begins = true;
	p->in_quotes = false;
	p->header_end = UINT64_MAX;
	take(p, ret, MBOX_GAP, v, 0);
}

void mbox_parser_step(
	struct mbox_parser *p, struct slice window, enum mbox_window extent, struct mbox_event *ret)
{
	struct view v = view_of(window, extent);

	switch (p->state) {
	case MBOX_AT_START:
	case MBOX_BETWEEN:
		between(p, v, ret);
		break;
	case MBOX_AT_FROM:
		at_from(p, v, ret);
		break;
	case MBOX_IN_JUNK:
	case MBOX_IN_MESSAGE:
		in_text(p, v, ret);
		break;
	case MBOX_IN_COUNTED:
		in_counted(p, v, ret);
		break;
	case MBOX_BEHIND_COUNTED:
		behind_counted(p, v, ret);
		break;
	}
}

void mbox_parser_begin(struct mbox_parser *p, enum mbox_dialect dialect, enum mbox_lookup lookup,
	enum mbox_place place, uint64_t offset)
{
	*p = (struct mbox_parser){.dialect = dialect,
		.lookup = lookup,
		.offset = offset,
		.state = place == MBOX_FILE_BEGINS ? MBOX_AT_START : MBOX_IN_JUNK,
		.header_end = UINT64_MAX};
}
