/* Where a message lay in a source, in the archive's words: its folder as UTF-8 with "/" between
 * levels, its flags as those of IMAP. Names are bytes from outside: ".." is a name like any other
 * that is left out, and nothing is ever opened by what comes out of here. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

#include <stdbool.h>

/* ---- Folders --------------------------------------------------------------------------------- */

/* Appends a level, with "/" in front unless it is the first: "", "." and ".." are none. What is
 * not UTF-8, and control characters, are escaped as everywhere; a "/" in it becomes "_". What is
 * beyond LIMIT_FOLDER is cut off: PLACE_CUT. */
enum { PLACE_CUT = 1 };
int place_add(struct buffer *folder, struct slice level, struct fault *f) MUST_CHECK;
/* A folder's name within a Maildir: of Maildir++ (".Sent.2026") or one among nested folders
 * ("Sent"), in the modified UTF-7 of RFC 3501 section 5.1.3 where it is well-formed. */
int place_add_maildir(struct buffer *folder, struct slice name, struct fault *f) MUST_CHECK;
/* All levels of a path, as place_add(). Of "Sent.sbd" (Thunderbird) and "Sent.mbox" (Apple Mail),
 * which hold what belongs to "Sent", the ending goes; "mbox" in the latter is no level. */
int place_add_path(struct buffer *folder, struct slice path, struct fault *f) MUST_CHECK;
/* The folder that a file of many messages is, by its name: without .mbox, .mbx or .eml and the
 * like; "inbox" and "mbox" are INBOX. */
int place_add_file(struct buffer *folder, struct slice name, struct fault *f) MUST_CHECK;
/* Whether a level says only that a Maildir is there: "Maildir" and the like. */
bool place_is_maildir(struct slice level);
/* INBOX, where nothing else was said. */
int place_finish_maildir(struct buffer *folder, struct fault *f) MUST_CHECK;

/* ---- Files of a Maildir ---------------------------------------------------------------------- */

/* "1700000000.M1P2.host,S=12:2,FS" in its parts; copies made on Windows have ; or ! for the colon,
 * or the private characters that Samba and others put for it. */
struct maildir_name {
	struct slice unique;  /* what stays when flags change */
	struct slice letters; /* behind "2,"; may be empty */
};
void maildir_name_split(struct slice name, struct maildir_name *ret);

/* Names of the keywords a to z: Dovecot's file dovecot-keywords. */
enum { MAILDIR_KEYWORDS = 26 };
struct maildir_keywords {
	char name[MAILDIR_KEYWORDS][64]; /* "" where it says nothing */
};
/* Lines "0 $Forwarded"; others are passed over. */
void maildir_keywords_read(struct maildir_keywords *ret, struct slice text);

/* Appends "\Seen $Forwarded". keywords may be NULL. Letters that nobody names are left out:
 * PLACE_UNNAMED, where one of them is a keyword. */
enum { PLACE_UNNAMED = 2 };
int maildir_flags(struct slice letters, const struct maildir_keywords *keywords,
	struct buffer *flags, struct fault *f) MUST_CHECK;

/* When it was received: the file's time, as Dovecot and Courier take it; where that cannot be, the
 * seconds that the name begins with; 0. */
moment_ms maildir_received(struct slice name, moment_ms mtime);
