/* The line that stands before a message in an mbox file, "From SENDER DATE".
 *
 * Nothing but its date tells it from a line of text that begins with "From ". So the date has to be
 * one, as asctime() writes it, and the line has to end behind it:
 *
 *   From anna@example.com Mon Jan  5 10:20:30 2015
 *   From - Mon Jan 05 10:20:30 2015                    Thunderbird
 *   From ???@??? Mon Jan 05 10:20:30 2015              Eudora
 *   From 1234567@xxx Mon Jan 05 10:20:30 +0000 2015    Gmail
 *   From anna Mon Jan 5 10:20 MET DST 1993 remote from host
 *   From anna Mon Jan  5 10:20:30 2015 -0800
 *   From anna Mon, 05 Jan 2015 10:20:30 +0000          converters that copy the Date field
 *
 * The sender is any text, also with spaces, or none. */
#pragma once

#include "archive/moment.h"

enum { MBOX_FROM_LEN = 5 }; /* "From " */

/* line has no end. 0; *ret is the date, in UTC where it names no zone (RFC 4155 appendix A), and 0
 * when it lies before 1970. 1: it is no such line. */
int mbox_from_parse(struct slice line, moment_ms *ret);
