/* Decimal numbers, as POP3 and the files of an archive write them. */
#pragma once

#include "archive/bytes.h"

/* All of text: digits, without sign and leading zeros. False: it is something else, or beyond 64
 * bits; *ret is untouched. */
bool decimal_parse(struct slice text, uint64_t *ret) MUST_CHECK;

/* Takes the digits at the beginning of *from into *ret. DECIMAL_NONE: there is none, and nothing
 * was taken. DECIMAL_HUGE: beyond 64 bits; its digits were taken, *ret is UINT64_MAX. */
enum { DECIMAL_NONE = 1, DECIMAL_HUGE = 2 };
int decimal_take(struct slice *from, uint64_t *ret) MUST_CHECK;
/* Takes the spaces at the beginning; how many there were. */
size_t decimal_skip_spaces(struct slice *from);
