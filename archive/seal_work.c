#include "archive/seal_work.h"

#include "archive/dense.h"
#include "archive/seal_gather.h"
#include "archive/segment_readme.h"
#include "archive/tar_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	CHUNK = 256 * 1024,
	ENTRY_NAME = DIGEST_HEX + 16,
	PIECE_TEXT = 160, /* of a piece in a recipe, about */
};

struct writing {
	const struct seal_fds *fds;
	struct gathered *g;
	struct seal_status *status;
	struct dense *dense;
	struct buffer message, part, text;
	struct recipe recipe;
	uint8_t chunk[CHUNK];
};

static void writing_freep(struct writing **w)
{
	if (!*w)
		return;
	dense_close((*w)->dense);
	buffer_deinit(&(*w)->message);
	buffer_deinit(&(*w)->part);
	buffer_deinit(&(*w)->text);
	free(*w);
}

/* ---- Bytes from files ------------------------------------------------------------------------ */

/* All of them: a file that ends before is damage. */
static int read_at(int fd, void *to, size_t len, uint64_t offset, struct fault *f)
{
	uint8_t *at = to;

	while (len > 0) {
		ssize_t n = pread(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
				"cannot read the scratch file or the ledger lines");
		if (n == 0)
			return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
				"the scratch file or the ledger lines are cut short");
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* An entry of which a file holds the bytes. */
static int copy_entry(struct writing *w, const char *name, int fd, uint64_t offset, uint64_t size,
	moment_ms mtime, struct fault *f)
{
	if (dense_begin(w->dense, name, size, mtime, NULL, NULL, f) < 0)
		return -1;
	while (size > 0) {
		size_t n = size < CHUNK ? (size_t)size : CHUNK;

		if (read_at(fd, w->chunk, n, offset, f) < 0 ||
			dense_put(w->dense, slice_of(w->chunk, n), f) < 0 ||
			seal_status_add(w->status, n, f) < 0)
			return -1;
		offset += n;
		size -= n;
	}
	return 0;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void name_entry(
	const char *folder, const struct digest *d, const char *ending, char ret[static ENTRY_NAME])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	(void)snprintf(ret, ENTRY_NAME, "%s/%s%s", folder, hex, ending);
}

static int write_whole(struct writing *w, const struct gathered_mail *m, struct fault *f)
{
	char name[ENTRY_NAME];

	name_entry("mail", &m->digest, ".eml", name);
	return copy_entry(w, name, w->fds->scratch, m->place, m->size, m->archived_s * 1000, f);
}

/* Its bytes again, out of the scratch file. */
static int fetch(struct writing *w, const struct gathered_mail *m, struct fault *f)
{
	buffer_clear(&w->message);
	if (buffer_reserve(&w->message, (size_t)m->size, f) < 0 ||
		read_at(w->fds->scratch, w->message.data, (size_t)m->size, m->place, f) < 0)
		return -1;
	w->message.len = (size_t)m->size;
	return 0;
}

static void add_literal(struct recipe *r, uint64_t size)
{
	if (size == 0)
		return;
	r->piece[r->pieces++] = (struct piece){.kind = PIECE_LITERAL, .size = size};
	r->literal_bytes += size;
}

/* The message's pieces; where its parts lie is filled in as they stand now. */
static void cut(const struct gathered *g, const struct gathered_mail *m, struct recipe *r)
{
	uint64_t at = 0;

	r->size = m->size;
	r->pieces = 0;
	r->literal_bytes = 0;
	for (size_t i = 0; i < m->spans; i++) {
		const struct gathered_span *s = &g->span[m->span + i];
		const struct gathered_part *part = &g->part[s->part];

		if (!part->wanted)
			continue;
		add_literal(r, s->offset - at);
		r->piece[r->pieces++] = (struct piece){
			.kind = s->kind,
			.size = s->size,
			.part = part->digest,
			.part_size = s->part_size,
			.frame_offset = part->frame,
			.entry_offset = part->entry,
			.line = s->line,
			.eol = s->eol,
		};
		at = s->offset + (uint64_t)s->size;
	}
	add_literal(r, m->size - at);
}

/* What the message and those of its parts that are not written yet take of a frame, or a little
 * more: how long the recipe's text becomes is known when its parts have their places. */
static uint64_t room_for(const struct gathered *g, const struct gathered_mail *m)
{
	uint64_t literal = m->size, text = 0, parts = 0;

	for (size_t i = 0; i < m->spans; i++) {
		const struct gathered_span *s = &g->span[m->span + i];

		if (!g->part[s->part].wanted)
			continue;
		literal -= s->size;
		text += PIECE_TEXT;
		if (!g->part[s->part].written)
			parts += tar_entry_bytes(s->part_size);
	}
	return parts + tar_entry_bytes(literal + text + PIECE_TEXT);
}

static int write_part(struct writing *w, const struct gathered_mail *m,
	const struct gathered_span *s, struct fault *f)
{
	struct gathered_part *part = &w->g->part[s->part];
	struct split_span span = {s->kind, s->offset, s->size, s->part_size, s->line, s->eol};
	char name[ENTRY_NAME];
	uint64_t entry;

	name_entry("part", &part->digest, "", name);
	if (split_decode(buffer_slice(&w->message), &span, &w->part, f) < 0 ||
		dense_begin(w->dense, name, w->part.len, m->archived_s * 1000, &part->frame, &entry,
			f) < 0 ||
		dense_put(w->dense, buffer_slice(&w->part), f) < 0)
		return -1;
	part->entry = (uint32_t)entry;
	part->written = true;
	return 0;
}

static int write_parts(struct writing *w, const struct gathered_mail *m, struct fault *f)
{
	if (dense_keep_together(w->dense, room_for(w->g, m), f) < 0)
		return -1;
	for (size_t i = 0; i < m->spans; i++) {
		const struct gathered_span *s = &w->g->span[m->span + i];
		const struct gathered_part *part = &w->g->part[s->part];

		if (part->wanted && !part->written && write_part(w, m, s, f) < 0)
			return -1;
	}
	return 0;
}

static int write_recipe(struct writing *w, const struct gathered_mail *m, struct fault *f)
{
	struct recipe *r = &w->recipe;
	char name[ENTRY_NAME];
	uint64_t at = 0;

	cut(w->g, m, r);
	buffer_clear(&w->text);
	name_entry("mail", &m->digest, ".recipe", name);
	if (recipe_format(r, &w->text, f) < 0 ||
		dense_begin(w->dense, name, w->text.len + r->literal_bytes, m->archived_s * 1000,
			NULL, NULL, f) < 0 ||
		dense_put(w->dense, buffer_slice(&w->text), f) < 0)
		return -1;
	for (size_t i = 0; i < r->pieces; i++) {
		struct slice piece = slice_of(w->message.data + at, (size_t)r->piece[i].size);

		if (r->piece[i].kind == PIECE_LITERAL && dense_put(w->dense, piece, f) < 0)
			return -1;
		at += piece.len;
	}
	return 0;
}

static bool has_parts(const struct gathered *g, const struct gathered_mail *m)
{
	for (size_t i = 0; i < m->spans; i++) {
		if (g->part[g->span[m->span + i].part].wanted)
			return true;
	}
	return false;
}

static int write_message(struct writing *w, const struct gathered_mail *m, struct fault *f)
{
	if (!has_parts(w->g, m))
		return write_whole(w, m, f);
	if (fetch(w, m, f) < 0 || write_parts(w, m, f) < 0 || write_recipe(w, m, f) < 0)
		return -1;
	return seal_status_add(w->status, (size_t)m->size, f);
}

/* ---- The rest -------------------------------------------------------------------------------- */

static int write_ledger(struct writing *w, moment_ms mtime, struct fault *f)
{
	/* The sandbox has no fstat(). */
	off_t size = lseek(w->fds->ledger, 0, SEEK_END);

	if (size < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "the ledger lines");
	w->status->all += (uint64_t)size;
	return copy_entry(w, "LEDGER", w->fds->ledger, 0, (uint64_t)size, mtime, f);
}

static int write_readme(struct writing *w, moment_ms mtime, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(SEGMENT_README_MAX);

	if (segment_readme(&text, f) < 0 ||
		dense_begin(w->dense, "README", text.len, mtime, NULL, NULL, f) < 0)
		return -1;
	return dense_put(w->dense, buffer_slice(&text), f);
}

static int write_all(struct writing *w, struct fault *f)
{
	moment_ms latest = 0;

	for (size_t i = 0; i < w->g->mails; i++) {
		const struct gathered_mail *m = &w->g->mail[w->g->order[i]];

		if (write_message(w, m, f) < 0)
			return -1;
		if (m->archived_s * 1000 > latest)
			latest = m->archived_s * 1000;
	}
	if (write_ledger(w, latest, f) < 0 || write_readme(w, latest, f) < 0)
		return -1;
	return dense_end(w->dense, f);
}

static int write_segment(
	const struct seal_fds *fds, struct gathered *g, struct seal_status *status, struct fault *f)
{
	struct writing *w CLEANUP(writing_freep) = calloc(1, sizeof *w);
	struct dense_options options = {g->options.level, g->options.frame_bytes};

	if (!w)
		return fault_memory(f);
	w->fds = fds;
	w->g = g;
	w->status = status;
	w->message = buffer_make(LIMIT_SPLIT_MESSAGE);
	w->part = buffer_make(LIMIT_SPLIT_MESSAGE);
	w->text = buffer_make(LIMIT_RECIPE_HEADER);
	if (dense_open(fds->out, &options, &w->dense, f) < 0)
		return -1;
	return write_all(w, f);
}

int seal_work(const struct seal_fds *fds, struct fault *f)
{
	struct gathered g CLEANUP(gathered_deinit) = {0};
	struct seal_status status = {.fd = fds->status};
	struct fault unsaid;

	int r = seal_gather(fds, &g, &status, f);
	if (r == 0)
		r = write_segment(fds, &g, &status, f);
	if (r == 0)
		return seal_status_end(&status, NULL, f);
	(void)seal_status_end(&status, f, &unsaid); /* *f says more than that nobody listens */
	return -1;
}
