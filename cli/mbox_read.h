/* Mail out of mbox files, for `import`: what cli/mbox_parse.h takes apart goes to a taker.
 *
 *   dialect   the one that is forced, or with MBOX_ANY found out by a look at the file (see
 *             cli/mbox_dialect.h) and said in a note
 *   received  of the "From " line: UTC where it names no zone, as RFC 4155 says
 *   flags     see cli/mbox_marks.h
 *   folder    the source's, or with labels of Gmail theirs (cli/takeout.h)
 *
 * Passed over, with a note that counts them: messages that Thunderbird has deleted and not yet
 * taken out of its file (nobody sees them any more), and what Pine and UW IMAP keep for themselves
 * as a first message.
 *
 * A file is read up to where it ended when reading began. No lock is held while it is read: that
 * would stop the delivery of mail for minutes. One is taken, where it can be had, for the moment in
 * which that end is looked up, so that it is not in the middle of a delivery; what comes in later
 * is said and left for the next import. A file that others rewrite under the reader ends there:
 * the message in which it happened is refused, and the rest is lost to this import. */
#pragma once

#include "cli/import_taker.h"
#include "cli/mbox_dialect.h"

/* fd: a regular file, read from its beginning, borrowed. name and folder as in struct
 * import_stream. base: what position() is told in addition. <0: as in cli/import_taker.h. */
struct mbox_file {
	int fd;
	const char *name, *folder;
	uint64_t base;
};
int mbox_read_file(const struct mbox_file *file, enum mbox_dialect dialect,
	const struct import_taker *t, struct fault *f) MUST_CHECK;

/* What cannot be wound back. A Content-Length that leads further than LIMIT_MBOX_WINDOW is not
 * followed then, and messages are told apart by their "From " lines only; a note counts them.
 * position() is left to who made s. */
int mbox_read_stream(const struct import_stream *s, enum mbox_dialect dialect,
	const struct import_taker *t, struct fault *f) MUST_CHECK;
