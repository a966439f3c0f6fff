/* Points in time: milliseconds since 1970-01-01T00:00:00Z, no leap seconds. */
#pragma once

#include "archive/bytes.h"

#include <stdint.h>

typedef int64_t moment_ms;

enum { MOMENT_TEXT = 25 }; /* "2026-01-31T23:59:59.999Z" and NUL */

moment_ms moment_now(void);
/* RFC 3339, UTC, milliseconds. Years 0 to 9999; others are clamped. */
void moment_format(moment_ms t, char ret[static MOMENT_TEXT]);
/* 0, or 1 when text is not exactly what moment_format writes. */
int moment_parse(struct slice text, moment_ms *ret);
/* Monotonic milliseconds, for deadlines. */
int64_t monotonic_ms(void);
