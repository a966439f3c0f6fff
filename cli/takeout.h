/* The labels that Gmail had for a message, as Google Takeout writes them into its mbox files:
 *
 *   X-Gmail-Labels: =?UTF-8?Q?Posteingang,Ungelesen,Arbeit/B=C3=BCro,"a, b"?=
 *
 * Names separated by commas, quoted where they hold one; those of the system in the language of the
 * account, of which a few are known here and the others look like labels of its user.
 *
 *   folder   the first label of the user; otherwise INBOX, Sent, Drafts, Spam or Trash; otherwise
 *            Archive, for mail that has none
 *   also     all the others of these, as in Gmail's own IMAP: a message with a label that is in the
 *            inbox too is in both. Chats have the folder Chats
 *   flags    \Seen unless it is unread, \Flagged if it has a star, \Draft, $Important (RFC 8457),
 *            and what IMAP clients had set ("IMAP_$Forwarded")
 *
 * Categories ("Promotions") are Gmail's own guess and left out. */
#pragma once

#include "archive/bytes.h"
#include "cli/mbox_marks.h"

/* Labels of one message that count. */
enum { TAKEOUT_FOLDERS = 64 };

/* Zero-initialise; takeout_read() may be used again on it. */
struct takeout {
	struct buffer text;		     /* the folders' names, each with its NUL */
	const char *folder[TAKEOUT_FOLDERS]; /* UTF-8, "/" between levels, no control characters */
	size_t n;			     /* at least 1 behind takeout_read() */
};

/* Reads m->labels, and adds to m's flags. FAULT_MEMORY. */
int takeout_read(struct mbox_marks *m, struct takeout *ret, struct fault *f) MUST_CHECK;
void takeout_deinit(struct takeout *t);
