/* Ctrl-C and SIGTERM, for commands that have something to finish first. The second one ends the
 * program at once; the archive survives that too. */
#pragma once

#include "daemon/poller.h"

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP only ask. */
void stop_catch_signals(void);
bool stop_requested(void);
/* And this poller is asked with poller_stop(); NULL: none. */
void stop_set_poller(struct poller *p);
