/* The segments of a copy. A sealed one never changes: it is written under another name, read back,
 * and put in place. An open one grows in place, which is legal, since its new bytes mean nothing
 * before the ledger names them; while that goes on FILE_COPYING stands in the copy, so that after a
 * power cut not only the end of it is looked at. */
#include "archive/copy_private.h"
#include "archive/file.h"
#include "archive/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { END_COMPARED = 64 * 1024 };

/* What is damaged in the archive is told at the end: the other segments are copied all the same. */
static int note_damage(struct copy *c, const struct fault *f)
{
	if (c->damage.code == FAULT_NONE)
		c->damage = *f;
	return 0;
}

/* Yields 0 for damage in the archive's own file. */
static int judge(struct copy *c, const struct fault *f)
{
	return f->code == FAULT_DAMAGE ? note_damage(c, f) : -1;
}

static void like_source(const struct copy_pair *p)
{
	struct stat st;

	/* Not every file system has modes. */
	if (fstat(p->from, &st) == 0)
		(void)fchmod(p->to, st.st_mode & 0770);
}

/* ---- Sealed ---------------------------------------------------------------------------------- */

/* HAS_IT: the copy holds this file, as far as is looked. *ret_there: some file of that name. */
enum { HAS_IT = 1 };
static int has_sealed(struct copy *c, const struct copy_segment *s, const char *name,
	bool *ret_there, struct fault *f)
{
	struct digest digest;
	struct stat st;
	int fd CLEANUP(fd_closep) = -1;
	struct copy_pair p = {.folder = FOLDER_SEGMENTS, .name = name};

	*ret_there = fstatat(c->segments_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*ret_there || (uint64_t)st.st_size != s->length)
		return 0;
	if (c->depth == COPY_NEW)
		return HAS_IT;
	fd = openat(c->segments_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	p.to = fd;
	if (fd < 0)
		return 0;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (copy_digest(c, &p, 0, s->length, &digest, f) < 0)
		return f->code == FAULT_INTERRUPT ? -1 : 0;
	if (!s->has_digest || digest_compare(&digest, &s->digest) != 0)
		return 0;
	c->sums.verified_bytes += s->length;
	return HAS_IT;
}

/* Writes it under the other name, twice where the archive's bytes were not right the first time:
 * what comes from memory or a cable is not the disk. */
static int write_sealed(
	struct copy *c, const struct copy_segment *s, const struct copy_pair *p, struct fault *f)
{
	struct digest digest;

	for (int tries = 0; tries < 2; tries++) {
		if (copy_verified(c, p, 0, s->length, &digest, f) < 0)
			return -1;
		if (!s->has_digest || digest_compare(&digest, &s->digest) == 0)
			return 0;
		(void)posix_fadvise(p->from, 0, 0, POSIX_FADV_DONTNEED);
	}
	return fault_set(f, FAULT_DAMAGE, SCOPE_SESSION, 0,
		"segments/%s is not the file that was sealed", p->name);
}

static int place_sealed(struct copy *c, const struct copy_segment *s, const struct copy_pair *whole,
	enum copy_deed deed, struct fault *f)
{
	struct copy_pair p = *whole;
	int fd CLEANUP(fd_closep) = openat(c->segments_fd, FILE_COPY_TMP,
		O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	p.to = fd;
	if (fd < 0)
		return copy_fault_write(c, FOLDER_SEGMENTS, p.name, f);
	if (write_sealed(c, s, &p, f) < 0) {
		(void)unlinkat(c->segments_fd, FILE_COPY_TMP, 0);
		return judge(c, f);
	}
	like_source(&p);
	if (fsync(fd) < 0 || renameat(c->segments_fd, FILE_COPY_TMP, c->segments_fd, p.name) < 0 ||
		fsync(c->segments_fd) < 0)
		return copy_fault_write(c, FOLDER_SEGMENTS, p.name, f);
	copy_tell(c, deed, FOLDER_SEGMENTS, p.name, s->length);
	return 0;
}

/* The archive's file, at least so long as it was committed; -1 with the damage noted in *f. */
static int open_source(struct copy *c, const struct copy_segment *s, const char *name, int *ret_fd,
	struct fault *f)
{
	struct stat st;
	int fd CLEANUP(fd_closep) =
		openat(c->s->segments_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(
			f, FAULT_DAMAGE, SCOPE_SESSION, errno, "segments/%s of the archive", name);
	uint64_t size = (uint64_t)st.st_size;
	if (size < s->length || (s->state == SEGMENT_SEALED && size != s->length))
		return fault_set(f, FAULT_DAMAGE, SCOPE_SESSION, 0,
			"segments/%s has %" PRIu64 " bytes, but %" PRIu64 " were kept", name, size,
			s->length);
	*ret_fd = fd_take(&fd);
	return 0;
}

static int copy_sealed(struct copy *c, const struct copy_segment *s, struct fault *f)
{
	char name[SEGMENT_NAME];
	int fd CLEANUP(fd_closep) = -1;
	bool there;

	segment_name(s->number, SEGMENT_SEALED, name);
	int r = has_sealed(c, s, name, &there, f);
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (open_source(c, s, name, &fd, f) < 0)
		return judge(c, f);
	struct copy_pair p = {.from = fd, .to = -1, .folder = FOLDER_SEGMENTS, .name = name};
	return place_sealed(c, s, &p, there ? COPY_MENDED : COPY_MADE, f);
}

/* ---- Open ------------------------------------------------------------------------------------ */

static int mark(struct copy *c, struct fault *f)
{
	if (c->marked)
		return 0;
	int fd CLEANUP(fd_closep) =
		openat(c->fd, FILE_COPYING, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(fd) < 0 || fsync(c->fd) < 0)
		return copy_fault_write(c, ".", FILE_COPYING, f);
	c->marked = true;
	return 0;
}

static int unmark(struct copy *c, struct fault *f)
{
	if (!c->marked)
		return 0;
	if ((unlinkat(c->fd, FILE_COPYING, 0) < 0 && errno != ENOENT) || fsync(c->fd) < 0)
		return copy_fault_write(c, ".", FILE_COPYING, f);
	c->marked = false;
	return 0;
}

/* Where both differ, the archive's bytes are taken only when they can be decoded. */
static int is_whole(
	struct copy *c, const struct copy_pair *p, const struct copy_segment *s, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t from, to;
	int r;

	if (segment_walk_open(p->from, s->number, 0, s->length, WALK_DIGEST, &walk, f) < 0)
		return -1;
	while ((r = segment_walk_next(walk, &e, &from, &to, f)) == WALK_ENTRY) {
		if (copy_progress(c, 0, f) < 0)
			return -1;
		if (entry_has_digest(e.kind) && digest_compare(&e.named, &e.found) != 0)
			return fault_set(f, FAULT_DAMAGE, SCOPE_SESSION, 0,
				"segments/%s is damaged", p->name);
	}
	if (r == WALK_DAMAGE)
		return fault_prefix(f, "segments/%s is damaged at byte %" PRIu64, p->name, from);
	return r;
}

/* *ret_same: up to where the copy has the archive's bytes. */
static int find_same(struct copy *c, const struct copy_pair *p, const struct copy_segment *s,
	uint64_t there, uint64_t *ret_same, struct fault *f)
{
	uint64_t end = there < s->length ? there : s->length, same = end;
	bool all = c->doubtful || c->depth == COPY_FULL || end <= END_COMPARED;

	if (end == 0) {
		*ret_same = 0;
		return 0;
	}
	/* What is there may not be on the disk. */
	if (all && copy_sync(c, p, f) < 0)
		return -1;
	if (copy_compare(c, p, all ? 0 : end - END_COMPARED, end, &same, f) < 0)
		return -1;
	if (same < end && !all && copy_compare(c, p, 0, end, &same, f) < 0)
		return -1;
	if (same < end && is_whole(c, p, s, f) < 0)
		return -1;
	*ret_same = same;
	return 0;
}

static int grow(struct copy *c, const struct copy_pair *p, const struct copy_segment *s,
	uint64_t there, struct fault *f)
{
	struct digest digest;
	uint64_t same;

	if (find_same(c, p, s, there, &same, f) < 0)
		return judge(c, f);
	if (same == s->length && there == s->length)
		return 0;
	if (mark(c, f) < 0)
		return -1;
	/* Committed bytes are never cut: what the copy has beyond them never happened. */
	if (there > s->length && ftruncate(p->to, (off_t)s->length) < 0)
		return copy_fault_write(c, p->folder, p->name, f);
	if (copy_verified(c, p, same, s->length, &digest, f) < 0) {
		struct stat st;

		/* The room is of use to others; but what lay there before stays. */
		if (f->code == FAULT_WRITE && there == same && fstat(p->to, &st) == 0)
			(void)!ftruncate(p->to, (off_t)there);
		return judge(c, f);
	}
	bool differed = same < (there < s->length ? there : s->length);
	copy_tell(c,
		there == 0 ? COPY_MADE
		: differed ? COPY_MENDED
			   : COPY_GREW,
		p->folder, p->name, s->length - same);
	return 0;
}

static int copy_open(struct copy *c, const struct copy_segment *s, struct fault *f)
{
	char name[SEGMENT_NAME];
	struct stat st;
	int from CLEANUP(fd_closep) = -1;

	segment_name(s->number, SEGMENT_OPEN, name);
	if (open_source(c, s, name, &from, f) < 0)
		return judge(c, f);
	int to CLEANUP(fd_closep) =
		openat(c->segments_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0 || fstat(to, &st) < 0)
		return copy_fault_write(c, FOLDER_SEGMENTS, name, f);
	struct copy_pair p = {from, to, FOLDER_SEGMENTS, name};
	like_source(&p);
	return grow(c, &p, s, (uint64_t)st.st_size, f);
}

/* ---- All ------------------------------------------------------------------------------------- */

int copy_segments(struct copy *c, struct fault *f)
{
	for (size_t i = 0; i < c->segments; i++) {
		const struct copy_segment *s = &c->segment[i];

		if ((s->state == SEGMENT_SEALED ? copy_sealed(c, s, f) : copy_open(c, s, f)) < 0)
			return -1;
	}
	c->sums.segments = c->segments;
	if (fsync(c->segments_fd) < 0)
		return copy_fault_write(c, ".", FOLDER_SEGMENTS, f);
	if (c->damage.code != FAULT_NONE) {
		*f = c->damage;
		return fault_prefix(f,
			"the archive is damaged, and the copy stays what it was, with the other "
			"segments added (`popkeep salvage` takes what is whole out of a damaged "
			"one)");
	}
	return unmark(c, f);
}

/* ---- Replaced -------------------------------------------------------------------------------- */

/* Which of the copy's segments the archive does not have any more, and why. */
struct extra {
	struct segment_file file;
	bool replaced, salvaged;
};
struct extras {
	struct extra *one;
	size_t n;
};

static void extras_deinit(struct extras *e)
{
	free(e->one);
}

static bool is_of_archive(const struct copy *c, const struct segment_file *file)
{
	for (size_t i = 0; i < c->segments; i++) {
		if (c->segment[i].number == file->number &&
			(c->segment[i].state == SEGMENT_SEALED) == (file->state == SEGMENT_SEALED))
			return true;
	}
	return false;
}

static int find_extras(struct copy *c, struct extras *ret, struct fault *f)
{
	struct segment_file *files CLEANUP(freep) = NULL;
	size_t n = 0;

	if (segment_files(c->segments_fd, &files, &n, f) < 0)
		return fault_prefix(f, "%s", c->target);
	ret->one = calloc(n + 1, sizeof *ret->one);
	if (!ret->one)
		return fault_memory(f);
	for (size_t i = 0; i < n; i++) {
		if (!is_of_archive(c, &files[i]))
			ret->one[ret->n++].file = files[i];
	}
	return 0;
}

static void mark_replaced(struct extras *all, struct slice numbers, bool salvaged)
{
	char text[24];

	while (numbers.len > 0) {
		const uint8_t *comma = memchr(numbers.data, ',', numbers.len);
		size_t len = comma ? (size_t)(comma - numbers.data) : numbers.len;

		(void)snprintf(text, sizeof text, "%.*s", (int)(len < 20 ? len : 20),
			(const char *)numbers.data);
		for (size_t i = 0; i < all->n; i++) {
			if (all->one[i].file.number == file_number(text)) {
				all->one[i].replaced = true;
				all->one[i].salvaged |= salvaged;
			}
		}
		len += comma ? 1 : 0;
		numbers = slice_of(numbers.data + len, numbers.len - len);
	}
}

/* Of one line: what it replaces, copied to ret; whether it says that a message is lost. */
static int read_line(struct slice line, struct buffer *scratch, struct buffer *ret, bool *ret_lost,
	struct fault *f)
{
	static const char seal[] = "v=1 event=seal ", lost[] = "v=1 event=lost ";
	struct slice key, value;
	int r;

	if (line.len >= sizeof lost - 1 && memcmp(line.data, lost, sizeof lost - 1) == 0)
		*ret_lost = true;
	if (line.len < sizeof seal - 1 || memcmp(line.data, seal, sizeof seal - 1) != 0)
		return 0;
	buffer_clear(scratch);
	while ((r = field_next(&line, &key, scratch, &value, f)) == FIELD_ONE) {
		if (slice_compare(key, slice_text("replaces")) == 0 &&
			(buffer_append(ret, value.data, value.len, f) < 0 ||
				buffer_append(ret, ",", 1, f) < 0))
			return -1;
		buffer_clear(scratch);
	}
	return r < 0 ? -1 : 0;
}

/* A salvage writes its `seal` and its `lost` lines in one group. */
static int read_ledger(struct copy *c, struct extras *all, struct fault *f)
{
	struct ledger_reader *reader CLEANUP(ledger_reader_closep) = NULL;
	struct buffer scratch CLEANUP(buffer_deinit) = buffer_make(2 * LIMIT_LEDGER_LINE);
	struct buffer numbers CLEANUP(buffer_deinit) = buffer_make(LIMIT_LEDGER_GROUP);
	struct ledger_at start = {0};
	struct slice line;
	uint64_t number;
	int r;

	if (ledger_reader_open(c->ledger_fd, &start, &reader, f) < 0)
		return -1;
	while ((r = ledger_reader_next(reader, f)) == LEDGER_GROUP) {
		bool lost = false;

		buffer_clear(&numbers);
		while (ledger_reader_line(reader, &line, &number)) {
			if (read_line(line, &scratch, &numbers, &lost, f) < 0)
				return -1;
		}
		mark_replaced(all, buffer_slice(&numbers), lost);
		if (copy_progress(c, 0, f) < 0)
			return -1;
	}
	return r < 0 ? -1 : 0;
}

/* What salvage replaced there may be whole here, and hold what is lost there. */
static int remove_one(struct copy *c, const struct extra *e, struct fault *f)
{
	char name[SEGMENT_NAME], aside[SEGMENT_NAME];

	segment_name(e->file.number, e->file.state, name);
	if (!e->replaced) {
		store_notice(c->s, "%s/segments/%s is no segment of the archive and was left alone",
			c->target, name);
		return 0;
	}
	segment_damaged_name(e->file.number, aside);
	if (e->salvaged ? renameat(c->segments_fd, name, c->segments_fd, aside) < 0
			: unlinkat(c->segments_fd, name, 0) < 0)
		return copy_fault_write(c, FOLDER_SEGMENTS, name, f);
	copy_tell(c, e->salvaged ? COPY_SET_ASIDE : COPY_REMOVED, FOLDER_SEGMENTS, name, 0);
	return 0;
}

int copy_remove_replaced(struct copy *c, struct fault *f)
{
	struct extras all CLEANUP(extras_deinit) = {0};

	if (find_extras(c, &all, f) < 0)
		return -1;
	if (all.n == 0)
		return 0;
	if (read_ledger(c, &all, f) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		if (remove_one(c, &all.one[i], f) < 0)
			return -1;
	}
	return fsync(c->segments_fd) < 0 ? copy_fault_write(c, ".", FOLDER_SEGMENTS, f) : 0;
}
