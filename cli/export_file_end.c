/* The ends of the files of an export, and of the whole: see export_file.c. */
#include "cli/export_file.h"

#include "archive/file.h"
#include "archive/limits.h"
#include "cli/export_origin.h"
#include "cli/export_summary.h"
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const char INNER_MANIFEST[] = "manifest.jsonl", INNER_SUMMARY[] = "summary.txt",
		  INNER_SUMS[] = "SHA256SUMS";
enum { REST_ENTRY = 4 * 1024 }; /* headers of an entry that is about all messages */

/* ---- The last entries of a tar or zip ----------------------------------------------------------
 */

static int begin_entry(struct export_file *x, const char *name, uint64_t size, struct fault *f)
{
	char inner[EXPORT_INNER + 32];
	const struct pack_entry e = {.name = inner, .size = size, .time = moment_now()};

	(void)snprintf(inner, sizeof inner, "%s/%s", x->inner, name);
	return x->kind->pack->begin(x->pack, &e, f);
}

static int end_entry(struct export_file *x, const char *name, const struct digest *d,
	struct buffer *sums, struct fault *f)
{
	return x->kind->pack->end(x->pack, f) < 0 ? -1 : export_sums_line(sums, d, name, f);
}

struct digesting {
	struct pack *pack;
	struct hasher *hasher;
};

static int put_and_digest(void *context, struct slice bytes, struct fault *f)
{
	struct digesting *d = (struct digesting *)context;

	hasher_add(d->hasher, bytes.data, bytes.len);
	return d->pack->kind->put(d->pack, bytes, f);
}

static int put_manifest(
	struct export_file *x, struct buffer *sums, struct digest *ret, struct fault *f)
{
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	uint64_t end = manifest_end(x->manifest);

	if (hasher_new(&h, f) < 0)
		return -1;
	struct digesting d = {x->pack, h};
	if (begin_entry(x, INNER_MANIFEST, end - x->from, f) < 0 ||
		manifest_copy(x->manifest, x->from, end, put_and_digest, &d, f) < 0)
		return -1;
	hasher_end(h, ret);
	return end_entry(x, INNER_MANIFEST, ret, sums, f);
}

static int put_summary(
	struct export_file *x, const struct digest *manifest, struct buffer *sums, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(EXPORT_SUMMARY_MAX);
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	const struct export_summary summary = {.job = &x->job,
		.format = x->kind->format->name,
		.totals = &x->in_volume,
		.manifest = manifest,
		.manifest_name = INNER_MANIFEST,
		.sums_name = INNER_SUMS,
		.volume = x->volume_name};
	struct digest digest;

	if (hasher_new(&h, f) < 0 || export_summary_text(&summary, &text, f) < 0)
		return -1;
	hasher_add(h, text.data, text.len);
	hasher_end(h, &digest);
	if (begin_entry(x, INNER_SUMMARY, text.len, f) < 0 ||
		x->kind->pack->put(x->pack, buffer_slice(&text), f) < 0)
		return -1;
	return end_entry(x, INNER_SUMMARY, &digest, sums, f);
}

static int put_sums(struct export_file *x, struct slice last, struct fault *f)
{
	uint8_t piece[16 * 1024];
	ssize_t n;

	if (begin_entry(x, INNER_SUMS, x->sums_len + last.len, f) < 0)
		return -1;
	for (uint64_t at = 0; at < x->sums_len; at += (uint64_t)n) {
		n = pread(x->sums_fd, piece, sizeof piece, (off_t)at);
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return export_file_error(x, "read", f);
		if (x->kind->pack->put(x->pack, slice_of(piece, (size_t)n), f) < 0)
			return -1;
	}
	return x->kind->pack->put(x->pack, last, f) < 0 ? -1 : x->kind->pack->end(x->pack, f);
}

static int put_rest(struct export_file *x, struct fault *f)
{
	struct buffer sums CLEANUP(buffer_deinit) = buffer_make(KIB);
	struct digest manifest;

	if (!x->kind->entries)
		return 0;
	return put_manifest(x, &sums, &manifest, f) < 0 ||
			       put_summary(x, &manifest, &sums, f) < 0 ||
			       put_sums(x, buffer_slice(&sums), f) < 0
		       ? -1
		       : 0;
}

uint64_t export_file_rest(const struct export_file *x, uint64_t more)
{
	if (!x->kind->entries)
		return 0;
	uint64_t bytes = manifest_end(x->manifest) - x->from + x->lines.len + x->sums_len +
			 x->sums.len + more + EXPORT_SUMMARY_MAX;
	return bytes + bytes / 64 + 3 * REST_ENTRY;
}

/* ---- Volumes -----------------------------------------------------------------------------------
 */

/* With --split: a digest and a name for each volume that is whole, a torn last line cut. */
int export_file_read_whole(struct export_file *x, uint64_t *ret, struct fault *f)
{
	int fd CLEANUP(fd_closep) = -1;
	char piece[4096];
	uint64_t at = 0, end = 0;
	ssize_t n;

	*ret = 0;
	if (!x->job.split)
		return 0;
	fd = openat(
		x->names.folder, x->names.volumes, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return export_file_error(x, "write", f);
	while ((n = pread(fd, piece, sizeof piece, (off_t)at)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (piece[i] != '\n')
				continue;
			++*ret;
			end = at + (uint64_t)i + 1;
		}
		at += (uint64_t)n;
	}
	return n < 0 || ftruncate(fd, (off_t)end) < 0 ? export_file_error(x, "read", f) : 0;
}

static int note_whole(struct export_file *x, struct slice line, struct fault *f)
{
	int fd CLEANUP(fd_closep) = openat(x->names.folder, x->names.volumes,
		O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || new_file_append(fd, line) < 0 || fsync(fd) < 0)
		return export_file_error(x, "write", f);
	x->whole++;
	return 0;
}

static int add_volume_line(struct export_file *x, struct buffer *to, struct fault *f)
{
	struct digest digest;

	if (volume_digest(x->volume, &digest, f) < 0)
		return -1;
	return export_sums_line(to, &digest, x->volume_name, f);
}

/* Its lines in the manifest are durable before anything says that it is whole. */
static int end_volume(struct export_file *x, struct buffer *line, struct fault *f)
{
	if (export_file_settle(x, f) < 0)
		return -1;
	if (manifest_sync(x->manifest, f) < 0)
		return fault_prefix(f, "%s", x->names.shown);
	if (put_rest(x, f) < 0 || x->kind->pack->finish(x->pack, f) < 0 ||
		add_volume_line(x, line, f) < 0)
		return -1;
	return x->job.split ? note_whole(x, buffer_slice(line), f) : 0;
}

int export_file_end_volume(struct export_file *x, struct fault *f)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(8 * KIB);

	if (end_volume(x, &line, f) < 0 || volume_publish(x->volume, x->volume_name, f) < 0)
		return -1;
	pack_closep(&x->pack);
	volume_closep(&x->volume);
	return 0;
}

/* ---- The whole ---------------------------------------------------------------------------------
 */

static int write_beside(
	struct export_file *x, const char *name, struct slice bytes, struct fault *f)
{
	const struct new_file_as as = {
		.mode = 0600, .owner = geteuid(), .group = getegid(), .replaces = true};

	return new_file_write(x->names.folder, name, bytes, &as) < 0
		       ? export_file_error(x, "write what belongs to", f)
		       : 0;
}

static int write_summary(struct export_file *x, const struct export_left *left,
	const struct digest *manifest, struct buffer *sums, struct fault *f)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(EXPORT_SUMMARY_MAX);
	struct hasher *h CLEANUP(hasher_freep) = NULL;
	const struct export_summary summary = {.job = &x->job,
		.format = x->kind->format->name,
		.totals = &x->target.totals,
		.left = left,
		.manifest = manifest,
		.manifest_name = x->names.manifest,
		.sums_name = x->names.sums,
		.volumes = x->job.split ? x->whole : 1};
	struct digest digest;

	if (hasher_new(&h, f) < 0 || export_summary_text(&summary, &text, f) < 0)
		return -1;
	hasher_add(h, text.data, text.len);
	hasher_end(h, &digest);
	if (write_beside(x, x->names.summary, buffer_slice(&text), f) < 0)
		return -1;
	return export_sums_line(sums, &digest, x->names.summary, f);
}

static int read_volumes(struct export_file *x, struct buffer *to, struct fault *f)
{
	int fd CLEANUP(fd_closep) =
		openat(x->names.folder, x->names.volumes, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char piece[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, piece, sizeof piece)) > 0) {
		if (buffer_append(to, piece, (size_t)n, f) < 0)
			return -1;
	}
	return n < 0 ? export_file_error(x, "read the digests of", f) : 0;
}

/* The volume that is open, or the one file that there is to be even without a message. */
static int end_last(struct export_file *x, struct buffer *sums, struct fault *f)
{
	if (!x->volume && x->whole == 0 &&
		export_file_begin_volume(x, x->job.split ? 1 : 0, 0, f) < 0)
		return -1;
	if (x->volume && end_volume(x, sums, f) < 0)
		return -1;
	if (!x->job.split)
		return 0;
	buffer_clear(sums);
	return read_volumes(x, sums, f);
}

int export_file_finish(struct export_target *to, const struct export_left *left, struct digest *ret,
	struct fault *f)
{
	struct export_file *x = export_file_of(to);
	struct buffer sums CLEANUP(buffer_deinit) = buffer_make(LIMIT_EXPORT_SUMS);

	if (x->ended) {
		if (manifest_digest(x->manifest, ret, f) < 0)
			return -1;
		export_origin_remove(x->names.folder, x->names.origin);
		return EXPORT_PRESENT;
	}
	if (end_last(x, &sums, f) < 0 || manifest_digest(x->manifest, ret, f) < 0 ||
		export_sums_line(&sums, ret, x->names.manifest, f) < 0 ||
		write_summary(x, left, ret, &sums, f) < 0)
		return -1;
	return write_beside(x, x->names.sums, buffer_slice(&sums), f);
}

int export_file_publish(struct export_target *to, struct fault *f)
{
	struct export_file *x = export_file_of(to);

	if (x->volume && volume_publish(x->volume, x->volume_name, f) < 0)
		return -1;
	/* In this order: with an origin, what has no volumes has none that are whole. */
	export_origin_remove(x->names.folder, x->names.origin);
	if (x->job.split)
		(void)unlinkat(x->names.folder, x->names.volumes, 0);
	return 0;
}
