/* What the index wants to know of a message: some fields of its header, and what is attached to it.
 * Fed with the message's bytes in pieces as they come; nothing is kept of a body, nothing recurses,
 * and every count and length has a cap of limits.h. For popkeep-worker's sandbox: the bytes are
 * anybody's. What cannot be understood is passed over and never an error.
 *
 * An attachment is what people would call one:
 *   - a part that is said to be one (Content-Disposition: attachment), whatever it is;
 *   - a part that has a name, unless it is an image or another thing shown within the text
 *     (in multipart/related, with a Content-ID or an image);
 *   - a part without a name that is neither text nor a choice of multipart/alternative nor the
 *     machine's part of a report: a PDF, an image;
 *   - a forwarded message (message/rfc822), but none of a digest or a bounce. What is attached to
 * it counts too. Signatures (PGP, S/MIME) and PGP's control part are none. Of a message that is one
 * part as a whole, the same is asked. */
#pragma once

#include "archive/charset.h"
#include "archive/moment.h"

/* Texts as plain_append() leaves them; "" where there is none. Of a field that is there more than
 * once the first counts; To and Cc are put together, separated by ", ". */
struct mail_facts {
	bool has_date, has_received;
	moment_ms date, received; /* Received: the topmost that has a date behind its last ';' */
	struct buffer sender, recipients, copied, subject;
	struct buffer message_id; /* without angle brackets */
	uint64_t attachments;
	struct buffer names; /* of those that have one, each followed by a line end */
};

struct mail_scan;
/* charsets: borrowed; NULL: opened as needed. */
int mail_scan_new(struct charsets *charsets, struct mail_scan **ret, struct fault *f) MUST_CHECK;
struct mail_scan *mail_scan_free(struct mail_scan *s);
void mail_scan_freep(struct mail_scan **s);

/* For each message: begin, add, end. Failures are FAULT_MEMORY only. *ret is borrowed until the
 * next begin. */
void mail_scan_begin(struct mail_scan *s);
int mail_scan_add(struct mail_scan *s, struct slice bytes, struct fault *f) MUST_CHECK;
int mail_scan_end(struct mail_scan *s, const struct mail_facts **ret, struct fault *f) MUST_CHECK;
