/* The catalog's rows as text, for comparing what replay and rebuild make of one archive. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stddef.h>

/* All that comes from ledger and segments; not what listings alone told. *ret is the caller's. */
int dump_catalog(const char *path, char **ret, struct fault *f) MUST_CHECK;

/* The first line in which both differ, as text; false: there is none. */
bool dump_difference(const char *one, const char *other, char ret[static 512]);
