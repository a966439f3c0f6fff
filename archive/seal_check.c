/* What a worker made is read back from the disk, and is believed only when nothing can be said
 * against it: the file is what was written; its frames are those of its table; its entries are the
 * messages of the plan, each once and whole, the parts that their recipes need, LEDGER and README;
 * nothing else is in it. */
#include "archive/frame_table.h"
#include "archive/seal_private.h"
#include "archive/segment_readme.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

enum { CHUNK = 256 * 1024 };

/* Both tables, of as many frames as there may be. */
#define TABLES_MOST (LIMIT_SEALED_FRAMES * UINT64_C(64) + KIB)

struct check {
	struct seal_plan *p;
	const struct seal_job *job;
	const struct sealed_file *file;
	int64_t deadline;
	int fd;
	struct hasher *whole, *frame;
	struct frame_table table;
	struct digest readme;
	bool ledger_found, readme_found;
};

static void check_deinit(struct check *c)
{
	fd_closep(&c->fd);
	hasher_free(c->whole);
	hasher_free(c->frame);
	frame_table_deinit(&c->table);
}

static int lie(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
		"the sealed segment that the worker made is wrong: %s", what);
}

/* A message of the plan is what it is about. */
static int lie_about(struct fault *f, const struct digest *d, const char *what)
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
		"the sealed segment that the worker made is wrong: message %s %s", hex, what);
}

static int go_on(const struct check *c, struct fault *f)
{
	if (c->job->progress &&
		c->job->progress(c->job->progress_context, c->p->bytes, c->p->bytes) != 0)
		return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped");
	return monotonic_ms() > c->deadline ? lie(f, "it takes too long to read") : 0;
}

/* ---- The file and its frames ----------------------------------------------------------------- */

/* `size` bytes at `offset` into both hashers. */
static int hash_stretch(struct check *c, uint64_t offset, uint64_t size, struct fault *f)
{
	uint8_t chunk[CHUNK];

	while (size > 0) {
		size_t want = size < sizeof chunk ? (size_t)size : sizeof chunk;
		ssize_t n = pread(c->fd, chunk, want, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, n < 0 ? errno : ENODATA,
				"cannot read segments/" FILE_SEAL_TMP " back");
		hasher_add(c->whole, chunk, (size_t)n);
		hasher_add(c->frame, chunk, (size_t)n);
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return 0;
}

/* In one reading: each frame's digest, then that of the file. */
static int check_digests(struct check *c, struct fault *f)
{
	struct digest found;
	bool fits = true;

	for (size_t i = 0; i < c->table.frames; i++) {
		const struct frame_sum *s = &c->table.frame[i];

		if (hash_stretch(c, s->offset, s->size, f) < 0 || go_on(c, f) < 0)
			return -1;
		hasher_end(c->frame, &found);
		fits = fits && digest_compare(&found, &s->digest) == 0;
	}
	uint64_t end = frame_table_end(&c->table);
	if (hash_stretch(c, end, c->file->size - end, f) < 0)
		return -1;
	hasher_end(c->whole, &found);
	/* This is not the worker's fault. */
	if (digest_compare(&found, &c->file->digest) != 0)
		return fault_set(f, FAULT_WRITE, SCOPE_ARCHIVE, 0,
			"segments/" FILE_SEAL_TMP " reads back other than it was written");
	return fits ? 0 : lie(f, "a frame has another digest than its table says");
}

static int read_back(struct check *c, uint8_t *to, size_t len, uint64_t offset, struct fault *f)
{
	while (len > 0) {
		ssize_t n = pread(c->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, n < 0 ? errno : ENODATA,
				"cannot read segments/" FILE_SEAL_TMP " back");
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* The tables are written in one way only, so that nothing can hide in them or behind them. */
static int check_table(struct check *c, struct fault *f)
{
	uint64_t end, left;
	int r = frame_table_read(c->fd, c->file->size, &c->table, f);

	if (r < 0)
		return f->code == FAULT_DAMAGE ? lie(f, "its frame table does not fit") : -1;
	if (r == TABLE_NONE)
		return lie(f, "it has no frame table");
	end = frame_table_end(&c->table);
	left = c->file->size - end;
	if (left > TABLES_MOST)
		return lie(f, "there are bytes behind its frame table");
	struct buffer again CLEANUP(buffer_deinit) = buffer_make((size_t)left);
	struct buffer there CLEANUP(buffer_deinit) = buffer_make((size_t)left);
	r = frame_table_format(&c->table, &again, f);
	if (r < 0 && f->code != FAULT_LIMIT)
		return -1;
	if (r < 0 || again.len != left)
		return lie(f, "there are bytes behind its frame table");
	if (buffer_reserve(&there, (size_t)left, f) < 0 ||
		read_back(c, there.data, (size_t)left, end, f) < 0)
		return -1;
	if (memcmp(there.data, again.data, (size_t)left) != 0)
		return lie(f, "its tables are not as they are written");
	return 0;
}

/* ---- Entries --------------------------------------------------------------------------------- */

static int take_mail(struct check *c, const struct segment_entry *e, struct fault *f)
{
	size_t i = seal_plan_find(c->p, &e->named);

	if (i >= c->p->mails)
		return lie(f, "it holds a message that was not asked for");
	const struct seal_mail *m = &c->p->mail[i];
	struct seal_place *place = &c->p->place[i];
	if (place->found)
		return lie_about(f, &m->digest, "is there twice");
	if (e->unread || digest_compare(&e->found, &m->digest) != 0 || e->size != m->size)
		return lie_about(f, &m->digest, "has other bytes");
	*place = (struct seal_place){
		e->at.frame_offset, e->at.entry_offset, e->frames_end, .found = true};
	return 0;
}

static int take_single(
	const struct segment_entry *e, const struct digest *digest, bool *found, struct fault *f)
{
	if (*found)
		return lie(f, "LEDGER or README is there twice");
	if (digest_compare(&e->found, digest) != 0)
		return lie(f, "LEDGER or README has other bytes");
	*found = true;
	return 0;
}

static int take_entry(struct check *c, const struct segment_entry *e, struct fault *f)
{
	switch (e->kind) {
	case ENTRY_MAIL:
	case ENTRY_RECIPE:
		return take_mail(c, e, f);
	case ENTRY_PART:
		/* A thousand small ones that lie far apart would be slow to read for ever. */
		if (e->size < LIMIT_PART_LEAST)
			return lie(f, "a part is smaller than parts are");
		return digest_compare(&e->found, &e->named) == 0
			       ? 0
			       : lie(f, "a part has other bytes than its name says");
	case ENTRY_LEDGER:
		return take_single(e, &c->p->ledger_digest, &c->ledger_found, f);
	case ENTRY_README:
		return take_single(e, &c->readme, &c->readme_found, f);
	case ENTRY_UNKNOWN:
		break;
	}
	return lie(f, "an entry that has no place in a segment");
}

static int check_entries(struct check *c, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t from, to, end = frame_table_end(&c->table);
	int r;

	if (segment_walk_open(c->fd, 0, 0, end, WALK_DIGEST, &walk, f) < 0)
		return -1;
	if (segment_walk_expect(walk, &c->table, f) < 0)
		return -1;
	while ((r = segment_walk_next(walk, &e, &from, &to, f)) > 0) {
		if (r == WALK_DAMAGE)
			return fault_prefix(f, "the sealed segment that the worker made is wrong");
		if (take_entry(c, &e, f) < 0 || go_on(c, f) < 0)
			return -1;
	}
	if (r < 0)
		return -1;
	if (!segment_walk_fits(walk))
		return lie(f, "its frames are not those of its table");
	if (segment_walk_tail(walk, &to) != TAIL_BLOCKS || to != end)
		return lie(f, "it does not end as a tar file does");
	return 0;
}

static int check_complete(struct check *c, struct fault *f)
{
	for (size_t i = 0; i < c->p->mails; i++) {
		if (!c->p->place[i].found)
			return lie_about(f, &c->p->mail[i].digest, "is not there");
	}
	return c->ledger_found && c->readme_found ? 0 : lie(f, "LEDGER or README is not there");
}

int seal_check(struct store *s, struct seal_plan *p, const struct seal_job *job,
	const struct sealed_file *file, struct fault *f)
{
	struct check c CLEANUP(check_deinit) = {.p = p, .job = job, .file = file, .fd = -1};
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(SEGMENT_README_MAX);

	if (hasher_new(&c.whole, f) < 0 || hasher_new(&c.frame, f) < 0)
		return -1;
	if (segment_readme(&text, f) < 0)
		return -1;
	hasher_add(c.whole, text.data, text.len);
	hasher_end(c.whole, &c.readme);
	c.deadline = seal_deadline(p, job);
	memset(p->place, 0, p->mails * sizeof *p->place);
	c.fd = openat(s->segments_fd, FILE_SEAL_TMP, O_RDONLY | O_CLOEXEC);
	if (c.fd < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "segments/" FILE_SEAL_TMP);
	/* From the disk, as far as the kernel can be asked. */
	(void)posix_fadvise(c.fd, 0, 0, POSIX_FADV_DONTNEED);
	if (check_table(&c, f) < 0 || check_digests(&c, f) < 0 || check_entries(&c, f) < 0)
		return -1;
	return check_complete(&c, f);
}

/* ---- The sources ----------------------------------------------------------------------------- */

static int digest_bytes(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	hasher_add(context, bytes.data, bytes.len);
	return 0;
}

int seal_check_sources(struct store *s, struct seal_plan *p, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct digest found;
	char hex[DIGEST_HEX + 1];

	if (hasher_new(&h, f) < 0)
		return -1;
	for (size_t i = 0; i < p->mails; i++) {
		const struct seal_mail *m = &p->mail[i];
		const struct seal_source *from = &p->source[m->source];
		struct location at = {from->row.number, m->frame_offset, m->entry_offset};
		int r = segment_read_entry(from->fd, &s->cache, &at, &m->digest, m->size,
			UINT64_MAX, digest_bytes, h, f);

		if (r < 0)
			return -1;
		hasher_end(h, &found);
		digest_hex(&m->digest, hex);
		if (r == ENTRY_OTHER)
			return fault_prefix(f, "segment %06" PRIu64 ": message %s is damaged",
				from->row.number, hex);
		if (digest_compare(&found, &m->digest) != 0)
			return fault_set(f, FAULT_DAMAGE, SCOPE_ARCHIVE, 0,
				"segment %06" PRIu64 ": message %s is damaged: it has another "
				"digest",
				from->row.number, hex);
	}
	return 0;
}
