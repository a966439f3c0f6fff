/* `popkeep verify PATH`: an archive without databases, as a copy is, on a medium that may be
 * read-only. Its catalog is made in a folder that is removed at the end. */
#pragma once

#include "cli/run.h"

/* Opens run->store, on the archive that the one operand names or on run's own, calls `verify`, and
 * closes what it opened. Returns the exit status. */
int verify_path_run(struct run *run, int (*verify)(struct run *run));
