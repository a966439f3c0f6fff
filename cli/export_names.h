/* What an export to a file NAME puts into that file's folder. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stdint.h>

/* Zero-initialise. All owned. */
struct export_names {
	char *shown; /* the path, escaped, for messages */
	char *name;
	char *stem, *suffix; /* "mail", ".tar.zst": name is both */
	char *origin;	     /* .NAME.origin */
	char *volumes;	     /* .NAME.volumes: SHA256SUMS of the volumes that are whole */
	char *manifest, *sums, *summary;
	int folder; /* a descriptor */
};

/* FAULT_USAGE: the path names no file. FAULT_SYSTEM: its folder cannot be opened. */
int export_names_set(struct export_names *n, const char *path, struct fault *f) MUST_CHECK;
void export_names_deinit(struct export_names *n);

/* "mail-0007.tar.zst"; with number 0 the one file of an export that is not split. NULL: no memory.
 * The caller frees it. */
char *export_volume_name(const struct export_names *n, uint64_t number);
/* ".NAME.part" */
char *export_part_name(const char *volume);
/* The folder that is in a tar or zip: safe as a name everywhere. */
enum { EXPORT_INNER = 128 };
void export_inner_folder(
	const struct export_names *n, const char *volume, char ret[static EXPORT_INNER]);

int export_is_there(int folder, const char *name); /* 0 or 1 */
