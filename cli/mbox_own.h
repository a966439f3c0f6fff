/* The mboxrd files that `export` wrote, by the manifest beside them: mail out of them is the same
 * bytes that went in, CRLF and a missing last end of line too (cli/mboxrd.h has the way back), and
 * so the same messages for an archive that has them.
 *
 * Every message is put together twice: its digest is taken first, since nothing may be given that
 * its manifest does not vouch for. Where the digest does not fit, because somebody changed the
 * file, the message is given as any mboxrd has it, and a note counts them. */
#pragma once

#include "cli/mbox_read.h"

/* As mbox_read_file(). path: of the file, from the folder at; its manifest is PATH.manifest.jsonl,
 * or without the number that --split gave it. MBOX_OWN_NOT: there is none, or it does not tell of
 * every byte of the file; nothing was given. */
enum { MBOX_OWN_NOT = 1 };
int mbox_own_read(const struct mbox_file *file, int at, const char *path,
	const struct import_taker *t, struct fault *f) MUST_CHECK;
