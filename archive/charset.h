/* Charsets of mail, opened ahead. The C library finds out when a charset is first asked for how to
 * convert it, and loads a module for that; who is shut in has to ask before. */
#pragma once

#include "archive/bytes.h"

#include <iconv.h>

struct charsets;

/* All of those that are found in mail and that the C library has, and none of those whose
 * converters had holes again and again (ISO-2022-CN-EXT). FAULT_MEMORY. */
int charsets_open(struct charsets **ret, struct fault *f) MUST_CHECK;
struct charsets *charsets_close(struct charsets *c);
void charsets_closep(struct charsets **c);
/* Among those opened: a converter to UTF-8 in its initial state, borrowed; (iconv_t)-1: none of
 * them. Names are compared without case. */
iconv_t charsets_find(struct charsets *c, const char *name);
/* For CLEANUP(), of one that iconv_open() gave. */
void iconv_closep(iconv_t *i);
static inline bool iconv_is_open(iconv_t i)
{
	return (intptr_t)i != -1; /* pointers made of numbers are compared as numbers */
}
