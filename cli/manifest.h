/* The manifest of an export: a line for each message, {"type":"file","file":…,"digest":…,…}, only
 * ever appended to. JSON.md says what stands in it. */
#pragma once

#include "archive/find.h"
#include "cli/json.h"

/* What a line says. Texts are borrowed until the reader returns. */
struct manifest_entry {
	const char *file;   /* a relative path, without "." and ".." and empty names in it */
	const char *volume; /* the file that it is an entry of, a name; NULL: none */
	struct digest digest;
	uint64_t size;
	moment_ms archived;	 /* 0: it does not say */
	uint64_t offset, length; /* MANIFEST_NONE where it does not say */
	const char *line_ends;	 /* NULL; of mboxrd */
	const char *folder;	 /* of imported mail; NULL: it was none */
	const char *flags;	 /* likewise; never NULL */
	moment_ms received;	 /* likewise; 0: it does not say */
	uint64_t from, to;	 /* of the line, with its LF, in the manifest */
};
#define MANIFEST_NONE UINT64_MAX

/* <0 with *f set stops. */
typedef int manifest_reader(void *context, const struct manifest_entry *e, struct fault *f);
/* Reads the whole lines of a file from its beginning; *ret_end is where they end: a line that is
 * torn, or none of a manifest, ends it too, and *ret_bad is then its number, from 1 (0: there was
 * none; a torn last line is none). shown: its name, escaped. FAULT_SYSTEM. */
int manifest_walk(int fd, const char *shown, manifest_reader *read, void *context,
	uint64_t *ret_end, uint64_t *ret_bad, struct fault *f) MUST_CHECK;

/* One that is being written. */
struct manifest;

/* Tells `read` of each line that an earlier run wrote, and cuts a torn last one. FAULT_SYSTEM;
 * FAULT_USAGE when a line is not one of a manifest. folder: a descriptor, borrowed. expected: so
 * many messages there will be, more or less. */
int manifest_open(int folder, const char *name, uint64_t expected, manifest_reader *read,
	void *context, struct manifest **ret, struct fault *f) MUST_CHECK;
void manifest_close(struct manifest *m);

/* Lines of earlier runs. */
size_t manifest_count(const struct manifest *m);
/* MANIFEST_FOUND: an earlier run wrote this message, as the file *ret (borrowed until the next
 * call). */
enum { MANIFEST_FOUND = 1 };
int manifest_find(struct manifest *m, const struct digest *d, const char **ret_file,
	struct fault *f) MUST_CHECK;
/* MANIFEST_FOUND: another message begins with the same SHORT_ID digits. Then this one is noted, for
 * those that come later. */
int manifest_note(struct manifest *m, const struct digest *d, struct fault *f) MUST_CHECK;

/* Begins a line for a message; the format may add to it. */
void manifest_line(
	struct json_line *line, const char *file, const struct message *m, char *const *accounts);
/* One line or several, each with its LF. */
int manifest_add(struct manifest *m, struct slice lines, struct fault *f) MUST_CHECK;
int manifest_sync(struct manifest *m, struct fault *f) MUST_CHECK;
/* So many bytes are in it, and their digest. */
uint64_t manifest_end(const struct manifest *m);
int manifest_digest(struct manifest *m, struct digest *ret, struct fault *f) MUST_CHECK;
/* Its bytes [from, to) to a sink. */
int manifest_copy(struct manifest *m, uint64_t from, uint64_t to, message_sink *sink, void *context,
	struct fault *f) MUST_CHECK;
/* To be looked at only: fd is one's manifest, which is not written to (borrowed: a copy of it is
 * kept); scratch: a folder for a file without a name. MANIFEST_OTHER: not all of its lines are ones
 * of a manifest. FAULT_SYSTEM. */
enum { MANIFEST_OTHER = 2 };
int manifest_open_read(int fd, int scratch, struct manifest **ret, struct fault *f) MUST_CHECK;
/* MANIFEST_FOUND, with what its first line for this message says (borrowed until the next call). */
int manifest_look(struct manifest *m, const struct digest *d, struct manifest_entry *ret,
	struct fault *f) MUST_CHECK;
/* Reads again what is in it. */
int manifest_reread(
	struct manifest *m, manifest_reader *read, void *context, struct fault *f) MUST_CHECK;
