/* What the service that keeps the archive says of itself, for `status`. */
#pragma once

#include "cli/run.h"
#include "daemon/control_message.h"

struct service_view {
	bool runs;
	struct control_daemon daemon; /* where it runs */
	/* The accounts that it polls just now or that do not go well; owned. */
	struct control_account *accounts;
	size_t n;
};

/* Zero-initialise *ret. A service that does not answer in time counts as none: *ret_notice says so
 * then ("" otherwise). */
int service_view_read(struct service_view *ret, const struct run *run,
	char ret_notice[static FAULT_TEXT_MAX], struct fault *f) MUST_CHECK;
void service_view_deinit(struct service_view *v);
