#include "archive/limits.h"
#include "archive/recipe.h"
#include "archive/segment.h"
#include "archive/segment_entry.h"

#include <inttypes.h>
#include <stdio.h>

/* A message is read from its .eml entry, or put together from its .recipe and the parts that it
 * names. There is no recursion: a part is bytes. The recipe's sums are checked first, and each
 * piece gives exactly the bytes that were added up, so that nothing grows beyond the size that the
 * caller knows. */

enum {
	STEP = 256 * 1024,	/* of a message, to the sink at once */
	PART_STEP = 48 * 1024,	/* of a part, encoded at once */
	RECIPE_STEP = 8 * 1024, /* of a recipe, while its text is looked for */
};

/* A message on its way to the sink. */
struct giving {
	int fd;
	struct frame_cache *cache;
	const struct location *at;
	uint64_t size, limit; /* limit: what may still be given */
	message_sink *sink;
	void *context;
};

static int other(struct fault *f, const char *what)
{
	fault_record(f, FAULT_DAMAGE, SCOPE_MESSAGE, 0, "%s", what);
	return ENTRY_OTHER;
}

static int give(struct giving *g, struct slice bytes, struct fault *f)
{
	if (bytes.len > g->limit)
		bytes.len = (size_t)g->limit;
	g->limit -= bytes.len;
	return bytes.len > 0 ? g->sink(g->context, bytes, f) : 0;
}

/* The entry at this place of the segment. 0, ENTRY_OTHER. */
static int open_at(struct giving *g, uint64_t frame_offset, uint64_t entry_offset,
	struct segment_entry_reader *ret, struct fault *f)
{
	struct cached_frame *frame;
	int r = frame_cache_hold(g->cache, g->fd, g->at->segment, frame_offset, &frame, f);

	if (r < 0)
		return -1;
	if (r == FRAME_NONE)
		return other(f, "the file ends before it");
	if (frame->start != frame_offset) {
		frame_cache_release(frame);
		return other(f, "no frame begins there");
	}
	r = segment_entry_open(ret, g->fd, frame, entry_offset, g->cache->end, f);
	if (r == ENTRY_ZERO)
		return other(f, "zero bytes lie there");
	return r < 0 ? -1 : r > 0 ? ENTRY_OTHER : 0;
}

static int next_bytes(
	struct segment_entry_reader *e, uint64_t most, struct slice *ret, struct fault *f)
{
	int r = segment_entry_next(e, most, ret, f);

	return r < 0 ? -1 : r > 0 ? ENTRY_OTHER : 0;
}

/* n bytes of the entry. */
static int give_bytes(struct giving *g, struct segment_entry_reader *e, uint64_t n, struct fault *f)
{
	struct slice bytes;

	while (n > 0 && g->limit > 0) {
		int r = next_bytes(e, n < STEP ? n : STEP, &bytes, f);

		if (r != 0)
			return r;
		if (bytes.len == 0)
			return other(f, "an entry is shorter than its recipe says");
		n -= bytes.len;
		if (give(g, bytes, f) < 0)
			return -1;
	}
	return 0;
}

/* ---- Recipes ------------------------------------------------------------------------------- */

/* Its text is in head, with literal bytes behind it perhaps; the other ones are still in entry. */
struct assembly {
	struct giving *g;
	struct segment_entry_reader *entry;
	struct buffer head, encoded;
	size_t head_at; /* literal bytes of head that were given */
	struct recipe recipe;
};

static void assembly_freep(struct assembly **a)
{
	if (!*a)
		return;
	buffer_deinit(&(*a)->head);
	buffer_deinit(&(*a)->encoded);
	free(*a);
	*a = NULL;
}

static int give_literal(struct assembly *a, uint64_t n, struct fault *f)
{
	size_t have = a->head.len - a->head_at;
	size_t some = n < have ? (size_t)n : have;

	if (give(a->g, slice_of(a->head.data + a->head_at, some), f) < 0)
		return -1;
	a->head_at += some;
	return give_bytes(a->g, a->entry, n - some, f);
}

static int give_base64(struct assembly *a, struct segment_entry_reader *part, const struct piece *p,
	struct fault *f)
{
	struct base64_lines b;
	struct slice bytes;

	base64_lines_init(&b, p->line, p->eol);
	do {
		int r = next_bytes(part, PART_STEP, &bytes, f);

		if (r != 0)
			return r;
		buffer_clear(&a->encoded);
		if (base64_lines_add(&b, bytes, &a->encoded, f) < 0 ||
			(part->left == 0 && base64_lines_end(&b, &a->encoded, f) < 0) ||
			give(a->g, buffer_slice(&a->encoded), f) < 0)
			return -1;
	} while (part->left > 0 && a->g->limit > 0);
	return 0;
}

static int give_part(struct assembly *a, const struct piece *p, struct fault *f)
{
	struct segment_entry_reader part;
	struct digest named;

	int r = open_at(a->g, p->frame_offset, p->entry_offset, &part, f);
	if (r != 0)
		return r;
	if (segment_entry_kind(part.header.name, &named) != ENTRY_PART ||
		digest_compare(&named, &p->part) != 0 || part.header.size != p->part_size)
		r = other(f, "its recipe names a part that does not lie there");
	else if (p->kind == PIECE_RAW)
		r = give_bytes(a->g, &part, p->part_size, f);
	else
		r = give_base64(a, &part, p, f);
	segment_entry_close(&part);
	return r;
}

/* Reads the entry as far as its text goes. */
static int read_head(struct assembly *a, struct fault *f)
{
	struct slice bytes;

	while (a->head.len < LIMIT_RECIPE_HEADER) {
		int r = next_bytes(a->entry, RECIPE_STEP, &bytes, f);

		if (r != 0 || bytes.len == 0)
			return r;
		size_t from = a->head.len ? a->head.len - 1 : 0;
		if (buffer_append(&a->head, bytes.data, bytes.len, f) < 0)
			return -1;
		if (memmem(a->head.data + from, a->head.len - from, "\n\n", 2))
			return 0;
	}
	return 0;
}

static int assemble(struct assembly *a, struct fault *f)
{
	int r = read_head(a, f);

	if (r != 0)
		return r;
	if (recipe_parse_head(
		    buffer_slice(&a->head), a->entry->header.size, a->g->size, &a->recipe, f) < 0)
		return ENTRY_OTHER;
	a->head_at = a->recipe.header_len;
	for (size_t i = 0; i < a->recipe.pieces && r == 0 && a->g->limit > 0; i++) {
		const struct piece *p = &a->recipe.piece[i];

		r = p->kind == PIECE_LITERAL ? give_literal(a, p->size, f) : give_part(a, p, f);
	}
	return r;
}

static int give_recipe(struct giving *g, struct segment_entry_reader *e, struct fault *f)
{
	struct assembly *a CLEANUP(assembly_freep) = malloc(sizeof *a);

	if (!a)
		return fault_memory(f);
	a->g = g;
	a->entry = e;
	a->head = buffer_make(LIMIT_RECIPE_HEADER + RECIPE_STEP);
	a->encoded = buffer_make((size_t)12 * PART_STEP); /* a line end for each character */
	return assemble(a, f);
}

/* ---- Names --------------------------------------------------------------------------------- */

static bool has_digest(const char *name, const char *before, const char *behind, struct digest *ret)
{
	size_t len = strlen(name), n = strlen(before), m = strlen(behind);

	return len == n + DIGEST_HEX + m && memcmp(name, before, n) == 0 &&
	       memcmp(name + n + DIGEST_HEX, behind, m) == 0 &&
	       digest_parse(slice_of(name + n, DIGEST_HEX), ret) == 0;
}

enum entry_kind segment_entry_kind(const char *name, struct digest *ret)
{
	if (has_digest(name, "mail/", ".eml", ret))
		return ENTRY_MAIL;
	if (has_digest(name, "mail/", ".recipe", ret))
		return ENTRY_RECIPE;
	if (has_digest(name, "part/", "", ret))
		return ENTRY_PART;
	if (strcmp(name, "LEDGER") == 0)
		return ENTRY_LEDGER;
	return strcmp(name, "README") == 0 ? ENTRY_README : ENTRY_UNKNOWN;
}

int segment_read_entry(int fd, struct frame_cache *cache, const struct location *at,
	const struct digest *digest, uint64_t size, uint64_t limit, message_sink *sink,
	void *context, struct fault *f)
{
	struct giving g = {fd, cache, at, size, limit, sink, context};
	struct segment_entry_reader e;
	struct digest named;

	int r = open_at(&g, at->frame_offset, at->entry_offset, &e, f);
	if (r != 0)
		return r;
	enum entry_kind kind = segment_entry_kind(e.header.name, &named);
	bool is_it = entry_is_message(kind) && digest_compare(&named, digest) == 0;
	if (is_it && kind == ENTRY_RECIPE && e.header.size <= LIMIT_RECIPE)
		r = give_recipe(&g, &e, f);
	else if (is_it && kind == ENTRY_MAIL && e.header.size == size)
		r = give_bytes(&g, &e, size, f);
	else
		r = other(f, "another entry lies there");
	segment_entry_close(&e);
	return r;
}
