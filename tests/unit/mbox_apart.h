/* An mbox file taken apart by cli/mbox_parse.h, shown in windows that grow by `piece` bytes, into a
 * text: [message], {junk}; what is the format's does not appear. Every byte has to be in one event.
 */
#pragma once

#include "cli/mbox_parse.h"

#include <assert.h>

struct apart {
	struct buffer out;
	uint64_t accounted; /* bytes of all events */
	bool open, in_junk;
	struct mbox_parser parser;
};

static inline void apart_add(struct apart *a, const char *before, struct slice bytes)
{
	struct fault f;
	bool added = buffer_append_text(&a->out, before, &f) == 0 &&
		     buffer_append(&a->out, bytes.data, bytes.len, &f) == 0;

	assert(added);
	(void)added;
}

static inline void apart_event(struct apart *a, struct slice file, const struct mbox_event *e)
{
	struct slice none = {0}, rest;

	if (a->in_junk && e->kind != MBOX_JUNK && e->kind != MBOX_MORE) {
		apart_add(a, "}", none);
		a->in_junk = false;
	}
	switch (e->kind) {
	case MBOX_ASK:
		assert(e->taken == 0 && e->wanted > 0);
		rest = e->offset < file.len
			       ? slice_of(file.data + e->offset, file.len - (size_t)e->offset)
			       : none;
		rest.len = rest.len < e->wanted ? rest.len : e->wanted;
		mbox_parser_answer(&a->parser, MBOX_ANSWER, rest);
		break;
	case MBOX_JUNK:
		apart_add(a, a->in_junk ? "" : "{", e->bytes);
		a->in_junk = true;
		break;
	case MBOX_BEGIN:
		assert(!a->open);
		a->open = true;
		apart_add(a, "[", none);
		break;
	case MBOX_BYTES:
		assert(a->open);
		apart_add(a, "", e->bytes);
		break;
	case MBOX_END:
		assert(a->open);
		a->open = false;
		apart_add(a, "]", none);
		break;
	case MBOX_MORE:
	case MBOX_GAP:
	case MBOX_DONE:
		break;
	}
	a->accounted += e->taken;
}

/* out is emptied first. */
static inline void apart_take(struct apart *a, struct slice file, size_t piece,
	enum mbox_dialect dialect, enum mbox_lookup lookup)
{
	size_t begin = 0, end = 0;
	struct mbox_event e = {0};

	buffer_clear(&a->out);
	a->accounted = 0;
	a->open = a->in_junk = false;
	mbox_parser_begin(&a->parser, dialect, lookup, MBOX_FILE_BEGINS, 0);
	while (e.kind != MBOX_DONE) {
		enum mbox_window extent = end == file.len ? MBOX_WHOLE : MBOX_PART;

		mbox_parser_step(&a->parser, slice_of(file.data + begin, end - begin), extent, &e);
		assert(e.taken <= end - begin);
		begin += e.taken;
		apart_event(a, file, &e);
		if (e.kind != MBOX_MORE)
			continue;
		assert(extent == MBOX_PART && end - begin < LIMIT_MBOX_WINDOW);
		end = file.len - end < piece ? file.len : end + piece;
	}
	assert(begin == file.len && a->accounted == file.len && !a->open);
}
