/* Restoring into a Maildir that may be in use: INBOX at the top, other folders beside cur/ as
 * Maildir++ has them (".Archive.2024"). A message is written into tmp/, synced, and renamed:
 *
 *	tmp/<64 hex>.popkeep			worth nothing after a crash, written over
 *	cur/<s>.<64 hex>.popkeep,S=<size>:2,<flags>	whole and checked
 *	new/<s>.<64 hex>.popkeep,S=<size>	the same, where it has no flags
 *
 * s is the file's time in seconds, which is the message's date. The digest in the name is what
 * makes a second run bring nothing twice, whatever flags mail programs added since and whether they
 * moved it from new/ to cur/. Files of others are not compared. Messages are synced some at a time
 * before they get their names. */
#include "cli/restore.h"

#include "archive/decimal.h"
#include "archive/escape.h"
#include "archive/file.h"
#include "archive/limits.h"
#include "cli/maildir_letters.h"
#include "cli/new_file.h"
#include "cli/restore_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { BATCH = 64, NAME_SIZE = 192, KNOWN_LEN = 16, OPEN_MOST = 64 };
enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
#define BATCH_BYTES (16 * MIB)

static const char MARK[] = ".popkeep";
static const char *const PARTS[] = {"tmp", "new", "cur", NULL};

struct known {
	uint8_t digest[KNOWN_LEN];
};

struct box {
	char *path; /* of the folder, as it is told */
	char *name; /* in the Maildir; several paths may come out as the same */
	int fd;	    /* -1: it is not open now */
	bool is_synced;
	uint64_t last;	     /* message that went to it, + 1 */
	struct known *known; /* what was there, ascending */
	size_t known_n, known_size;
	struct restore_folder sums;
};

struct pending {
	int fd;
	unsigned box;
	struct digest digest;
	uint64_t size;
	char name[NAME_SIZE]; /* in the end, "cur/…" */
};

struct maildir {
	const struct restore_order *order;
	const struct restore_watch *watch;
	struct restore_sums *sums;
	int top;
	char shown[256];
	struct box *boxes;
	size_t boxes_n, open_n;
	struct pending pending[BATCH];
	size_t pending_n;
	uint64_t pending_bytes, done, all;
	uint64_t items;
};

static int failed(const struct maildir *x, int error, const char *what, struct fault *f)
{
	return fault_errno(
		f, FAULT_SYSTEM, SCOPE_ACCOUNT, error, "cannot %s in %s", what, x->shown);
}

/* ---- What is there --------------------------------------------------------------------------- */

static int by_digest(const void *a, const void *b)
{
	return memcmp(a, b, KNOWN_LEN);
}

/* "<s>.<64 hex>.popkeep,…" */
static bool digest_of(const char *name, struct digest *ret)
{
	const char *dot = strchr(name, '.');

	return dot && strlen(dot) > DIGEST_HEX + sizeof MARK - 1 &&
	       digest_parse(slice_of(dot + 1, DIGEST_HEX), ret) == 0 &&
	       strncmp(dot + 1 + DIGEST_HEX, MARK, sizeof MARK - 1) == 0;
}

static int remember(struct box *b, const struct digest *d, struct fault *f)
{
	if (b->known_n == b->known_size) {
		size_t size = b->known_size ? b->known_size + b->known_size / 2 : 256;
		struct known *more = reallocarray(b->known, size, sizeof *more);

		if (!more)
			return fault_memory(f);
		b->known = more;
		b->known_size = size;
	}
	memcpy(b->known[b->known_n++].digest, d->byte, KNOWN_LEN);
	return 0;
}

/* One that was cut, or is something else by now, is not what was written under its name. */
static bool is_whole(int folder, const char *name)
{
	const char *at = strstr(name, ",S=");
	struct stat st;
	uint64_t size;

	if (!at || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	struct slice digits = slice_of(at + 3, strspn(at + 3, "0123456789"));
	return S_ISREG(st.st_mode) && decimal_parse(digits, &size) && size == (uint64_t)st.st_size;
}

static int list_part(const struct maildir *x, struct box *b, const char *part, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(b->fd, part, FOLDER_FLAGS);
	DIR *dir CLEANUP(dir_closep) = fd < 0 ? NULL : folder_read(fd);
	struct digest d;

	if (!dir)
		return errno == ENOENT ? 0 : failed(x, errno, "list what is", f);
	/* One that is passed over would be brought again. */
	errno = 0;
	for (struct dirent *e; (e = readdir(dir)); errno = 0) {
		if (digest_of(e->d_name, &d) && is_whole(fd, e->d_name) && remember(b, &d, f) < 0)
			return -1;
	}
	return errno ? failed(x, errno, "list what is", f) : 0;
}

static bool is_known(const struct box *b, const struct digest *d)
{
	return b->known_n &&
	       bsearch(d->byte, b->known, b->known_n, sizeof *b->known, by_digest) != NULL;
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* "" for INBOX, ".Archive.2024". Dots in a level would make it two. */
static int box_name(const char *path, char *ret, size_t size, struct fault *f)
{
	size_t at = 0, len;

	ret[0] = '\0';
	if (strcasecmp(path, "INBOX") == 0)
		return 0;
	if (strncasecmp(path, "INBOX/", 6) == 0)
		path += 6;
	len = strlen(path);
	if (len + 2 > size || len + 1 > NAME_MAX)
		return fault_set(f, FAULT_LIMIT, SCOPE_MESSAGE, 0,
			"its folder's name is too long for a Maildir");
	ret[at++] = '.';
	for (const char *p = path; *p; p++)
		ret[at++] = *p == '/' ? '.' : *p == '.' ? '_' : *p;
	ret[at] = '\0';
	return 0;
}

static int make_folder(
	const struct maildir *x, int in, const char *name, bool *ret_made, struct fault *f)
{
	if (mkdirat(in, name, 0700) == 0)
		*ret_made = true;
	else if (errno != EEXIST)
		return failed(x, errno, "make a folder", f);
	return 0;
}

/* A symbolic link would lead out of the Maildir. */
static int not_followed(const struct maildir *x, struct fault *f)
{
	if (errno != ELOOP && errno != ENOTDIR)
		return failed(x, errno, "open a folder", f);
	return fault_set(f, FAULT_SYSTEM, SCOPE_MESSAGE, 0,
		"its folder in the Maildir is a symbolic link, which is not followed, or a file");
}

static int open_folder(const struct maildir *x, struct box *b, struct fault *f)
{
	b->fd = openat(x->top, b->name[0] ? b->name : ".", FOLDER_FLAGS);
	return b->fd < 0 ? not_followed(x, f) : 0;
}

static int make_parts(const struct maildir *x, const struct box *b, struct fault *f)
{
	bool ignored;

	for (const char *const *part = PARTS; *part; part++) {
		if (make_folder(x, b->fd, *part, &ignored, f) < 0)
			return -1;
		int fd CLEANUP(fd_closep) = openat(b->fd, *part, FOLDER_FLAGS);
		if (fd < 0)
			return not_followed(x, f);
	}
	return 0;
}

/* maildirfolder: what makes it a Maildir++ folder for Courier and its kin. */
static int make_box(const struct maildir *x, struct box *b, struct fault *f)
{
	if (b->name[0] && make_folder(x, x->top, b->name, &b->sums.created, f) < 0)
		return -1;
	if (open_folder(x, b, f) < 0 || make_parts(x, b, f) < 0)
		return -1;
	int fd CLEANUP(fd_closep) = -1;
	if (b->sums.created) {
		fd = openat(
			b->fd, "maildirfolder", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return failed(x, errno, "make a folder", f);
	}
	return 0;
}

static int open_box(struct maildir *x, struct box *b, struct fault *f)
{
	if (!x->order->look_only) {
		if (make_box(x, b, f) < 0)
			return -1;
	} else if (x->top >= 0) {
		b->fd = openat(x->top, b->name[0] ? b->name : ".", FOLDER_FLAGS);
	}
	b->sums.created |= b->fd < 0;
	if (b->fd >= 0 && (list_part(x, b, "new", f) < 0 || list_part(x, b, "cur", f) < 0))
		return -1;
	if (b->known_n)
		qsort(b->known, b->known_n, sizeof *b->known, by_digest);
	return 0;
}

static void box_free(struct box *b)
{
	fd_closep(&b->fd);
	free(b->known);
	free(b->path);
	free(b->name);
}

static struct box *find_box(const struct maildir *x, const char *name)
{
	for (size_t i = x->boxes_n; i-- > 0;) {
		if (strcmp(x->boxes[i].name, name) == 0)
			return &x->boxes[i];
	}
	return NULL;
}

static int add_box(struct maildir *x, const char *path, const char *name, struct fault *f)
{
	if (x->boxes_n == LIMIT_RESTORE_FOLDERS)
		return fault_set(f, FAULT_LIMIT, SCOPE_ACCOUNT, 0, "more than %d folders",
			LIMIT_RESTORE_FOLDERS);
	struct box *more = reallocarray(x->boxes, x->boxes_n + 1, sizeof *more);
	if (!more)
		return fault_memory(f);
	x->boxes = more;
	struct box *b = &more[x->boxes_n];
	*b = (struct box){.path = strdup(path), .name = strdup(name), .fd = -1, .is_synced = true};
	int r = b->path && b->name ? open_box(x, b, f) : fault_memory(f);
	if (r < 0) {
		box_free(b);
		return -1;
	}
	b->sums.path = b->path;
	x->boxes_n++;
	return 0;
}

static int close_some(struct maildir *x, struct fault *f);

static int box_of(struct maildir *x, const char *path, unsigned *ret, struct fault *f)
{
	char name[NAME_MAX + 1];

	if (box_name(path, name, sizeof name, f) < 0)
		return -1;
	struct box *b = find_box(x, name);
	if (b && b->fd >= 0) {
		*ret = (unsigned)(b - x->boxes);
		return 0;
	}
	if (x->open_n >= OPEN_MOST && close_some(x, f) < 0)
		return -1;
	if (!b && add_box(x, path, name, f) < 0)
		return -1;
	b = b ? b : &x->boxes[x->boxes_n - 1];
	if (b->fd < 0 && !x->order->look_only && open_folder(x, b, f) < 0)
		return -1;
	x->open_n += b->fd >= 0;
	*ret = (unsigned)(b - x->boxes);
	return 0;
}

static void boxes_free(struct maildir *x)
{
	for (size_t i = 0; i < x->boxes_n; i++) {
		box_free(&x->boxes[i]);
	}
	free(x->boxes);
}

/* ---- One message ----------------------------------------------------------------------------- */

static void name_of(const struct placement *p, const struct message *m, char ret[static NAME_SIZE])
{
	char hex[DIGEST_HEX + 1], flags[MAILDIR_LETTERS];

	maildir_letters(p->flags, flags);
	digest_hex(&m->digest, hex);
	(void)snprintf(ret, NAME_SIZE, "%s/%" PRId64 ".%s%s,S=%" PRIu64 "%s%s",
		flags[0] ? "cur" : "new", p->received > 0 ? p->received / 1000 : 0, hex, MARK,
		m->size_bytes, flags[0] ? ":2," : "", flags);
}

static int to_file(void *context, struct slice bytes, struct fault *f)
{
	const int *fd = (const int *)context;

	return new_file_append(*fd, bytes) < 0 ? fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno,
							 "cannot write to the Maildir")
					       : 0;
}

static void part_name(const struct digest *d, char ret[static NAME_SIZE])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	(void)snprintf(ret, NAME_SIZE, "tmp/%s%s", hex, MARK);
}

static int write_part(const struct maildir *x, const struct box *b, const struct message *m,
	moment_ms received, struct fault *f)
{
	char part[NAME_SIZE];
	const struct timespec t = {.tv_sec = received / 1000};

	part_name(&m->digest, part);
	int fd CLEANUP(fd_closep) =
		openat(b->fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return failed(x, errno, "write", f);
	if (message_read(x->order->store, m, to_file, &fd, f) < 0) {
		(void)unlinkat(b->fd, part, 0);
		return -1;
	}
	if (received > 0 && futimens(fd, (const struct timespec[]){t, t}) < 0)
		return failed(x, errno, "write", f);
	return fd_take(&fd);
}

static void drop_pending(struct maildir *x)
{
	for (size_t i = 0; i < x->pending_n; i++)
		fd_closep(&x->pending[i].fd);
	x->pending_n = 0;
	x->pending_bytes = 0;
}

static int name_pending(struct maildir *x, struct fault *f)
{
	char part[NAME_SIZE];

	for (size_t i = 0; i < x->pending_n; i++)
		(void)sync_file_range(x->pending[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < x->pending_n; i++) {
		struct pending *p = &x->pending[i];
		struct box *b = &x->boxes[p->box];

		if (fsync(p->fd) < 0)
			return failed(x, errno, "sync", f);
		part_name(&p->digest, part);
		/* What has this name and was not known is not whole. */
		if (new_file_rename(b->fd, part, p->name) < 0 &&
			(errno != EEXIST || renameat(b->fd, part, b->fd, p->name) < 0))
			return failed(x, errno, "rename", f);
		x->sums->sent++;
		x->sums->sent_bytes += p->size;
		x->sums->at_target++;
		x->sums->at_target_bytes += p->size;
		b->sums.sent++;
		b->is_synced = false;
	}
	return 0;
}

/* What fails here is not tried again: a sync that succeeds after one that failed proves nothing. */
static int settle(struct maildir *x, struct fault *f)
{
	int r = name_pending(x, f);

	drop_pending(x);
	return r;
}

static int sync_box(const struct maildir *x, struct box *b, struct fault *f)
{
	for (const char *const *part = PARTS; !b->is_synced && *part; part++) {
		int fd CLEANUP(fd_closep) = openat(b->fd, *part, FOLDER_FLAGS);

		if (fd < 0 || fsync(fd) < 0)
			return failed(x, errno, "sync", f);
	}
	b->is_synced = true;
	return b->sums.created && fsync(b->fd) < 0 ? failed(x, errno, "sync", f) : 0;
}

static int sync_boxes(struct maildir *x, struct fault *f)
{
	for (size_t i = 0; i < x->boxes_n; i++) {
		if (x->boxes[i].fd >= 0 && sync_box(x, &x->boxes[i], f) < 0)
			return -1;
	}
	return 0;
}

/* All of them, with what is under way to them: there may be more folders than can be open. */
static int close_some(struct maildir *x, struct fault *f)
{
	if (!x->order->look_only && (settle(x, f) < 0 || sync_boxes(x, f) < 0))
		return -1;
	for (size_t i = 0; i < x->boxes_n; i++)
		fd_closep(&x->boxes[i].fd);
	x->open_n = 0;
	return 0;
}

static void tell_failed(
	struct maildir *x, const char *path, const struct message *m, const char *text)
{
	const struct restore_event e = {
		.kind = RESTORE_FAILED, .message = m, .path = path, .text = text};

	(void)x->watch->tell(x->watch->context, &e);
}

static int write_message(struct maildir *x, unsigned number, const struct message *m,
	const struct placement *p, struct fault *f)
{
	struct box *b = &x->boxes[number];
	int fd = write_part(x, b, m, p->received, f);

	if (fd < 0 && (f->code == FAULT_DAMAGE || f->scope == SCOPE_MESSAGE)) {
		x->sums->damaged++;
		b->sums.failed++;
		tell_failed(x, b->path, m, f->text);
		return 0;
	}
	if (fd < 0)
		return -1;
	struct pending *new = &x->pending[x->pending_n++];
	*new = (struct pending){
		.fd = fd, .box = number, .digest = m->digest, .size = m->size_bytes};
	name_of(p, m, new->name);
	x->pending_bytes += m->size_bytes;
	return x->pending_n == BATCH || x->pending_bytes >= BATCH_BYTES ? settle(x, f) : 0;
}

static int bring(
	struct maildir *x, const struct message *m, const struct placement *p, struct fault *f)
{
	unsigned number = 0;

	if (box_of(x, p->folder, &number, f) < 0) {
		if (f->scope != SCOPE_MESSAGE)
			return -1;
		x->sums->wanted++;
		x->sums->bytes += m->size_bytes;
		x->sums->refused++;
		tell_failed(x, p->folder, m, f->text);
		return 0;
	}
	struct box *b = &x->boxes[number];
	/* Two of its folders come out as the same here. */
	if (b->last == m->id + 1)
		return 0;
	b->last = m->id + 1;
	x->sums->wanted++;
	x->sums->bytes += m->size_bytes;
	b->sums.messages++;
	b->sums.bytes += m->size_bytes;
	if (is_known(b, &m->digest)) {
		x->sums->there++;
		x->sums->at_target++;
		x->sums->at_target_bytes += m->size_bytes;
		b->sums.there++;
		return 0;
	}
	return x->order->look_only ? 0 : write_message(x, number, m, p, f);
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int tell_progress(struct maildir *x)
{
	const struct restore_event e = {.kind = RESTORE_PROGRESS,
		.label = "restoring",
		.done = x->done,
		.all = x->all,
		.items = x->sums->messages,
		.items_all = x->items};

	return x->watch->tell(x->watch->context, &e);
}

static int bring_message(struct maildir *x, const struct message *m, struct fault *f)
{
	struct placements p CLEANUP(placements_deinit) = {0};

	if (placements_read(x->order->store, m, &x->order->rules, &p, f) < 0)
		return -1;
	for (size_t i = 0; i < p.n; i++) {
		if (bring(x, m, &p.all[i], f) < 0)
			return -1;
	}
	x->sums->messages++;
	x->done += m->size_bytes;
	if (tell_progress(x) == 0)
		return 0;
	return fault_set(f, FAULT_INTERRUPT, SCOPE_SESSION, 0,
		"stopped; the same command goes on from here");
}

static int bring_all(struct maildir *x, struct fault *f)
{
	struct find_cursor *c CLEANUP(find_closep) = NULL;
	const struct find_options by_place = {.order = FIND_BY_PLACE};
	struct message m;
	int r;

	if (find_open(x->order->store, x->order->wanted, &by_place, &c, f) < 0)
		return -1;
	while ((r = find_next(c, &m, f)) == FIND_ROW) {
		if (bring_message(x, &m, f) < 0)
			return -1;
	}
	return r;
}

static int open_top(struct maildir *x, struct fault *f)
{
	(void)escape_text(slice_text(x->order->maildir), x->shown, sizeof x->shown);
	if (!x->order->look_only && new_folder(x->order->maildir) < 0 && errno != EEXIST)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ACCOUNT, errno,
			"cannot make the Maildir %s", x->shown);
	x->top = open(x->order->maildir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->top < 0 && !(x->order->look_only && errno == ENOENT))
		return failed(x, errno, "open what is", f);
	/* Two would write into each other's files in tmp/. */
	if (!x->order->look_only && flock(x->top, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return fault_set(f, FAULT_BUSY, SCOPE_ACCOUNT, 0,
			"another restore to %s is running", x->shown);
	return 0;
}

static int work(struct maildir *x, struct fault *f)
{
	struct fault later;

	if (find_count(x->order->store, x->order->wanted, &x->items, &x->all, f) < 0)
		return -1;
	if (x->items == 0)
		return fault_set(f, FAULT_MISSING, SCOPE_SESSION, 0, "no message matches");
	if (open_top(x, f) < 0)
		return -1;
	int r = bring_all(x, f);
	if (x->order->look_only)
		return r;
	/* What is whole gets its name in any case. */
	if (settle(x, &later) < 0 || sync_boxes(x, &later) < 0 ||
		(x->top >= 0 && fsync(x->top) < 0 && failed(x, errno, "sync", &later) < 0)) {
		if (r == 0)
			*f = later;
		return -1;
	}
	return r;
}

int restore_maildir(const struct restore_order *order, const struct restore_watch *watch,
	struct restore_sums *ret, struct fault *f)
{
	struct maildir x = {.order = order, .watch = watch, .sums = ret, .top = -1};

	*ret = (struct restore_sums){0};
	int r = work(&x, f);
	drop_pending(&x);
	for (size_t i = 0; i < x.boxes_n; i++) {
		const struct restore_event e = {.kind = RESTORE_FOLDER, .folder = &x.boxes[i].sums};

		(void)watch->tell(watch->context, &e);
	}
	boxes_free(&x);
	fd_closep(&x.top);
	ret->unsure = ret->wanted - ret->at_target - ret->damaged - ret->refused;
	return r;
}
