/* Segments: tar files cut into independent zstd frames, each of whole tar entries (an entry larger
 * than LIMIT_FRAME_ENTRY spans several), each with a content checksum, so that one message is read
 * by decoding its frame and plain tar reads the whole. FORMAT.md gives the bytes.
 *
 * Writing and reading are separate objects: a writer belongs to who holds TURN_COMMIT. */
#pragma once

#include "archive/digest.h"
#include "archive/find.h"
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

/* Appends entry mail/<digest>.eml. *ret: where it will lie. */
int segment_append(struct segment_writer *w, struct spool *message, moment_ms archived,
	struct location *ret, struct fault *f) MUST_CHECK;
/* Ends the frame and writes what is left; then segment_sync() makes it durable, the folder too
 * when the file is new. */
int segment_flush(struct segment_writer *w, struct fault *f) MUST_CHECK;
int segment_sync(struct segment_writer *w, struct fault *f) MUST_CHECK;

/* ---- Reading one entry -------------------------------------------------------------------- */

/* The frame that was decoded last: neighbours are read together, and a frame holds dozens of them.
 * Embedded; {0} at first. At most LIMIT_FRAME_ENTRY bytes. */
struct frame_cache {
	uint64_t segment, frame_offset;
	struct buffer bytes;
	bool filled, broken; /* broken: it could not be decoded to its end; fault says why */
	struct fault fault;
};
void frame_cache_deinit(struct frame_cache *c);

/* fd: the segment, read with pread only. Gives the bytes of the entry at `at`, which must be
 * mail/<digest>.eml of `size` bytes, in pieces; ENTRY_OTHER when something else lies there or it
 * cannot be decoded (reason in *f, FAULT_DAMAGE). At most `limit` bytes are given. An entry that
 * was decoded whole is given even where its frame is damaged behind it: its digest is the caller's
 * to check. */
enum { ENTRY_OTHER = 1 };
int segment_read_entry(int fd, struct frame_cache *cache, const struct location *at,
	const struct digest *digest, uint64_t size, uint64_t limit, message_sink *sink,
	void *context, struct fault *f) MUST_CHECK;

/* ---- Walking a segment -------------------------------------------------------------------- */

/* All entries in order, digested. A frame that cannot be decoded ends what depends on it; the walk
 * goes on at the next frame that can. */
struct segment_entry {
	struct location at;
	bool is_mail;	     /* named mail/<digest>.eml */
	struct digest named; /* the digest of its name */
	struct digest found; /* the digest of its bytes */
	uint64_t size;
	uint64_t frames_end; /* end of the frame in which the entry ends */
};

struct segment_walk;
enum { WALK_ENTRY = 1, WALK_DAMAGE = 2 };
/* Decodes from `from` (a frame's start) to `end` of the file. */
int segment_walk_open(int fd, uint64_t number, uint64_t from, uint64_t end,
	struct segment_walk **ret, struct fault *f) MUST_CHECK;
/* WALK_ENTRY with *ret; WALK_DAMAGE with *ret_from and *ret_to, the bytes of the file that cannot
 * be decoded, and *f saying why; 0 at the end. */
int segment_walk_next(struct segment_walk *w, struct segment_entry *ret, uint64_t *ret_from,
	uint64_t *ret_to, struct fault *f) MUST_CHECK;
/* How far it has come in the file. */
uint64_t segment_walk_offset(const struct segment_walk *w);
struct segment_walk *segment_walk_close(struct segment_walk *w);
void segment_walk_closep(struct segment_walk **w);
