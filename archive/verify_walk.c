/* A segment decoded from beginning to end, each entry digested, recipes put together first, and
 * compared with the messages that the catalog has there: open segments, and sealed ones in
 * VERIFY_FULL. Open ones have no table of digests; each frame has its content checksum, which
 * covers tar headers and padding too, but not every bit of the frame itself: those of its header
 * that no decoder looks at are compared with what is always written there, and the bytes of each
 * group with the digest that the catalog has of them (verify_stretches.c). */
#include "archive/frame_header.h"
#include "archive/verify.h"

#include <stdio.h>

static int begin_walk(struct verify *v, uint64_t from, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	uint64_t end = g->size < g->row.length ? g->size : g->row.length;

	g->walk = segment_walk_close(g->walk);
	if (from >= end)
		return 0;
	return segment_walk_open(g->fd, g->row.number, from, end, WALK_DIGEST, &g->walk, f);
}

/* Bits of frames' headers that change nothing. */
static int check_headers(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	uint64_t end = g->size < g->row.length ? g->size : g->row.length;
	struct frame_headers h = {.offset = g->read};
	int r = frame_headers_check(g->fd, end, &h, f);

	v->sums.frames += h.frames;
	if (r == FRAME_ODD && !g->again) {
		v->sums.frames--; /* it comes again */
		g->again = true;
		g->suspect = h.from;
		verify_uncache(g->fd, h.from, h.offset);
		g->read = h.from;
		return 0;
	}
	if (r == FRAME_ODD) {
		verify_explain(v, h.from, h.offset);
		verify_advise_segment(
			v, verify_found(v, g->file, h.from, h.offset,
				   "the header of this frame is not as it was written"));
	} else if (g->again) {
		verify_reread(v, g->file, g->suspect, g->suspect + 1);
	}
	g->again = false;
	g->read = h.offset;
	g->headers_done = r != FRAME_ODD;
	return r < 0 ? -1 : 0;
}

int verify_walk_begin(struct verify *v, struct fault *f)
{
	v->segment.headers_done = v->segment.row.state == SEGMENT_SEALED;
	v->segment.again = false;
	return verify_stretches_begin(v, f) < 0 ? -1 : begin_walk(v, 0, f);
}

static int order(const struct location *a, const struct location *b)
{
	if (a->frame_offset != b->frame_offset)
		return a->frame_offset < b->frame_offset ? -1 : 1;
	return (a->entry_offset > b->entry_offset) - (a->entry_offset < b->entry_offset);
}

/* The entry at the place of the message expected next: is it that message? */
static int check_entry(struct verify *v, const struct segment_entry *e, struct fault *f)
{
	const struct message *m = &v->segment.expected;
	const char *wrong = NULL;

	if (!entry_is_message(e->kind) || digest_compare(&e->named, &m->digest) != 0)
		wrong = "another entry lies there";
	else if (e->unread)
		wrong = "it cannot be put together";
	else if (digest_compare(&e->found, &m->digest) != 0 || e->size != m->size_bytes)
		wrong = "its bytes have another digest";
	if (!v->segment.counted) {
		v->sums.messages++;
		v->sums.bytes += e->size;
	}
	if (wrong) {
		/* The frame's checksum fits: what was wrong was this machine's memory, or what was
		 * written. */
		verify_uncache(v->segment.fd, m->at.frame_offset, 0);
		frame_cache_deinit(&v->s->cache);
		int r = message_check(v->s, m, f);
		if (r < 0 && f->code != FAULT_DAMAGE)
			return -1;
		if (r < 0)
			verify_advise_segment(v, verify_found_message(v, wrong));
		else
			verify_reread(
				v, v->segment.file, m->at.frame_offset, m->at.frame_offset + 1);
	}
	return verify_next_expected(v, f);
}

/* The walk went past the place of the message expected next. */
static int miss_one(struct verify *v, struct fault *f)
{
	if (!v->segment.counted)
		v->sums.messages++;
	(void)verify_found_message(
		v, v->segment.fd < 0 ? "its segment is missing" : "it cannot be decoded");
	return verify_next_expected(v, f);
}

/* What cannot be decoded is decoded again from the disk, from the last frame that could be, before
 * it is called damage. */
static int meet_damage(struct verify *v, uint64_t from, uint64_t to, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	if (g->again) {
		g->again = false;
		verify_explain(v, from, to);
		verify_advise_segment(v, verify_found(v, g->file, from, to, "%s", f->text));
		return 0;
	}
	g->again = true;
	g->suspect = from;
	g->suspect_end = to;
	uint64_t begin = g->any ? g->last.frame_offset : 0;
	verify_uncache(g->fd, begin, to);
	return begin_walk(v, begin, f);
}

/* It was passed without trouble this time. */
static void pass_suspect(struct verify *v, uint64_t offset)
{
	struct verified_segment *g = &v->segment;

	if (!g->again || offset <= g->suspect)
		return;
	g->again = false;
	verify_reread(v, g->file, g->suspect, g->suspect_end);
}

static int meet_entry(struct verify *v, const struct segment_entry *e, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	pass_suspect(v, e->frames_end);
	if (g->any && order(&e->at, &g->last) <= 0)
		return 0; /* seen before the second reading began */
	int o = g->has_expected ? order(&g->expected.at, &e->at) : 1;
	if (o < 0) {
		g->entry = *e;
		g->waiting = true;
		return miss_one(v, f);
	}
	g->any = true;
	g->last = e->at;
	g->has_ledger = g->has_ledger || e->kind == ENTRY_LEDGER;
	if (e->kind == ENTRY_PART && digest_compare(&e->named, &e->found) != 0)
		verify_advise_segment(
			v, verify_found(v, g->file, e->at.frame_offset, e->frames_end,
				   "a part in it has another digest than its name says"));
	return o == 0 ? check_entry(v, e, f) : 0; /* >0: not the place that counts of any message */
}

/* What stands behind the messages of a sealed segment. */
static void check_tail(struct verify *v)
{
	struct verified_segment *g = &v->segment;
	uint64_t end;
	enum walk_tail tail = segment_walk_tail(g->walk, &end);
	const char *wrong = NULL;

	if (!g->has_ledger)
		wrong = "it has no entry LEDGER";
	else if (tail != TAIL_BLOCKS)
		wrong = "tar's end blocks are missing";
	else if (g->table.frames > 0 && end != frame_table_end(&g->table))
		wrong = "frames stand behind those of its table";
	if (wrong)
		verify_advise_segment(v, verify_found(v, g->file, 0, 0, "%s", wrong));
}

int verify_walk(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	struct segment_entry e;
	uint64_t from, to;

	if (!g->stretches_done)
		return verify_stretches(v, f);
	if (!g->headers_done)
		return check_headers(v, f);
	if (!g->walk) {
		if (g->has_expected)
			return miss_one(v, f);
		if (!verify_tell_stretch(v))
			g->phase = PHASE_END;
		return 0;
	}
	/* An entry that waits was read already. */
	int r = g->waiting ? WALK_ENTRY : segment_walk_next(g->walk, &e, &from, &to, f);
	if (g->waiting)
		e = g->entry;
	g->waiting = false;
	if (r < 0)
		return -1;
	if (r == WALK_DAMAGE)
		return meet_damage(v, from, to, f);
	if (r == WALK_ENTRY)
		return meet_entry(v, &e, f);
	pass_suspect(v, UINT64_MAX);
	if (g->row.state == SEGMENT_SEALED)
		check_tail(v);
	g->walk = segment_walk_close(g->walk);
	return 0;
}
