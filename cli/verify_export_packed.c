/* A tar or zip of an export, by what is in it. It is read once from its beginning to its end: the
 * manifest comes last. */
#include "cli/verify_export.h"

#include "archive/file.h"
#include "archive/limits.h"
#include "cli/new_file.h"
#include "cli/zip_check.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>

enum { PIECE = 64 * 1024 };

struct packed {
	struct verify_export *check;
	int fd, manifest, sums; /* the latter: copies, files without a name */
	uint64_t at;
	const char *name;
	struct archive *archive;
	struct fault *fault; /* of the call under way: it was stopped */
	uint8_t piece[PIECE];
};

static la_ssize_t on_read(struct archive *a, void *context, const void **ret)
{
	struct packed *p = (struct packed *)context;
	ssize_t n;

	do
		n = pread(p->fd, p->piece, sizeof p->piece, (off_t)p->at);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "%s", strerror(errno));
		return -1;
	}
	if (verify_export_advance(p->check, (uint64_t)n, p->fault) < 0)
		return -1;
	p->at += (uint64_t)n;
	*ret = p->piece;
	return n;
}

static int open_packed(struct packed *p, struct fault *f)
{
	p->archive = archive_read_new();
	if (!p->archive)
		return fault_memory(f);
	(void)archive_read_support_filter_zstd(p->archive);
	(void)archive_read_support_format_tar(p->archive);
	/* Not the other reader of zip, which holds the whole directory in memory. */
	(void)archive_read_support_format_zip_streamable(p->archive);
	if (archive_read_open(p->archive, p, NULL, on_read, NULL) == ARCHIVE_OK ||
		f->code == FAULT_INTERRUPT)
		return f->code == FAULT_INTERRUPT ? -1 : 0;
	return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
		"this is neither an archive, nor a copy of one, nor an export: %s",
		archive_error_string(p->archive));
}

/* The copy that is wanted of an entry, or NULL. */
static int *copy_for(struct packed *p, const char *name)
{
	return strcmp(name, "manifest.jsonl") == 0 ? &p->manifest
	       : strcmp(name, "SHA256SUMS") == 0   ? &p->sums
						   : NULL;
}

static int scratch_error(struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno,
		"cannot write what was found (TMPDIR names where)");
}

/* ARCHIVE_OK, or what is wrong with its bytes. <0 with *ret_failed: nothing more can be checked. */
static int read_data(struct packed *p, int copy, struct found_file *ret, bool *ret_failed)
{
	struct hasher *h = p->check->hasher;
	uint8_t bytes[16 * 1024];
	la_ssize_t n;

	ret->size = 0;
	while ((n = archive_read_data(p->archive, bytes, sizeof bytes)) > 0) {
		hasher_add(h, bytes, (size_t)n);
		ret->size += (uint64_t)n;
		if (copy >= 0 && new_file_append(copy, slice_of(bytes, (size_t)n)) < 0) {
			*ret_failed = true;
			break;
		}
	}
	hasher_end(h, &ret->digest);
	return *ret_failed ? scratch_error(p->fault) : (int)n;
}

static int add_entry(struct packed *p, struct archive_entry *entry, struct fault *f)
{
	const char *path = archive_entry_pathname_utf8(entry);
	struct found_file file;
	bool failed = false;

	if (!path)
		path = archive_entry_pathname(entry);
	const char *slash = path ? strchr(path, '/') : NULL;
	if (archive_entry_filetype(entry) == AE_IFDIR)
		return 0;
	if (!slash || archive_entry_filetype(entry) != AE_IFREG) {
		verify_export_tell(
			p->check, path, NULL, "it is surplus: nothing that an export writes");
		return 0;
	}
	char *name CLEANUP(freep) = strdup(slash + 1);
	int *copy = name ? copy_for(p, name) : NULL;
	if (!name)
		return fault_memory(f);
	if (copy) {
		fd_closep(copy);
		*copy = file_open_unlinked(p->check->scratch);
		if (*copy < 0)
			return scratch_error(f);
	}
	if (read_data(p, copy ? *copy : -1, &file, &failed) != ARCHIVE_OK) {
		if (failed || f->code == FAULT_INTERRUPT)
			return -1;
		verify_export_tell(p->check, name, NULL, "cannot be read: %s",
			archive_error_string(p->archive));
	}
	if (strcmp(name, "SHA256SUMS") == 0)
		return 0;
	return found_files_add(p->check->found, slice_text(name), &file, f);
}

/* What cannot be read ends it: behind that nothing is known, and the manifest is missing. */
static int read_entries(struct packed *p, struct fault *f)
{
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(p->archive, &entry)) == ARCHIVE_OK ||
		r == ARCHIVE_WARN) {
		if (add_entry(p, entry, f) < 0)
			return -1;
	}
	if (f->code == FAULT_INTERRUPT)
		return -1;
	if (r != ARCHIVE_EOF)
		verify_export_tell(p->check, p->name, NULL, "cannot be read to its end: %s",
			archive_error_string(p->archive));
	return 0;
}

static void packed_deinit(struct packed *p)
{
	if (p->archive)
		(void)archive_read_free(p->archive);
	fd_closep(&p->manifest);
	fd_closep(&p->sums);
}

int verify_export_packed(struct verify_export *x, int fd, const char *name,
	struct digest *ret_manifest, bool *ret_has_manifest, struct fault *f)
{
	struct packed p CLEANUP(packed_deinit) = {
		.check = x, .fd = fd, .manifest = -1, .sums = -1, .name = name, .fault = f};
	struct found_file manifest;

	f->code = FAULT_NONE;
	found_files_closep(&x->found);
	if (found_files_open(x->scratch, 0, &x->found, f) < 0 || open_packed(&p, f) < 0 ||
		read_entries(&p, f) < 0)
		return -1;
	x->manifest_summed = false;
	int r = found_files_look(x->found, slice_text("manifest.jsonl"), &manifest, f);
	if (r < 0)
		return -1;
	*ret_has_manifest = r == FOUND_FILE;
	if (*ret_has_manifest)
		*ret_manifest = manifest.digest;
	r = zip_check(fd, x->found, f);
	if (r < 0)
		return -1;
	if (r == ZIP_WRONG)
		verify_export_tell(x, name, NULL, "its directory does not tell what is in it");
	return verify_export_compare(x, p.manifest, p.sums, f);
}
