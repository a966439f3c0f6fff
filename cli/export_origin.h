/* The file beside an export that says of which archive, query and format it is, from before the
 * first message until it is whole (for good, where the export is a folder). Whoever writes the
 * export holds a lock on it, so that there are no two.
 *
 * Folders are descriptors, borrowed; shown is the export's name for messages, escaped. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

/* *ret: a descriptor that holds the lock until it is closed. 0: this export was begun before. >0:
 * nothing was begun, or nothing but this file: see that nothing is in the way, then call
 * export_origin_write(), or else export_origin_remove(). FAULT_USAGE: it is of another export.
 * FAULT_BUSY: another process writes it. */
enum { ORIGIN_NEW = 1 };
int export_origin_claim(int folder, const char *name, const char *origin, const char *shown,
	int *ret, struct fault *f) MUST_CHECK;
/* Durable when it returns. */
int export_origin_write(int folder, int origin_fd, const char *origin, const char *shown,
	struct fault *f) MUST_CHECK;
void export_origin_remove(int folder, const char *name);
