#include "daemon/notify.h"

#include "archive/escape.h"
#include "archive/moment.h"

#if POPKEEP_SYSTEMD
#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

/* sd_notify(3): the time tells this reload from those before. */
void notify_reloading(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		(int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void notify_status(const char *text)
{
	char shown[1024];

	(void)sd_notifyf(0, "STATUS=%s", escape_again(slice_text(text), shown, sizeof shown));
}

int64_t notify_watchdog_ms(void)
{
	uint64_t us = 0;

	if (sd_watchdog_enabled(0, &us) <= 0)
		return 0;
	return us < 2000 ? 1 : (int64_t)(us / 2000);
}

void notify_watchdog(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}
#else
void notify_ready(void)
{
}

void notify_reloading(void)
{
}

void notify_stopping(void)
{
}

void notify_status(const char *text)
{
	(void)text;
}

int64_t notify_watchdog_ms(void)
{
	return 0;
}

void notify_watchdog(void)
{
}
#endif
