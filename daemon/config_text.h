/* Makes the text of a configuration file ready for libconfuse. Its scanner miscounts lines at
 * comments, ends a value silently at a NUL, takes an unset environment variable as nothing, and
 * skips characters that it does not know: each would make us report the wrong line, or start with
 * something else than what is written. So comments become blanks here, and the rest is refused. */
#pragma once

#include "daemon/config_complaint.h"

#include <stddef.h>

/* Changes text in place; len stays. 0, or -1 with a complaint that names file and line. */
int config_text_prepare(char *text, size_t len, const char *file, struct complaints *c) MUST_CHECK;
