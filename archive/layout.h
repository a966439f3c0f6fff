/* ARCHIVE/POPKEEP: text that says what this folder is. */
#pragma once

#include "archive/handle.h"

/* Writes it, durably, under its final name only when it is whole. */
int layout_write(int folder_fd, const char *id, struct fault *f) MUST_CHECK;
/* LAYOUT_NONE: no such file. FAULT_FORMAT: another format, or features this version lacks; one that
 * is merely optional refuses STORE_WRITE only. */
enum { LAYOUT_NONE = 1 };
int layout_read(int folder_fd, enum store_mode mode, char ret_id[static ARCHIVE_ID],
	struct fault *f) MUST_CHECK;
