/* For runner.c and its tests. */
#pragma once

#include "daemon/runner_message.h"
#include "daemon/runner_process.h"

struct runner {
	pid_t pid;
	int process; /* pidfd */
	int socket;
	int poll;	     /* epoll: socket, for writing too while something is queued */
	struct buffer queue; /* of struct runner_request, the first `sent` bytes of it are sent */
	size_t sent;
	size_t asks; /* not answered yet */
	uint32_t stop_ms;
	struct runner_message in;
};

/* runner_start() with other limits. times is borrowed until runner_stop(). */
int runner_start_timed(const char *config_path, const char *archive,
	const struct runner_times *times, struct runner **ret, struct fault *f) MUST_CHECK;
