/* The format mboxrd: all messages in one file, and its manifest beside it. For NAME:
 *
 *   .NAME.origin          of which archive and query this is; written first
 *   NAME.manifest.jsonl   a line for each message, with offset and length; a torn last one is cut
 *   .NAME.part            the messages
 *   NAME                  the same file, when all is in it and synced; then .NAME.origin goes
 *
 * A message's line is written after its bytes are synced, some megabytes at a time. So whatever an
 * interrupted run left in .NAME.part behind the last line is cut, and the export goes on from
 * there. A lock on .NAME.part keeps a second one away.
 */
#include "cli/export_format.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/manifest.h"
#include "cli/mboxrd.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { PIECE = 64 * 1024, OUT_MAX = 2 * PIECE, LINES_MAX = 1024 * 1024, LINES_FULL = 64 * 1024 };
#define UNSYNCED_MAX (32 * MIB)

struct mbox {
	struct export_target target;
	int folder, fd;
	char *path; /* escaped, for messages */
	char *name, *part, *origin, *manifest_name;
	struct manifest *manifest;
	uint64_t end;	     /* of the last whole message in the part */
	uint64_t synced;     /* up to here the manifest tells of it */
	struct buffer out;   /* encoded, not written yet */
	struct buffer lines; /* of messages that are not synced yet */
	bool broken;	     /* a sync failed: whatever a later one says proves nothing */
};

static struct mbox *mbox_of(struct export_target *to)
{
	return (struct mbox *)to;
}

static int mbox_error(const struct mbox *x, const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot %s %s", what, x->path);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static char *join(const char *before, const char *name, const char *behind)
{
	char *text = NULL;

	return asprintf(&text, "%s%s%s", before, name, behind) < 0 ? NULL : text;
}

static int set_names(struct mbox *x, const char *path, struct fault *f)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char text[512];

	x->path = strdup(escape_text(slice_text(path), text, sizeof text));
	x->name = strdup(name);
	x->part = join(".", name, ".part");
	x->origin = join(".", name, ".origin");
	x->manifest_name = join("", name, ".manifest.jsonl");
	if (!x->path || !x->name || !x->part || !x->origin || !x->manifest_name)
		return fault_memory(f);
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s is no name for a file; --format mboxrd writes one", x->path);
	return 0;
}

static int open_folder(struct mbox *x, const char *path, struct fault *f)
{
	const char *slash = strrchr(path, '/');
	char *folder CLEANUP(freep) = !slash	      ? strdup(".")
				      : slash == path ? strdup("/")
						      : strndup(path, (size_t)(slash - path));

	if (!folder)
		return fault_memory(f);
	x->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return x->folder < 0 ? mbox_error(x, "open the folder of", f) : 0;
}

static bool is_there(const struct mbox *x, const char *name)
{
	struct stat st;

	return fstatat(x->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static int refuse_existing(const struct mbox *x, struct fault *f)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"%s exists and is not written over; name a new file", x->path);
}

static int claim(const struct mbox *x, const char *origin, struct fault *f)
{
	if (is_there(x, x->name)) {
		/* What a run left that was killed behind its last rename. */
		if (!is_there(x, x->part))
			(void)unlinkat(x->folder, x->origin, 0);
		return refuse_existing(x, f);
	}
	int r = export_origin_check(x->folder, x->origin, origin, x->path, f);
	if (r <= 0)
		return r;
	if (is_there(x, x->manifest_name) || is_there(x, x->part))
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"%s.manifest.jsonl is there and is no unfinished export's; name a new file",
			x->path);
	return export_origin_write(x->folder, x->origin, origin, x->path, f);
}

/* Another export may have come to its end since claim(): then what was opened is its file, or a new
 * one that nobody needs. */
static int lock_part(struct mbox *x, struct stat *ret, struct fault *f)
{
	x->fd = openat(x->folder, x->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (x->fd < 0)
		return mbox_error(x, "write", f);
	if (flock(x->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
			"%s is being written by another export", x->path);
	if (fstat(x->fd, ret) < 0)
		return mbox_error(x, "read", f);
	if (!is_there(x, x->name))
		return 0;
	if (ret->st_size == 0)
		(void)unlinkat(x->folder, x->part, 0);
	return refuse_existing(x, f);
}

/* What lies behind the last line of the manifest is cut. */
static int open_part(struct mbox *x, struct fault *f)
{
	struct stat st;

	if (lock_part(x, &st, f) < 0)
		return -1;
	if (manifest_open(x->folder, x->manifest_name, "", &x->manifest, f) < 0)
		return fault_prefix(f, "%s", x->path);
	x->end = x->synced = manifest_end(x->manifest);
	if ((uint64_t)st.st_size < x->end)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"the unfinished export of %s is shorter than its manifest says; name a new "
			"file",
			x->path);
	if (ftruncate(x->fd, (off_t)x->end) < 0 || lseek(x->fd, (off_t)x->end, SEEK_SET) < 0)
		return mbox_error(x, "write", f);
	return 0;
}

static void mbox_close(struct export_target *to)
{
	struct mbox *x = mbox_of(to);

	manifest_close(x->manifest);
	fd_closep(&x->fd);
	fd_closep(&x->folder);
	buffer_deinit(&x->out);
	buffer_deinit(&x->lines);
	free(x->path);
	free(x->name);
	free(x->part);
	free(x->origin);
	free(x->manifest_name);
	free(x);
}

static int mbox_open(
	const char *path, const char *origin, struct export_target **ret, struct fault *f)
{
	struct mbox *x = calloc(1, sizeof *x);
	struct export_target *owned CLEANUP(export_target_closep) = x ? &x->target : NULL;

	if (!x)
		return fault_memory(f);
	x->target.format = &export_mboxrd;
	x->folder = x->fd = -1;
	x->out = buffer_make(OUT_MAX);
	x->lines = buffer_make(LINES_MAX);
	if (set_names(x, path, f) < 0 || open_folder(x, path, f) < 0 || claim(x, origin, f) < 0 ||
		open_part(x, f) < 0)
		return -1;
	x->target.earlier = manifest_count(x->manifest);
	*ret = TAKE(owned);
	return 0;
}

/* ---- One message ----------------------------------------------------------------------------- */

static int flush(struct mbox *x, struct fault *f)
{
	if (new_file_append(x->fd, buffer_slice(&x->out)) < 0)
		return mbox_error(x, "write", f);
	buffer_clear(&x->out);
	return 0;
}

struct encoding {
	struct mbox *mbox;
	struct mboxrd state;
	bool bare_lf;
};

static int encode(void *context, struct slice bytes, struct fault *f)
{
	struct encoding *e = context;

	while (bytes.len > 0) {
		size_t n = bytes.len < PIECE ? bytes.len : PIECE;
		int r = mboxrd_add(&e->state, slice_of(bytes.data, n), &e->mbox->out, f);

		e->bare_lf = r == MBOXRD_BARE_LF;
		if (e->bare_lf)
			return fault_set(f, FAULT_FORMAT, SCOPE_MESSAGE, 0, "a bare LF");
		if (r < 0 || flush(e->mbox, f) < 0)
			return -1;
		bytes = slice_of(bytes.data + n, bytes.len - n);
	}
	return 0;
}

static int roll_back(struct mbox *x, struct fault *f)
{
	buffer_clear(&x->out);
	if (ftruncate(x->fd, (off_t)x->end) < 0 || lseek(x->fd, (off_t)x->end, SEEK_SET) < 0)
		return mbox_error(x, "write", f);
	return 0;
}

/* MBOXRD_BARE_LF; *ret_end is where it ends. Nothing of it stays when it could not be written. */
static int write_message(struct mbox *x, struct store *s, const struct message *m,
	enum mboxrd_ends ends, uint64_t *ret_end, struct fault *f)
{
	struct encoding e = {.mbox = x};
	struct fault more;

	mboxrd_begin(&e.state, m->archived, ends);
	int r = message_read(s, m, encode, &e, f);
	if (r == 0 && (r = mboxrd_end(&e.state, &x->out, f)) == MBOXRD_BARE_LF)
		e.bare_lf = true;
	if (r == 0)
		r = flush(x, f);
	off_t at = r == 0 ? lseek(x->fd, 0, SEEK_CUR) : 0;
	if (at < 0)
		r = mbox_error(x, "write", f);
	*ret_end = (uint64_t)at;
	if (r == 0)
		return 0;
	if (roll_back(x, &more) < 0) {
		*f = more;
		return -1;
	}
	return e.bare_lf ? MBOXRD_BARE_LF : -1;
}

static int add_line(struct mbox *x, const struct message *m, char *const *accounts, uint64_t end,
	enum mboxrd_ends ends, struct fault *f)
{
	struct json_line line;

	manifest_line(&line, x->name, m, accounts);
	json_add_count(&line, "offset", x->end);
	json_add_count(&line, "length", end - x->end);
	json_add_text(&line, "line_ends", ends == MBOXRD_CRLF ? "crlf" : "kept");
	char *text CLEANUP(freep) = json_line_text(&line);
	if (!text)
		return fault_memory(f);
	return buffer_append_text(&x->lines, text, f);
}

/* The messages, and then what tells of them. */
static int settle(struct mbox *x, struct fault *f)
{
	if (x->lines.len == 0)
		return 0;
	if (x->broken || fdatasync(x->fd) < 0) {
		x->broken = true;
		return mbox_error(x, "sync", f);
	}
	if (manifest_add(x->manifest, buffer_slice(&x->lines), f) < 0)
		return fault_prefix(f, "%s", x->path);
	buffer_clear(&x->lines);
	x->synced = x->end;
	return 0;
}

static int mbox_add(struct export_target *to, struct store *s, const struct message *m,
	char *const *accounts, struct fault *f)
{
	struct mbox *x = mbox_of(to);
	enum mboxrd_ends ends = MBOXRD_CRLF;
	uint64_t end = 0;

	if (manifest_find(x->manifest, &m->digest))
		return EXPORT_PRESENT;
	int r = write_message(x, s, m, ends, &end, f);
	if (r == MBOXRD_BARE_LF)
		r = write_message(x, s, m, ends = MBOXRD_KEPT, &end, f);
	if (r < 0 || add_line(x, m, accounts, end, ends, f) < 0)
		return -1;
	x->end = end;
	return x->lines.len >= LINES_FULL || x->end - x->synced >= UNSYNCED_MAX ? settle(x, f) : 0;
}

static int mbox_finish(struct export_target *to, enum export_end end, struct fault *f)
{
	struct mbox *x = mbox_of(to);

	if (settle(x, f) < 0)
		return -1;
	if (manifest_sync(x->manifest, f) < 0)
		return fault_prefix(f, "%s", x->path);
	if (fsync(x->fd) < 0)
		return mbox_error(x, "sync", f);
	if (end == EXPORT_WHOLE && new_file_rename(x->folder, x->part, x->name) < 0)
		return mbox_error(x, "rename what was written to", f);
	if (fsync(x->folder) < 0)
		return mbox_error(x, "sync the folder of", f);
	if (end == EXPORT_WHOLE)
		(void)unlinkat(x->folder, x->origin, 0);
	return 0;
}

const struct export_format export_mboxrd = {
	.name = "mboxrd",
	.origin = "format mboxrd\n",
	.open = mbox_open,
	.add = mbox_add,
	.finish = mbox_finish,
	.close = mbox_close,
};
