#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/connection_private.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <sys/eventfd.h>

/* glibc would raise its threshold for mmap to the largest block freed so far, and then keep the
 * buffers of large messages in a heap that many sessions at once leave full of holes. */
static void keep_heap_small(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 256 * KIB);
}

int network_open(struct network **ret, struct fault *f)
{
	struct network *n CLEANUP(network_closep) = calloc(1, sizeof *n);

	if (!n)
		return fault_memory(f);
	n->wake = -1;
	keep_heap_small();
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(TAKE(n));
		return fault_set(f, FAULT_SYSTEM, SCOPE_ARCHIVE, 0, "libcurl does not start");
	}
	n->multi = curl_multi_init();
	if (!n->multi)
		return fault_memory(f);
	n->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->wake < 0)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "eventfd");
	(void)curl_multi_setopt(n->multi, CURLMOPT_MAXCONNECTS, (long)LIMIT_CONNECTIONS + 1);
	*ret = TAKE(n);
	return 0;
}

struct network *network_close(struct network *n)
{
	if (!n)
		return NULL;
	while (n->n_connections > 0)
		(void)connection_close(n->connections[0]);
	curl_multi_cleanup(n->multi);
	curl_global_cleanup();
	fd_closep(&n->wake);
	free(n->polls);
	free(n->waits);
	free(n);
	return NULL;
}

void network_closep(struct network **n)
{
	*n = network_close(*n);
}

void network_wake(struct network *n)
{
	const uint64_t one = 1;
	int kept = errno;

	/* Full (EAGAIN) means that it is awake anyway. */
	ssize_t ignored = write(n->wake, &one, sizeof one);
	(void)ignored;
	errno = kept;
}

static int make_room(struct network *n, size_t count, struct fault *f)
{
	if (count <= n->n_room)
		return 0;
	struct pollfd *polls = reallocarray(n->polls, count, sizeof *polls);
	if (!polls)
		return fault_memory(f);
	n->polls = polls;
	struct curl_waitfd *waits = reallocarray(n->waits, count, sizeof *waits);
	if (!waits)
		return fault_memory(f);
	n->waits = waits;
	n->n_room = count;
	return 0;
}

/* Moves libcurl's part on; what it has finished, well or not, changes state. */
static bool drive(struct network *n)
{
	int running, left;
	bool changed = false;

	if (n->n_connecting == 0)
		return false;
	(void)curl_multi_perform(n->multi, &running);
	for (CURLMsg *m; (m = curl_multi_info_read(n->multi, &left));) {
		char *c = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		connection_settle((struct connection *)(void *)c, m->data.result);
		changed = true;
	}
	int64_t now = monotonic_ms();
	/* libcurl's own timers can fire late (trap 13). */
	for (size_t i = 0; i < n->n_connections; i++) {
		struct connection *c = n->connections[i];

		if (c->state != CONNECTION_CONNECTING || now < c->deadline_ms)
			continue;
		connection_expire(c);
		changed = true;
	}
	return changed;
}

static int earlier(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* How long the wait may be: 0 where somebody may hold decoded bytes that poll does not see. */
static int shortest(const struct network *n, int timeout_ms)
{
	int64_t now = monotonic_ms();

	for (size_t i = 0; i < n->n_connections; i++) {
		const struct connection *c = n->connections[i];

		if (c->state == CONNECTION_UP && c->may_hold_bytes && c->want & CONNECTION_READ)
			return 0;
		if (c->state != CONNECTION_CONNECTING)
			continue;
		int64_t left = c->deadline_ms - now;
		timeout_ms = earlier(timeout_ms, left < 0 ? 0 : (int)left);
	}
	return timeout_ms;
}

static short poll_events(unsigned want)
{
	return (short)((want & CONNECTION_READ ? POLLIN : 0) |
		       (want & CONNECTION_WRITE ? POLLOUT : 0));
}

/* The descriptors to wait for: the wake-up first, then one for each connection (-1, which poll
 * skips, where its owner wants nothing: a hang-up would otherwise end every wait), then extra. */
static size_t gather(struct network *n, const struct pollfd *extra, size_t n_extra)
{
	size_t count = 0;

	n->polls[count++] = (struct pollfd){.fd = n->wake, .events = POLLIN};
	for (size_t i = 0; i < n->n_connections; i++) {
		const struct connection *c = n->connections[i];
		bool wanted = c->state == CONNECTION_UP && c->want;

		n->polls[count++] = (struct pollfd){
			.fd = wanted ? c->socket : -1, .events = poll_events(c->want)};
	}
	for (size_t i = 0; i < n_extra; i++)
		n->polls[count++] = extra[i];
	return count;
}

/* libcurl's wait, which has its own sockets and timers in it beside ours. */
static void wait_with_libcurl(struct network *n, size_t count, int timeout_ms)
{
	unsigned waiting = 0;

	for (size_t i = 0; i < count; i++) {
		if (n->polls[i].fd < 0)
			continue;
		n->waits[waiting++] = (struct curl_waitfd){.fd = n->polls[i].fd,
			.events = (short)((n->polls[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
					  (n->polls[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0))};
	}
	(void)curl_multi_poll(
		n->multi, n->waits, waiting, timeout_ms < 0 ? INT_MAX : timeout_ms, NULL);
}

static void spread(struct network *n, struct pollfd *extra, size_t n_extra)
{
	const struct pollfd *p = n->polls;
	uint64_t ignored;

	if (p++->revents) {
		ssize_t n_read = read(n->wake, &ignored, sizeof ignored);
		(void)n_read;
	}
	for (size_t i = 0; i < n->n_connections; i++, p++) {
		struct connection *c = n->connections[i];
		unsigned ready = 0;

		if (p->revents & POLLIN || c->may_hold_bytes)
			ready |= CONNECTION_READ;
		if (p->revents & POLLOUT)
			ready |= CONNECTION_WRITE;
		if (p->revents & (POLLERR | POLLHUP | POLLNVAL))
			ready |= CONNECTION_READ | CONNECTION_WRITE;
		c->ready = c->state == CONNECTION_UP ? ready & c->want : 0;
	}
	for (size_t i = 0; i < n_extra; i++)
		extra[i].revents = p[i].revents;
}

int network_wait(
	struct network *n, struct pollfd *extra, size_t n_extra, int timeout_ms, struct fault *f)
{
	if (make_room(n, 1 + n->n_connections + n_extra, f) < 0)
		return -1;
	/* What was there already was driven at the end of the wait before. */
	if (n->has_new && drive(n))
		timeout_ms = 0;
	n->has_new = false;
	timeout_ms = shortest(n, timeout_ms);
	size_t count = gather(n, extra, n_extra);
	if (n->n_connecting > 0 && timeout_ms != 0) {
		wait_with_libcurl(n, count, timeout_ms);
		timeout_ms = 0;
	}
	int r = poll(n->polls, count, timeout_ms);
	if (r < 0 && errno != EINTR)
		return fault_errno(f, FAULT_SYSTEM, SCOPE_ARCHIVE, errno, "poll");
	for (size_t i = 0; r < 0 && i < count; i++)
		n->polls[i].revents = 0;
	spread(n, extra, n_extra);
	(void)drive(n);
	return 0;
}
