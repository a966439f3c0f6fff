/* A query with a mark under the place that is wrong. Of cli/query*.c alone. */
#pragma once

#include "archive/bytes.h"

/* Two lines, each with an LF in front and at most `columns` wide: the line, escaped, with blanks
 * for NUL, and under it ^ and ~ below len bytes from `at`. A line that is too long is cut around
 * the place, with "..." where something is missing. */
int query_caret(struct slice line, size_t at, size_t len, size_t columns, struct buffer *to,
	struct fault *f) MUST_CHECK;
