/* The `seal` lines of a stretch of the ledger, read ahead of its other lines: where messages lie
 * depends on them. For replay and rebuild. Inside archive/ only. */
#pragma once

#include "archive/handle.h"

enum seal_file {
	SEAL_GOOD = 1, /* the file is there, with the line's size and digest */
	SEAL_BAD,      /* missing or damaged */
	SEAL_REPLACED  /* a later good one replaces it: of no interest any more */
};
struct seal_line {
	uint64_t segment, size;
	struct digest digest;
	char class_[LIMIT_CLASS + 1];
	size_t first, replaces; /* in struct seals.number */
	enum seal_file file;
};
/* Embedded; {0} at first. */
struct seals {
	struct seal_line *line;
	size_t lines, lines_size;
	uint64_t *number; /* of replaced segments, line by line */
	size_t numbers, numbers_size;
};
void seals_deinit(struct seals *all);

/* The committed lines behind `from`, and what became of their files. Of a damaged ledger as far as
 * it can be read. */
int seals_read(struct store *s, const struct ledger_at *from, struct seals *ret,
	struct fault *f) MUST_CHECK;

/* Whether this segment is one of those that good ones replace: its file, if it is there still,
 * means nothing. */
bool seals_replace(const struct seals *all, uint64_t number);
/* The line that made it; NULL: none did. */
const struct seal_line *seals_find(const struct seals *all, uint64_t number);

/* After the lines were applied: rows REPLACED stand for files that are there, and each such file
 * has one, so that nobody takes it for a crash's leftovers. segments/ was synced before. */
int seals_settle(
	struct store *s, struct catalog *c, const struct seals *all, struct fault *f) MUST_CHECK;
