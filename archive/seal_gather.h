/* The first half of popkeep-worker's sealing: every message is read once, in the order in which
 * the segments hold them, digested, copied to the scratch file, and searched for parts. What is
 * remembered of it is small: LIMIT_SEGMENT_MESSAGES of them must fit beside all else. */
#pragma once

#include "archive/cluster.h"
#include "archive/seal_status.h"
#include "archive/seal_work.h"
#include "archive/split.h"

struct gathered_mail {
	struct digest digest;
	uint64_t place; /* its frame in the source; once it was read: its offset in scratch */
	uint64_t size;
	int64_t archived_s;
	uint32_t entry; /* in that frame */
	uint32_t span;	/* the first of its spans */
	uint16_t source, spans;
};

/* A stretch of a message, at most LIMIT_SPLIT_MESSAGE long, that can be a part. */
struct gathered_span {
	uint32_t offset, size; /* in the message */
	uint32_t part_size;
	uint32_t line;
	uint32_t part; /* which of the parts */
	uint8_t kind, eol;
};

/* Every different one. */
struct gathered_part {
	struct digest digest;
	uint32_t entry; /* in its frame, once it is written */
	bool written;
	bool wanted; /* it gets an entry: base64, or there more than once */
	uint64_t frame;
};

struct gathered {
	struct seal_options options;
	struct gathered_mail *mail;
	size_t mails, mails_size;
	struct gathered_span *span;
	size_t spans, spans_size;
	struct gathered_part *part;
	size_t parts, parts_size;
	uint64_t bytes;		 /* of mail */
	uint32_t *order;	 /* in which messages are to be written: indexes of mail */
	struct cluster *cluster; /* NULL once there is an order */
};

/* {0} at first. FAULT_DAMAGE: a message is not what it should be; *f names it and its place. */
int seal_gather(const struct seal_fds *fds, struct gathered *g, struct seal_status *status,
	struct fault *f) MUST_CHECK;
void gathered_deinit(struct gathered *g);
