#include "cli/message_list.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "archive/mail_date.h"

enum column { ID, ARCHIVED, SIZE, ACCOUNT, DATE, FROM, SUBJECT, COLUMNS };

/* The header ends long before this in almost all messages; reading more costs time for each row. */
enum { PEEK_BYTES = 16 * 1024 };

struct layout {
	unsigned least;		 /* columns of the terminal for this layout */
	unsigned width[COLUMNS]; /* 0: not shown; SUBJECT takes what is left */
};

static const struct layout layouts[] = {
	{140, {SHORT_ID, 17, 8, 18, 17, 30, 1}},
	{105, {SHORT_ID, 17, 8, 14, 0, 22, 1}},
	{78, {SHORT_ID, 17, 8, 0, 0, 16, 1}},
	{50, {SHORT_ID, 17, 0, 0, 0, 0, 1}},
	{0, {SHORT_ID, 0, 0, 0, 0, 0, 1}},
};
/* Not a terminal: the least widths. */
static const struct layout full = {0, {SHORT_ID, 17, 8, 16, 17, 32, 1}};

static const struct layout *layout_of(const struct output *o)
{
	const struct layout *l = layouts;

	if (!o->terminal)
		return &full;
	while (l->least > o->columns)
		l++;
	return l;
}

void message_short_id(const struct message *m, char ret[static SHORT_ID + 1])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&m->digest, hex);
	memcpy(ret, hex, SHORT_ID);
	ret[SHORT_ID] = '\0';
}

/* What JSON says of every message: id, digest, account, archived, size. */
static void message_json(struct json_line *l, const struct message *m)
{
	char hex[DIGEST_HEX + 1], id[SHORT_ID + 1];

	digest_hex(&m->digest, hex);
	message_short_id(m, id);
	json_add_text(l, "id", id);
	json_add_text(l, "digest", hex);
	json_add_text(l, "account", m->account);
	json_add_moment(l, "archived", m->archived);
	json_add_count(l, "size", m->size_bytes);
}

/* One cell of a line under construction. The last one is not padded. */
static int add_cell(struct buffer *line, struct slice text, enum column c, const struct output *o,
	const struct layout *l, struct fault *f)
{
	size_t width = l->width[c], used = text_width(text);

	if (!o->utc && (c == ARCHIVED || c == DATE))
		width--; /* no Z */

	if (c == SUBJECT) {
		size_t taken = text_width(buffer_slice(line));

		width = o->columns > taken ? o->columns - taken : 0;
	}
	if (o->terminal && used > width) {
		text.len = text_fit(text, width);
		used = text_width(text);
	}
	size_t blanks = c == SUBJECT || used >= width ? 0 : width - used;
	if (c == SIZE && buffer_append_format(line, f, "%*s", (int)blanks, "") < 0)
		return -1;
	if (buffer_append(line, text.data, text.len, f) < 0)
		return -1;
	if (c == SUBJECT)
		return 0;
	return buffer_append_format(line, f, "%*s  ", c == SIZE ? 0 : (int)blanks, "");
}

/* texts: escaped, one for each column. */
static int print_line(struct message_list *l, const struct slice *texts, struct fault *f)
{
	struct output *o = &l->run->out;
	const struct layout *layout = layout_of(o);
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(MIB);

	for (enum column c = 0; c < COLUMNS; c++) {
		if (layout->width[c] && add_cell(&line, texts[c], c, o, layout, f) < 0)
			return -1;
	}
	while (line.len > 0 && line.data[line.len - 1] == ' ')
		line.len--;
	out_bytes(o, buffer_slice(&line));
	out_format(o, "\n");
	return 0;
}

void message_list_begin(struct message_list *l)
{
	static const char *const titles[COLUMNS] = {
		"ID", "ARCHIVED", "SIZE", "ACCOUNT", "DATE", "FROM", "SUBJECT"};
	struct slice texts[COLUMNS];
	struct fault f;

	l->bytes = buffer_make(LIMIT_HEADER_BYTES);
	if (l->run->json || !l->run->out.terminal)
		return;
	for (enum column c = 0; c < COLUMNS; c++)
		texts[c] = slice_text(titles[c]);
	if (print_line(l, texts, &f) < 0)
		l->run->out.error = f.error;
}

static int read_header(struct message_list *l, const struct message *m, struct fault *f)
{
	if (message_peek(l->run->store, m, PEEK_BYTES, &l->bytes, f) < 0)
		return -1;
	if (header_read(buffer_slice(&l->bytes), &l->header, f) < 0)
		return -1;
	if (l->header.body < l->bytes.len || l->bytes.len < PEEK_BYTES)
		return 0;
	if (message_peek(l->run->store, m, LIMIT_HEADER_BYTES, &l->bytes, f) < 0)
		return -1;
	return header_read(buffer_slice(&l->bytes), &l->header, f);
}

/* "Anna" of "Anna <anna@example.com>": a terminal has no room for both. */
static struct slice display_name(struct slice from)
{
	const uint8_t *angle = from.len ? memchr(from.data, '<', from.len) : NULL;
	struct slice name = slice_of(from.data, angle ? (size_t)(angle - from.data) : 0);

	while (name.len > 0 && memchr(" \t\"'", name.data[name.len - 1], 4))
		name.len--;
	while (name.len > 0 && memchr(" \t\"'", name.data[0], 4))
		name = slice_of(name.data + 1, name.len - 1);
	return name.len ? name : from;
}

/* The Date field in the reader's zone; as it stands there when it is no date. */
static int format_date(struct message_list *l, struct buffer *to, struct fault *f)
{
	struct slice raw = buffer_slice(&l->header.field[HEADER_DATE]);
	char text[TEXT_MOMENT];
	moment_ms t;

	if (mail_date_parse(raw, &t) == 0)
		return buffer_append_text(to, text_minute(&l->run->out, t, text), f);
	return escape_append(to, raw, f);
}

/* What a line says beside what the catalog knows. */
struct shown {
	struct buffer date, from, subject; /* escaped */
};

static void shown_deinit(struct shown *x)
{
	buffer_deinit(&x->date);
	buffer_deinit(&x->from);
	buffer_deinit(&x->subject);
}

static int show_header(
	struct message_list *l, const struct message *m, struct shown *ret, struct fault *f)
{
	if (read_header(l, m, f) < 0 || format_date(l, &ret->date, f) < 0 ||
		escape_append(&ret->from, buffer_slice(&l->header.field[HEADER_FROM]), f) < 0)
		return -1;
	return escape_append(&ret->subject, buffer_slice(&l->header.field[HEADER_SUBJECT]), f);
}

/* INDEX_NONE: the index does not know it. */
static int look_up(
	struct message_list *l, const struct message *m, struct indexed *ret, struct fault *f)
{
	int r = l->index_broken ? INDEX_NONE : store_indexed(l->run->store, m, ret, f);

	if (r >= 0 || f->code != FAULT_DAMAGE)
		return r;
	run_note(l->run, "%s; headers are read from the messages", f->text);
	l->index_broken = true;
	return INDEX_NONE;
}

static int show_indexed(
	struct message_list *l, const struct indexed *x, struct shown *ret, struct fault *f)
{
	char text[TEXT_MOMENT];

	if (x->has_date &&
		buffer_append_text(&ret->date, text_minute(&l->run->out, x->date, text), f) < 0)
		return -1;
	if (escape_append(&ret->from, slice_text(x->from), f) < 0)
		return -1;
	return escape_append(&ret->subject, slice_text(x->subject), f);
}

static int print_text(
	struct message_list *l, const struct message *m, const struct shown *shown, struct fault *f)
{
	struct buffer account CLEANUP(buffer_deinit) = buffer_make(MIB);
	char id[SHORT_ID + 1], archived[TEXT_MOMENT], size[TEXT_NUMBER];
	struct slice sender = buffer_slice(&shown->from);

	message_short_id(m, id);
	if (l->run->out.terminal)
		sender = display_name(sender);
	if (escape_append(&account, slice_text(m->account), f) < 0)
		return -1;
	const struct slice texts[COLUMNS] = {
		[ID] = slice_text(id),
		[ARCHIVED] = slice_text(text_minute(&l->run->out, m->archived, archived)),
		[SIZE] = slice_text(text_size(m->size_bytes, size)),
		[ACCOUNT] = buffer_slice(&account),
		[DATE] = buffer_slice(&shown->date),
		[FROM] = sender,
		[SUBJECT] = buffer_slice(&shown->subject),
	};
	return print_line(l, texts, f);
}

static void print_json(struct message_list *l, const struct message *m, const struct indexed *x)
{
	struct json_line line;

	json_line_begin(&line, "message");
	message_json(&line, m);
	if (x) {
		if (x->has_date)
			json_add_moment(&line, "date", x->date);
		else
			json_add_value(&line, "date", json_null());
		json_add_text(&line, "from", x->from);
		json_add_text(&line, "to", x->to);
		json_add_text(&line, "subject", x->subject);
		json_add_text(&line, "message_id", x->message_id);
		json_add_count(&line, "attachments", x->attachments);
	}
	json_line_print(&line, &l->run->out);
}

int message_list_print(struct message_list *l, const struct message *m, struct fault *f)
{
	struct indexed x CLEANUP(indexed_deinit) = {0};
	struct shown shown CLEANUP(shown_deinit) = {
		buffer_make(MIB), buffer_make(MIB), buffer_make(MIB)};
	int known = look_up(l, m, &x, f);

	if (known < 0)
		return -1;
	if (l->run->json) {
		print_json(l, m, known == INDEX_NONE ? NULL : &x);
		return 0;
	}
	if (known == 0)
		return show_indexed(l, &x, &shown, f) < 0 ? -1 : print_text(l, m, &shown, f);
	if (show_header(l, m, &shown, f) == 0)
		return print_text(l, m, &shown, f);
	if (f->code != FAULT_DAMAGE)
		return -1;
	if (!l->damaged)
		run_complain(l->run, "%s; popkeep verify names all that are damaged", f->text);
	l->damaged = true;
	shown_deinit(&shown);
	shown.subject = buffer_make(MIB);
	if (buffer_append_text(&shown.subject, "(damaged)", f) < 0)
		return -1;
	return print_text(l, m, &shown, f);
}

void message_list_deinit(struct message_list *l)
{
	header_deinit(&l->header);
	buffer_deinit(&l->bytes);
}
