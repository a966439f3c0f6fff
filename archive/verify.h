/* What verify's stages share. Inside archive/ only. */
#pragma once

#include "archive/check.h"
#include "archive/file.h"
#include "archive/frame_table.h"
#include "archive/handle.h"
#include "archive/stretch.h"

#include <inttypes.h>

enum verify_stage {
	STAGE_LEDGER,
	STAGE_SEALS,
	STAGE_FILES,
	STAGE_MISSING,
	STAGE_SEGMENTS,
	STAGE_DONE,
	STAGE_PAUSED /* its time is over */
};

enum {
	FOUND_MAX = 8,	   /* that wait to be told: what one step finds */
	QUIET_S = 60 * 60, /* a file that nobody changed for so long is not being made just now */
};

struct finding {
	int kind; /* VERIFY_DAMAGE, VERIFY_NOTE */
	struct damage damage;
};

/* A stretch of an open segment whose bytes are not those that were written. */
struct bad_stretch {
	uint64_t from, to;
	int error;	/* why it cannot be read; 0: it can */
	bool explained; /* something else was found in it, and told */
};

/* The segment that is looked at. */
enum segment_phase {
	PHASE_PLACES,	/* messages' places within the file */
	PHASE_WALK,	/* open ones, and sealed ones in VERIFY_FULL: entries in order */
	PHASE_FRAMES,	/* sealed ones: the digests of frames and file */
	PHASE_MESSAGES, /* sealed ones: each message read; in VERIFY_FULL, or to tell which are hit
			 */
	PHASE_END
};

struct verified_segment {
	struct segment_row row;
	enum segment_phase phase;
	char file[64];
	int fd;	       /* -1: it cannot be opened */
	uint64_t size; /* of the file, now */
	uint64_t read; /* how far frames were read */
	bool counted;  /* its messages are in the sums already */
	bool damaged;  /* anything was found in it */
	uint64_t hits; /* messages that cannot be read */

	/* Its messages as the catalog has them, in order of place. */
	sqlite3_stmt *placed;
	struct message expected; /* the next of them */
	bool has_expected;

	/* PHASE_WALK: against the entries in order. */
	struct segment_walk *walk;
	struct segment_entry entry; /* read, and waiting while those missed before it are told */
	bool waiting;
	bool headers_done; /* of open ones */
	bool stretches_done;
	bool in_stretch; /* digested as far as: */
	uint64_t hashed;
	struct stretch stretch;
	struct bad_stretch *bad; /* in order */
	size_t bad_n, bad_size, bad_told;
	bool has_ledger; /* entry LEDGER was seen */
	bool any;	 /* an entry was seen; the last one: */
	struct location last;
	bool again; /* what could not be decoded is being read again: */
	uint64_t suspect, suspect_end;

	/* Sealed ones. */
	struct frame_table table;
	size_t frame; /* the next */
	struct hasher *file_hasher, *frame_hasher;
	bool whole_done; /* the file was digested as a whole: */
	bool is_whole;	 /* and is what was sealed, */
	bool suspicious; /* or was not the first time */
	bool reread;	 /* what went into file_hasher was wrong */
};

/* A `seal` line of the ledger. */
struct verified_seal {
	uint64_t segment, size;
	struct digest digest;
	bool replaced; /* by a later one */
};

struct verify {
	struct store *s;
	enum verify_depth depth;
	enum verify_stage stage;
	struct verify_sums sums;
	struct ledger_at known; /* what the catalog knows of the ledger */
	struct buffer scratch;
	uint8_t *chunk;	       /* for reading files */
	struct finding *found; /* FOUND_MAX */
	size_t found_n, told;

	struct verify_ledger *ledger;
	struct verified_seal *seal;
	size_t seals, seals_size, seals_checked;
	DIR *files;
	sqlite3_stmt *missing;
	struct verified_segment segment;
	bool inside; /* a segment is being looked at */

	uint64_t done, all; /* bytes of segment files, of the whole round */
	struct scrub round;
	uint64_t this_run; /* segments looked at */
	int64_t until;	   /* monotonic_ms(); 0: for ever */
};

/* ---- Findings: queued, and told by verify_step() ----------------------------------------------
 */

/* Where in a file. from == to: somewhere. */
struct damage *verify_found(struct verify *v, const char *file, uint64_t from, uint64_t to,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
struct damage *verify_note(struct verify *v, const char *file, uint64_t from, uint64_t to,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* It was right the second time. */
void verify_reread(struct verify *v, const char *file, uint64_t from, uint64_t to);
void verify_advise(struct damage *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void verify_hit(struct damage *d, const struct digest *message, uint64_t id);

/* Takes a file's bytes out of the page cache, so that they are read from the disk again. to 0: to
 * its end. */
void verify_uncache(int fd, uint64_t from, uint64_t to);

/* ---- Stages: each step does some of it, and sets v->stage when it is over. <0: failed ----------
 */

int verify_files(struct verify *v, struct fault *f) MUST_CHECK;
int verify_ledger(struct verify *v, struct fault *f) MUST_CHECK;
struct verify_ledger *verify_ledger_free(struct verify_ledger *l);
/* Of the ledger's lines, in order. */
int verify_add_seal(struct verify *v, const struct event *e, struct fault *f) MUST_CHECK;
/* The digest that the file had when it was sealed; false: nothing says it. */
bool verify_sealed_as(const struct verify *v, const struct segment_row *row, struct digest *ret);
int verify_seals(struct verify *v, struct fault *f) MUST_CHECK;
int verify_segments(struct verify *v, struct fault *f) MUST_CHECK;

/* ---- Inside verify_segments() ------------------------------------------------------------------
 */

void verify_segment_end(struct verify *v);
/* How far it has come in the file of the segment. */
uint64_t verify_segment_offset(const struct verify *v);
/* Moves v->segment.expected on, or to the first again. */
int verify_next_expected(struct verify *v, struct fault *f) MUST_CHECK;
int verify_first_expected(struct verify *v, struct fault *f) MUST_CHECK;
/* v->segment.expected is hit. */
struct damage *verify_found_message(struct verify *v, const char *why);
void verify_advise_segment(const struct verify *v, struct damage *d);

int verify_walk_begin(struct verify *v, struct fault *f) MUST_CHECK;
int verify_walk(struct verify *v, struct fault *f) MUST_CHECK;
int verify_stretches_begin(struct verify *v, struct fault *f) MUST_CHECK;
int verify_stretches(struct verify *v, struct fault *f) MUST_CHECK;
/* Something that was found in these bytes is told. */
void verify_explain(struct verify *v, uint64_t from, uint64_t to);
/* Tells the next stretch that nothing else was found in; false: no further one. */
bool verify_tell_stretch(struct verify *v);
int verify_sealed_begin(struct verify *v, struct fault *f) MUST_CHECK;
int verify_frames(struct verify *v, struct fault *f) MUST_CHECK;
int verify_messages(struct verify *v, struct fault *f) MUST_CHECK;

/* Whether the ledger says that this message is lost. */
int verify_is_lost(struct verify *v, uint64_t id, bool *ret, struct fault *f) MUST_CHECK;
