/* The manifest of an export: a line for each message, {"type":"file","file":…,"digest":…,…}, only
 * ever appended to. */
#pragma once

#include "archive/find.h"
#include "cli/json.h"

struct manifest;

/* Reads what an earlier run wrote, and cuts a torn last line. FAULT_SYSTEM; FAULT_USAGE when a line
 * is not one of a manifest whose files are named `within` and a name without a folder in it.
 * folder: a descriptor, borrowed. */
int manifest_open(int folder, const char *name, const char *within, struct manifest **ret,
	struct fault *f) MUST_CHECK;
void manifest_close(struct manifest *m);

/* Lines of earlier runs. */
size_t manifest_count(const struct manifest *m);
/* The file that an earlier run wrote for this message, borrowed; NULL. */
const char *manifest_find(const struct manifest *m, const struct digest *d);
/* Where the last of what earlier lines tell of ends, by their offset and length; 0 without. */
uint64_t manifest_end(const struct manifest *m);

/* Begins a line for a message; the format may add to it. */
void manifest_line(
	struct json_line *line, const char *file, const struct message *m, char *const *accounts);
/* One line or several, each with its LF. */
int manifest_add(struct manifest *m, struct slice lines, struct fault *f) MUST_CHECK;
int manifest_sync(struct manifest *m, struct fault *f) MUST_CHECK;
