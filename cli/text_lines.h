/* Going through the lines of a file that came from elsewhere. */
#pragma once

#include "archive/bytes.h"

/* line: without its LF; from: where it begins. <0 with *f set stops, so does >0. */
typedef int text_lines_reader(void *context, struct slice line, uint64_t from, struct fault *f);
enum { TEXT_LINES_LONG = 1000 };
/* From the beginning. Returns what `read` did when that was not 0; TEXT_LINES_LONG: a line is
 * longer than most bytes; 0 at the end, where *ret_end is the end of the last whole line: what
 * stands behind it is not told. shown: the file's name, escaped. FAULT_SYSTEM. */
int text_lines(int fd, const char *shown, size_t most, text_lines_reader *read, void *context,
	uint64_t *ret_end, struct fault *f) MUST_CHECK;
