/* How an account fares, between the schedule that decides it and the archive that remembers it: so
 * that neither a restart of the service nor a `popkeep fetch` by hand begins counting anew. */
#pragma once

#include "archive/health.h"
#include "daemon/schedule.h"

/* What the archive remembers, as far as the schedule needs it. */
void fare_restore(struct schedule *s, const struct health *h);
/* What the archive is to remember. account and text are borrowed from the caller's. */
void fare_note(struct health *h, const struct schedule *s);
