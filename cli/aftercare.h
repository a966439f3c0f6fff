/* What comes after segments were made by hand. */
#pragma once

#include "cli/run.h"

/* How `popkeep seal` went, for status. failure: NULL where it went well. run->store is open for
 * writing. */
void aftercare_note(struct run *run, const struct fault *failure);
/* Prints the archive's notices, and gives the configuration's seal-command what waits for it,
 * unless a service runs, which does. Returns the exit status. */
int aftercare_hand_over(struct run *run);
