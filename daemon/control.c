#include "daemon/control.h"

#include "daemon/control_path.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	BACKLOG = 64,
	READ_SIZE = 16 * 1024,
	REST_MS = 1000, /* when no connection could be taken, for want of descriptors */
	LOCK_MS = 5000,
	LOCK_STEP_MS = 20,
};

enum peer_state {
	PEER_NONE,   /* the slot is free */
	PEER_ASKING, /* its request is not whole */
	PEER_ASKED,  /* it is, and waits for control_take() */
	PEER_SERVED, /* it was taken */
	PEER_ENDING, /* what is buffered is still sent */
	PEER_GONE    /* it was served, and control_take() is to say that it went */
};

struct peer {
	enum peer_state state;
	uint64_t id;
	int fd;
	bool at_end; /* it sends no more; it may still read */
	struct buffer in, out;
	size_t sent;	  /* of out */
	int64_t deadline; /* ASKING, ENDING */
};

struct control {
	char *path;
	int fd;
	dev_t device; /* of the socket's name, to unlink no other's */
	ino_t inode;
	uint64_t last_id;
	int64_t now;
	int64_t resting_until; /* 0: not resting */
	struct peer peer[LIMIT_CONTROL_CLIENTS];
};

/* ---- Opening ---------------------------------------------------------------------------- */

static int fail(const struct control *c, int error, struct fault *f)
{
	return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, error, "the control socket %s", c->path);
}

/* Two services that start at once must not both find a dead one's socket and replace it: the second
 * would unlink the first one's new socket. *ret_fd holds a lock on the folder. */
static int lock_folder(const struct control *c, int *ret_fd, struct fault *f)
{
	const char *slash = strrchr(c->path, '/');
	char *folder CLEANUP(freep) =
		slash ? strndup(c->path, (size_t)(slash - c->path) + 1) : strdup(".");

	if (!folder)
		return fault_memory(f);
	int fd CLEANUP(fd_closep) = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(c, errno, f);
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail(c, errno, f);
		if (waited >= LOCK_MS)
			return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
				"%s stays locked by another process", folder);
		(void)poll(NULL, 0, LOCK_STEP_MS);
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

static int set_address(const struct control *c, struct sockaddr_un *ret, struct fault *f)
{
	size_t len = strlen(c->path);

	static_assert(CONTROL_PATH_MOST == sizeof ret->sun_path - 1, "as unix(7) has it");
	if (len > CONTROL_PATH_MOST)
		return fault_set(f, FAULT_USAGE, SCOPE_ARCHIVE, 0,
			"the control socket's path %s has %zu bytes, and %d are the limit: set "
			"runtime-dir to a folder with a shorter name",
			c->path, len, CONTROL_PATH_MOST);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, c->path, len);
	return 0;
}

/* Makes the name free, or says why it is not. */
static int clear_name(const struct control *c, const struct sockaddr_un *address, struct fault *f)
{
	struct stat st;

	if (lstat(c->path, &st) < 0)
		return errno == ENOENT ? 0 : fail(c, errno, f);
	if (!S_ISSOCK(st.st_mode))
		return fault_set(f, FAULT_ACCESS, SCOPE_ARCHIVE, 0,
			"%s is no socket, and is left alone: remove it, or set another "
			"runtime-dir",
			c->path);
	int fd CLEANUP(fd_closep) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(c, errno, f);
	/* EAGAIN: its backlog is full; somebody listens. */
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN)
		return fault_set(f, FAULT_BUSY, SCOPE_ARCHIVE, 0,
			"a popkeepd runs already for this archive: it answers at %s", c->path);
	if (errno != ECONNREFUSED)
		return fail(c, errno, f);
	if (unlink(c->path) < 0 && errno != ENOENT)
		return fail(c, errno, f);
	return 0;
}

static int bind_name(struct control *c, const struct sockaddr_un *address, struct fault *f)
{
	struct stat st;

	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The name is made with the mode that the socket has: no umask() for all threads, and no
	 * moment in which others could connect. */
	if (c->fd < 0 || fchmod(c->fd, 0600) < 0 ||
		bind(c->fd, (const struct sockaddr *)address, sizeof *address) < 0)
		return fail(c, errno, f);
	if (lstat(c->path, &st) < 0)
		return fail(c, errno, f);
	c->device = st.st_dev;
	c->inode = st.st_ino;
	if (listen(c->fd, BACKLOG) < 0)
		return fail(c, errno, f);
	return 0;
}

int control_open(const char *path, struct control **ret, struct fault *f)
{
	struct control *c CLEANUP(control_closep) = calloc(1, sizeof *c);
	int lock CLEANUP(fd_closep) = -1;
	struct sockaddr_un address;

	if (!c)
		return fault_memory(f);
	c->fd = -1;
	c->now = monotonic_ms();
	c->path = strdup(path);
	if (!c->path)
		return fault_memory(f);
	if (set_address(c, &address, f) < 0 || lock_folder(c, &lock, f) < 0 ||
		clear_name(c, &address, f) < 0 || bind_name(c, &address, f) < 0)
		return -1;
	*ret = TAKE(c);
	return 0;
}

static void free_peer(struct peer *p)
{
	fd_closep(&p->fd);
	buffer_deinit(&p->in);
	buffer_deinit(&p->out);
	*p = (struct peer){.fd = -1};
}

struct control *control_close(struct control *c)
{
	struct stat st;

	if (!c)
		return NULL;
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (c->peer[i].state != PEER_NONE)
			free_peer(&c->peer[i]);
	}
	if (c->inode != 0 && lstat(c->path, &st) == 0 && st.st_dev == c->device &&
		st.st_ino == c->inode)
		(void)unlink(c->path);
	fd_closep(&c->fd);
	free(c->path);
	free(c);
	return NULL;
}

void control_closep(struct control **c)
{
	*c = control_close(*c);
}

const char *control_path(const struct control *c)
{
	return c->path;
}

/* ---- One client ------------------------------------------------------------------------- */

static size_t waiting(const struct peer *p)
{
	return p->out.len - p->sent;
}

/* Whose request was taken, of that control_take() will tell. */
static void drop(struct peer *p)
{
	bool was_served = p->state == PEER_SERVED;
	uint64_t id = p->id;

	free_peer(p);
	if (was_served) {
		p->state = PEER_GONE;
		p->id = id;
	}
}

static void flush(struct peer *p)
{
	while (waiting(p) > 0) {
		ssize_t n =
			send(p->fd, p->out.data + p->sent, waiting(p), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			drop(p);
			return;
		}
		p->sent += (size_t)n;
	}
	buffer_clear(&p->out);
	p->sent = 0;
	if (p->state == PEER_ENDING)
		drop(p);
}

static void compact(struct peer *p)
{
	if (p->sent < waiting(p))
		return;
	memmove(p->out.data, p->out.data + p->sent, waiting(p));
	p->out.len -= p->sent;
	p->sent = 0;
}

static void queue(struct peer *p, struct slice lines)
{
	struct fault f;

	if (p->sent > 0)
		compact(p);
	if (waiting(p) + lines.len > LIMIT_CONTROL_OUTPUT ||
		buffer_append(&p->out, lines.data, lines.len, &f) < 0)
		drop(p);
	else
		flush(p);
}

static void begin_end(struct control *c, struct peer *p)
{
	p->state = PEER_ENDING;
	p->deadline = c->now + LIMIT_CONTROL_END_MS;
	flush(p);
}

static int format_refusal(const struct fault *why, struct buffer *to)
{
	int status = fault_exit_status(why);
	struct fault f;

	if (control_error_encode(status, why->text, to, &f) < 0 ||
		control_end_encode(status, to, &f) < 0)
		return -1;
	return 0;
}

/* A request that cannot be served: says why and ends. */
static void refuse(struct control *c, struct peer *p, const struct fault *why)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(2 * LIMIT_CONTROL_REPLY);

	buffer_deinit(&p->in);
	p->state = PEER_ENDING;
	p->deadline = c->now + LIMIT_CONTROL_END_MS;
	if (format_refusal(why, &text) < 0)
		drop(p);
	else
		queue(p, buffer_slice(&text));
}

static void take_in(struct control *c, struct peer *p, struct slice bytes)
{
	struct fault f;

	if (p->state != PEER_ASKING)
		return;
	const uint8_t *end = memchr(bytes.data, '\n', bytes.len);
	size_t len = end ? (size_t)(end - bytes.data) : bytes.len;
	if (buffer_append(&p->in, bytes.data, len, &f) < 0)
		refuse(c, p, &f);
	else if (end)
		p->state = PEER_ASKED;
}

static void receive(struct control *c, struct peer *p)
{
	uint8_t bytes[READ_SIZE];
	ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);

	if (n > 0) {
		take_in(c, p, slice_of(bytes, (size_t)n));
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	p->at_end = true;
	if (n < 0 || p->state == PEER_ASKING)
		drop(p);
}

static bool is_here(const struct peer *p)
{
	return p->state != PEER_NONE && p->state != PEER_GONE;
}

static void serve_peer(struct control *c, struct peer *p, short ready)
{
	if (ready & (POLLHUP | POLLERR | POLLNVAL)) {
		drop(p);
		return;
	}
	if (ready & POLLIN)
		receive(c, p);
	if (is_here(p) && (ready & POLLOUT))
		flush(p);
}

/* ---- Connections ------------------------------------------------------------------------ */

static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static struct peer *find_free(struct control *c)
{
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (c->peer[i].state == PEER_NONE)
			return &c->peer[i];
	}
	return NULL;
}

/* One attempt to say why; the caller closes. */
static void turn_away(int fd, const struct fault *why)
{
	struct buffer text CLEANUP(buffer_deinit) = buffer_make(2 * LIMIT_CONTROL_REPLY);

	if (format_refusal(why, &text) == 0)
		(void)send(fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Takes ownership of fd. */
static void welcome(struct control *c, int connected)
{
	int fd CLEANUP(fd_closep) = connected;
	struct peer *p = find_free(c);
	struct fault f;

	if (!is_ours(fd)) {
		(void)fault_set(&f, FAULT_ACCESS, SCOPE_SESSION, 0,
			"the service listens to its own user and to root only");
		turn_away(fd, &f);
		return;
	}
	if (!p) {
		(void)fault_set(&f, FAULT_BUSY, SCOPE_SESSION, 0,
			"%d clients are connected, as many as the service serves at once",
			LIMIT_CONTROL_CLIENTS);
		turn_away(fd, &f);
		return;
	}
	*p = (struct peer){
		.state = PEER_ASKING,
		.id = ++c->last_id,
		.fd = fd_take(&fd),
		.in = buffer_make(LIMIT_CONTROL_REQUEST),
		.out = buffer_make(2 * LIMIT_CONTROL_OUTPUT),
		.deadline = c->now + LIMIT_CONTROL_MS,
	};
}

static void accept_some(struct control *c)
{
	for (int i = 0; i < BACKLOG; i++) {
		int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			welcome(c, fd);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR && errno != ECONNABORTED) {
			/* It stays ready all the while; asking again at once would spin. */
			c->resting_until = c->now + REST_MS;
			return;
		}
	}
}

/* ---- The loop --------------------------------------------------------------------------- */

size_t control_gather(struct control *c, struct pollfd *to, size_t room)
{
	size_t n = 0;

	if (n < room && c->resting_until == 0)
		to[n++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS && n < room; i++) {
		struct peer *p = &c->peer[i];
		int events = (p->at_end ? 0 : POLLIN) | (waiting(p) > 0 ? POLLOUT : 0);

		if (is_here(p))
			to[n++] = (struct pollfd){.fd = p->fd, .events = (short)events};
	}
	return n;
}

static struct peer *find_fd(struct control *c, int fd)
{
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (is_here(&c->peer[i]) && c->peer[i].fd == fd)
			return &c->peer[i];
	}
	return NULL;
}

static bool is_timed(const struct peer *p)
{
	return p->state == PEER_ASKING || p->state == PEER_ENDING;
}

void control_serve(struct control *c, const struct pollfd *polled, size_t n, int64_t now)
{
	bool knocking = false;

	c->now = now;
	if (c->resting_until <= now)
		c->resting_until = 0;
	for (size_t i = 0; i < n; i++) {
		struct peer *p = polled[i].revents ? find_fd(c, polled[i].fd) : NULL;

		if (p)
			serve_peer(c, p, polled[i].revents);
		else if (polled[i].fd == c->fd && polled[i].revents)
			knocking = true;
	}
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (is_timed(&c->peer[i]) && c->peer[i].deadline <= now)
			drop(&c->peer[i]);
	}
	/* Last: a new client may get the descriptor of one that was dropped above. */
	if (knocking)
		accept_some(c);
}

int64_t control_due(const struct control *c)
{
	int64_t due = c->resting_until ? c->resting_until : INT64_MAX;

	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (is_timed(&c->peer[i]) && c->peer[i].deadline < due)
			due = c->peer[i].deadline;
	}
	return due;
}

int control_take(struct control *c, struct control_request *ret)
{
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		struct peer *p = &c->peer[i];
		struct fault f;

		if (p->state == PEER_GONE) {
			*ret = (struct control_request){.client = p->id};
			free_peer(p);
			return CONTROL_GONE;
		}
		if (p->state != PEER_ASKED)
			continue;
		if (control_request_decode(buffer_slice(&p->in), ret, &f) < 0) {
			refuse(c, p, &f);
			continue;
		}
		buffer_deinit(&p->in);
		p->state = PEER_SERVED;
		ret->client = p->id;
		return CONTROL_REQUEST;
	}
	return 0;
}

static struct peer *find_served(struct control *c, uint64_t id)
{
	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++) {
		if (c->peer[i].state == PEER_SERVED && c->peer[i].id == id)
			return &c->peer[i];
	}
	return NULL;
}

void control_send(
	struct control *c, uint64_t client, struct slice lines, enum control_urgency urgency)
{
	struct peer *p = find_served(c, client);

	if (!p || (urgency == CONTROL_SKIPPABLE && waiting(p) > LIMIT_CONTROL_LAG))
		return;
	queue(p, lines);
}

void control_end(struct control *c, uint64_t client)
{
	struct peer *p = find_served(c, client);

	if (p)
		begin_end(c, p);
}

size_t control_clients(const struct control *c)
{
	size_t n = 0;

	for (size_t i = 0; i < LIMIT_CONTROL_CLIENTS; i++)
		n += is_here(&c->peer[i]);
	return n;
}
