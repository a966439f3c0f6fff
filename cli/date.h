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
