/* How files of many messages were read: which dialect of mbox each was found to be. A folder of
 * hundreds of them is told in one line with counts, a few are told one by one. */
#pragma once

#include "cli/json.h"
#include "cli/run.h"

/* Of a source, or of all. Embedded; zero-initialise. */
struct reading_counts {
	struct {
		const char *format;
		uint64_t files;
	} of[8];
	size_t n;
};
/* format: "mboxrd", a text that stays. */
void reading_counts_add(struct reading_counts *c, const char *format);
/* "read_as":{"mboxrd":348,"mboxcl":2}; nothing where there is nothing. */
void reading_counts_json(const struct reading_counts *c, struct json_line *line);

/* All of an import. Embedded; zero-initialise. */
enum { READINGS_FEW = 5 };
struct readings {
	struct reading_counts counts;
	char *text[READINGS_FEW]; /* the first, escaped; owned */
	uint64_t files;
};
void readings_deinit(struct readings *r);
/* path was read as format; text says so and why, or is NULL. With -v it is told at once. */
int readings_add(struct readings *r, struct run *run, const char *path, const char *format,
	const char *text, struct fault *f) MUST_CHECK;
/* Tells what was not told yet, once. */
void readings_tell(struct readings *r, struct run *run);
