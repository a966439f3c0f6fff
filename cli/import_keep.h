/* The one who keeps what readers find, and counts it. */
#pragma once

#include "cli/import_readings.h"
#include "cli/import_taker.h"
#include "cli/run.h"

/* found = kept + known + refused, always: import_sums_fit(). */
struct import_sums {
	uint64_t found;
	uint64_t kept;	    /* a line in the ledger tells of it now */
	uint64_t duplicate; /* of those kept: the bytes were there already, from another place */
	uint64_t known;	    /* bytes and place were known: nothing was written */
	uint64_t refused;
	uint64_t bytes;	 /* of those kept whose bytes are new */
	uint64_t lost;	 /* sources, or the rest of one, that could not be read */
	uint64_t passed; /* files that are no mail */
};
void import_sums_add(struct import_sums *to, const struct import_sums *s);
bool import_sums_fit(const struct import_sums *s);

/* One PATH of the command line. */
struct import_source {
	const char *path; /* borrowed */
	char *format;	  /* what it turned out to be, "mbox"; owned, NULL: nothing yet */
	struct import_sums sums;
	struct reading_counts read_as; /* of its mboxes */
	uint64_t waiting;	       /* messages whose commit is not done */
	bool ended; /* no more will be found; with waiting 0 the sums are final */
};

enum import_ends { IMPORT_AS_THEY_ARE, IMPORT_CRLF };
enum import_mode { IMPORT_KEEP, IMPORT_DRY };

struct import_terms {
	const char *account;
	const char *class_; /* retention class */
	const char *folder; /* above all folders; NULL: none */
	enum import_ends ends;
	enum import_mode mode;
	uint64_t largest; /* a message beyond it is refused */
};

struct import_keep;
/* run->store is open, for writing with IMPORT_KEEP; with IMPORT_DRY it may be NULL: there is no
 * archive yet. terms are borrowed. */
int import_keep_open(struct run *run, const struct import_terms *terms, struct import_keep **ret,
	struct fault *f) MUST_CHECK;
struct import_keep *import_keep_close(struct import_keep *k);
void import_keep_closep(struct import_keep **k);

const struct import_taker *import_keep_taker(const struct import_keep *k);

/* What comes now is of this source, which outlives k. size: its bytes, where they are known, for
 * progress. */
void import_keep_source(struct import_keep *k, struct import_source *source);
/* What progress is measured against; 0: not known. */
void import_keep_expect(struct import_keep *k, uint64_t bytes);

/* All that was found is durable, and the sums of all sources are final. */
int import_keep_finish(struct import_keep *k, struct fault *f) MUST_CHECK;
