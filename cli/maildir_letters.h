/* The flags of a message, as the name of its file in a Maildir has them behind ":2,". */
#pragma once

enum { MAILDIR_LETTERS = 8 };
/* Of flags as IMAP has them, separated by spaces, in any case (RFC 3501 section 9): "FS" of
 * "\\Seen \\flagged". Keywords have letters in one Maildir only, and are left out, but for
 * $Forwarded. */
void maildir_letters(const char *flags, char ret[static MAILDIR_LETTERS]);
