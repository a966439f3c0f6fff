/* The files of segments/:
 *
 *   segments/000002.open.tar.zst   appended to; no end blocks
 *   segments/000002.tar.zst        sealed
 *   segments/000002.damaged        put aside by salvage; nobody reads it
 *   segments/seal.tmp              a sealed one that is not whole yet
 *   segments/copy.tmp              likewise, in a copy */
#pragma once

#include "archive/bytes.h"

#define FILE_SEAL_TMP "seal.tmp"
#define FILE_COPY_TMP "copy.tmp" /* in ledger/ of a copy too */

enum { SEGMENT_NAME = 48 };
enum segment_state {
	SEGMENT_OPEN = 1,
	SEGMENT_SEALED = 2,
	SEGMENT_CLOSED = 3,  /* named as an open one, but nothing is appended any more */
	SEGMENT_REPLACED = 4 /* sealed into another one: to be removed, and read by nobody */
};
void segment_name(uint64_t number, enum segment_state state, char ret[static SEGMENT_NAME]);
void segment_damaged_name(uint64_t number, char ret[static SEGMENT_NAME]);
/* SEGMENT_OTHER: not a segment's name. */
enum { SEGMENT_OTHER = 1 };
int segment_parse_name(const char *name, uint64_t *ret_number, enum segment_state *ret_state);
bool segment_is_damaged_name(const char *name);

struct segment_file {
	uint64_t number, size;
	enum segment_state state; /* OPEN or SEALED: a name does not tell CLOSED */
};
/* All of them in order of number; *ret is an array of *ret_n, to be freed. */
int segment_files(
	int segments_fd, struct segment_file **ret, size_t *ret_n, struct fault *f) MUST_CHECK;
/* The highest number; 0 when there is none. */
int segment_last_file(int segments_fd, uint64_t *ret, struct fault *f) MUST_CHECK;
/* The lowest number above `after` of one that is named as open; 0: there is none. */
int segment_next_open(int segments_fd, uint64_t after, uint64_t *ret, struct fault *f) MUST_CHECK;

/* Opens it for reading, sealed or open, whichever there is. The descriptor, or <0. */
int segment_open_file(int segments_fd, uint64_t number, struct fault *f);
