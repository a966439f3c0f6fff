/* An archive while its messages are taken: what import_archive.c and its parts share.
 *
 * Functions return <0 with *f set only for what ends the whole import, as those of struct
 * import_taker do. */
#pragma once

#include "cli/import_place.h"
#include "cli/import_source.h"

#include <archive.h>
#include <archive_entry.h>

enum { PACKED_BLOCK = 256 * 1024 };

/* The names of keywords in a Maildir. */
struct keyword_folder {
	char *path; /* of the Maildir, as the archive has it; owned */
	struct maildir_keywords keywords;
};

struct link {
	char *target, *path; /* as the archive has them; owned */
	bool done;
};

struct packed {
	struct import_input *input; /* borrowed, as name, folder, options and taker are */
	uint8_t block[PACKED_BLOCK];
	struct fault stopped; /* where is_stopped: ends the whole import */
	bool is_stopped;

	struct archive *archive;
	struct archive_entry *entry; /* the archive's, of the last packed_next() */
	const char *name, *folder;
	const struct import_options *options;
	const struct import_taker *taker;
	uint64_t start; /* where it begins in the file; UINT64_MAX: it is a pipe */
	uint8_t *whole; /* LIMIT_IMPORT_WHOLE bytes; also the first of a stream */

	bool keywords_read; /* all of them, by a pass of its own */
	struct keyword_folder *keywords;
	size_t keywords_n, keywords_bytes; /* bytes: of their paths */
	struct link *links;		   /* in the order of the archive, then of their targets */
	size_t links_n, links_size, links_bytes;
	uint64_t entries;
};

/* ---- import_packed.c ------------------------------------------------------------------------- */

/* From where input stands. 0, or IMPORT_BROKEN: packed_trouble() says why. */
int packed_open(struct packed *p, struct fault *f) MUST_CHECK;
/* Again, from the archive's beginning; p->start says that this can be done. */
int packed_reopen(struct packed *p, struct fault *f) MUST_CHECK;
/* Frees it; yields NULL. */
struct archive *packed_close_archive(struct archive *a);
/* PACKED_ENTRY, 0 at the end, or PACKED_BROKEN: what comes behind it cannot be read. */
enum { PACKED_ENTRY = 1, PACKED_BROKEN = 2 };
int packed_next(struct packed *p, struct fault *f) MUST_CHECK;
/* The entry's bytes, for struct import_stream: context is p. */
int packed_read(void *context, void *to, size_t size, size_t *ret_n, struct fault *f) MUST_CHECK;
/* What libarchive says of its failure, safe to print. */
const char *packed_trouble(struct packed *p, char *text, size_t size);
/* Something compressed, and no archive. */
bool packed_is_raw(const struct packed *p);

/* Of the entry, borrowed until the next one. target: NULL, or to what it is a hard link. */
const char *packed_name(const struct packed *p);
const char *packed_target(const struct packed *p);
struct packed_path {
	struct slice above;  /* the folder that it lies in, or its Maildir */
	const char *file;    /* its own name */
	bool in_maildir;     /* in cur or new of one */
	bool in_maildir_tmp; /* looks so */
};
void packed_split_path(const char *path, struct packed_path *ret);

/* ---- import_archive.c ------------------------------------------------------------------------ */

/* The entry, under this path; peek: what was read of it already. */
int packed_take_message(
	struct packed *p, const char *path, struct slice peek, struct fault *f) MUST_CHECK;
int packed_refuse(struct packed *p, const char *path, const char *why, struct fault *f) MUST_CHECK;
int packed_pass(struct packed *p, const char *path, struct fault *f) MUST_CHECK;

/* ---- import_links.c -------------------------------------------------------------------------- */

/* A hard link, for packed_take_links(). */
int packed_remember_link(
	struct packed *p, const char *path, const char *target, struct fault *f) MUST_CHECK;
/* At the end: reads the archive again for what hard links lead to. */
int packed_take_links(struct packed *p, struct fault *f) MUST_CHECK;
