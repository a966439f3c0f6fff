/* Which folder a message's file goes into: that of its month, and when that is full "2026-11_2" and
 * so on, so that people can open one, and FAT takes it. */
#pragma once

#include "cli/eml_name.h"

struct eml_month {
	char name[EML_FOLDER + 1];
	uint32_t number, files; /* the folder that is filled: "_number", from 1 */
};

/* Zero-initialise. */
struct eml_folders {
	struct eml_month *months;
	size_t n, size;
};

/* name: as eml_name() made it; becomes "2026-11_2/…" where the month's first folder is full. */
int eml_folders_place(
	struct eml_folders *x, char name[static EML_NAME], struct fault *f) MUST_CHECK;
/* An earlier run placed it so. Other names are passed over. */
int eml_folders_recall(struct eml_folders *x, const char *name, struct fault *f) MUST_CHECK;
void eml_folders_deinit(struct eml_folders *x);
