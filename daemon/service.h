/* popkeepd's heart: one event loop that polls every configured account at its time, answers the
 * control socket, and says how it goes. Everything that decides is elsewhere (schedule.h, agenda.h,
 * poller.h, control.h); here they meet. */
#pragma once

#include "daemon/config.h"
#include "daemon/runner.h"
#include "daemon/sandbox.h"

struct control;

struct service_options {
	const char *config_path;
	const char *archive_folder; /* of an existing archive */
	struct runner *runner;
	struct control *control;
	const struct sandbox_state *sandbox;
};

/* Works until SIGTERM or SIGINT, and then ends what is under way: 0. SIGHUP and the control socket
 * have it read the configuration again. These signals must be blocked, in all threads, when it is
 * called. config is taken over. All else is borrowed.
 * <0: the archive failed; of FAULT_WRITE and others. Everything that was told as archived is. */
int service_run(
	const struct service_options *options, struct config *config, struct fault *f) MUST_CHECK;
