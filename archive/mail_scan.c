#include "archive/mail_scan.h"

#include "archive/header.h"
#include "archive/limits.h"
#include "archive/mail_date.h"
#include "archive/mime_field.h"
#include "archive/plain_text.h"

#include <strings.h>

/* Fields that are looked at; of parts only those from CONTENT_TYPE on. */
enum field {
	FIELD_NONE,
	FIELD_FROM,
	FIELD_TO,
	FIELD_CC,
	FIELD_SUBJECT,
	FIELD_DATE,
	FIELD_RECEIVED,
	FIELD_MESSAGE_ID,
	FIELD_TYPE,
	FIELD_DISPOSITION,
	FIELD_CONTENT_ID,
	FIELDS
};

static const char *const names[FIELDS] = {
	[FIELD_FROM] = "From",
	[FIELD_TO] = "To",
	[FIELD_CC] = "Cc",
	[FIELD_SUBJECT] = "Subject",
	[FIELD_DATE] = "Date",
	[FIELD_RECEIVED] = "Received",
	[FIELD_MESSAGE_ID] = "Message-ID",
	[FIELD_TYPE] = "Content-Type",
	[FIELD_DISPOSITION] = "Content-Disposition",
	[FIELD_CONTENT_ID] = "Content-ID",
};

/* What a part is in. */
enum around { AROUND_NOTHING, AROUND_MIXED, AROUND_RELATED, AROUND_ALTERNATIVE, AROUND_REPORT };

struct level {
	enum around kind;
	size_t len;
	uint8_t boundary[LIMIT_BOUNDARY];
};

enum state {
	IN_HEADER, /* the message's */
	IN_PART,   /* the header of a part, or of a message in it */
	IN_BODY,
	AT_REST /* nothing that follows is of interest */
};

struct mail_scan {
	struct charsets *charsets;
	struct mail_facts facts;
	enum state state;
	struct buffer line; /* one that is cut by the end of a piece */

	/* The header that is being read. */
	uint64_t header_bytes;
	bool first_line;
	enum field field;  /* that goes on */
	bool seen[FIELDS]; /* in it */
	struct buffer raw; /* the field's value, unfolded */
	struct buffer type, disposition;
	bool embedded; /* of a message that is a part, with nothing around it */

	struct level level[LIMIT_INDEX_LEVELS];
	size_t levels;
	uint64_t parts;
	struct buffer decoded; /* for a moment */
};

/* ---- Fields ---------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
	while (text.len > 0 && is_blank(text.data[0]))
		text = slice_of(text.data + 1, text.len - 1);
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

static enum field field_of(const struct mail_scan *s, struct slice name)
{
	for (int i = s->state == IN_HEADER ? FIELD_FROM : FIELD_TYPE; i < FIELDS; i++) {
		if ((names[i][0] | 0x20) == (name.data[0] | 0x20) && strlen(names[i]) == name.len &&
			strncasecmp(names[i], (const char *)name.data, name.len) == 0)
			return (enum field)i;
	}
	return FIELD_NONE;
}

static int decode(struct mail_scan *s, struct buffer *to, size_t most, struct fault *f)
{
	buffer_clear(&s->decoded);
	if (header_decode_with(s->charsets, trim(buffer_slice(&s->raw)), &s->decoded, f) < 0)
		return -1;
	return plain_append(to, buffer_slice(&s->decoded), most, f);
}

/* Behind what is there already. */
static int add_list(struct mail_scan *s, struct buffer *to, struct fault *f)
{
	static const char between[] = ", ";
	size_t separator = to->len ? sizeof between - 1 : 0;

	if (to->len + separator >= LIMIT_INDEX_LIST)
		return 0;
	if (separator && buffer_append(to, between, separator, f) < 0)
		return -1;
	return decode(s, to, LIMIT_INDEX_LIST - to->len, f);
}

static void read_received(struct mail_scan *s)
{
	struct slice raw = buffer_slice(&s->raw);
	const uint8_t *semicolon = raw.len ? memrchr(raw.data, ';', raw.len) : NULL;

	if (!semicolon)
		return;
	size_t from = (size_t)(semicolon - raw.data) + 1;
	s->facts.has_received = mail_date_parse(trim(slice_of(raw.data + from, raw.len - from)),
					&s->facts.received) == 0;
}

static int read_id(struct mail_scan *s, struct fault *f)
{
	struct slice raw = trim(buffer_slice(&s->raw));
	const uint8_t *open = raw.len ? memchr(raw.data, '<', raw.len) : NULL;

	if (open)
		raw = slice_of(open + 1, raw.len - (size_t)(open - raw.data) - 1);
	const uint8_t *close = raw.len ? memchr(raw.data, '>', raw.len) : NULL;
	if (open && close)
		raw.len = (size_t)(close - raw.data);
	return plain_append(&s->facts.message_id, raw, LIMIT_INDEX_ID, f);
}

static int copy(const struct buffer *from, struct buffer *to, struct fault *f)
{
	return from->len ? buffer_append(to, from->data, from->len, f) : 0;
}

static int read_field(struct mail_scan *s, enum field field, struct fault *f)
{
	struct mail_facts *facts = &s->facts;

	switch (field) {
	case FIELD_FROM:
		return decode(s, &facts->sender, LIMIT_INDEX_SENDER, f);
	case FIELD_TO:
		return add_list(s, &facts->recipients, f);
	case FIELD_CC:
		return add_list(s, &facts->copied, f);
	case FIELD_SUBJECT:
		return decode(s, &facts->subject, LIMIT_INDEX_SUBJECT, f);
	case FIELD_DATE:
		facts->has_date = mail_date_parse(trim(buffer_slice(&s->raw)), &facts->date) == 0;
		return 0;
	case FIELD_RECEIVED:
		read_received(s);
		return 0;
	case FIELD_MESSAGE_ID:
		return read_id(s, f);
	case FIELD_TYPE:
		return copy(&s->raw, &s->type, f);
	case FIELD_DISPOSITION:
		return copy(&s->raw, &s->disposition, f);
	case FIELD_NONE:
	case FIELD_CONTENT_ID:
	case FIELDS:
		break;
	}
	return 0;
}

static bool may_repeat(const struct mail_scan *s, enum field field)
{
	return field == FIELD_TO || field == FIELD_CC ||
	       (field == FIELD_RECEIVED && !s->facts.has_received);
}

static int end_field(struct mail_scan *s, struct fault *f)
{
	enum field field = s->field;

	s->field = FIELD_NONE;
	return field == FIELD_NONE ? 0 : read_field(s, field, f);
}

static int append_raw(struct mail_scan *s, struct slice piece, struct fault *f)
{
	size_t room = s->raw.max - s->raw.len;

	return piece.len
		       ? buffer_append(&s->raw, piece.data, piece.len < room ? piece.len : room, f)
		       : 0;
}

static int begin_field(struct mail_scan *s, struct slice line, struct fault *f)
{
	const uint8_t *colon = memchr(line.data, ':', line.len);
	size_t len = colon ? (size_t)(colon - line.data) : 0;
	struct slice value = slice_of(line.data + len + 1, colon ? line.len - len - 1 : 0);

	while (len > 0 && is_blank(line.data[len - 1])) /* RFC 5322 section 4.5 */
		len--;
	enum field field = len ? field_of(s, slice_of(line.data, len)) : FIELD_NONE;
	if (field == FIELD_NONE || (s->seen[field] && !may_repeat(s, field)))
		return 0;
	s->seen[field] = true;
	s->field = field;
	buffer_clear(&s->raw);
	return append_raw(s, value, f);
}

/* ---- What a header says of its part ---------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_one_of(const char *text, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(text, *list) == 0)
			return true;
	}
	return false;
}

static enum around kind_of(const char *type)
{
	static const char *const reports[] = {"multipart/report", "multipart/digest", NULL};

	if (strcmp(type, "multipart/related") == 0)
		return AROUND_RELATED;
	if (strcmp(type, "multipart/alternative") == 0)
		return AROUND_ALTERNATIVE;
	return is_one_of(type, reports) ? AROUND_REPORT : AROUND_MIXED;
}

static bool is_message(const char *type)
{
	return strcmp(type, "message/rfc822") == 0 || strcmp(type, "message/global") == 0;
}

static bool is_shown_inside(const struct mail_scan *s, const char *type, enum around around)
{
	return around == AROUND_RELATED && (s->seen[FIELD_CONTENT_ID] || begins(type, "image/"));
}

static bool is_attachment(
	const struct mail_scan *s, const char *type, enum around around, bool has_name)
{
	static const char *const signatures[] = {"application/pgp-signature",
		"application/pkcs7-signature", "application/x-pkcs7-signature",
		"application/pgp-encrypted", NULL};
	char disposition[MIME_VALUE];

	mime_value(buffer_slice(&s->disposition), disposition);
	if (is_one_of(type, signatures))
		return false;
	if (strcmp(disposition, "attachment") == 0)
		return true;
	if (is_shown_inside(s, type, around))
		return false;
	if (has_name)
		return true;
	if (!type[0] || begins(type, "text/") || (begins(type, "message/") && !is_message(type)))
		return false;
	return strchr(type, '/') && around != AROUND_ALTERNATIVE && around != AROUND_REPORT;
}

/* 0 with the name in s->decoded, or MIME_NONE. */
static int find_name(struct mail_scan *s, struct fault *f)
{
	buffer_clear(&s->decoded);
	int r = mime_parameter(
		s->charsets, buffer_slice(&s->disposition), "filename", &s->decoded, f);
	if (r == MIME_NONE)
		r = mime_parameter(s->charsets, buffer_slice(&s->type), "name", &s->decoded, f);
	return r;
}

static int add_name(struct mail_scan *s, struct fault *f)
{
	struct buffer *to = &s->facts.names;
	size_t before = to->len, room = LIMIT_INDEX_NAMES - to->len;

	if (room < LIMIT_INDEX_NAME + 1)
		return 0;
	if (plain_append(to, buffer_slice(&s->decoded), LIMIT_INDEX_NAME, f) < 0)
		return -1;
	return to->len > before ? buffer_append(to, "\n", 1, f) : 0;
}

static int note_part(struct mail_scan *s, const char *type, struct fault *f)
{
	enum around around =
		s->embedded || s->levels == 0 ? AROUND_NOTHING : s->level[s->levels - 1].kind;
	int r = find_name(s, f);

	if (r < 0 || !is_attachment(s, type, around, r == 0))
		return r < 0 ? -1 : 0;
	s->facts.attachments++;
	return r == 0 ? add_name(s, f) : 0;
}

/* MIME_NONE: it has no boundary, or lies too deep. */
static int push(struct mail_scan *s, const char *type, struct fault *f)
{
	if (s->levels == LIMIT_INDEX_LEVELS)
		return MIME_NONE;
	buffer_clear(&s->decoded);
	int r = mime_bytes(buffer_slice(&s->type), "boundary", &s->decoded, f);
	/* Blanks at its end are lost on the way (RFC 2046 section 5.1.1). */
	struct slice boundary = buffer_slice(&s->decoded);
	while (boundary.len > 0 && is_blank(boundary.data[boundary.len - 1]))
		boundary.len--;
	if (r != 0 || boundary.len == 0 || boundary.len > LIMIT_BOUNDARY)
		return r < 0 ? -1 : MIME_NONE;
	struct level *l = &s->level[s->levels++];
	l->kind = kind_of(type);
	l->len = boundary.len;
	memcpy(l->boundary, boundary.data, boundary.len);
	return 0;
}

static void begin_header(struct mail_scan *s, enum state state)
{
	s->state = state;
	s->header_bytes = 0;
	s->first_line = true;
	s->field = FIELD_NONE;
	memset(s->seen, 0, sizeof s->seen);
	buffer_clear(&s->type);
	buffer_clear(&s->disposition);
}

static int end_header(struct mail_scan *s, struct fault *f)
{
	char type[MIME_VALUE];

	if (end_field(s, f) < 0)
		return -1;
	mime_value(buffer_slice(&s->type), type);
	if (begins(type, "multipart/")) {
		if (push(s, type, f) < 0)
			return -1;
		s->embedded = false;
	} else if (note_part(s, type, f) < 0) {
		return -1;
	} else if (is_message(type) && s->parts < LIMIT_INDEX_PARTS) {
		s->parts++;
		s->embedded = true;
		begin_header(s, IN_PART);
		return 0;
	}
	s->state = s->levels > 0 ? IN_BODY : AT_REST;
	return 0;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Without CR and blanks at its end. */
static struct slice chomp(struct slice line)
{
	while (line.len > 0 &&
		(line.data[line.len - 1] == '\r' || is_blank(line.data[line.len - 1])))
		line.len--;
	return line;
}

/* Of which level a line is the boundary, from the inside out: its number, or levels. */
static size_t find_boundary(const struct mail_scan *s, struct slice line, bool *ret_closes)
{
	line = chomp(line);
	if (line.len < 3 || line.data[0] != '-' || line.data[1] != '-')
		return s->levels;
	line = slice_of(line.data + 2, line.len - 2);
	for (size_t i = s->levels; i-- > 0;) {
		const struct level *l = &s->level[i];

		if (line.len < l->len || memcmp(line.data, l->boundary, l->len) != 0)
			continue;
		*ret_closes = line.len == l->len + 2 && memcmp(line.data + l->len, "--", 2) == 0;
		if (line.len == l->len || *ret_closes)
			return i;
	}
	return s->levels;
}

/* What lies further inside and was not closed ends here too. */
static void pass_boundary(struct mail_scan *s, size_t level, bool closes)
{
	s->embedded = false;
	s->levels = closes ? level : level + 1;
	if (!closes && ++s->parts > LIMIT_INDEX_PARTS)
		s->levels = 0;
	if (s->levels == 0)
		s->state = AT_REST;
	else if (closes)
		s->state = IN_BODY;
	else
		begin_header(s, IN_PART);
}

/* Whether a first line is none of a header, nor the separator that mbox leaves before one. */
static bool is_text(struct slice line)
{
	return !is_blank(line.data[0]) && !memchr(line.data, ':', line.len) &&
	       (line.len < 5 || memcmp(line.data, "From ", 5) != 0);
}

/* A part may end within its header. */
static int read_header_line(struct mail_scan *s, struct slice line, struct fault *f)
{
	bool first = s->first_line, closes = false;
	size_t level = find_boundary(s, line, &closes);

	if (level < s->levels) {
		if (end_header(s, f) < 0)
			return -1;
		pass_boundary(s, level, closes);
		return 0;
	}
	s->first_line = false;
	s->header_bytes += line.len + 1;
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0 || s->header_bytes > LIMIT_HEADER_BYTES || (first && is_text(line)))
		return end_header(s, f);
	if (is_blank(line.data[0]))
		return s->field == FIELD_NONE ? 0 : append_raw(s, line, f);
	return end_field(s, f) < 0 ? -1 : begin_field(s, line, f);
}

static int read_line(struct mail_scan *s, struct slice line, struct fault *f)
{
	bool closes = false;

	if (s->state == IN_HEADER || s->state == IN_PART)
		return read_header_line(s, line, f);
	size_t level = find_boundary(s, line, &closes);
	if (level < s->levels)
		pass_boundary(s, level, closes);
	return 0;
}

/* Of a long line only the beginning counts. */
static int keep_line(struct mail_scan *s, struct slice piece, struct fault *f)
{
	size_t room = s->line.max - s->line.len;

	return piece.len
		       ? buffer_append(&s->line, piece.data, piece.len < room ? piece.len : room, f)
		       : 0;
}

static int end_kept_line(struct mail_scan *s, struct fault *f)
{
	int r = read_line(s, buffer_slice(&s->line), f);

	buffer_clear(&s->line);
	return r;
}

/* Passes over lines of a body that are none of a boundary. What is left begins with one that may
 * be, or is the beginning of a line. */
static struct slice skip_body(struct slice bytes)
{
	while (bytes.len > 0 && bytes.data[0] != '-') {
		const uint8_t *lf = memchr(bytes.data, '\n', bytes.len);

		if (!lf)
			break;
		bytes = slice_of(lf + 1, bytes.len - (size_t)(lf + 1 - bytes.data));
	}
	return bytes;
}

int mail_scan_add(struct mail_scan *s, struct slice bytes, struct fault *f)
{
	while (bytes.len > 0 && s->state != AT_REST) {
		if (s->state == IN_BODY && s->line.len == 0)
			bytes = skip_body(bytes);
		const uint8_t *lf = bytes.len ? memchr(bytes.data, '\n', bytes.len) : NULL;
		struct slice line =
			slice_of(bytes.data, lf ? (size_t)(lf - bytes.data) : bytes.len);

		if (!lf)
			return keep_line(s, line, f);
		if (s->line.len > 0 ? keep_line(s, line, f) < 0 || end_kept_line(s, f) < 0
				    : read_line(s, line, f) < 0)
			return -1;
		bytes = slice_of(lf + 1, bytes.len - line.len - 1);
	}
	return 0;
}

/* ---- The whole ------------------------------------------------------------------------------- */

int mail_scan_new(struct charsets *charsets, struct mail_scan **ret, struct fault *f)
{
	struct mail_scan *s = calloc(1, sizeof *s);

	if (!s)
		return fault_memory(f);
	s->charsets = charsets;
	s->line = buffer_make(LIMIT_HEADER_FIELD);
	s->raw = buffer_make(LIMIT_HEADER_FIELD);
	s->type = buffer_make(LIMIT_HEADER_FIELD);
	s->disposition = buffer_make(LIMIT_HEADER_FIELD);
	s->decoded = buffer_make(4 * LIMIT_HEADER_FIELD);
	s->facts.sender = buffer_make(LIMIT_INDEX_SENDER);
	s->facts.recipients = buffer_make(LIMIT_INDEX_LIST);
	s->facts.copied = buffer_make(LIMIT_INDEX_LIST);
	s->facts.subject = buffer_make(LIMIT_INDEX_SUBJECT);
	s->facts.message_id = buffer_make(LIMIT_INDEX_ID);
	s->facts.names = buffer_make(LIMIT_INDEX_NAMES);
	*ret = s;
	return 0;
}

struct mail_scan *mail_scan_free(struct mail_scan *s)
{
	if (!s)
		return NULL;
	buffer_deinit(&s->line);
	buffer_deinit(&s->raw);
	buffer_deinit(&s->type);
	buffer_deinit(&s->disposition);
	buffer_deinit(&s->decoded);
	buffer_deinit(&s->facts.sender);
	buffer_deinit(&s->facts.recipients);
	buffer_deinit(&s->facts.copied);
	buffer_deinit(&s->facts.subject);
	buffer_deinit(&s->facts.message_id);
	buffer_deinit(&s->facts.names);
	free(s);
	return NULL;
}

void mail_scan_freep(struct mail_scan **s)
{
	*s = mail_scan_free(*s);
}

void mail_scan_begin(struct mail_scan *s)
{
	struct mail_facts *facts = &s->facts;

	buffer_clear(&facts->sender);
	buffer_clear(&facts->recipients);
	buffer_clear(&facts->copied);
	buffer_clear(&facts->subject);
	buffer_clear(&facts->message_id);
	buffer_clear(&facts->names);
	buffer_clear(&s->line);
	facts->has_date = facts->has_received = false;
	facts->date = facts->received = 0;
	facts->attachments = 0;
	s->levels = 0;
	s->parts = 0;
	s->embedded = false;
	begin_header(s, IN_HEADER);
}

/* A message may end anywhere. */
int mail_scan_end(struct mail_scan *s, const struct mail_facts **ret, struct fault *f)
{
	if (s->line.len > 0 && s->state != AT_REST && end_kept_line(s, f) < 0)
		return -1;
	if ((s->state == IN_HEADER || s->state == IN_PART) && end_header(s, f) < 0)
		return -1;
	*ret = &s->facts;
	return 0;
}
