/* manifest.jsonl of an export: a line for each file, {"type":"file","file":…,"digest":…,…}, only
 * ever appended to. */
#pragma once

#include "archive/digest.h"

struct manifest;

/* Reads what an earlier run wrote, and cuts a torn last line. FAULT_SYSTEM; FAULT_USAGE when a line
 * is not one of a manifest. folder: a descriptor, borrowed. */
int manifest_open(int folder, const char *name, struct manifest **ret, struct fault *f) MUST_CHECK;
void manifest_close(struct manifest *m);
void manifest_closep(struct manifest **m);

/* Lines of earlier runs. */
size_t manifest_count(const struct manifest *m);
/* The file that an earlier run wrote for this message, borrowed, without any folder in it; NULL. */
const char *manifest_find(const struct manifest *m, const struct digest *d);
/* line ends with LF. */
int manifest_add(struct manifest *m, const char *line, struct fault *f) MUST_CHECK;
int manifest_sync(struct manifest *m, struct fault *f) MUST_CHECK;
