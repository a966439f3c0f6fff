/* Between those who read mail from files (mbox, Maildir, archives) and the one who keeps it.
 *
 * A reader finds messages in a source and gives each to the taker: begin(), bytes() in pieces of
 * any size, end(). What it finds and cannot give, it gives to refuse(); a source that cannot be
 * read, or not to its end, to lost(). Then it goes on. Every message is counted once, by what was
 * called last: found = kept + known + refused.
 *
 * Functions return <0 with *f set only for what ends the whole import (the archive cannot be
 * written, somebody interrupts); a reader passes it up as it is. Texts are borrowed for the call;
 * names from outside are given as they are: the taker escapes whatever it shows. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

#include <stddef.h>

/* A message, and where it was found. */
struct found {
	const char *where;	 /* for people: "inbox.mbox: message 12 at byte 4711" */
	const char *folder;	 /* UTF-8, "/" between levels; "" or NULL: none */
	const char *const *also; /* more folders in which the same message lies (labels); also_n */
	size_t also_n;
	const char *flags;  /* those of IMAP and keywords, separated by single spaces; "" or NULL */
	moment_ms received; /* 0: not known */
	uint64_t size;	    /* in the source; 0: not known */
};

enum { IMPORT_SKIP = 1 };

struct import_taker {
	void *context;
	/* A message begins; where a reader learns its folder and flags from its header, it has read
	 * that before. */
	int (*begin)(void *context, const struct found *m, struct fault *f);
	/* Behind begin(). IMPORT_SKIP, also of begin() where it was told a size: the message was
	 * refused just now (too large): bytes() and end() do nothing until the next begin(), and
	 * need not be called. */
	int (*bytes)(void *context, struct slice bytes, struct fault *f);
	int (*end)(void *context, struct fault *f);
	/* Found, and it cannot be taken; why is safe to print ("ends in the middle of a line").
	 * Also between begin() and end(): it is that message then, m may be NULL, and what was
	 * given of it is dropped. */
	int (*refuse)(void *context, const struct found *m, const char *why, struct fault *f);
	/* path, or the rest of it, cannot be read: nobody knows how many messages are in it. */
	int (*lost)(void *context, const char *path, const char *why, struct fault *f);
	/* What a person should know of path, and is no failure ("mboxcl2"). Shown once for each. */
	int (*note)(void *context, const char *path, const char *what, struct fault *f);
	/* path was read as this dialect of mbox ("mboxrd", a text that stays); text says it for
	 * people, with the reason; NULL: a note did. Counted, and of many files told once. */
	int (*read_as)(void *context, const char *path, const char *dialect, const char *text,
		struct fault *f);
	/* What comes until own_end() is of an export, and fd (borrowed) its manifest: it says where
	 * messages lay (cli/import_own.h). Can be within each other. */
	int (*own_begin)(void *context, int fd, const char *path, struct fault *f);
	void (*own_end)(void *context);
	/* A file that is no mail ("dovecot.index"): counted. */
	int (*pass)(void *context, const char *path, struct fault *f);
	/* So many bytes of what the reader was given are done: for progress. <0: interrupted. */
	int (*position)(void *context, uint64_t done, struct fault *f);
};

/* Bytes in order: a file, or an entry of a tar or zip archive, which cannot be wound back. */
struct import_stream {
	void *context;
	const char *name;   /* for people: "mail.zip: Takeout/Mail/All mail.mbox" */
	const char *folder; /* UTF-8: that of its messages unless they say another; may be "" */
	/* Up to size bytes; *ret_n is 0 only at the end. IMPORT_BROKEN with *f set: it cannot be
	 * read any further. The message that is cut by it is refused, the stream goes to lost()
	 * with the text of *f, and the reader returns 0. */
	int (*read)(void *context, void *to, size_t size, size_t *ret_n, struct fault *f);
};
enum { IMPORT_BROKEN = 1 };
