/* Which dialect of mbox a file is in: what tells it, from some of its messages.
 *
 * A file is looked at in places (its first MiB, then eight stretches over the rest), since a whole
 * first reading would double the time of an import from a slow disk, and what lies in between is
 * counted while it is read and said then. Only a Content-Length that leads to the end of its
 * message, again and again, is a sign that holds:
 *
 *   mostly right   mboxcl2 where a line of a body begins with "From "; mboxcl where one begins with
 *                  ">From ", unless an IMAP server's own fields are there, which quotes nothing;
 *                  otherwise mboxcl2: there was nothing to quote
 *   else           mboxrd. mboxo reads the same as long as no line begins with ">>From ". Where one
 *                  does, it was ">From " if the writer was one for mboxrd (Thunderbird, Postfix,
 *                  qmail, Google, popkeep) and ">>From " otherwise, which few people ever write.
 */
#pragma once

#include "cli/mbox_parse.h"

/* Zero-initialise. */
struct mbox_look {
	struct mbox_counts sum;
	uint64_t imap; /* messages with X-UID or X-IMAPbase */
};

/* What a parser of MBOX_ANY found: a message that began; and what it counted in all. */
void mbox_look_message(struct mbox_look *l, const struct mbox_event *begin);
void mbox_look_add(struct mbox_look *l, const struct mbox_counts *counts);

/* Never MBOX_ANY. *ret_why is for people, "Content-Length is right in 12 of 12 messages". */
enum { MBOX_WHY = 160 };
enum mbox_dialect mbox_look_decide(const struct mbox_look *l, char ret_why[static MBOX_WHY]);

/* "mboxrd"; MBOX_ANY: "mbox". */
const char *mbox_dialect_name(enum mbox_dialect dialect);
/* 0, or 1 when it is no name of one. */
int mbox_dialect_parse(const char *name, enum mbox_dialect *ret);
