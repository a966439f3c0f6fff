/* Names and dates as IMAP spells them. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

/* UTF-8 to modified UTF-7 (RFC 3501 section 5.1.3); appends. IMAP_NAME_INVALID: no UTF-8, or a NUL,
 * CR or LF in it; to is unchanged. */
enum { IMAP_NAME_INVALID = 1 };
int imap_name_encode(struct buffer *to, struct slice utf8, struct fault *f) MUST_CHECK;
/* And back; IMAP_NAME_INVALID: it is not modified UTF-7, as some servers' names are not. */
int imap_name_decode(struct buffer *to, struct slice name, struct fault *f) MUST_CHECK;

/* How the server spells a folder whose path is written with '/': levels separated by delimiter
 * (0: the server has no levels, '/' becomes '.'); where a level holds the delimiter itself, that
 * becomes '_'. "inbox" as first level in any case is INBOX. prefix: as the server spells it,
 * delimiter included (a personal namespace, "INBOX."), put before names that do not begin with it
 * and are not INBOX; NULL none. Empty levels go. Appends, and a NUL that len does not count.
 * IMAP_NAME_INVALID as above, or nothing is left of it; FAULT_LIMIT: beyond LIMIT_FOLDER. */
int imap_name_of_path(struct buffer *to, const char *path, char delimiter, const char *prefix,
	struct fault *f) MUST_CHECK;
/* The other way, for people and for comparing: levels separated by '/', decoded; a '/' within a
 * level becomes '_'. Names that cannot be decoded stay as they are. Appends, with NUL. */
int imap_path_of_name(
	struct buffer *to, struct slice name, char delimiter, struct fault *f) MUST_CHECK;

/* "17-Jul-1996 02:44:25 -0700" (RFC 3501, date-time), UTC, seconds. */
enum { IMAP_DATE_TEXT = 27 };
void imap_date_format(moment_ms t, char ret[static IMAP_DATE_TEXT]);
/* 0, or 1 when it is none; a day of one digit has a space or nothing before it. */
int imap_date_parse(struct slice text, moment_ms *ret) MUST_CHECK;

/* Whether a word is a flag that APPEND can carry: "\Seen", "$Junk"; not "\Recent". */
bool imap_flag_is_valid(struct slice flag);
