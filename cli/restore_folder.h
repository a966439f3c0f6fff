/* Into which folder of the target a message goes: a template, filled for each message. No I/O. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

/* What stands for the fields of a template. */
struct folder_fields {
	struct slice account, folder; /* {account}; {folder}: UTF-8, "/" between levels */
	moment_ms date;		      /* {year} and {month}, of UTC: the same wherever it runs */
};

/* A template is text with "/" between levels and the fields above in braces. FAULT_USAGE names what
 * is wrong with it. */
int folder_template_check(const char *template, struct fault *f) MUST_CHECK;

/* Replaces what is in to by the path: root (NULL, or a path to which the same applies) and below it
 * the template with its fields, as text without NUL. Made safe: no empty level, none of dots alone,
 * no control characters, no wildcards of LIST, no bytes that are not UTF-8, no "#" or "~" at the
 * beginning; each of these becomes "_". A level has at most LIMIT_FOLDER_LEVEL bytes, all
 * LIMIT_FOLDER. "inbox" alone, in any case, is "INBOX", and so is a path of which nothing is left.
 * Fails for want of memory only. */
int folder_template_fill(const char *template, const char *root, const struct folder_fields *fields,
	struct buffer *to, struct fault *f) MUST_CHECK;
