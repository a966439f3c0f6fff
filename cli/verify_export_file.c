/* An export of one file, or of several with --split, with its manifest beside it; or a tar or zip
 * alone. */
#include "cli/verify_export.h"

#include "archive/escape.h"
#include "archive/file.h"
#include "archive/limits.h"
#include "cli/export_names.h"
#include "cli/mboxrd.h"
#include "cli/text_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

struct beside {
	struct verify_export *check;
	struct export_names names;
	int manifest;
	/* The volume whose lines are read */
	char *volume;
	int fd; /* -1: it is missing */
	bool mbox;
	uint64_t from, to, end; /* its lines in the manifest; of mboxrd: where the next begins */
	uint64_t messages, bytes;
};

static void beside_deinit(struct beside *b)
{
	export_names_deinit(&b->names);
	free(b->volume);
	fd_closep(&b->fd);
	fd_closep(&b->manifest);
}

static int open_beside(const struct beside *b, const char *name)
{
	/* A FIFO must not make us wait. */
	return openat(
		b->names.folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- SHA256SUMS --------------------------------------------------------------------------------
 */

static int on_sum(void *context, struct slice line, uint64_t from, struct fault *f)
{
	struct beside *b = (struct beside *)context;
	char name[LIMIT_EXPORT_NAME + 1];
	struct found_file file;
	struct digest d;

	if (verify_export_sums_line(line, &d, name) != 0 || strchr(name, '/')) {
		verify_export_tell(b->check, b->names.sums, NULL,
			"at byte %" PRIu64 " is no line of an export", from);
		return 0;
	}
	b->check->manifest_summed |= strcmp(name, b->names.manifest) == 0;
	int fd CLEANUP(fd_closep) = open_beside(b, name);
	if (fd < 0) {
		verify_export_tell(b->check, name, NULL, "cannot be read: %s", strerror(errno));
		return 0;
	}
	int r = verify_export_digest(b->check, fd, name, &file, f);
	if (r == 0 && digest_compare(&file.digest, &d) != 0)
		verify_export_tell(
			b->check, name, NULL, "its bytes are not those that were written");
	return r < 0 ? -1 : 0;
}

static int check_sums(struct beside *b, struct fault *f)
{
	int fd CLEANUP(fd_closep) = open_beside(b, b->names.sums);
	uint64_t end;

	if (fd < 0) {
		verify_export_tell(b->check, b->names.sums, NULL,
			"it is missing: the export was not finished; the same export goes on");
		return 0;
	}
	int r = text_lines(fd, b->names.shown, 2 * LIMIT_EXPORT_NAME, on_sum, b, &end, f);
	if (r < 0)
		return -1;
	verify_export_sums_end(b->check, fd, r, end, b->names.sums);
	/* Those within the volumes have manifests of their own. */
	b->check->manifest_summed = false;
	return 0;
}

/* ---- Volumes -----------------------------------------------------------------------------------
 */

/* Its own manifest has the lines of the one beside it. */
static int end_packed(struct beside *b, struct fault *f)
{
	struct verify_export *x = b->check;
	struct digest inner, outer;
	bool has_manifest = false;

	int r = verify_export_packed(x, b->fd, b->volume, &inner, &has_manifest, f);
	if (r < 0 && f->code != FAULT_USAGE)
		return -1;
	if (r < 0)
		verify_export_tell(x, b->volume, NULL, "it is neither tar nor zip");
	if (!has_manifest)
		return 0;
	if (file_add_to_hasher(b->manifest, b->from, b->to, x->hasher) < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read the manifest");
	hasher_end(x->hasher, &outer);
	if (digest_compare(&inner, &outer) != 0)
		verify_export_tell(
			x, b->volume, NULL, "its manifest is not the one that lies beside it");
	return 0;
}

static int end_volume(struct beside *b, struct fault *f)
{
	struct stat st;

	if (!b->volume || b->fd < 0)
		return 0;
	if (!b->mbox)
		return end_packed(b, f);
	if (fstat(b->fd, &st) < 0 || (uint64_t)st.st_size > b->end)
		verify_export_tell(b->check, b->volume, NULL,
			"behind the last message is more, from byte %" PRIu64, b->end);
	return 0;
}

static int begin_volume(struct beside *b, const char *name, uint64_t from, struct fault *f)
{
	if (end_volume(b, f) < 0)
		return -1;
	free(b->volume);
	fd_closep(&b->fd);
	b->volume = strdup(name);
	if (!b->volume)
		return fault_memory(f);
	b->from = from;
	b->end = 0;
	b->fd = strchr(name, '/') ? -1 : open_beside(b, name);
	if (b->fd < 0)
		verify_export_tell(b->check, name, NULL, "cannot be read: %s", strerror(errno));
	return 0;
}

/* ---- mboxrd ------------------------------------------------------------------------------------
 */

static int to_hasher(void *context, struct slice bytes, struct fault *f)
{
	(void)f;
	hasher_add((struct hasher *)context, bytes.data, bytes.len);
	return 0;
}

/* 0, or MBOXRD_OTHER. */
static int turn_back(struct beside *b, const struct manifest_entry *e, struct fault *f)
{
	bool kept = e->line_ends && strcmp(e->line_ends, "kept") == 0;
	struct mboxrd_back back;
	uint8_t piece[64 * 1024];

	mboxrd_back_begin(
		&back, kept ? MBOXRD_KEPT : MBOXRD_CRLF, e->size, to_hasher, b->check->hasher);
	for (uint64_t at = 0; at < e->length;) {
		size_t want =
			e->length - at < sizeof piece ? (size_t)(e->length - at) : sizeof piece;
		ssize_t n = pread(b->fd, piece, want, (off_t)(e->offset + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return MBOXRD_OTHER;
		if (mboxrd_back_add(&back, slice_of(piece, (size_t)n), f) < 0 ||
			verify_export_advance(b->check, (uint64_t)n, f) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return mboxrd_back_end(&back, f);
}

static int check_mbox_message(struct beside *b, const struct manifest_entry *e, struct fault *f)
{
	struct digest found;

	if (e->length == MANIFEST_NONE || e->offset != b->end ||
		__builtin_add_overflow(e->offset, e->length, &b->end)) {
		verify_export_tell(b->check, b->volume, &e->digest,
			"the manifest does not say where it follows the one before");
		b->end = e->offset;
		return 0;
	}
	if (b->fd < 0)
		return 0;
	int r = turn_back(b, e, f);
	hasher_end(b->check->hasher, &found);
	if (r < 0)
		return -1;
	if (r != 0 || digest_compare(&found, &e->digest) != 0)
		verify_export_tell(b->check, b->volume, &e->digest,
			"at byte %" PRIu64 ": its bytes are not those that were written",
			e->offset);
	return 0;
}

/* ---- The whole ---------------------------------------------------------------------------------
 */

static int on_line(void *context, const struct manifest_entry *e, struct fault *f)
{
	struct beside *b = (struct beside *)context;
	const char *volume = e->volume ? e->volume : e->file;

	if ((!b->volume || strcmp(b->volume, volume) != 0) &&
		begin_volume(b, volume, e->from, f) < 0)
		return -1;
	b->mbox = !e->volume;
	b->to = e->to;
	b->messages++;
	b->bytes += e->size;
	return b->mbox ? check_mbox_message(b, e, f) : 0;
}

static int check_beside(struct beside *b, struct fault *f)
{
	uint64_t end, bad;

	if (check_sums(b, f) < 0 ||
		manifest_walk(b->manifest, b->names.shown, on_line, b, &end, &bad, f) < 0 ||
		end_volume(b, f) < 0)
		return -1;
	if (bad)
		verify_export_tell(b->check, b->names.manifest, NULL,
			"line %" PRIu64 " is none of a manifest; what follows was not looked at",
			bad);
	/* Not those that the volumes' own manifests gave. */
	b->check->messages = b->messages;
	b->check->bytes = b->bytes;
	return 0;
}

/* The manifest's name will do as well. */
static char *export_path(const char *path)
{
	static const char SUFFIX[] = ".manifest.jsonl";
	size_t len = strlen(path), n = sizeof SUFFIX - 1;

	return len > n && strcmp(path + len - n, SUFFIX) == 0 ? strndup(path, len - n)
							      : strdup(path);
}

/* Then it is damaged where it is neither tar nor zip. */
static bool is_packed_name(const char *name)
{
	static const char *const suffixes[] = {".tar", ".tar.zst", ".tar.zstd", ".zip"};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t n = strlen(suffixes[i]);

		if (len > n && strcmp(name + len - n, suffixes[i]) == 0)
			return true;
	}
	return false;
}

int verify_export_file(struct verify_export *x, struct fault *f)
{
	struct beside b CLEANUP(beside_deinit) = {
		.check = x, .names = {.folder = -1}, .manifest = -1, .fd = -1};
	char *path CLEANUP(freep) = export_path(x->path);
	struct digest manifest;
	bool has_manifest;

	if (!path)
		return fault_memory(f);
	if (export_names_set(&b.names, path, f) < 0)
		return -1;
	b.manifest = open_beside(&b, b.names.manifest);
	if (b.manifest >= 0)
		return check_beside(&b, f);
	int fd CLEANUP(fd_closep) = open_beside(&b, b.names.name);
	if (fd < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "cannot read %s", b.names.shown);
	if (verify_export_packed(x, fd, b.names.name, &manifest, &has_manifest, f) == 0)
		return 0;
	if (f->code != FAULT_USAGE || !is_packed_name(b.names.name))
		return fault_prefix(f, "%s", b.names.shown);
	verify_export_tell(x, b.names.name, NULL, "it cannot be read");
	return 0;
}
