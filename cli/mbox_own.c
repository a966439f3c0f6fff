#include "cli/mbox_own.h"

#include "archive/escape.h"
#include "cli/import_own.h"
#include "cli/mbox_marks.h"
#include "cli/mbox_source.h"
#include "cli/output.h"
#include "cli/takeout.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { OUT = 64 * 1024 };

struct own {
	const struct mbox_file *file;
	const struct import_taker *taker;
	const char *name; /* of the file, without its folder */
	struct mbox_source source;
	struct mbox_marks marks;
	struct takeout takeout;
	struct hasher *hasher;
	uint64_t end;	  /* where the message before ends */
	uint64_t number;  /* of the message */
	uint64_t changed; /* messages that are not what the manifest says */
	bool fits;	  /* the manifest tells of every byte up to end */
	bool open;	  /* a message was begun, and not ended */
	bool skipped;	  /* by the taker */
	uint8_t *out;	  /* of OUT bytes */
	size_t out_len;
};

/* ---- What the manifest tells ----------------------------------------------------------------- */

static int check_entry(void *context, const struct manifest_entry *e, struct fault *f)
{
	struct own *o = context;

	(void)f;
	if (strcmp(e->file, o->name) != 0)
		return 0;
	if (e->offset != o->end || e->length == MANIFEST_NONE || !e->line_ends ||
		__builtin_add_overflow(e->offset, e->length, &o->end)) {
		o->fits = false;
		o->end = MANIFEST_NONE;
	}
	return 0;
}

/* ---- One message ----------------------------------------------------------------------------- */

enum way {
	WAY_CHECK, /* its exact bytes are digested */
	WAY_EXACT, /* and given */
	WAY_PLAIN  /* what stands in the file is given, unquoted */
};

struct message_way {
	enum way way;
	bool crlf;
	uint64_t left; /* of the message's size */
};

static int put(struct own *o, enum way way, struct slice bytes, struct fault *f)
{
	if (bytes.len == 0)
		return 0;
	if (way == WAY_CHECK) {
		hasher_add(o->hasher, bytes.data, bytes.len);
		return 0;
	}
	int r = o->skipped ? 0 : o->taker->bytes(o->taker->context, bytes, f);
	o->skipped |= r == IMPORT_SKIP;
	return r < 0 ? -1 : 0;
}

static int flush(struct own *o, struct message_way *w, struct fault *f)
{
	size_t n = o->out_len < w->left ? o->out_len : (size_t)w->left;

	o->out_len = 0;
	w->left -= n;
	return put(o, w->way, slice_of(o->out, n), f);
}

/* LF becomes CRLF; what is beyond the size goes. */
static int convert(struct own *o, struct message_way *w, struct slice bytes, struct fault *f)
{
	while (bytes.len > 0) {
		const uint8_t *lf = memchr(bytes.data, '\n', bytes.len);
		size_t n = lf ? (size_t)(lf - bytes.data) : bytes.len;

		if (o->out_len + 2 > OUT && flush(o, w, f) < 0)
			return -1;
		if (n > OUT - 2 - o->out_len) {
			n = OUT - 2 - o->out_len;
			lf = NULL;
		}
		memcpy(o->out + o->out_len, bytes.data, n);
		o->out_len += n;
		if (lf) {
			memcpy(o->out + o->out_len, "\r\n", 2);
			o->out_len += 2;
		}
		n += lf != NULL;
		bytes = slice_of(bytes.data + n, bytes.len - n);
		if (!lf && bytes.len > 0 && flush(o, w, f) < 0)
			return -1;
	}
	return flush(o, w, f);
}

static int bytes_of(struct own *o, struct message_way *w, struct slice bytes, struct fault *f)
{
	if (w->way == WAY_PLAIN)
		return put(o, w->way, bytes, f);
	if (w->crlf)
		return convert(o, w, bytes, f);
	size_t n = bytes.len < w->left ? bytes.len : (size_t)w->left;
	w->left -= n;
	return put(o, w->way, slice_of(bytes.data, n), f);
}

static int begin(struct own *o, const struct mbox_event *event, const struct manifest_entry *e,
	struct fault *f)
{
	char where[512];
	struct found found = {.where = where, .folder = o->file->folder, .received = e->archived};

	(void)snprintf(where, sizeof where, "%s: message %" PRIu64 " at byte %" PRIu64,
		o->file->name, o->number, event->offset);
	if (mbox_marks_read(event->header, &o->marks, f) < 0)
		return -1;
	if (o->marks.labels.len > 0) {
		if (takeout_read(&o->marks, &o->takeout, f) < 0)
			return -1;
		found.folder = o->takeout.folder[0];
		found.also = o->takeout.folder + 1;
		found.also_n = o->takeout.n - 1;
	}
	found.flags = buffer_text(&o->marks.flags);
	if (!found.flags)
		return fault_memory(f);
	o->skipped = false;
	o->open = true;
	return o->taker->begin(o->taker->context, &found, f) < 0 ? -1 : 0;
}

static int handle(struct own *o, struct message_way *w, const struct mbox_event *event,
	const struct manifest_entry *e, struct fault *f)
{
	if (event->kind == MBOX_BYTES)
		return bytes_of(o, w, event->bytes, f);
	if (event->kind == MBOX_MORE)
		return mbox_source_more(&o->source, f);
	if (w->way == WAY_CHECK)
		return 0;
	if (event->kind == MBOX_BEGIN)
		return begin(o, event, e, f);
	if (event->kind != MBOX_END)
		return 0;
	o->open = false;
	if (!o->skipped)
		return o->taker->end(o->taker->context, f) < 0 ? -1 : 0;
	return 0;
}

/* The bytes that the manifest says are the message, in one of the ways. MBOX_SOURCE_ENDS. */
static int walk(struct own *o, const struct manifest_entry *e, enum way way, struct fault *f)
{
	struct message_way w = {way, strcmp(e->line_ends, "crlf") == 0, e->size};
	struct mbox_event event = {0};
	struct mbox_parser p;

	o->source.begin = o->source.end = o->source.tail_len = 0;
	o->source.offset = e->offset;
	o->source.size = e->offset + e->length;
	o->source.extent = MBOX_PART;
	mbox_parser_begin(&p, MBOX_RD, MBOX_CANNOT_ASK, MBOX_FILE_BEGINS, e->offset);
	while (event.kind != MBOX_DONE) {
		mbox_parser_step(&p, mbox_source_window(&o->source), o->source.extent, &event);
		int r = handle(o, &w, &event, e, f);
		if (r != 0)
			return r;
		mbox_source_take(&o->source, event.taken);
	}
	return 0;
}

static int give_entry(void *context, const struct manifest_entry *e, struct fault *f)
{
	struct own *o = context;
	struct digest digest;

	if (strcmp(e->file, o->name) != 0 || o->source.ended)
		return 0;
	/* It was looked through before, and may have been changed since. */
	if (e->length == MANIFEST_NONE || !e->line_ends || e->offset > o->end ||
		e->length > o->end - e->offset)
		return 0;
	o->number++;
	int r = walk(o, e, WAY_CHECK, f);
	hasher_end(o->hasher, &digest);
	if (r == 0) {
		bool same = digest_compare(&digest, &e->digest) == 0;

		o->changed += !same;
		r = walk(o, e, same ? WAY_EXACT : WAY_PLAIN, f);
	}
	if (r == MBOX_SOURCE_ENDS && o->open && !o->skipped)
		r = o->taker->refuse(o->taker->context, NULL, o->source.why, f);
	o->open = false;
	if (r < 0)
		return -1;
	return o->taker->position(o->taker->context, o->file->base + e->offset + e->length, f) < 0
		       ? -1
		       : 0;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static int note(struct own *o, const char *what, struct fault *f)
{
	return o->taker->note(o->taker->context, o->file->name, what, f) < 0 ? -1 : 0;
}

static int give_all(struct own *o, int manifest, struct fault *f)
{
	char shown[256], text[160];
	uint64_t end, bad;

	(void)escape_text(slice_text(o->name), shown, sizeof shown);
	if (mbox_source_open(&o->source, f) < 0 || hasher_new(&o->hasher, f) < 0 ||
		lseek(manifest, 0, SEEK_SET) < 0 ||
		manifest_walk(manifest, shown, give_entry, o, &end, &bad, f) < 0)
		return -1;
	if (o->source.ended &&
		o->taker->lost(o->taker->context, o->file->name, o->source.why, f) < 0)
		return -1;
	if (note(o, "read as popkeep's own export, by its manifest: the exact bytes", f) < 0)
		return -1;
	if (o->changed == 0)
		return 0;
	(void)snprintf(text, sizeof text,
		"%" PRIu64 " %s not what its manifest says; taken as it is in the file", o->changed,
		plural(o->changed, "message is", "messages are"));
	return note(o, text, f);
}

int mbox_own_read(const struct mbox_file *file, int at, const char *path,
	const struct import_taker *t, struct fault *f)
{
	const char *slash = strrchr(path, '/');
	struct own o = {.file = file, .taker = t, .name = slash ? slash + 1 : path, .fits = true};
	int manifest CLEANUP(fd_closep) = import_own_beside(at, path);
	uint64_t end, bad = 0;
	struct stat st;
	int r = -1;

	if (manifest < 0 || fstat(file->fd, &st) < 0)
		return MBOX_OWN_NOT;
	if (manifest_walk(manifest, "", check_entry, &o, &end, &bad, f) < 0 || bad || !o.fits ||
		o.end != (uint64_t)st.st_size || o.end == 0)
		return MBOX_OWN_NOT;
	o.source.fd = file->fd;
	o.out = malloc(OUT);
	if (o.out)
		r = t->own_begin(t->context, manifest, file->name, f);
	else
		(void)fault_memory(f);
	if (r == 0) {
		r = give_all(&o, manifest, f);
		t->own_end(t->context);
	}
	mbox_source_close(&o.source);
	mbox_marks_deinit(&o.marks);
	takeout_deinit(&o.takeout);
	(void)hasher_free(o.hasher);
	free(o.out);
	return r;
}
