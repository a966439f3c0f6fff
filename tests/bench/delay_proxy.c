/* A TCP proxy on loopback that holds everything back for a while, to measure over a long line.
 *
 *   delay_proxy PORT MILLISECONDS      to 127.0.0.1:PORT, MILLISECONDS each way
 *
 * Prints the port it listens on, and serves one connection after the other until it is killed. What
 * is on its way is bounded (QUEUE_MAX each way), so that a reader that stops reading stops the
 * writer. Nothing is lost, no slow start, any window: a kind line, only long. */
#include "archive/own.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define READ_SIZE (128 * 1024)
#define QUEUE_MAX (64 * 1024 * 1024)
#define MS	  INT64_C(1000000)

/* What was read at one moment, on its way. */
struct piece {
	struct piece *next;
	int64_t due; /* nanoseconds */
	size_t len, sent;
	char data[];
};

struct way {
	int from, to;
	struct piece *first, **last;
	size_t queued;
	bool ended;	 /* from has nothing more */
	bool passed_end; /* and to was told */
	bool full;	 /* to takes nothing now */
};

static int64_t delay;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint32_t number(const char *text)
{
	uint32_t n = 0;

	for (; *text >= '0' && *text <= '9' && n < 1000000; text++)
		n = n * 10 + (uint32_t)(*text - '0');
	return n;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

static void way_init(struct way *w, int from, int to)
{
	*w = (struct way){.from = from, .to = to};
	w->last = &w->first;
}

static void way_deinit(struct way *w)
{
	while (w->first) {
		struct piece *p = w->first;
		w->first = p->next;
		free(p);
	}
}

/* False: the connection broke. */
static bool take(struct way *w)
{
	struct piece *p = malloc(sizeof *p + READ_SIZE);

	if (!p)
		die("malloc");
	ssize_t n = read(w->from, p->data, READ_SIZE);
	if (n <= 0) {
		free(p);
		w->ended = n == 0;
		return n == 0 || errno == EAGAIN;
	}
	struct piece *fit = realloc(p, sizeof *p + (size_t)n);
	p = fit ? fit : p;
	p->next = NULL;
	p->due = now() + delay;
	p->len = (size_t)n;
	p->sent = 0;
	*w->last = p;
	w->last = &p->next;
	w->queued += p->len;
	return true;
}

static bool give(struct way *w, int64_t time)
{
	w->full = false;
	while (w->first && w->first->due <= time) {
		struct piece *p = w->first;
		ssize_t n = send(w->to, p->data + p->sent, p->len - p->sent, MSG_NOSIGNAL);
		if (n < 0) {
			w->full = errno == EAGAIN;
			return w->full;
		}
		p->sent += (size_t)n;
		if (p->sent < p->len)
			continue;
		w->queued -= p->len;
		w->first = p->next;
		if (!w->first)
			w->last = &w->first;
		free(p);
	}
	if (!w->first && w->ended && !w->passed_end) {
		(void)shutdown(w->to, SHUT_WR);
		w->passed_end = true;
	}
	return true;
}

/* When the earliest piece of both is due; a second from now at most. */
static struct timespec until_due(const struct way ways[static 2])
{
	int64_t wait = 1000 * MS, time = now();

	for (int i = 0; i < 2; i++) {
		if (!ways[i].first || ways[i].full)
			continue;
		int64_t left = ways[i].first->due - time;
		if (left < wait)
			wait = left > 0 ? left : 0;
	}
	return (struct timespec){.tv_sec = wait / (1000 * MS), .tv_nsec = wait % (1000 * MS)};
}

static void relay(int client, int server)
{
	struct way ways[2];

	way_init(&ways[0], client, server);
	way_init(&ways[1], server, client);
	while (!ways[0].passed_end || !ways[1].passed_end) {
		struct timespec wait = until_due(ways);
		struct pollfd p[4] = {{.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}};
		for (int i = 0; i < 2; i++) {
			if (!ways[i].ended && ways[i].queued < QUEUE_MAX)
				p[i] = (struct pollfd){.fd = ways[i].from, .events = POLLIN};
			if (ways[i].full)
				p[2 + i] = (struct pollfd){.fd = ways[i].to, .events = POLLOUT};
		}
		if (ppoll(p, 4, &wait, NULL) < 0 && errno != EINTR)
			break;
		if ((p[0].revents && !take(&ways[0])) || (p[1].revents && !take(&ways[1])))
			break;
		int64_t time = now();
		if (!give(&ways[0], time) || !give(&ways[1], time))
			break;
	}
	way_deinit(&ways[0]);
	way_deinit(&ways[1]);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_anywhere(void)
{
	struct sockaddr_in at = loopback(0);
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 16) != 0 ||
		getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		die("listen");
	printf("%u\n", ntohs(at.sin_port));
	(void)fflush(stdout);
	return fd;
}

static void prepare(int fd)
{
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		die("fcntl");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	struct sockaddr_in to = loopback((uint16_t)number(argv[1]));
	delay = number(argv[2]) * MS;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	int listener = listen_anywhere();

	for (;;) {
		int client CLEANUP(fd_closep) = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		int server CLEANUP(fd_closep) = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (client < 0 || server < 0)
			die("accept");
		/* The handshake: a server hears of a connection three ways after the client begins.
		 */
		struct timespec trip = {
			.tv_sec = 3 * delay / (1000 * MS), .tv_nsec = 3 * delay % (1000 * MS)};
		nanosleep(&trip, NULL);
		if (connect(server, (struct sockaddr *)&to, sizeof to) != 0)
			continue;
		prepare(client);
		prepare(server);
		relay(client, server);
	}
}
