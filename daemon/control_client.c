#include "daemon/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { READ_SIZE = 16 * 1024 };

struct control_client {
	int fd;
	struct buffer in;
	size_t taken; /* of in */
};

struct control_client *control_client_close(struct control_client *c)
{
	if (!c)
		return NULL;
	fd_closep(&c->fd);
	buffer_deinit(&c->in);
	free(c);
	return NULL;
}

void control_client_closep(struct control_client **c)
{
	*c = control_client_close(*c);
}

/* ---- Connecting ------------------------------------------------------------------------- */

static int connect_waiting(int fd, const struct sockaddr_un *address)
{
	int64_t until = monotonic_ms() + LIMIT_CONTROL_MS;

	/* A full backlog cannot be waited for with poll(). */
	while (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0) {
		if ((errno != EAGAIN && errno != EINTR) || monotonic_ms() >= until)
			return -1;
		(void)poll(NULL, 0, 50);
	}
	return 0;
}

static bool is_trusted(int fd, uid_t owner)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == owner || peer.uid == 0);
}

static int try_path(const char *path, uid_t owner, int *ret_fd, struct fault *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len > CONTROL_PATH_MOST)
		return CONTROL_NONE; /* no service can listen there */
	memcpy(address.sun_path, path, len);
	int fd CLEANUP(fd_closep) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "the control socket");
	if (connect_waiting(fd, &address) < 0) {
		if (errno == EAGAIN)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"popkeepd at %s takes no connection", path);
		if (errno == EACCES || errno == EPERM)
			return fault_set(f, FAULT_ACCESS, SCOPE_ARCHIVE, 0,
				"popkeepd at %s admits its own user and root only", path);
		return CONTROL_NONE;
	}
	if (!is_trusted(fd, owner))
		return CONTROL_NONE;
	*ret_fd = fd_take(&fd);
	return 0;
}

/* One that may not be looked at hides none of the later ones; it is an error when those have none.
 */
static int find_service(
	const struct control_paths *paths, uid_t owner, int *ret_fd, struct fault *f)
{
	int result = CONTROL_NONE;

	for (size_t i = 0; i < paths->n; i++) {
		int r = try_path(paths->path[i], owner, ret_fd, f);

		if (r == 0 || (r < 0 && f->code != FAULT_ACCESS))
			return r;
		if (r < 0)
			result = -1;
	}
	return result;
}

static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, timeout_ms);
}

/* A service that turned us away has said why, and has closed: that is to be read. */
static int send_all(int fd, struct slice bytes, struct fault *f)
{
	int64_t until = monotonic_ms() + LIMIT_CONTROL_MS;

	while (bytes.len > 0) {
		ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

		if (n >= 0) {
			bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return fault_errno(
				f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "asking popkeepd");
		if (monotonic_ms() >= until)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"popkeepd does not take the request");
		(void)wait_for(fd, POLLOUT, LIMIT_CONTROL_MS);
	}
	return 0;
}

int control_connect(const struct control_paths *paths, uid_t owner,
	const struct control_request *request, struct control_client **ret, struct fault *f)
{
	struct buffer line CLEANUP(buffer_deinit) = buffer_make(LIMIT_CONTROL_REQUEST + 2);
	int fd CLEANUP(fd_closep) = -1;

	if (control_request_encode(request, &line, f) < 0)
		return -1;
	int r = find_service(paths, owner, &fd, f);
	if (r != 0)
		return r;
	if (send_all(fd, buffer_slice(&line), f) < 0)
		return -1;
	struct control_client *c = calloc(1, sizeof *c);
	if (!c)
		return fault_memory(f);
	c->fd = fd_take(&fd);
	c->in = buffer_make(2 * LIMIT_CONTROL_REPLY);
	*ret = c;
	return 0;
}

/* ---- Reading ---------------------------------------------------------------------------- */

/* A whole line from what was received; passes over replies of later versions. */
static int take_line(struct control_client *c, struct control_reply *ret, struct fault *f)
{
	for (;;) {
		struct slice rest = slice_of(c->in.data + c->taken, c->in.len - c->taken);
		const uint8_t *end = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;

		if (!end)
			return 0;
		rest.len = (size_t)(end - rest.data);
		c->taken += rest.len + 1;
		int r = control_reply_decode(rest, ret, f);
		if (r < 0)
			return fault_prefix(f, "what popkeepd answers");
		if (r == 0)
			return CONTROL_REPLY;
	}
}

static int receive(struct control_client *c, struct fault *f)
{
	/* What was taken makes room. */
	if (c->taken > 0) {
		memmove(c->in.data, c->in.data + c->taken, c->in.len - c->taken);
		c->in.len -= c->taken;
		c->taken = 0;
	}
	if (c->in.len > LIMIT_CONTROL_REPLY)
		return fault_set(f, FAULT_LIMIT, SCOPE_ARCHIVE, 0,
			"popkeepd answers with a line of more than %zu bytes",
			(size_t)LIMIT_CONTROL_REPLY);
	if (buffer_reserve(&c->in, READ_SIZE, f) < 0)
		return -1;
	ssize_t n = recv(c->fd, c->in.data + c->in.len, READ_SIZE, MSG_DONTWAIT);
	/* ECONNRESET: it closed without having read all; what it sent came before. */
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return CONTROL_NOTHING;
	if (n < 0)
		return fault_errno(
			f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "reading what popkeepd answers");
	c->in.len += (size_t)n;
	return CONTROL_REPLY;
}

int control_read(
	struct control_client *c, struct control_reply *ret, int timeout_ms, struct fault *f)
{
	int64_t until = timeout_ms < 0 ? INT64_MAX : monotonic_ms() + timeout_ms;

	for (;;) {
		int r = take_line(c, ret, f);

		if (r != 0)
			return r;
		int64_t left = until == INT64_MAX ? -1 : until - monotonic_ms();
		if (until != INT64_MAX && left < 0)
			left = 0;
		r = wait_for(c->fd, POLLIN, (int)left);
		if (r == 0 || (r < 0 && errno == EINTR))
			return CONTROL_NOTHING;
		if (r < 0)
			return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "poll");
		r = receive(c, f);
		if (r <= 0)
			return r;
	}
}
