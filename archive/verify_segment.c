/* The segments, one after the other in order of number. What is common to all of them is here: the
 * file's size, and whether the messages' places lie in it. */
#include "archive/verify.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

void verify_segment_end(struct verify *v)
{
	struct verified_segment *g = &v->segment;

	g->walk = segment_walk_close(g->walk);
	(void)sqlite3_finalize(g->placed);
	g->placed = NULL;
	message_deinit(&g->expected);
	frame_table_deinit(&g->table);
	free(g->bad);
	g->bad = NULL;
	g->bad_n = g->bad_size = 0;
	g->file_hasher = hasher_free(g->file_hasher);
	g->frame_hasher = hasher_free(g->frame_hasher);
	g->has_expected = false;
	fd_closep(&g->fd);
	v->inside = false;
}

uint64_t verify_segment_offset(const struct verify *v)
{
	return v->segment.walk ? segment_walk_offset(v->segment.walk) : v->segment.read;
}

/* ---- Messages as the catalog has them ----------------------------------------------------------
 */

int verify_next_expected(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	message_deinit(&g->expected);
	int r = catalog_step(v->s->catalog, g->placed, f);
	g->has_expected = r > 0;
	if (r > 0)
		return message_from_row(v->s, g->placed, &g->expected, f);
	return r;
}

int verify_first_expected(struct verify *v, struct fault *f)
{
	(void)sqlite3_reset(v->segment.placed);
	return verify_next_expected(v, f);
}

struct damage *verify_found_message(struct verify *v, const char *why)
{
	const struct message *m = &v->segment.expected;
	struct damage *d = verify_found(
		v, v->segment.file, 0, 0, "frame at byte %" PRIu64 ": %s", m->at.frame_offset, why);

	verify_hit(d, &m->digest, m->id);
	verify_explain(v, m->at.frame_offset, m->at.frame_offset + 1);
	return d;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static int compare_frame(const void *key, const void *item)
{
	uint64_t offset = *(const uint64_t *)key;
	const struct frame_sum *frame = item;

	return (offset > frame->offset) - (offset < frame->offset);
}

/* Why a message cannot lie where the catalog says; NULL: it can. */
static const char *misplaced(const struct verified_segment *g, const struct location *at)
{
	const struct frame_sum *frame;

	if (g->fd < 0 || at->frame_offset >= g->size || at->frame_offset >= g->row.length)
		return "it lies beyond the segment's end";
	if (g->table.frames == 0)
		return NULL;
	frame = bsearch(
		&at->frame_offset, g->table.frame, g->table.frames, sizeof *frame, compare_frame);
	if (!frame)
		return "no frame begins there";
	return at->entry_offset < frame->decoded ? NULL : "it lies beyond its frame's end";
}

/* Without decoding. */
static int step_places(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	g->counted = true;
	if (!g->has_expected) {
		g->phase = v->depth == VERIFY_QUICK ? PHASE_END : PHASE_FRAMES;
		return 0;
	}
	v->sums.messages++;
	v->sums.bytes += g->expected.size_bytes;
	const char *why = misplaced(g, &g->expected.at);
	if (why)
		(void)verify_found_message(v, why);
	return verify_next_expected(v, f);
}

/* ---- Beginning and end -------------------------------------------------------------------------
 */

static void name_file(struct verified_segment *g)
{
	char name[SEGMENT_NAME];

	segment_name(g->row.number, g->row.state, name);
	(void)snprintf(g->file, sizeof g->file, FOLDER_SEGMENTS "/%s", name);
}

/* What somebody can do about damage in a segment. */
void verify_advise_segment(const struct verify *v, struct damage *d)
{
	verify_advise(d, "run `popkeep salvage %" PRIu64 "`, or restore the file from a copy",
		v->segment.row.number);
}

/* A segment that was sealed into another one meanwhile is not missing. */
static int is_gone(struct verify *v, bool *ret, struct fault *f)
{
	struct segment_row now;
	int r = catalog_get_segment(v->s->catalog, v->segment.row.number, &now, f);

	*ret = r == CATALOG_NONE || (r == 0 && now.state == SEGMENT_REPLACED);
	return r < 0 ? -1 : 0;
}

/* Before its messages' rows are read: those hold on to what the catalog was then. */
static int open_segment(struct verify *v, bool *ret_gone, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	struct stat st;

	*ret_gone = false;
	g->fd = segment_open_file(v->s->segments_fd, g->row.number, f);
	if (g->fd >= 0 && fstat(g->fd, &st) < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "%s", g->file);
	if (g->fd >= 0) {
		g->size = (uint64_t)st.st_size;
		return 0;
	}
	if (f->code != FAULT_DAMAGE)
		return -1;
	struct fault why = *f;
	if (is_gone(v, ret_gone, f) < 0)
		return -1;
	if (!*ret_gone)
		verify_advise(verify_found(v, g->file, 0, 0, "%s",
				      why.error == ENOENT ? "the file is missing" : why.text),
			"restore the file from a copy");
	return 0;
}

static void check_size(struct verify *v)
{
	struct verified_segment *g = &v->segment;
	bool sealed = g->row.state == SEGMENT_SEALED;

	if (g->fd < 0 || (sealed ? g->size == g->row.length : g->size >= g->row.length))
		return;
	g->damaged = true;
	verify_advise_segment(v, verify_found(v, g->file, 0, 0,
					 "it has %" PRIu64 " bytes, but %" PRIu64 " were kept",
					 g->size, g->row.length));
}

static int begin_phase(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	g->phase = PHASE_PLACES;
	if (g->fd < 0)
		return 0;
	if (g->row.state == SEGMENT_SEALED)
		return verify_sealed_begin(v, f);
	if (v->depth == VERIFY_QUICK)
		return 0;
	g->phase = PHASE_WALK;
	return verify_walk_begin(v, f);
}

static int begin_segment(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	uint64_t last = g->row.number;

	if (v->until > 0 && v->this_run > 0 && monotonic_ms() >= v->until) {
		v->stage = STAGE_PAUSED;
		return 0;
	}
	*g = (struct verified_segment){.row.number = last, .fd = -1};
	int r = 0;
	do {
		r = catalog_next_segment(v->s->catalog, g->row.number, &g->row, f);
	} while (r == 0 && g->row.state == SEGMENT_REPLACED);
	if (r == CATALOG_NONE)
		v->stage = STAGE_DONE;
	if (r != 0)
		return r < 0 ? -1 : 0;
	bool gone = g->row.state == SEGMENT_REPLACED;
	name_file(g);
	if (!gone && open_segment(v, &gone, f) < 0)
		return -1;
	if (gone)
		return 0;
	v->inside = true;
	v->sums.segments++;
	check_size(v);
	g->placed = catalog_cursor(v->s->catalog, SQL_BY_PLACE, f);
	if (!g->placed)
		return -1;
	bind_number(g->placed, 1, g->row.number);
	if (verify_next_expected(v, f) < 0)
		return -1;
	return begin_phase(v, f);
}

static void end_segment(struct verify *v)
{
	v->done += v->segment.row.length;
	v->round.done = v->done;
	v->round.segment = v->segment.row.number;
	v->this_run++;
	verify_segment_end(v);
}

int verify_segments(struct verify *v, struct fault *f)
{
	if (!v->inside)
		return begin_segment(v, f);
	switch (v->segment.phase) {
	case PHASE_PLACES:
		return step_places(v, f);
	case PHASE_WALK:
		return verify_walk(v, f);
	case PHASE_FRAMES:
		return verify_frames(v, f);
	case PHASE_MESSAGES:
		return verify_messages(v, f);
	case PHASE_END:
		break;
	}
	end_segment(v);
	return 0;
}
