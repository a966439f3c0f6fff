/* What jobs that died left behind: FORMAT.md, "Sealing". */
#include "archive/seal_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- A sealed file that no line of the ledger names ------------------------------------------ */

/* The message of this digest lies in another segment, and is whole there. */
static int is_elsewhere(
	struct store *s, uint64_t segment, const struct digest *d, bool *ret, struct fault *f)
{
	struct message m CLEANUP(message_deinit) = {0};
	char hex[DIGEST_HEX + 1];

	*ret = false;
	digest_hex(d, hex);
	int r = find_one(s, hex, &m, f);
	if (r != 0)
		return r < 0 && f->code != FAULT_MISSING ? -1 : 0;
	if (!m.located || m.at.segment == segment)
		return 0;
	r = message_check(s, &m, f);
	*ret = r == 0;
	return r < 0 && f->code != FAULT_DAMAGE ? -1 : 0;
}

static int is_superfluous(
	struct store *s, const struct segment_file *file, bool *ret, struct fault *f)
{
	struct segment_walk *walk CLEANUP(segment_walk_closep) = NULL;
	struct segment_entry e;
	uint64_t from, to;
	int r = 0;

	*ret = true;
	int fd CLEANUP(fd_closep) = segment_open_file(s->segments_fd, file->number, f);
	if (fd < 0 || segment_walk_open(fd, file->number, 0, file->size, WALK_NAMES, &walk, f) < 0)
		return -1;
	while (*ret && (r = segment_walk_next(walk, &e, &from, &to, f)) > 0) {
		if (r == WALK_DAMAGE)
			*ret = false;
		else if (entry_is_message(e.kind) &&
			 is_elsewhere(s, file->number, &e.named, ret, f) < 0)
			return -1;
	}
	return *ret && r < 0 ? -1 : 0;
}

static int tidy_unnamed(struct store *s, const struct segment_file *file, struct fault *f)
{
	char name[SEGMENT_NAME];
	bool superfluous = false;

	segment_name(file->number, SEGMENT_SEALED, name);
	if (is_superfluous(s, file, &superfluous, f) < 0)
		return -1;
	if (!superfluous) {
		store_notice(s,
			"segments/%s is named by no line of the ledger and holds messages that "
			"are whole nowhere else; it was left as it is",
			name);
		return 0;
	}
	if (unlinkat(s->segments_fd, name, 0) < 0)
		return fault_errno(
			f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot remove segments/%s", name);
	store_notice(s, "segments/%s, of a job that did not come to its end, was removed", name);
	return 0;
}

/* The catalog knows all of the ledger: what is sealed and has no row was never entered there. */
static int tidy_files(struct store *s, struct fault *f)
{
	struct segment_file *files CLEANUP(freep) = NULL;
	struct segment_row row;
	size_t n;

	if (segment_files(s->segments_fd, &files, &n, f) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (files[i].state != SEGMENT_SEALED)
			continue;
		int r = catalog_get_segment(s->catalog, files[i].number, &row, f);
		if (r < 0 || (r == CATALOG_NONE && tidy_unnamed(s, &files[i], f) < 0))
			return -1;
	}
	return 0;
}

int seal_tidy(struct store *s, struct fault *f)
{
	if (unlinkat(s->segments_fd, FILE_SEAL_TMP, 0) < 0 && errno != ENOENT)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno,
			"cannot remove segments/" FILE_SEAL_TMP);
	if (seal_remove_replaced(s, f) < 0 || tidy_files(s, f) < 0)
		return -1;
	if (fsync(s->segments_fd) < 0)
		return fault_errno(f, FAULT_WRITE, SCOPE_ARCHIVE, errno, "cannot sync segments/");
	return 0;
}

int store_tidy(struct store *s, struct fault *f)
{
	if (turn_wait(s->lock_fd, TURN_MAINTENANCE, LIMIT_MAINTENANCE_MS, f) < 0)
		return -1;
	int r = seal_tidy(s, f);
	turn_release(s->lock_fd, TURN_MAINTENANCE);
	return r;
}
