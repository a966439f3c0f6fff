/* The control socket, the client's end: one connection, one request, its replies. */
#pragma once

#include "daemon/control_message.h"
#include "daemon/control_path.h"

#include <sys/types.h>

struct control_client;

/* Connects to the first of the paths where a service answers that runs as owner or as root (the
 * archive's owner: SO_PEERCRED; others are passed over), and sends the request.
 * CONTROL_NONE: no service runs. FAULT_ACCESS: one runs and does not let us in. FAULT_BUSY: it
 * takes nothing in. */
enum { CONTROL_NONE = 1 };
int control_connect(const struct control_paths *paths, uid_t owner,
	const struct control_request *request, struct control_client **ret,
	struct fault *f) MUST_CHECK;
struct control_client *control_client_close(struct control_client *c);
void control_client_closep(struct control_client **c);

/* The next reply, waiting at most timeout_ms (<0: for as long as it takes).
 * CONTROL_REPLY: *ret is set.
 * CONTROL_NOTHING: none came in time, or a signal came: look at the stop flag and call again.
 * 0: the service has closed the connection; after anything but CONTROL_END that means it has gone.
 * FAULT_PROTOCOL, FAULT_LIMIT, FAULT_SYSTEM: there is no sense in going on. */
enum { CONTROL_REPLY = 1, CONTROL_NOTHING = 2 };
int control_read(struct control_client *c, struct control_reply *ret, int timeout_ms,
	struct fault *f) MUST_CHECK;
