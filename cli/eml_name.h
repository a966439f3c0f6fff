/* Names for messages as files, for people: "2026-11/2026-11-21 1530 Subject words
 * [0123456789ab].eml", the time that of the message's Date, and where it has none that of
 * archiving. They are safe on the file systems of Unix, Windows and macOS and on media: no
 * character that one of them refuses or that a reader does not see, no reserved name, at most 143
 * bytes behind the folder (the least that is known, eCryptfs), and unique by the id without regard
 * to case.
 *
 * The header says what it likes: nothing but a name is made of it. */
#pragma once

#include "archive/find.h"
#include "archive/header.h"
#include "archive/mail_date.h"
#include "cli/date.h"

enum {
	EML_FOLDER = 7,	     /* "2026-11" */
	EML_ID = 12,	     /* digits of the digest, unless another one begins alike */
	EML_SUBJECT = 100,   /* bytes of the subject in a name, at most */
	EML_CHARACTERS = 60, /* and characters of it */
	EML_NAME = 256	     /* of all, with the digits of a whole digest, and NUL */
};

/* digits: of the digest. */
void eml_name(const struct message *m, const struct header *h, enum date_zone zone, size_t digits,
	char ret[static EML_NAME]);

/* As much of a text as a file's name can have: at most max - 1 bytes and EML_CHARACTERS characters;
 * may be "". */
void eml_safe_text(struct slice text, size_t max, char *ret);
