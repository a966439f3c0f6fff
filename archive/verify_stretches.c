/* The stretches of an open segment, before it is decoded: the bytes of each are digested, and those
 * that are not what was written are remembered. Where decoding finds what is wrong in one, that is
 * told, with the messages; of the others, in which everything decodes to what it was, it is told
 * that the bytes have changed. */
#include "archive/verify.h"

#include <errno.h>

enum { STEP = 16 * 1024 * 1024, FIRST_SIZE = 16 };

int verify_stretches_begin(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	g->stretches_done = g->row.state == SEGMENT_SEALED;
	return g->stretches_done ? 0 : hasher_new(&g->file_hasher, f);
}

static int remember(struct verified_segment *g, int error, struct fault *f)
{
	if (g->bad_n == g->bad_size) {
		size_t size = g->bad_size ? g->bad_size * 2 : FIRST_SIZE;
		struct bad_stretch *grown = reallocarray(g->bad, size, sizeof *grown);

		if (!grown)
			return fault_memory(f);
		g->bad = grown;
		g->bad_size = size;
	}
	g->bad[g->bad_n++] = (struct bad_stretch){.from = g->stretch.offset,
		.to = g->stretch.offset + g->stretch.length,
		.error = error};
	return 0;
}

/* The next; those that lie behind what was kept when the segment was begun were written since. */
static int enter(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	uint64_t end = g->size < g->row.length ? g->size : g->row.length;
	int r = stretch_next(v->s->catalog, g->row.number, g->hashed, &g->stretch, f);

	if (r < 0)
		return -1;
	g->stretches_done = r == CATALOG_NONE || !stretch_lies_in(&g->stretch, end);
	g->hashed = g->stretch.offset;
	g->in_stretch = !g->stretches_done;
	return 0;
}

/* All of it was read. */
static int compare(struct verify *v, int error, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	uint64_t from = g->stretch.offset, to = from + g->stretch.length;
	struct digest found;

	hasher_end(g->file_hasher, &found);
	bool fits = error == 0 && digest_compare(&found, &g->stretch.digest) == 0;
	if (!fits && !g->again) {
		g->again = true;
		verify_uncache(g->fd, from, to);
		g->hashed = from;
		return 0;
	}
	if (fits && g->again)
		verify_reread(v, g->file, from, to);
	g->again = false;
	g->in_stretch = false;
	g->hashed = to;
	return fits ? 0 : remember(g, error, f);
}

int verify_stretches(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	int error = 0;

	if (!g->in_stretch)
		return enter(v, f);
	uint64_t end = g->stretch.offset + g->stretch.length;
	uint64_t to = end - g->hashed < STEP ? end : g->hashed + STEP;
	if (file_add_to_hasher(g->fd, g->hashed, to, g->file_hasher) < 0)
		error = errno;
	g->hashed = to;
	return error != 0 || to == end ? compare(v, error, f) : 0;
}

void verify_explain(struct verify *v, uint64_t from, uint64_t to)
{
	struct verified_segment *g = &v->segment;

	for (size_t i = 0; i < g->bad_n; i++) {
		if (from < g->bad[i].to && to > g->bad[i].from)
			g->bad[i].explained = true;
	}
}

bool verify_tell_stretch(struct verify *v)
{
	struct verified_segment *g = &v->segment;

	while (g->bad_told < g->bad_n && g->bad[g->bad_told].explained)
		g->bad_told++;
	if (g->bad_told == g->bad_n)
		return false;
	const struct bad_stretch *b = &g->bad[g->bad_told++];
	struct damage *d = verify_found(v, g->file, b->from, b->to, "%s",
		b->error ? strerror(b->error)
			 : "not the bytes that were written, though every message in them is "
			   "whole");
	verify_advise(d, "run `popkeep seal` or `popkeep salvage %" PRIu64 "`, which makes it good",
		g->row.number);
	return true;
}
