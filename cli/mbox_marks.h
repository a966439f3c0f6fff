/* What programs write into the headers of their mbox files about a message. Its bytes stay as they
 * are: these fields are read, and kept with the rest.
 *
 *   Status, X-Status     letters of Unix mailers and IMAP servers: R read, A answered, F flagged,
 *                        T draft, D deleted (O, N and U say what no flag does)
 *   X-Keywords           words (UW IMAP, Dovecot)
 *   X-Mozilla-Status     bits in hexadecimal (Thunderbird): 1 read, 2 answered, 4 flagged, 8
 *                        deleted and not yet taken out, 1000 forwarded
 *   X-Mozilla-Keys       words
 *   X-Gmail-Labels       see cli/takeout.h
 */
#pragma once

#include "archive/bytes.h"
#include "archive/limits.h"

enum mbox_kind {
	MBOX_MAIL,
	/* Thunderbird deleted it, and its file was not compacted since. */
	MBOX_EXPUNGED,
	/* What Pine and UW IMAP put first into a file, for themselves: "DON'T DELETE THIS MESSAGE
	 * -- FOLDER INTERNAL DATA". */
	MBOX_INTERNAL
};

/* Zero-initialise; mbox_marks_read() may be used again on it. */
struct mbox_marks {
	enum mbox_kind kind;
	struct buffer flags;  /* text: "\Seen $Forwarded"; at most LIMIT_FLAGS bytes */
	struct buffer labels; /* of Gmail, unfolded; empty where there are none */
};

/* header: as mbox_parser_step() gives it. FAULT_MEMORY. */
int mbox_marks_read(struct slice header, struct mbox_marks *ret, struct fault *f) MUST_CHECK;
void mbox_marks_deinit(struct mbox_marks *m);

/* Adds a flag or keyword, once; what RFC 3501 does not allow as one, or does not fit, is left out.
 */
int mbox_marks_add(struct mbox_marks *m, struct slice flag, struct fault *f) MUST_CHECK;
