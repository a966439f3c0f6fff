/* The formats that write a file for each message into a folder: eml, and maildir. A file appears
 * under its name when it is whole, checked and synced, never over another one; its line in the
 * manifest follows. So after a crash, or Ctrl-C, the same export goes on:
 *
 *                     eml                  maildir
 *   of which it is    .popkeep-export      .popkeep-export      written first
 *   being written     .<64 hex>.part       tmp/<64 hex>.part    worth nothing after a crash
 *   a whole message   2026-11/<name>.eml   cur/<name>:2,S       without a line in the manifest
 *                                                               its digest is compared
 *   its lines         manifest.jsonl       manifest.jsonl       a torn last one is cut
 *   when all is in it summary.txt, SHA256SUMS (.SHA256SUMS.part before)
 *
 * Messages are synced and named many at a time, with one sync of the file system: so many parts can
 * a crash leave.
 *
 * POP3 knows no flags. A message goes into cur/ and is marked as seen, so that a client does not
 * announce the whole archive as new mail, and a server that serves the folder renames nothing. One
 * that was imported goes into its folder, as Maildir++ has them, with the flags that it had.
 * Where one did, because somebody answered or flagged a message, the export finds it all the same.
 */
#include "cli/export_folder.h"

#include "archive/file.h"
#include "archive/limits.h"
#include "cli/export_filing.h"
#include "cli/export_summary.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { DIGITS_STEP = 4, MAILDIR_DIGITS = 20 };
#define BATCH_BYTES (32 * MIB)

const char FOLDER_ORIGIN[] = ".popkeep-export", FOLDER_MANIFEST[] = "manifest.jsonl",
	   FOLDER_SUMMARY[] = "summary.txt", FOLDER_SUMS[] = "SHA256SUMS",
	   FOLDER_SUMS_PART[] = ".SHA256SUMS.part";

int folder_error(const struct folder *e, const char *what, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot %s in %s", what, e->path);
}

int folder_write_sums(struct folder *e, struct fault *f)
{
	if (new_file_append(e->sums_fd, buffer_slice(&e->sums)) < 0)
		return folder_error(e, "write", f);
	buffer_clear(&e->sums);
	return 0;
}

/* Mail programs show a file's time as when the message came. */
static moment_ms time_of(const struct message *m, const struct export_filing *filing)
{
	return filing->chosen && filing->chosen->received > 0 ? filing->chosen->received
							      : m->archived;
}

/* ---- Names -------------------------------------------------------------------------------------
 */

static int set_eml_name(
	struct folder *e, const struct message *m, struct folder_name *ret, struct fault *f)
{
	char name[EML_NAME];

	if (export_source_header(&e->source, f) < 0)
		return -1;
	eml_name(m, &e->source.header, export_zone(&e->job), EML_ID, name);
	if (eml_folders_place(&e->months, name, f) < 0)
		return -1;
	char *bracket = strrchr(name, '[');
	bracket[1] = '\0';
	(void)snprintf(ret->before, sizeof ret->before, "%s", name);
	(void)snprintf(ret->behind, sizeof ret->behind, "].eml");
	ret->digits = EML_ID;
	return 0;
}

/* "1795293296.0123456789abcdef0123.popkeep,S=1234:2,S": time, what makes it unique, in place of the
 * host the program, so that the same export finds it on another one. */
static int set_maildir_name(const struct message *m, const struct export_filing *filing,
	struct folder_name *ret, struct fault *f)
{
	char folder[MAILDIR_FOLDER], flags[MAILDIR_LETTERS];

	if (export_filing_maildir(filing, folder, flags, f) < 0)
		return -1;
	(void)snprintf(ret->before, sizeof ret->before, "%scur/%" PRId64 ".", folder,
		time_of(m, filing) > 0 ? time_of(m, filing) / 1000 : 0);
	(void)snprintf(ret->behind, sizeof ret->behind, ".popkeep,S=%" PRIu64 ":2,%s",
		m->size_bytes, flags);
	ret->digits = MAILDIR_DIGITS;
	return 0;
}

static void make_name(const struct folder_pending *p, size_t digits, char ret[static FOLDER_NAME])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(&p->digest, hex);
	(void)snprintf(ret, FOLDER_NAME, "%.*s%.*s%s", FOLDER_NAME - 1 - DIGEST_HEX - 64,
		p->name.before, (int)digits, hex, p->name.behind);
}

static void part_name(const struct folder *e, const struct digest *d, char ret[static PART_SIZE])
{
	char hex[DIGEST_HEX + 1];

	digest_hex(d, hex);
	(void)snprintf(ret, PART_SIZE, "%s%s.part", e->kind->part, hex);
}

/* ---- Writing -----------------------------------------------------------------------------------
 */

struct file_sink {
	const struct folder *folder;
	int fd;
};

static int to_file(void *context, struct slice bytes, struct fault *f)
{
	const struct file_sink *to = (const struct file_sink *)context;

	return new_file_append(to->fd, bytes) < 0 ? folder_error(to->folder, "write", f) : 0;
}

static int set_time(int fd, moment_ms at)
{
	const struct timespec t = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};

	return at > 0 ? futimens(fd, (const struct timespec[]){t, t}) : 0;
}

/* Whole and checked, under its temporary name. */
static int write_part(const struct folder *e, struct store *s, const struct message *m,
	const struct export_filing *filing, struct fault *f)
{
	char part[PART_SIZE];

	part_name(e, &m->digest, part);
	int fd CLEANUP(fd_closep) = openat(
		e->folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct file_sink sink = {e, fd};

	if (fd < 0)
		return folder_error(e, "write", f);
	int r = e->source.whole ? to_file(&sink, buffer_slice(&e->source.bytes), f)
				: message_read(s, m, to_file, &sink, f);
	if (r == 0 && set_time(fd, time_of(m, filing)) < 0)
		r = folder_error(e, "write", f);
	if (r < 0)
		(void)unlinkat(e->folder, part, 0);
	return r;
}

/* Is that file this message, written by a run that ended before its line? */
static bool file_is_message(
	const struct folder *e, const char *name, const struct folder_pending *p)
{
	int fd CLEANUP(fd_closep) = openat(e->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	struct digest digest;
	struct fault ignored;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size != p->size ||
		hasher_new(&h, &ignored) < 0)
		return false;
	return file_digest(fd, p->size, h, &digest) == 0 &&
	       digest_compare(&digest, &p->digest) == 0;
}

/* A month's folder, or one of a Maildir++ with all that belongs to it. */
static int make_above(const struct folder *e, const char *name)
{
	char folder[FOLDER_NAME], part[FOLDER_NAME + 16];
	size_t len = strcspn(name, "/");

	(void)snprintf(folder, sizeof folder, "%.*s", (int)len, name);
	if (mkdirat(e->folder, folder, 0700) < 0 && errno != EEXIST)
		return -1;
	if (e->kind->names != FOLDER_MAILDIR)
		return 0;
	for (const char *const *each = e->kind->folders; *each; each++) {
		(void)snprintf(part, sizeof part, "%s/%s", folder, *each);
		if (mkdirat(e->folder, part, 0700) < 0 && errno != EEXIST)
			return -1;
	}
	(void)snprintf(part, sizeof part, "%s/maildirfolder", folder);
	int fd CLEANUP(fd_closep) =
		openat(e->folder, part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -1 : 0;
}

/* The folder that it goes into may be missing. */
static int rename_part(const struct folder *e, const char *part, const char *name)
{
	if (new_file_rename(e->folder, part, name) == 0)
		return 0;
	if (errno != ENOENT || !strchr(name, '/') || make_above(e, name) < 0)
		return -1;
	return new_file_rename(e->folder, part, name);
}

/* Gives the part its name, with more digits where a shorter one is taken by another message. */
static int name_part(const struct folder *e, const struct folder_pending *p,
	char name[static FOLDER_NAME], struct fault *f)
{
	char part[PART_SIZE];

	part_name(e, &p->digest, part);
	for (size_t digits = p->name.digits; digits <= DIGEST_HEX; digits += DIGITS_STEP) {
		make_name(p, digits, name);
		if (rename_part(e, part, name) == 0)
			return 0;
		if (errno != EEXIST)
			return folder_error(e, "rename", f);
		if (file_is_message(e, name, p)) {
			(void)unlinkat(e->folder, part, 0);
			return 0;
		}
	}
	return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0,
		"%s/%s is in the way: it is not the message that belongs there", e->path, name);
}

static int add_line(struct folder *e, struct folder_pending *p, const char *name, struct fault *f)
{
	json_add_bytes(&p->line, "file", slice_text(name));
	char *text CLEANUP(freep) = json_line_text(&p->line);
	if (!text)
		return fault_memory(f);
	if (buffer_append_text(&e->lines, text, f) < 0 ||
		export_sums_line(&e->sums, &p->digest, name, f) < 0)
		return -1;
	e->named++;
	return 0;
}

/* What was named has its line, also when the next one could not be. */
static int name_all(struct folder *e, struct fault *f)
{
	char name[FOLDER_NAME];
	struct fault more;
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->pending_n; i++) {
		r = name_part(e, &e->pending[i], name, f);
		if (r == 0)
			r = add_line(e, &e->pending[i], name, f);
	}
	if (manifest_add(e->manifest, buffer_slice(&e->lines), &more) < 0 ||
		folder_write_sums(e, &more) < 0) {
		*f = more;
		return fault_prefix(f, "%s", e->path);
	}
	return r;
}

/* Gives all that is pending its name. What fails here is not tried again: a sync that succeeds
 * after one that failed proves nothing. */
static int settle(struct folder *e, struct fault *f)
{
	int r = 0;

	if (e->pending_n == 0)
		return 0;
	/* One commit of the file system's journal has them all. */
	if (syncfs(e->folder) < 0)
		r = folder_error(e, "sync", f);
	if (r == 0)
		r = name_all(e, f);
	folder_drop_pending(e);
	return r;
}

/* In the manifest, and still there with its size. EXPORT_PRESENT. */
static int is_present(struct folder *e, const struct message *m, struct fault *f)
{
	const char *name;
	struct stat st;
	int r = manifest_find(e->manifest, &m->digest, &name, f);

	if (r <= 0)
		return r;
	if (fstatat(e->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return folder_was_moved(e, &m->digest, f);
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->size_bytes ? EXPORT_PRESENT : 0;
}

/* Written under its temporary name, and what is needed to give it the last one. */
static int write_pending(struct folder *e, struct store *s, const struct message *m,
	const struct export_filing *filing, char *const *accounts, struct fault *f)
{
	struct folder_pending *p = &e->pending[e->pending_n];

	if (export_source_read(&e->source, s, m, f) < 0 || write_part(e, s, m, filing, f) < 0)
		return -1;
	p->digest = m->digest;
	p->size = m->size_bytes;
	int r = e->kind->names == FOLDER_MAILDIR ? set_maildir_name(m, filing, &p->name, f)
						 : set_eml_name(e, m, &p->name, f);
	if (r < 0)
		return -1;
	manifest_line(&p->line, "", m, accounts);
	export_filing_tell(filing, &p->line);
	export_totals_add(&e->target.totals, m->size_bytes, m->archived);
	e->pending_n++;
	e->pending_bytes += m->size_bytes;
	return 0;
}

static int folder_add(struct export_target *to, struct store *s, const struct message *m,
	char *const *accounts, struct fault *f)
{
	struct export_filing filing CLEANUP(export_filing_deinit) = {0};
	struct folder *e = folder_of(to);
	int r = is_present(e, m, f);

	if (r != 0)
		return r < 0 ? -1 : EXPORT_PRESENT;
	if (export_filing_read(&filing, s, m, f) < 0 ||
		write_pending(e, s, m, &filing, accounts, f) < 0)
		return -1;
	return e->pending_n == BATCH || e->pending_bytes >= BATCH_BYTES ? settle(e, f) : 0;
}

/* ---- The end -----------------------------------------------------------------------------------
 */

/* Names as well as bytes. */
static int sync_all(struct folder *e, struct fault *f)
{
	if (manifest_sync(e->manifest, f) < 0)
		return fault_prefix(f, "%s", e->path);
	return syncfs(e->folder) < 0 ? folder_error(e, "sync", f) : 0;
}

static int folder_stop(struct export_target *to, struct fault *f)
{
	struct folder *e = folder_of(to);

	if (settle(e, f) < 0 || sync_all(e, f) < 0)
		return -1;
	(void)unlinkat(e->folder, FOLDER_SUMS_PART, 0);
	return 0;
}

/* Does SHA256SUMS know this manifest? Then an earlier run came to its end, and nothing came since.
 */
static bool was_finished(const struct folder *e, const struct digest *manifest)
{
	int fd CLEANUP(fd_closep) =
		openat(e->folder, FOLDER_SUMS, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char end[4096 + 1], hex[DIGEST_HEX + 1];
	struct stat st;

	if (e->named > 0 || fd < 0 || fstat(fd, &st) < 0)
		return false;
	off_t from = st.st_size > 4096 ? st.st_size - 4096 : 0;
	ssize_t n = pread(fd, end, 4096, from);
	end[n > 0 ? n : 0] = '\0';
	digest_hex(manifest, hex);
	return strstr(end, hex);
}

static int write_summary(struct folder *e, const struct export_left *left,
	const struct digest *manifest, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(EXPORT_SUMMARY_MAX);
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	const struct new_file_as as = {
		.mode = 0600, .owner = geteuid(), .group = getegid(), .replaces = true};
	const struct export_summary summary = {.job = &e->job,
		.format = e->kind->format->name,
		.totals = &e->target.totals,
		.left = left,
		.manifest = manifest,
		.manifest_name = FOLDER_MANIFEST,
		.sums_name = FOLDER_SUMS};
	struct digest digest;

	if (hasher_new(&h, f) < 0 || export_summary_text(&summary, &text, f) < 0)
		return -1;
	hasher_add(h, text.data, text.len);
	hasher_end(h, &digest);
	if (new_file_write(e->folder, FOLDER_SUMMARY, buffer_slice(&text), &as) < 0)
		return folder_error(e, "write", f);
	if (export_sums_line(&e->sums, manifest, FOLDER_MANIFEST, f) < 0)
		return -1;
	return export_sums_line(&e->sums, &digest, FOLDER_SUMMARY, f);
}

static int folder_finish(struct export_target *to, const struct export_left *left,
	struct digest *ret, struct fault *f)
{
	struct folder *e = folder_of(to);

	if (settle(e, f) < 0 || manifest_digest(e->manifest, ret, f) < 0)
		return -1;
	if (was_finished(e, ret)) {
		(void)unlinkat(e->folder, FOLDER_SUMS_PART, 0);
		return EXPORT_PRESENT;
	}
	if (write_summary(e, left, ret, f) < 0 || folder_write_sums(e, f) < 0)
		return -1;
	if (fsync(e->sums_fd) < 0)
		return folder_error(e, "sync", f);
	return sync_all(e, f);
}

static int folder_publish(struct export_target *to, struct fault *f)
{
	struct folder *e = folder_of(to);

	if (renameat(e->folder, FOLDER_SUMS_PART, e->folder, FOLDER_SUMS) < 0)
		return folder_error(e, "rename SHA256SUMS", f);
	return fsync(e->folder) < 0 ? folder_error(e, "sync", f) : 0;
}

static const char *const NO_FOLDERS[] = {NULL}, *const MAILDIR_FOLDERS[] = {
							"cur", "new", "tmp", NULL};
static const struct folder_kind EML = {&export_eml, NO_FOLDERS, ".", FOLDER_EML},
				MAILDIR = {
					&export_maildir, MAILDIR_FOLDERS, "tmp/", FOLDER_MAILDIR};

static int eml_open(const struct export_job *job, struct export_target **ret, struct fault *f)
{
	return folder_open(&EML, job, ret, f);
}

static int maildir_open(const struct export_job *job, struct export_target **ret, struct fault *f)
{
	return folder_open(&MAILDIR, job, ret, f);
}

const struct export_format export_eml = {
	.name = "eml",
	.origin = "",
	.open = eml_open,
	.add = folder_add,
	.stop = folder_stop,
	.finish = folder_finish,
	.publish = folder_publish,
	.close = folder_close,
};

const struct export_format export_maildir = {
	.name = "maildir",
	.origin = "format maildir\n",
	.open = maildir_open,
	.add = folder_add,
	.stop = folder_stop,
	.finish = folder_finish,
	.publish = folder_publish,
	.close = folder_close,
};
