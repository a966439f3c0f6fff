/* The bytes of entry README in sealed segments: FORMAT.md, "Sealed segments". A text for people
 * that is a Python program too. */
#pragma once

#include "archive/bytes.h"

/* Appended; less than SEGMENT_README_MAX bytes. */
enum { SEGMENT_README_MAX = 8192 };
int segment_readme(struct buffer *to, struct fault *f) MUST_CHECK;
