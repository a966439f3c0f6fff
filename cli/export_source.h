/* A message on its way into an export: the whole of it where it is small, so that its digest is
 * compared before a byte of it is written; of a large one the beginning, for its header. */
#pragma once

#include "archive/find.h"
#include "archive/header.h"

#include <stdbool.h>

/* Zero-initialise. */
struct export_source {
	struct buffer bytes;
	bool whole;
	struct header header;
};

/* FAULT_DAMAGE. */
int export_source_read(struct export_source *x, struct store *s, const struct message *m,
	struct fault *f) MUST_CHECK;
/* Of what was read. */
int export_source_header(struct export_source *x, struct fault *f) MUST_CHECK;
void export_source_deinit(struct export_source *x);
