/* catalog.db made again from segments and ledger. It is filled under another name, without journal,
 * synced, and put in place whole; who has the old one open sees at its next commit that the name
 * belongs to another file (store_open_catalog). */
#include "archive/check.h"
#include "archive/limits.h"
#include "archive/replay.h"
#include "archive/replay_seals.h"
#include "archive/stretch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

struct job {
	struct store *s;
	struct catalog *c;
	char *path; /* of the new file */
	rebuild_progress *progress;
	void *context;
	uint64_t done, all; /* bytes of segments */
	struct seals seals; /* of all of the ledger */
	struct segment_file *files;
	size_t n;
};

static void job_deinit(struct job *j)
{
	catalog_close(j->c);
	if (j->path)
		(void)unlink(j->path); /* once it is in place there is none */
	free(j->path);
	free(j->files);
	seals_deinit(&j->seals);
}

/* A crash may have left bytes that are not on disk yet, and a catalog must not know more than the
 * disk. After a failed sync a second one proves nothing: then they are written again. */
static int make_durable(struct job *j, int fd, const char *what, uint64_t number, struct fault *f)
{
	if (j->s->mode == STORE_INSPECT)
		return 0;
	bool failed = faccessat(j->s->folder_fd, FILE_WRITE_FAILED, F_OK, 0) == 0;

	if (failed ? replay_write_again(fd, 0, UINT64_MAX) < 0 : fdatasync(fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot sync %s %06" PRIu64, what, number);
	return 0;
}

/* Of the ledger only the last file can hold what is not on disk. */
static int sync_ledger(struct job *j, struct fault *f)
{
	char name[LEDGER_NAME];
	uint64_t last;

	if (j->s->mode == STORE_INSPECT)
		return 0;
	if (ledger_last_file(j->s->ledger_fd, &last, f) < 0)
		return -1;
	ledger_name(last, name);
	int fd CLEANUP(fd_closep) =
		last > 0 ? openat(j->s->ledger_fd, name, O_RDWR | O_CLOEXEC) : -1;
	if (last > 0 && fd < 0)
		return fault_errno(
			f, FAULT_DAMAGE, SCOPE_ARCHIVE, errno, "cannot open ledger/%s", name);
	if (fd >= 0 && make_durable(j, fd, "ledger file", last, f) < 0)
		return -1;
	if (fsync(j->s->ledger_fd) < 0 || fsync(j->s->segments_fd) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync ledger/ and segments/");
	return 0;
}

static int open_for_sync(struct store *s, const struct segment_file *file, struct fault *f)
{
	char name[SEGMENT_NAME];

	if (file->state == SEGMENT_SEALED || s->mode == STORE_INSPECT)
		return segment_open_file(s->segments_fd, file->number, f);
	segment_name(file->number, SEGMENT_OPEN, name);
	int fd = openat(s->segments_fd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "segments/%s", name);
	return fd;
}

static int show(struct job *j, struct fault *f)
{
	if (!j->progress || j->progress(j->context, j->done, j->all) == 0)
		return 0;
	return fault_set(f, FAULT_INTERRUPT, SCOPE_ARCHIVE, 0, "stopped before all was read");
}

/* A sealed file counts before others when the ledger says that it was made and it is as it was
 * made. Otherwise only what is in no other segment is taken from it. */
static enum replay_places trust(const struct job *j, const struct segment_file *file)
{
	const struct seal_line *l = seals_find(&j->seals, file->number);

	if (file->state != SEGMENT_SEALED)
		return REPLAY_FIRST;
	return l && l->file == SEAL_GOOD ? REPLAY_TRUSTED : REPLAY_LAST;
}

static int walk_files(struct job *j, enum replay_places which, struct fault *f)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct segment_file *file = &j->files[i];

		if (seals_replace(&j->seals, file->number) || trust(j, file) != which)
			continue;
		int fd CLEANUP(fd_closep) = open_for_sync(j->s, file, f);
		if (fd < 0 || (file->state != SEGMENT_SEALED &&
				      make_durable(j, fd, "segment", file->number, f) < 0))
			return -1;
		if (replay_walk(j->c, file->number, fd, 0, file->size, which, f) < 0)
			return fault_prefix(f, "segment %06" PRIu64, file->number);
		j->done += file->size;
		if (show(j, f) < 0)
			return -1;
	}
	return 0;
}

static int walk_all(struct job *j, struct fault *f)
{
	struct ledger_at start = {0};

	if (segment_files(j->s->segments_fd, &j->files, &j->n, f) < 0 ||
		seals_read(j->s, &start, &j->seals, f) < 0)
		return -1;
	for (size_t i = 0; i < j->n; i++) {
		if (!seals_replace(&j->seals, j->files[i].number))
			j->all += j->files[i].size;
	}
	if (walk_files(j, REPLAY_TRUSTED, f) < 0 || walk_files(j, REPLAY_FIRST, f) < 0)
		return -1;
	return walk_files(j, REPLAY_LAST, f);
}

/* The name of a file says more than the lines did: one that no line made is sealed all the same,
 * and one that is named as open is appended to only when it is the last of its class. */
static int settle_states(struct job *j, struct fault *f)
{
	struct segment_row row, last;
	int r;

	for (size_t i = 0; i < j->n; i++) {
		r = catalog_get_segment(j->c, j->files[i].number, &row, f);
		if (r < 0)
			return -1;
		if (r == CATALOG_NONE || row.state != SEGMENT_OPEN)
			continue;
		if (j->files[i].state == SEGMENT_SEALED) {
			row.state = SEGMENT_SEALED;
			row.length = j->files[i].size; /* its tables too */
		} else if (catalog_open_segment(j->c, row.class_, &last, f) == 0 &&
			   last.number != row.number) {
			row.state = SEGMENT_CLOSED;
		}
		if (row.state != SEGMENT_OPEN && catalog_put_segment(j->c, &row, f) < 0)
			return -1;
	}
	return 0;
}

/* What lies in segments that were not sealed was decoded and digested, and is believed. */
static int note_stretches(struct job *j, struct fault *f)
{
	struct segment_row row;

	for (size_t i = 0; i < j->n; i++) {
		int r = catalog_get_segment(j->c, j->files[i].number, &row, f);

		if (r < 0)
			return -1;
		if (r == CATALOG_NONE || (row.state != SEGMENT_OPEN && row.state != SEGMENT_CLOSED))
			continue;
		int fd CLEANUP(fd_closep) = segment_open_file(j->s->segments_fd, row.number, f);
		if (fd < 0 || stretch_make(j->c, row.number, fd, 0, row.length, f) < 0)
			return -1;
	}
	return 0;
}

static int settle(struct job *j, const struct replay_sums *sums, struct fault *f)
{
	if (replay_count(j->c, sums, f) < 0 || seals_settle(j->s, j->c, &j->seals, f) < 0)
		return -1;
	return settle_states(j, f) < 0 ? -1 : note_stretches(j, f);
}

/* Groups that are damaged are applied as far as they can be read: verify names the damage. */
static int apply_all(struct job *j, struct rebuild_sums *ret, struct ledger_at *at, struct fault *f)
{
	struct ledger_reader *reader CLEANUP(ledger_reader_closep) = NULL;
	enum replay_trust trust = REPLAY_WHOLE;
	struct replay_sums sums = {0};
	int r;

	if (ledger_reader_open(j->s->ledger_fd, at, &reader, f) < 0)
		return -1;
	while ((r = ledger_reader_next(reader, f)) == LEDGER_GROUP || r == LEDGER_BAD) {
		if (r == LEDGER_BAD)
			trust = REPLAY_DAMAGED;
		if (replay_group(j->c, reader, trust, &sums, f) < 0)
			return -1;
		*at = *ledger_reader_at(reader);
	}
	if (r < 0 || settle(j, &sums, f) < 0)
		return -1;
	ret->ledger_lines = sums.lines;
	ret->messages = sums.messages;
	ret->missing = sums.missing;
	ret->passed_over = sums.passed_over;
	return 0;
}

static int sync_path(const char *path, struct fault *f)
{
	int fd CLEANUP(fd_closep) = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync %s", path);
	return 0;
}

/* The old catalog goes back to its last checkpoint when its journal is removed. Where not all of
 * the journal could be brought home, it would be half of one and half of the other: it goes first,
 * so that a crash from here on leaves none, and not a wrong one. */
static int retire_old(struct job *j, const char *folder, struct fault *f)
{
	static const char *const beside[] = {"-wal", "-shm"};
	char name[PATH_MAX];

	if (catalog_checkpoint(j->s->catalog_path) != 0 &&
		(unlink(j->s->catalog_path) == 0 || errno != ENOENT) && sync_path(folder, f) < 0)
		return -1;
	/* The old one's journal must not be taken for the new one's. */
	for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
		(void)snprintf(name, sizeof name, "%s%s", j->s->catalog_path, beside[i]);
		if (unlink(name) < 0 && errno != ENOENT)
			return fault_errno(
				f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot remove %s", name);
	}
	return sync_path(folder, f);
}

static int put_in_place(struct job *j, struct fault *f)
{
	char folder[PATH_MAX];

	(void)snprintf(folder, sizeof folder, "%s", j->s->catalog_path);
	*strrchr(folder, '/') = '\0';
	j->c = catalog_close(j->c);
	if (sync_path(j->path, f) < 0 || retire_old(j, folder, f) < 0)
		return -1;
	if (rename(j->path, j->s->catalog_path) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot put %s in place",
			j->s->catalog_path);
	return sync_path(folder, f);
}

static int fill(struct job *j, struct rebuild_sums *ret, struct fault *f)
{
	struct ledger_at at = {0};

	if (catalog_open(j->path, CATALOG_BULK, &j->c, f) < 0 ||
		catalog_begin_places(j->c, f) < 0 || catalog_begin(j->c, f) < 0)
		return -1;
	if (sync_ledger(j, f) < 0 || walk_all(j, f) < 0 || apply_all(j, ret, &at, f) < 0 ||
		catalog_set_state(j->c, j->s->id, &at, f) < 0)
		return -1;
	return catalog_commit(j->c, f);
}

static int rebuild(struct store *s, rebuild_progress *progress, void *context,
	struct rebuild_sums *ret, struct fault *f)
{
	struct job j CLEANUP(job_deinit) = {.s = s, .progress = progress, .context = context};
	struct rebuild_sums sums = {0};

	if (asprintf(&j.path, "%s.rebuild", s->catalog_path) < 0) {
		j.path = NULL;
		return fault_memory(f);
	}
	(void)unlink(j.path); /* of one that was interrupted */
	if (fill(&j, &sums, f) < 0 || put_in_place(&j, f) < 0)
		return -1;
	*ret = sums;
	return 0;
}

int store_rebuild(const char *folder, const char *cache_dir, rebuild_progress *progress,
	void *context, struct rebuild_sums *ret, struct fault *f)
{
	struct store *s CLEANUP(store_closep) = NULL;

	if (store_open_folders(folder, cache_dir, STORE_WRITE, &s, f) < 0 ||
		turns_take_commit(s->lock_fd, LIMIT_LOCK_MS, f) < 0)
		return -1;
	return rebuild(s, progress, context, ret, f); /* closing the store gives the turn back */
}

/* An archive that is written to cannot be read without its catalog. */
static int refuse_busy(struct store *s, struct fault *f)
{
	static const enum turn turns[] = {TURN_SERVICE, TURN_MAINTENANCE, TURN_COMMIT};
	struct fault ignored;
	int fd CLEANUP(fd_closep) = openat(s->folder_fd, FILE_LOCK, O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < sizeof turns / sizeof *turns; i++) {
		if (turn_test(fd, turns[i], &ignored) == TURN_TAKEN)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"%s is in use as an archive; use -C for it, or try again when "
				"nobody writes to it",
				s->folder);
	}
	return 0;
}

int store_rebuild_into(const char *folder, const char *cache_dir, rebuild_progress *progress,
	void *context, struct rebuild_sums *ret, struct fault *f)
{
	struct store *s CLEANUP(store_closep) = NULL;

	if (store_open_folders(folder, cache_dir, STORE_INSPECT, &s, f) < 0 ||
		refuse_busy(s, f) < 0)
		return -1;
	return rebuild(s, progress, context, ret, f);
}
