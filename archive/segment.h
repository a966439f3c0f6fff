/* Segments: tar files cut into independent zstd frames, each of whole tar entries (an entry larger
 * than LIMIT_FRAME_ENTRY spans several), each with a content checksum, so that one message is read
 * by decoding its frame and plain tar reads the whole. FORMAT.md gives the bytes.
 *
 * Writing and reading are separate objects: a writer belongs to who holds TURN_COMMIT. */
#pragma once

#include "archive/digest.h"
#include "archive/find.h"
#include "archive/frame_cache.h"
#include "archive/moment.h"
#include "archive/segment_file.h"
#include "archive/spool.h"

/* ---- Appending -------------------------------------------------------------------------- */

struct segment_writer;

/* folder_fd: segments/, borrowed. Opens an open segment whose committed end is `end`; the file must
 * be exactly that long (what lies beyond is replay's business: FAULT_DAMAGE). With end 0 the file
 * is made, O_EXCL. */
int segment_writer_open(int folder_fd, uint64_t number, uint64_t end, struct segment_writer **ret,
	struct fault *f) MUST_CHECK;
struct segment_writer *segment_writer_close(struct segment_writer *w);
void segment_writer_closep(struct segment_writer **w);
uint64_t segment_writer_number(const struct segment_writer *w);
uint64_t segment_writer_end(const struct segment_writer *w);
/* Where the bytes begin that were written to the file since it was opened, or since this was last
 * called; they end at its end. *ret: of these bytes as they lie there. */
uint64_t segment_writer_written(struct segment_writer *w, struct digest *ret);

/* Appends entry mail/<digest>.eml. *ret: where it will lie. */
int segment_append(struct segment_writer *w, struct spool *message, moment_ms archived,
	struct location *ret, struct fault *f) MUST_CHECK;
/* Ends the frame and writes what is left; then segment_sync() makes it durable, the folder too
 * when the file is new. */
int segment_flush(struct segment_writer *w, struct fault *f) MUST_CHECK;
int segment_sync(struct segment_writer *w, struct fault *f) MUST_CHECK;

/* ---- Reading one message ------------------------------------------------------------------ */

/* fd: the segment, read with pread only. Gives the bytes of the message at `at`, which must be
 * entry mail/<digest>.eml of `size` bytes, or mail/<digest>.recipe that makes as many, in pieces;
 * ENTRY_OTHER when something else lies there or it cannot be decoded or put together (reason in *f,
 * FAULT_DAMAGE). A recipe's sums are checked before the sink gets a byte. At most `limit` bytes are
 * given. Frames are decoded only as far as the message needs it: its digest is the caller's to
 * check. */
enum { ENTRY_OTHER = 1 };
int segment_read_entry(int fd, struct frame_cache *cache, const struct location *at,
	const struct digest *digest, uint64_t size, uint64_t limit, message_sink *sink,
	void *context, struct fault *f) MUST_CHECK;

/* ---- Walking a segment -------------------------------------------------------------------- */

enum entry_kind {
	ENTRY_UNKNOWN = 0, /* to be passed over */
	ENTRY_MAIL,	   /* mail/<digest>.eml */
	ENTRY_RECIPE,	   /* mail/<digest>.recipe */
	ENTRY_PART,	   /* part/<digest> */
	ENTRY_LEDGER,	   /* LEDGER */
	ENTRY_README,	   /* README */
};
/* What the name of an entry says; *ret: the digest in it, where there is one. */
enum entry_kind segment_entry_kind(const char *name, struct digest *ret);
static inline bool entry_is_message(enum entry_kind kind)
{
	return kind == ENTRY_MAIL || kind == ENTRY_RECIPE;
}

/* Its name is the digest of its bytes, or of what is made of them. */
static inline bool entry_has_digest(enum entry_kind kind)
{
	return entry_is_message(kind) || kind == ENTRY_PART;
}

/* WALK_DIGEST: each entry is digested, recipes are put together first. WALK_NAMES: entries are
 * found and no more; what they hold is believed. */
enum walk_mode { WALK_DIGEST = 1, WALK_NAMES };

struct frame_table;

/* All entries in order. A frame that cannot be decoded ends what depends on it; the walk goes on at
 * the next frame that can. */
struct segment_entry {
	struct location at;
	enum entry_kind kind;
	struct digest named; /* the digest of its name; MAIL, RECIPE, PART */
	struct digest found; /* of its bytes, of a recipe the message's; not with WALK_NAMES */
	uint64_t size;	     /* of its bytes; of a recipe what it says of the message */
	uint64_t frames_end; /* end of the frame in which the entry ends; 0: that is damaged */
	bool unread;	     /* a recipe of which no message can be made: *f says why */
};

struct segment_walk;
enum { WALK_ENTRY = 1, WALK_DAMAGE = 2 };
/* Decodes from `from` (a frame's start) to `end` of the file. */
int segment_walk_open(int fd, uint64_t number, uint64_t from, uint64_t end, enum walk_mode mode,
	struct segment_walk **ret, struct fault *f) MUST_CHECK;
/* WALK_ENTRY with *ret; WALK_DAMAGE with *ret_from and *ret_to, the bytes of the file that cannot
 * be decoded, and *f saying why; 0 at the end. */
int segment_walk_next(struct segment_walk *w, struct segment_entry *ret, uint64_t *ret_from,
	uint64_t *ret_to, struct fault *f) MUST_CHECK;
/* How far it has come in the file. */
/* Right after it was opened, on a file from its beginning: the frames are compared with a table,
 * which must outlive the walk, and when that has ended: were they just those? FAULT_MEMORY. */
int segment_walk_expect(
	struct segment_walk *w, const struct frame_table *t, struct fault *f) MUST_CHECK;
bool segment_walk_fits(const struct segment_walk *w);
uint64_t segment_walk_offset(const struct segment_walk *w);
/* After the end: TAIL_BLOCKS when tar's end blocks were the last of what was decoded (a sealed
 * segment that lacks them is cut short), and where the last frame ended, behind which there is
 * nothing but skippable frames; compare with frame_table_end(). */
enum walk_tail { TAIL_NONE = 1, TAIL_BLOCKS };
enum walk_tail segment_walk_tail(const struct segment_walk *w, uint64_t *ret_frames_end);
struct segment_walk *segment_walk_close(struct segment_walk *w);
void segment_walk_closep(struct segment_walk **w);
