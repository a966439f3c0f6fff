/* Texts of mail as they are stored: UTF-8 in any case, and in one line. */
#pragma once

#include "archive/bytes.h"

/* Appends text without the blanks around it, at most `most` bytes of it, cut behind a whole
 * character: each byte that is no UTF-8 becomes U+FFFD, each control character (NUL, tabulators and
 * line ends among them) a space. */
int plain_append(struct buffer *to, struct slice text, size_t most, struct fault *f) MUST_CHECK;
/* Whether it is what plain_append() leaves; with line ends between the lines too, where `lines`
 * is PLAIN_LINES. */
enum plain_shape { PLAIN_LINE, PLAIN_LINES };
bool plain_is(struct slice text, enum plain_shape shape);
