/* Finds out what a PATH is, and reads it. */
#pragma once

#include "cli/import_file.h"
#include "cli/mbox_read.h"

#include <stdbool.h>

/* What --format forces. */
enum import_format {
	IMPORT_ANY,
	IMPORT_EML, /* a message, or every file of a folder one */
	IMPORT_MBOX,
	IMPORT_MAILDIR,
	IMPORT_ARCHIVE, /* tar, zip */
};
/* 0, or 1: no such name. */
int import_format_parse(const char *name, enum import_format *ret);

struct import_options {
	enum import_format format;
	enum mbox_dialect dialect; /* MBOX_ANY: find out */
	bool folder_is_named;	   /* by the user: a file's own name adds no level to it */
};

/* path, opened as fd (borrowed, at its beginning; a file, a folder or a pipe). *ret_format: what it
 * turned out to be, for people; owned by the caller; may stay NULL. */
int import_source_read(int fd, const char *path, const struct import_options *options,
	const struct import_taker *taker, char **ret_format, struct fault *f) MUST_CHECK;

/* ---- Its parts ------------------------------------------------------------------------------- */

/* A folder with all below it (import_tree.c). *ret_format as above. */
int import_tree_read(int fd, const char *path, const struct import_options *options,
	const struct import_taker *taker, char **ret_format, struct fault *f) MUST_CHECK;

/* A tar or zip archive, or something compressed (import_archive.c). input is at its beginning;
 * name for people, folder above all of its folders. */
int import_archive_read(struct import_input *input, const char *name, const char *folder,
	const struct import_options *options, const struct import_taker *taker, char **ret_format,
	struct fault *f) MUST_CHECK;

/* One message that is compressed, as Dovecot's zlib plugin writes them. */
int import_compressed_message(struct import_input *input, const struct found *m,
	const struct import_taker *taker, struct fault *f) MUST_CHECK;

/* One message of which the stream is all. */
int import_message_read(const struct import_stream *stream, const struct found *m,
	const struct import_taker *taker, struct fault *f) MUST_CHECK;
