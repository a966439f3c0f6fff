/* What popkeep-worker does for the index: reads the messages of the given segments, makes sure that
 * they are what was kept, and says on the output what their headers say: index_record.h. It is
 * handed all it needs as descriptors and opens nothing; the other side believes its texts, within
 * caps, and nothing else.
 *
 * The request, text on a pipe, is that of a seal (seal_work.h) without what only a seal needs; the
 * other way go, on the status pipe, the same lines:
 *
 *	popkeep-index 1
 *	sources 2
 *	mail <source> <frame offset> <entry offset> <size> 0 <sha256>
 *	...
 *	end
 */
#pragma once

#include "archive/charset.h"
#include "archive/seal_work.h"

/* The request's text, appended; then seal_request_mail(), seal_request_end(). */
int index_request_begin(size_t sources, struct buffer *to, struct fault *f) MUST_CHECK;
/* Then seal_request_next(). */
int index_request_read(int fd, struct seal_reader *ret, struct fault *f) MUST_CHECK;

/* Of fds, request, out, status and source are used. charsets: as mail_scan.h. One record for each
 * message, in the order of the request; one that cannot be read, or is not what was kept, has a
 * record that says so. */
int index_work(const struct seal_fds *fds, struct charsets *charsets, struct fault *f) MUST_CHECK;
