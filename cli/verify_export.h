/* `popkeep verify PATH` of an export: everything that its manifest and SHA256SUMS tell is there, as
 * it was written, and nothing else. Works without an archive. */
#pragma once

#include "cli/found_files.h"
#include "cli/manifest.h"
#include "cli/run.h"

/* 1: the path is an export, or a file of one; 0: it is not. */
int verify_export_knows(const char *path);
/* Prints what it finds; returns the exit status. */
int verify_export_run(struct run *run, const char *path);

/* ---- For its parts -----------------------------------------------------------------------------
 */

struct verify_export {
	struct run *run;
	const char *path;
	int scratch; /* the folder for files without a name */
	struct found_files *found;
	struct hasher *hasher;
	uint64_t messages, bytes, damaged;
	uint64_t done_bytes;
	bool maildir;	      /* names in cur/ change with flags */
	bool manifest_summed; /* SHA256SUMS names the manifest */
};

/* A finding: file (NULL: none) is the name of a file or entry, d (NULL) the message's digest. */
void verify_export_tell(struct verify_export *x, const char *file, const struct digest *d,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Goes along; nonzero: it was stopped, with *f. */
int verify_export_advance(struct verify_export *x, uint64_t bytes, struct fault *f) MUST_CHECK;
/* Digest of a whole file: 0, or 1 where it could not be read, which was told. */
int verify_export_digest(struct verify_export *x, int fd, const char *name, struct found_file *ret,
	struct fault *f) MUST_CHECK;
/* Compares what x->found has with a manifest and SHA256SUMS, which are descriptors, borrowed; -1:
 * there is none, which is told. Their names are in messages. */
int verify_export_compare(
	struct verify_export *x, int manifest, int sums, struct fault *f) MUST_CHECK;
/* After SHA256SUMS was read: tells where its end is not there. fd: of it, borrowed; r and end: as
 * text_lines() gave them; name: its own. */
void verify_export_sums_end(struct verify_export *x, int fd, int r, uint64_t end, const char *name);
/* "HEX  NAME". name has room for LIMIT_EXPORT_NAME + 1. 0, or 1: it is no such line. */
int verify_export_sums_line(struct slice line, struct digest *ret, char *name);

int verify_export_folder(struct verify_export *x, struct fault *f) MUST_CHECK;
int verify_export_file(struct verify_export *x, struct fault *f) MUST_CHECK;
/* One tar or zip, by what is in it; *ret_manifest: the digest of its manifest (has_manifest: it has
 * one). fd: borrowed. */
int verify_export_packed(struct verify_export *x, int fd, const char *name,
	struct digest *ret_manifest, bool *ret_has_manifest, struct fault *f) MUST_CHECK;
