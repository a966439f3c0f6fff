/* The formats that write a file for each message into a folder: what export_folder.c and
 * export_folder_open.c share. */
#pragma once

#include "cli/digest_table.h"
#include "cli/eml_folders.h"
#include "cli/export_format.h"
#include "cli/export_source.h"
#include "cli/manifest.h"

enum { FOLDER_NAME = 512, PART_SIZE = DIGEST_HEX + 16, BATCH = 1024 };

/* Digits of the digest stand between both; more of them where two begin alike. */
struct folder_name {
	char before[FOLDER_NAME], behind[64];
	size_t digits;
};

struct folder_kind {
	const struct export_format *format;
	const char *const *folders; /* below the top, NULL-ended */
	const char *part;	    /* what stands before the names of parts */
	enum { FOLDER_EML, FOLDER_MAILDIR } names;
};

/* Written and checked, not synced yet, not under its name. */
struct folder_pending {
	struct digest digest;
	uint64_t size;
	struct folder_name name;
	struct json_line line; /* of the manifest, but for the file's name */
};

struct folder {
	struct export_target target;
	const struct folder_kind *kind;
	struct export_job job;
	int folder, origin_fd, sums_fd;
	char *path; /* escaped, for messages */
	struct manifest *manifest;
	struct export_source source;
	struct eml_folders months;
	struct digest_table *moved;	/* maildir: files that are there, whatever their flags */
	struct folder_pending *pending; /* BATCH */
	size_t pending_n;
	uint64_t pending_bytes;
	struct buffer lines, sums;
	uint64_t named; /* by this run */
};

static inline struct folder *folder_of(struct export_target *to)
{
	return (struct folder *)to;
}

int folder_error(const struct folder *e, const char *what, struct fault *f);
/* Lines of SHA256SUMS that were collected, into its file. */
int folder_write_sums(struct folder *e, struct fault *f) MUST_CHECK;

extern const char FOLDER_ORIGIN[], FOLDER_MANIFEST[], FOLDER_SUMMARY[], FOLDER_SUMS[],
	FOLDER_SUMS_PART[];

/* ---- export_folder_open.c ----------------------------------------------------------------------
 */

int folder_open(const struct folder_kind *kind, const struct export_job *job,
	struct export_target **ret, struct fault *f) MUST_CHECK;
void folder_drop_pending(struct folder *e);
void folder_close(struct export_target *to);
/* maildir: a file of that message is there, under whatever flags. */
int folder_was_moved(struct folder *e, const struct digest *d, struct fault *f) MUST_CHECK;
