/* The control socket, the service's end. Works inside the service's poll():
 *
 *   n = control_gather(c, polled, room);
 *   poll(polled, n, …until control_due(c)…);
 *   control_serve(c, polled, n, now);
 *   while ((got = control_take(c, &request)) > 0) …
 *
 * A client that does not send a whole request within LIMIT_CONTROL_MS is dropped. One that sends no
 * more (shutdown()) may still read. Only this process's user and root are listened to
 * (SO_PEERCRED). A connection carries one request; what comes after it is read and thrown away.
 * Belongs to one thread. */
#pragma once

#include "daemon/control_message.h"

#include <poll.h>

struct control;

/* Binds and listens; the socket has mode 0600. A socket that a dead service left is replaced.
 * FAULT_BUSY: a service answers there. FAULT_ACCESS: something that is no socket has the name; it
 * is left alone. FAULT_USAGE: longer than CONTROL_PATH_MOST. */
int control_open(const char *path, struct control **ret, struct fault *f) MUST_CHECK;
/* Unlinks the socket, where it still is ours; clients are cut off. */
struct control *control_close(struct control *c);
void control_closep(struct control **c);
const char *control_path(const struct control *c);

/* Fills in what to poll for, at most CONTROL_POLLED, and returns how many. With less room the
 * clients that do not fit wait. */
enum { CONTROL_POLLED = LIMIT_CONTROL_CLIENTS + 1 };
size_t control_gather(struct control *c, struct pollfd *to, size_t room);
/* Takes in and sends what it can without waiting; n, the first entries of polled as gathered and
 * polled. now: monotonic_ms(). */
void control_serve(struct control *c, const struct pollfd *polled, size_t n, int64_t now);
/* When control_serve() should be called at the latest, monotonic; INT64_MAX: no need. */
int64_t control_due(const struct control *c);

/* The next thing that happened. 0: nothing more.
 * CONTROL_REQUEST: *ret is the caller's, for control_request_deinit(); ret->client names the client
 * until CONTROL_GONE or control_end(). Numbers are never used twice.
 * CONTROL_GONE: the client ret->client, whose request was taken, has left or was dropped. What was
 * asked for goes on or not as the service likes. Not given after control_end(). */
enum { CONTROL_REQUEST = 1, CONTROL_GONE = 2 };
int control_take(struct control *c, struct control_request *ret);

enum control_urgency {
	CONTROL_SKIPPABLE, /* left out when more than LIMIT_CONTROL_LAG waits to be read */
	CONTROL_NEEDED /* a client that leaves more than LIMIT_CONTROL_OUTPUT unread is dropped */
};

/* Queues lines, with their LFs, and sends at once what it can. Nothing happens for a client that is
 * not there any more. */
void control_send(
	struct control *c, uint64_t client, struct slice lines, enum control_urgency urgency);
/* Closes the connection when all is sent, or after LIMIT_CONTROL_END_MS. */
void control_end(struct control *c, uint64_t client);
/* Clients that are connected. */
size_t control_clients(const struct control *c);
