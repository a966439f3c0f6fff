/* What the runner does after it was forked. For runner.c and its tests. */
#pragma once

#include "daemon/runner.h"

struct runner_times {
	uint32_t secret_ms, alert_ms, stop_ms;
};

/* Serves socket (SOCK_SEQPACKET) until its peer is gone, parent is, or the peer sends what is no
 * request. The first message is a RUNNER_RELOADED about the configuration, and where that has a
 * fault it is the last. Closes all other descriptors but stderr. */
_Noreturn void runner_process(int socket, pid_t parent, const char *config_path,
	const char *archive, const struct runner_times *times);
