/* What the service manager is told, sd_notify(3). Each does nothing where $NOTIFY_SOCKET is not
 * set, or without libsystemd; failures are ignored, since nothing can be done about them. Each
 * opens a socket of its own (AF_UNIX, datagrams). */
#pragma once

#include <stdint.h>

/* It is up; also after notify_reloading(). */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
/* One line for `systemctl status`; what is not printable is escaped, a backslash stays. */
void notify_status(const char *text);

/* How often notify_watchdog() must be called: half of what the manager asks for. 0: not at all. */
int64_t notify_watchdog_ms(void);
void notify_watchdog(void);
