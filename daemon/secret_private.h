/* What the sources of secrets share; for nobody else. */
#pragma once

#include "archive/moment.h"
#include "daemon/secret.h"

/* Copies the first line, without its end (LF or CRLF), to *ret. FAULT_ACCESS, scope account: empty,
 * or with NUL; what ("the file holds") begins the text. */
int secret_take_line(
	struct slice bytes, const char *what, struct secret *ret, struct fault *f) MUST_CHECK;

/* Asks on the controlling terminal. FAULT_ACCESS: there is none, or nothing was typed in time;
 * FAULT_INTERRUPT: a signal came first, and the terminal is as it was. */
int secret_ask(const struct account *a, struct secret *ret, struct fault *f) MUST_CHECK;
