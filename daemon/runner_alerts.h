/* The alerts that wait, and the one alert-command that runs. In the runner's process only. */
#pragma once

#include "daemon/child.h"
#include "daemon/config.h"
#include "daemon/runner_message.h"

struct runner_alerts {
	struct runner_request waiting[LIMIT_ALERTS]; /* a ring */
	size_t first, n;
	unsigned dropped; /* since the last one that was begun */
	struct child child;
	int64_t deadline_ms;
	uint32_t timeout_ms;
};

void runner_alerts_init(struct runner_alerts *a, uint32_t timeout_ms);
/* Ends the command that runs. */
void runner_alerts_deinit(struct runner_alerts *a);
/* q is a checked REQUEST_ALERT. */
void runner_alerts_add(struct runner_alerts *a, const struct runner_request *q);

/* Nothing runs and nothing waits. */
static inline bool runner_alerts_idle(const struct runner_alerts *a)
{
	return a->child.pid == 0 && a->n == 0;
}

/* Never blocks. 1: something was done, and there may be more to do; 0: nothing to do before
 * child.process is readable or deadline_ms has come. <0: the command could not be run, failed, or
 * took too long; call again. */
int runner_alerts_step(struct runner_alerts *a, const struct config *c, const char *archive,
	struct fault *f) MUST_CHECK;
