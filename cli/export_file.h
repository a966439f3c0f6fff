/* The formats that write all messages into one file, or into one after the other with --split: what
 * export_file.c and export_file_end.c share. */
#pragma once

#include "cli/eml_folders.h"
#include "cli/export_format.h"
#include "cli/export_names.h"
#include "cli/export_source.h"
#include "cli/manifest.h"
#include "cli/pack.h"

enum { PENDING_MAX = 4096 };

struct export_kind {
	const struct export_format *format;
	const struct pack_kind *pack;
	bool entries;  /* messages have names in it, and it holds a manifest of its own */
	bool in_place; /* what is in the volume is read without what comes behind it */
};

/* A message that is in the volume, and not yet in the manifest. */
struct export_pending {
	uint64_t end;		    /* of it, in the volume */
	size_t lines_end, sums_end; /* of what is told of it */
};

struct export_file {
	struct export_target target;
	const struct export_kind *kind;
	struct export_job job;
	struct export_names names;
	int origin_fd;
	struct manifest *manifest;
	struct export_source source;
	struct eml_folders months; /* in tar and zip */

	uint64_t number; /* of the volume; 0: there is one only */
	char *volume_name;
	char inner[EXPORT_INNER]; /* the folder in it */
	struct volume *volume;	  /* NULL: none is open */
	struct pack *pack;
	struct export_totals in_volume;
	uint64_t from; /* where the manifest begins to tell of it */
	int sums_fd;   /* its own SHA256SUMS so far, a file without a name */
	uint64_t sums_len;

	struct buffer lines, sums; /* of messages that are not synced yet */
	struct export_pending pending[PENDING_MAX];
	size_t pending_n;
	uint64_t synced; /* the volume's end, when it was synced last */
	bool failed;	 /* the volume may end in the middle of something */
	bool ended;	 /* an earlier run wrote all of it, and is told so only */

	/* Of earlier runs */
	uint64_t whole; /* volumes that are */
	uint64_t last_offset, last_end;
};

static inline struct export_file *export_file_of(struct export_target *to)
{
	return (struct export_file *)to;
}

/* As struct export_format has them. */
int export_file_open(const struct export_kind *kind, const struct export_job *job,
	struct export_target **ret, struct fault *f) MUST_CHECK;
int export_file_add(struct export_target *to, struct store *s, const struct message *m,
	char *const *accounts, struct fault *f) MUST_CHECK;
int export_file_stop(struct export_target *to, struct fault *f) MUST_CHECK;
void export_file_close(struct export_target *to);

/* FAULT_SYSTEM of errno: "cannot <what> <the export>". Yields -1. */
int export_file_error(const struct export_file *x, const char *what, struct fault *f);
/* All that is pending becomes durable, and what tells of it. */
int export_file_settle(struct export_file *x, struct fault *f) MUST_CHECK;
/* Opens the volume of that number; keep: what is in its part from an earlier run. */
int export_file_begin_volume(
	struct export_file *x, uint64_t number, uint64_t keep, struct fault *f) MUST_CHECK;

/* ---- export_file_end.c ------------------------------------------------------------------------
 */

/* At most so many bytes does end_volume() add, with another message whose lines take `more`. */
uint64_t export_file_rest(const struct export_file *x, uint64_t more);
/* Settled, whole, synced, under its name, and not open any more. */
int export_file_end_volume(struct export_file *x, struct fault *f) MUST_CHECK;
/* The volumes that an earlier run made whole: *ret of them. */
int export_file_read_whole(struct export_file *x, uint64_t *ret, struct fault *f) MUST_CHECK;
int export_file_finish(struct export_target *to, const struct export_left *left, struct digest *ret,
	struct fault *f) MUST_CHECK;
int export_file_publish(struct export_target *to, struct fault *f) MUST_CHECK;
