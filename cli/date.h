/* Dates as people write them, in the local zone unless they name another. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

#include <stdbool.h>

/* The span that a text names: YYYY-MM-DD is a whole day, an RFC 3339 time
 * (2026-11-21T20:34[:56[.123]] with Z, +01:00 or nothing behind it, a space for the T) the
 * millisecond, second or minute that it says. *ret_end is the first moment behind it. utc: without
 * a zone, UTC is meant. 0, or 1 when the text is no date. */
enum date_zone { DATE_LOCAL, DATE_UTC };
int date_parse(struct slice text, enum date_zone zone, moment_ms *ret_begin, moment_ms *ret_end);
/* What a query may say for a date: also YYYY and YYYY-MM, today, yesterday, and 7d, 2w, 3m, 1y: the
 * whole day that was so many days, weeks, months or years before that of now. */
int date_parse_words(struct slice text, enum date_zone zone, moment_ms now, moment_ms *ret_begin,
	moment_ms *ret_end);
