/* Sealed segments: one read of the file gives its digest, to be compared with the ledger's `seal`
 * line. Only where that is another, it is read again frame by frame, each digest compared with the
 * frame table; and where something is damaged indeed, each message is put together and digested:
 * that tells exactly which ones are hit, also by damage in a part that many share. */
#include "archive/limits.h"
#include "archive/verify.h"

#include <errno.h>
#include <stdio.h>

enum { CHUNK = 256 * 1024, WHOLE_STEP = 16 * 1024 * 1024 };

/* ---- The tables ---------------------------------------------------------------------------------
 */

static int read_table(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	int r = frame_table_read(g->fd, g->size, &g->table, f);

	if (r < 0 && f->code != FAULT_DAMAGE)
		return -1;
	if (r == TABLE_NONE)
		fault_record(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0, "it has no frame table");
	return r == 0 ? 0 : TABLE_NONE;
}

int verify_sealed_begin(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	if (hasher_new(&g->file_hasher, f) < 0 || hasher_new(&g->frame_hasher, f) < 0)
		return -1;
	int r = read_table(v, f);
	if (r <= 0)
		return r;
	verify_uncache(g->fd, 0, 0);
	r = read_table(v, f);
	if (r < 0)
		return -1;
	if (r == 0) {
		verify_reread(v, g->file, 0, 0);
		return 0;
	}
	g->damaged = true;
	/* Where the tables begin is in the tables. The file's size tells that it is their place. */
	verify_advise_segment(v, verify_found(v, g->file, 0, 0, "%s", f->text));
	return 0;
}

/* ---- Bytes --------------------------------------------------------------------------------------
 */

/* Digests [from, to) into one hasher or two. *ret_errno: why not all could be read; 0. */
static void digest_bytes(int fd, uint64_t from, uint64_t to, struct hasher *a, struct hasher *b,
	uint8_t *chunk, int *ret_errno)
{
	*ret_errno = 0;
	while (from < to) {
		size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
		ssize_t n = pread(fd, chunk, want, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*ret_errno = n < 0 ? errno : ENODATA;
			return;
		}
		hasher_add(a, chunk, (size_t)n);
		if (b)
			hasher_add(b, chunk, (size_t)n);
		from += (uint64_t)n;
	}
}

static int chunk_of(struct verify *v, struct fault *f)
{
	if (!v->chunk)
		v->chunk = malloc(CHUNK);
	return v->chunk ? 0 : fault_memory(f);
}

/* The next frame. */
static void check_frame(struct verify *v)
{
	struct verified_segment *g = &v->segment;
	const struct frame_sum *frame = &g->table.frame[g->frame++];
	uint64_t end = frame->offset + frame->size;
	struct digest found;
	int error;

	v->sums.frames++;
	digest_bytes(g->fd, frame->offset, end, g->frame_hasher, g->file_hasher, v->chunk, &error);
	hasher_end(g->frame_hasher, &found);
	g->read = end;
	if (error == 0 && digest_compare(&found, &frame->digest) == 0)
		return;
	g->reread = true;
	verify_uncache(g->fd, frame->offset, end);
	digest_bytes(g->fd, frame->offset, end, g->frame_hasher, NULL, v->chunk, &error);
	hasher_end(g->frame_hasher, &found);
	if (error == 0 && digest_compare(&found, &frame->digest) == 0) {
		verify_reread(v, g->file, frame->offset, end);
		return;
	}
	g->damaged = true;
	verify_advise_segment(
		v, verify_found(v, g->file, frame->offset, end, "%s",
			   error ? strerror(error) : "the bytes of this frame have changed"));
}

/* The digest of the whole file, read from the disk. */
static int digest_file(struct verify *v, struct digest *ret)
{
	struct verified_segment *g = &v->segment;
	int error;

	verify_uncache(g->fd, 0, 0);
	digest_bytes(g->fd, 0, g->size, g->frame_hasher, NULL, v->chunk, &error);
	hasher_end(g->frame_hasher, ret);
	return error;
}

static void check_file(struct verify *v)
{
	struct verified_segment *g = &v->segment;
	struct digest wanted, found;
	int error;

	digest_bytes(g->fd, g->read, g->size, g->file_hasher, NULL, v->chunk, &error);
	hasher_end(g->file_hasher, &found);
	g->read = g->size;
	if (!verify_sealed_as(v, &g->row, &wanted) || g->damaged)
		return;
	if (error == 0 && digest_compare(&found, &wanted) == 0) {
		if (g->suspicious && !g->reread)
			verify_reread(v, g->file, 0, 0);
		return;
	}
	error = digest_file(v, &found);
	if (error == 0 && digest_compare(&found, &wanted) == 0) {
		if (!g->reread) /* told already */
			verify_reread(v, g->file, 0, 0);
		return;
	}
	g->damaged = true;
	verify_advise_segment(
		v, verify_found(v, g->file, 0, 0,
			   "the file's SHA-256 is not that of its `seal` line, though "
			   "every frame fits the table"));
}

/* Where the whole file is as it was sealed, so is each frame, and nothing else needs a digest.
 * Otherwise it is read again, from the disk, frame by frame. */
static void check_whole(struct verify *v, const struct digest *wanted)
{
	struct verified_segment *g = &v->segment;
	uint64_t end = g->size - g->read < WHOLE_STEP ? g->size : g->read + WHOLE_STEP;
	struct digest found;
	int error;

	digest_bytes(g->fd, g->read, end, g->file_hasher, NULL, v->chunk, &error);
	g->read = end;
	if (error == 0 && end < g->size)
		return;
	hasher_end(g->file_hasher, &found);
	g->whole_done = true;
	if (error == 0 && digest_compare(&found, wanted) == 0) {
		v->sums.frames += g->table.frames;
		g->is_whole = true;
		return;
	}
	g->suspicious = true;
	verify_uncache(g->fd, 0, 0);
	g->read = 0;
}

static int end_frames(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	g->phase = g->damaged ? PHASE_MESSAGES : v->depth == VERIFY_FULL ? PHASE_WALK : PHASE_END;
	if (g->phase == PHASE_END)
		return 0;
	if (g->phase == PHASE_WALK && verify_walk_begin(v, f) < 0)
		return -1;
	return verify_first_expected(v, f);
}

int verify_frames(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;
	struct digest wanted;

	if (g->fd < 0) {
		g->phase = PHASE_END;
		return 0;
	}
	if (chunk_of(v, f) < 0)
		return -1;
	/* What is damaged already is to be found: frame by frame. */
	if (!g->whole_done && !g->damaged && verify_sealed_as(v, &g->row, &wanted)) {
		check_whole(v, &wanted);
		return 0;
	}
	if (!g->is_whole && g->frame < g->table.frames) {
		check_frame(v);
		return 0;
	}
	if (!g->is_whole)
		check_file(v);
	return end_frames(v, f);
}

/* ---- Messages -----------------------------------------------------------------------------------
 */

int verify_messages(struct verify *v, struct fault *f)
{
	struct verified_segment *g = &v->segment;

	if (!g->has_expected) {
		g->phase = PHASE_END;
		if (g->damaged && g->hits == 0)
			(void)verify_note(v, g->file, 0, 0,
				"its messages can all be read: none is hit by the damage");
		return 0;
	}
	int r = message_check(v->s, &g->expected, f);
	if (r < 0 && f->code == FAULT_DAMAGE) {
		frame_cache_deinit(&v->s->cache);
		verify_uncache(g->fd, g->expected.at.frame_offset, 0);
		char why[FAULT_TEXT_MAX];

		(void)snprintf(why, sizeof why, "%s", f->text);
		r = message_check(v->s, &g->expected, f);
		if (r == 0 && !g->damaged)
			verify_reread(v, g->file, g->expected.at.frame_offset,
				g->expected.at.frame_offset + 1);
		else if (r < 0 && f->code == FAULT_DAMAGE) {
			g->hits++;
			(void)verify_found_message(v, "it cannot be read whole");
		}
	}
	if (r < 0 && f->code != FAULT_DAMAGE)
		return -1;
	return verify_next_expected(v, f);
}
