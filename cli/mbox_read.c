#include "cli/mbox_read.h"

#include "archive/escape.h"
#include "cli/mbox_dialect.h"
#include "cli/mbox_from.h"
#include "cli/mbox_marks.h"
#include "cli/mbox_source.h"
#include "cli/output.h"
#include "cli/takeout.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { ENDED = 1 }; /* what comes cannot be read; it was told */

struct reading {
	struct mbox_source source;
	struct mbox_parser parser;
	const struct import_taker *taker;
	const char *name, *folder;
	uint64_t base;
	enum mbox_dialect forced;
	char why[MBOX_WHY]; /* this dialect */
	struct mbox_marks marks;
	struct takeout takeout;
	char *where; /* of where_size bytes */
	size_t where_size;
	enum {
		BETWEEN,
		GIVEN,	/* to the taker */
		SKIPPED /* by the taker, or passed over: its bytes go nowhere */
	} message;
	uint64_t expunged, internal;
	uint64_t missing; /* of the last message */
};

/* ---- What dialect it is ---------------------------------------------------------------------- */

static void answer(struct mbox_source *s, struct mbox_parser *p, const struct mbox_event *e)
{
	uint8_t bytes[2048];
	size_t n = e->wanted < sizeof bytes ? e->wanted : sizeof bytes;
	ssize_t got = mbox_source_look(s, e->offset, bytes, n);

	mbox_parser_answer(p, got < 0 ? MBOX_NO_ANSWER : MBOX_ANSWER,
		slice_of(bytes, got < 0 ? 0 : (size_t)got));
}

/* Whatever is in the bytes. */
static void look_at(struct mbox_source *s, struct mbox_look *look, struct slice bytes,
	enum mbox_window extent, uint64_t offset)
{
	struct mbox_parser p;
	struct mbox_event e = {0};

	mbox_parser_begin(&p, MBOX_ANY, s->stream ? MBOX_CANNOT_ASK : MBOX_CAN_ASK,
		offset == 0 ? MBOX_FILE_BEGINS : MBOX_SOMEWHERE, offset);
	for (;;) {
		mbox_parser_step(&p, bytes, extent, &e);
		if (e.kind == MBOX_MORE || e.kind == MBOX_DONE)
			break;
		if (e.kind == MBOX_ASK)
			answer(s, &p, &e);
		if (e.kind == MBOX_BEGIN)
			mbox_look_message(look, &e);
		bytes = slice_of(bytes.data + e.taken, bytes.len - e.taken);
	}
	mbox_look_add(look, &p.counts);
}

/* Over what lies behind the window. */
static int look_further(struct mbox_source *s, struct mbox_look *look, struct fault *f)
{
	enum { STRETCHES = 8, STRETCH = 256 * 1024 };
	uint8_t *bytes CLEANUP(freep) = malloc(STRETCH);
	uint64_t step = s->size / (STRETCHES + 1);

	if (!bytes)
		return fault_memory(f);
	for (uint64_t i = 1; i <= STRETCHES; i++) {
		uint64_t at = i * step;
		ssize_t n = at < s->end ? 0 : mbox_source_look(s, at, bytes, STRETCH);

		if (n > 0)
			look_at(s, look, slice_of(bytes, (size_t)n), MBOX_PART, at);
	}
	return 0;
}

static int find_dialect(struct reading *r, struct fault *f)
{
	struct mbox_look look = {0};
	int ended = 0;

	/* What breaks here breaks again, where it is told. */
	while (ended == 0 && r->source.extent == MBOX_PART && r->source.end < LIMIT_MBOX_WINDOW) {
		ended = mbox_source_more(&r->source, f);
		if (ended < 0)
			return -1;
	}
	enum mbox_dialect dialect = r->forced;
	if (dialect == MBOX_ANY) {
		look_at(&r->source, &look, mbox_source_window(&r->source), r->source.extent, 0);
		if (!r->source.stream && look_further(&r->source, &look, f) < 0)
			return -1;
		dialect = mbox_look_decide(&look, r->why);
	}
	mbox_parser_begin(&r->parser, dialect, r->source.stream ? MBOX_CANNOT_ASK : MBOX_CAN_ASK,
		MBOX_FILE_BEGINS, 0);
	return 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static int begin_message(struct reading *r, const struct mbox_event *e, struct fault *f)
{
	struct found found = {.where = r->where, .folder = r->folder};

	if (mbox_marks_read(e->header, &r->marks, f) < 0)
		return -1;
	r->message = SKIPPED;
	if (r->marks.kind == MBOX_INTERNAL && r->parser.counts.messages == 1) {
		r->internal++;
		return 0;
	}
	if (r->marks.kind == MBOX_EXPUNGED) {
		r->expunged++;
		return 0;
	}
	(void)snprintf(r->where, r->where_size, "%s: message %" PRIu64 " at byte %" PRIu64, r->name,
		r->parser.counts.messages, e->offset);
	if (r->marks.labels.len > 0) {
		if (takeout_read(&r->marks, &r->takeout, f) < 0)
			return -1;
		found.folder = r->takeout.folder[0];
		found.also = r->takeout.folder + 1;
		found.also_n = r->takeout.n - 1;
	}
	found.flags = buffer_text(&r->marks.flags);
	if (!found.flags)
		return fault_memory(f);
	(void)mbox_from_parse(e->from, &found.received);
	if (r->taker->begin(r->taker->context, &found, f) < 0)
		return -1;
	r->message = GIVEN;
	return 0;
}

static int give_bytes(struct reading *r, struct slice bytes, struct fault *f)
{
	if (r->message != GIVEN || bytes.len == 0)
		return 0;
	int given = r->taker->bytes(r->taker->context, bytes, f);
	if (given == IMPORT_SKIP)
		r->message = SKIPPED;
	return given < 0 ? -1 : 0;
}

/* The message that is open cannot be whole, and nothing behind it can be read. */
static int break_off(struct reading *r, struct fault *f)
{
	if (r->message == GIVEN && r->taker->refuse(r->taker->context, NULL, r->source.why, f) < 0)
		return -1;
	r->message = BETWEEN;
	if (r->taker->lost(r->taker->context, r->name, r->source.why, f) < 0)
		return -1;
	return ENDED;
}

static int end_message(struct reading *r, const struct mbox_event *e, struct fault *f)
{
	bool last = e->taken == r->source.end - r->source.begin && r->source.extent == MBOX_WHOLE;

	if (last && mbox_source_check_end(&r->source) != 0)
		return break_off(r, f);
	r->missing = e->missing;
	if (r->message == GIVEN && r->taker->end(r->taker->context, f) < 0)
		return -1;
	r->message = BETWEEN;
	return 0;
}

static int handle(struct reading *r, const struct mbox_event *e, struct fault *f)
{
	int more;

	switch (e->kind) {
	case MBOX_MORE:
		more = mbox_source_more(&r->source, f);
		return more == MBOX_SOURCE_ENDS ? break_off(r, f) : more;
	case MBOX_ASK:
		answer(&r->source, &r->parser, e);
		return 0;
	case MBOX_BEGIN:
		return begin_message(r, e, f);
	case MBOX_BYTES:
		return give_bytes(r, e->bytes, f);
	case MBOX_END:
		return end_message(r, e, f);
	case MBOX_GAP:
	case MBOX_JUNK:
	case MBOX_DONE:
		return 0;
	}
	return 0;
}

static int read_all(struct reading *r, struct fault *f)
{
	enum { STEP = 256 * 1024 };
	struct mbox_event e = {0};
	uint64_t told = 0;

	while (e.kind != MBOX_DONE) {
		mbox_parser_step(&r->parser, mbox_source_window(&r->source), r->source.extent, &e);
		int done = handle(r, &e, f);
		if (done != 0)
			return done;
		mbox_source_take(&r->source, e.taken);
		if (r->source.stream || r->source.offset - told < STEP)
			continue;
		told = r->source.offset;
		if (r->taker->position(r->taker->context, r->base + told, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- What people should know ----------------------------------------------------------------- */

static int note(struct reading *r, struct fault *f, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int note(struct reading *r, struct fault *f, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return r->taker->note(r->taker->context, r->name, text, f) < 0 ? -1 : 0;
}

static int read_as(struct reading *r, struct fault *f, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int read_as(struct reading *r, struct fault *f, const char *format, ...)
{
	const char *name = mbox_dialect_name(r->parser.dialect);
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return r->taker->read_as(r->taker->context, r->name, name, text, f) < 0 ? -1 : 0;
}

static int note_dialect(struct reading *r, struct fault *f)
{
	const struct mbox_counts *c = &r->parser.counts;
	const char *name = mbox_dialect_name(r->parser.dialect);

	if (c->messages == 0)
		return 0;
	if (r->forced != MBOX_ANY)
		return read_as(r, f, "read as %s, as --mbox-dialect says", name);
	if (r->parser.dialect != MBOX_RD)
		return read_as(r, f, "read as %s: %s", name, r->why);
	if (c->quoted_more == 0)
		return read_as(r, f, "read as mboxrd: %s (mboxo would be the same)", r->why);
	/* Somebody may have to decide: of each file, however many there are. */
	if (note(r, f,
		    "read as mboxrd: %" PRIu64 " %s with \">>From \"; --mbox-dialect mboxo leaves "
		    "that as it is",
		    c->quoted_more, plural(c->quoted_more, "line begins", "lines begin")) < 0)
		return -1;
	return r->taker->read_as(r->taker->context, r->name, name, NULL, f) < 0 ? -1 : 0;
}

static int note_lines(struct reading *r, struct fault *f)
{
	const struct mbox_counts *c = &r->parser.counts;
	uint64_t doubtful = c->from_text - c->from_counted;

	if (doubtful > 0 && note(r, f,
				    "%" PRIu64 " %s with \"From \": taken as text (%" PRIu64
				    " with a date); the first at byte %" PRIu64,
				    doubtful, plural(doubtful, "line begins", "lines begin"),
				    c->from_dated, c->from_first) < 0)
		return -1;
	if (c->doubled > 0 && note(r, f, "%" PRIu64 " %s more than one \"From \" line", c->doubled,
				      plural(c->doubled, "message has", "messages have")) < 0)
		return -1;
	if (c->no_blank > 0 && note(r, f, "%" PRIu64 " %s no empty line behind", c->no_blank,
				       plural(c->no_blank, "message has", "messages have")) < 0)
		return -1;
	if (r->missing > 0)
		return note(r, f,
			"ends %" PRIu64
			" bytes before its last message does, as Content-Length says; what is "
			"there of it was taken",
			r->missing);
	if (c->unended > 0)
		return note(r, f, "its last line has no end; the file may have been cut");
	return 0;
}

static int note_lengths(struct reading *r, struct fault *f)
{
	const struct mbox_counts *c = &r->parser.counts;

	if (c->length_wrong > 0 && note(r, f,
					   "Content-Length is wrong in %" PRIu64
					   " messages; their ends were looked for",
					   c->length_wrong) < 0)
		return -1;
	if (c->length_unknown > 0 &&
		note(r, f,
			"Content-Length of %" PRIu64
			" %s leads too far to be checked in an archive; unpack it to have it "
			"followed",
			c->length_unknown, plural(c->length_unknown, "message", "messages")) < 0)
		return -1;
	return 0;
}

static int note_rest(struct reading *r, struct fault *f)
{
	const struct mbox_counts *c = &r->parser.counts;
	char text[128];

	if (r->expunged > 0 &&
		note(r, f,
			"%" PRIu64 " %s deleted and only waited to be compacted away; passed over",
			r->expunged, plural(r->expunged, "message is", "messages are")) < 0)
		return -1;
	if (r->internal > 0 &&
		note(r, f, "its first message is a mail program's own data and no mail") < 0)
		return -1;
	if (r->source.more > 0 &&
		note(r, f, "%" PRIu64 " bytes came while it was read; import it again for them",
			r->source.more) < 0)
		return -1;
	if (c->junk == 0)
		return 0;
	(void)snprintf(text, sizeof text,
		c->messages ? "%" PRIu64 " bytes before its first message belong to none"
			    : "is no mbox: no \"From \" line in %" PRIu64 " bytes",
		c->junk);
	return r->taker->lost(r->taker->context, r->name, text, f) < 0 ? -1 : 0;
}

/* ---- A file ---------------------------------------------------------------------------------- */

static int read_source(struct reading *r, struct fault *f)
{
	r->where_size = strlen(r->name) + 80;
	r->where = malloc(r->where_size);
	if (!r->where)
		return fault_memory(f);
	if (find_dialect(r, f) < 0)
		return -1;
	int done = read_all(r, f);
	if (done < 0)
		return -1;
	if (note_dialect(r, f) < 0 || note_lines(r, f) < 0 || note_lengths(r, f) < 0 ||
		note_rest(r, f) < 0)
		return -1;
	return 0;
}

static int run(struct reading *r, struct fault *f)
{
	int done = mbox_source_open(&r->source, f);

	if (done < 0 && f->code == FAULT_SYSTEM)
		done = r->taker->lost(r->taker->context, r->name, f->text, f);
	else if (done == 0)
		done = read_source(r, f);
	mbox_source_close(&r->source);
	mbox_marks_deinit(&r->marks);
	takeout_deinit(&r->takeout);
	free(r->where);
	return done;
}

int mbox_read_file(const struct mbox_file *file, enum mbox_dialect dialect,
	const struct import_taker *t, struct fault *f)
{
	struct reading r = {.source = {.fd = file->fd},
		.taker = t,
		.name = file->name,
		.folder = file->folder,
		.base = file->base,
		.forced = dialect};

	return run(&r, f);
}

int mbox_read_stream(const struct import_stream *s, enum mbox_dialect dialect,
	const struct import_taker *t, struct fault *f)
{
	struct reading r = {.source = {.fd = -1, .stream = s},
		.taker = t,
		.name = s->name,
		.folder = s->folder,
		.forced = dialect};

	return run(&r, f);
}
