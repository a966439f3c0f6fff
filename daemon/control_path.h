/* Where the control socket of an archive's service lies: FOLDER/<archive id>.sock. The folder is
 * the first that serves of
 *
 *   the configuration's runtime-dir; where it is set, the service takes no other
 *   $RUNTIME_DIRECTORY, the first of its list (the service only: systemd sets it)
 *   $XDG_RUNTIME_DIR/popkeep
 *   /run/popkeep
 *   the archive's folder
 *
 * Clients try all of them in this order. */
#pragma once

#include "archive/fault.h"
#include "archive/own.h"

#include <stddef.h>

enum { CONTROL_PATHS = 5 };
enum { CONTROL_PATH_MOST = 107 }; /* sun_path, unix(7), without its NUL */

enum control_side { CONTROL_SERVICE, CONTROL_CLIENT };

struct control_paths {
	char *path[CONTROL_PATHS];
	size_t n;
};

void control_paths_deinit(struct control_paths *p);

/* All candidates, those that are too long among them. runtime_dir: NULL where none is configured.
 * Fails as store_identify(); FAULT_MEMORY. */
int control_candidates(const char *runtime_dir, const char *archive, enum control_side side,
	struct control_paths *ret, struct fault *f) MUST_CHECK;

/* For the service: the first candidate whose folder is there, or can be made (0700), and may be
 * written to. *ret is the caller's, for free(). FAULT_USAGE: it is too long, or no folder serves;
 * says what to do. */
int control_choose_path(
	const char *runtime_dir, const char *archive, char **ret, struct fault *f) MUST_CHECK;
