#include "cli/stop.h"

#include <signal.h>
#include <stdatomic.h>

static volatile sig_atomic_t requested;
static _Atomic(struct poller *) polling;

static void on_signal(int number)
{
	struct poller *p = atomic_load(&polling);

	(void)number;
	requested = 1;
	if (p)
		poller_stop(p);
}

void stop_catch_signals(void)
{
	/* No SA_RESTART: what waits should look at the flag. */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

bool stop_requested(void)
{
	return requested != 0;
}

void stop_set_poller(struct poller *p)
{
	atomic_store(&polling, p);
	if (p && requested)
		poller_stop(p);
}
