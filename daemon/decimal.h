/* Numbers as POP3 writes them. */
#pragma once

#include "archive/bytes.h"

/* Takes the digits at the beginning of *from into *ret. DECIMAL_NONE: there is none, and nothing
 * was taken. DECIMAL_HUGE: beyond 64 bits; its digits were taken, *ret is UINT64_MAX. */
enum { DECIMAL_NONE = 1, DECIMAL_HUGE = 2 };
int decimal_take(struct slice *from, uint64_t *ret) MUST_CHECK;
/* Takes the spaces at the beginning; how many there were. */
size_t decimal_skip_spaces(struct slice *from);
