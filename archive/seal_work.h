/* What popkeep-worker does for a seal: reads the messages of the given segments, splits them,
 * orders them for compression, and writes a sealed segment to a pipe. It is handed all it needs as
 * descriptors, opens nothing and believes nothing: the other side checks every byte of it.
 *
 * The request, text on a pipe:
 *
 *	popkeep-seal 1
 *	level 9
 *	frame 4194304
 *	part-sharing on
 *	sources 2
 *	mail <source> <frame offset> <entry offset> <size> <archived, seconds> <sha256>
 *	...
 *	end
 *
 * `mail` lines come in order of source and place, at most LIMIT_SEGMENT_MESSAGES. On the
 * status pipe it says, a line each: `progress <bytes done> <bytes in all>` at least once a second
 * or a 16 MiB, and last `done`, or `failed <text>`. */
#pragma once

#include "archive/digest.h"
#include "archive/limits.h"
#include "archive/moment.h"

enum seal_sharing { SEAL_SHARING_ON, SEAL_SHARING_OFF };

struct seal_options {
	int level;
	uint64_t frame_bytes;
	enum seal_sharing sharing;
};
/* 9, 4 MiB, on. */
#define SEAL_OPTIONS_DEFAULT ((struct seal_options){9, 4 * MIB, SEAL_SHARING_ON})

struct seal_mail {
	uint32_t source; /* index of it */
	uint64_t frame_offset, entry_offset, size;
	moment_ms archived;
	struct digest digest;
};

/* The request's text, appended. */
int seal_request_begin(const struct seal_options *options, size_t sources, struct buffer *to,
	struct fault *f) MUST_CHECK;
int seal_request_mail(const struct seal_mail *m, struct buffer *to, struct fault *f) MUST_CHECK;
int seal_request_end(struct buffer *to, struct fault *f) MUST_CHECK;

/* The other side: reads a request from a descriptor, line by line, each number capped. Embedded;
 * seal_request_read() first. Failures: FAULT_FORMAT, and *f names the line; FAULT_SYSTEM. */
struct seal_reader {
	int fd; /* borrowed */
	struct seal_options options;
	size_t sources;
	size_t line, mails; /* so far */
	size_t from, to;    /* what of text was not looked at yet */
	char text[4096];
};
int seal_request_read(int fd, struct seal_reader *ret, struct fault *f) MUST_CHECK;
enum { SEAL_MAIL = 1 };
/* SEAL_MAIL; 0 behind `end`. */
int seal_request_next(struct seal_reader *r, struct seal_mail *ret, struct fault *f) MUST_CHECK;

/* All borrowed. */
struct seal_fds {
	int request, out, status; /* pipes */
	int scratch;		  /* an empty file of its own, for reading and writing */
	int ledger;		  /* the bytes of entry LEDGER, from offset 0 */
	const int *source;	  /* segments, read with pread */
	size_t sources;
};

/* Does the whole job; says how it ended on the status pipe too. Memory stays below 256 MiB whatever
 * the segments hold. FAULT_DAMAGE: a message cannot be read as it was kept; the text names it. */
int seal_work(const struct seal_fds *fds, struct fault *f) MUST_CHECK;
