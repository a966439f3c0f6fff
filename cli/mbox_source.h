/* Where an mbox comes from: a file, which others may change meanwhile, or a stream. It gives a
 * window on what comes next, without a copy of it, and bytes further on where they can be had. */
#pragma once

#include "archive/limits.h"
#include "cli/import_taker.h"
#include "cli/mbox_parse.h"

#include <sys/stat.h>

/* Zero-initialise but for these: fd, or stream and -1. All borrowed. */
struct mbox_source {
	int fd;
	const struct import_stream *stream;

	uint8_t *window;
	size_t begin, end; /* of what is in the window */
	uint64_t offset;   /* of begin, in the file */
	enum mbox_window extent;
	uint64_t size;	    /* of a file, when reading began */
	struct stat last;   /* likewise, and after each change that was harmless */
	uint64_t more;	    /* bytes that came since */
	uint8_t tail[1024]; /* of a file: what was read last */
	size_t tail_len;
	bool ended; /* before its end, and why */
	char why[FAULT_TEXT_MAX];
};

/* Looks up where the file ends. FAULT_MEMORY, FAULT_SYSTEM. */
int mbox_source_open(struct mbox_source *s, struct fault *f) MUST_CHECK;
void mbox_source_close(struct mbox_source *s);

struct slice mbox_source_window(const struct mbox_source *s);
/* n bytes of the window are done. */
void mbox_source_take(struct mbox_source *s, size_t n);
/* Makes the window longer, or notices that it is whole. MBOX_SOURCE_ENDS: there cannot be more,
 * though it should; s->why says what happened, safe to print. */
enum { MBOX_SOURCE_ENDS = 1 };
int mbox_source_more(struct mbox_source *s, struct fault *f) MUST_CHECK;
/* Up to n bytes from offset on, of a file: fewer where it ends. Returns how many; -1. */
ssize_t mbox_source_look(const struct mbox_source *s, uint64_t offset, void *to, size_t n);

/* At the end of a file: whether what lies before it is still what ends there. MBOX_SOURCE_ENDS as
 * above: it goes on, in the middle of a message. */
int mbox_source_check_end(struct mbox_source *s);
