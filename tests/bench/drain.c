/* How fast can a POP3 server serve? Logs in, asks for every message with a window of RETR commands
 * in flight, throws the answers away, and prints one line of JSON. The limit that a fetch is
 * compared with: nothing is parsed but the ends of messages, nothing is kept.
 *
 *   drain [-t] [-u] [-w WINDOW] [-n MAX] PORT USER      password in DRAIN_PASSWORD; host 127.0.0.1
 *
 * -t: implicit TLS, unchecked; -u: a UIDL listing instead of the messages. */
#include "archive/own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/ssl.h>

#define STALL_MS     30000
#define IN_SIZE	     (256 * 1024)
#define OUT_SIZE     (64 * 1024)
#define END_OF_MAIL  "\r\n.\r\n"
#define END_LEN	     5
#define COMMAND_ROOM 32

struct line {
	int fd;
	SSL *ssl; /* NULL: plain */
	uint64_t received;
	size_t in_len, out_len;
	char in[IN_SIZE], out[OUT_SIZE];
};

struct options {
	uint16_t port;
	uint64_t window, max;
	bool tls, uidl;
	const char *user, *password;
};

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "drain: %s\n", what);
	exit(1);
}

static uint64_t number(const char *text)
{
	uint64_t n = 0;

	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || n > UINT32_MAX)
			die("not a number");
		n = n * 10 + (uint64_t)(*c - '0');
	}
	return n;
}

/* >0 bytes, 0 would block; ends the program at end of file and on failure. */
static size_t take_bytes(struct line *l, char *to, size_t room)
{
	if (l->ssl) {
		size_t n = 0;
		if (SSL_read_ex(l->ssl, to, room, &n) == 1)
			return n;
		int why = SSL_get_error(l->ssl, 0);
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
			die("the server ended the session");
		return 0;
	}
	ssize_t n = read(l->fd, to, room);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		die("the server ended the session");
	return n < 0 ? 0 : (size_t)n;
}

static size_t give_bytes(struct line *l, const char *from, size_t len)
{
	if (l->ssl) {
		size_t n = 0;
		if (SSL_write_ex(l->ssl, from, len, &n) == 1)
			return n;
		int why = SSL_get_error(l->ssl, 0);
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
			die("the server ended the session");
		return 0;
	}
	ssize_t n = send(l->fd, from, len, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("the server ended the session");
	return n < 0 ? 0 : (size_t)n;
}

static void wait_ready(const struct line *l)
{
	struct pollfd p = {.fd = l->fd, .events = (short)(POLLIN | (l->out_len > 0 ? POLLOUT : 0))};

	if (poll(&p, 1, STALL_MS) <= 0)
		die("the server stalls");
}

/* Writes what it can of what waits, reads what there is. Returns how much was read. */
static size_t turn(struct line *l)
{
	if (l->out_len > 0) {
		size_t n = give_bytes(l, l->out, l->out_len);
		memmove(l->out, l->out + n, l->out_len - n);
		l->out_len -= n;
	}
	size_t n = take_bytes(l, l->in + l->in_len, sizeof l->in - l->in_len);
	l->in_len += n;
	l->received += n;
	if (n == 0)
		wait_ready(l);
	return n;
}

static void queue(struct line *l, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof l->out - l->out_len)
		die("too much to send");
	memcpy(l->out + l->out_len, text, len);
	l->out_len += len;
}

/* The next line without its end, in a static buffer. */
static const char *next_line(struct line *l)
{
	static char text[4096];
	char *end;

	while (!(end = memchr(l->in, '\n', l->in_len))) {
		if (l->in_len == sizeof l->in)
			die("a line without end");
		turn(l);
	}
	size_t len = (size_t)(end - l->in) + 1, kept = len - 1;
	if (kept > 0 && l->in[kept - 1] == '\r')
		kept--;
	if (kept >= sizeof text)
		kept = sizeof text - 1;
	memcpy(text, l->in, kept);
	text[kept] = '\0';
	memmove(l->in, l->in + len, l->in_len - len);
	l->in_len -= len;
	return text;
}

static const char *expect_ok(struct line *l)
{
	const char *text = next_line(l);

	if (strncmp(text, "+OK", 3) != 0)
		die(text);
	return text;
}

static const char *command(struct line *l, const char *name, const char *argument)
{
	char text[600];

	(void)snprintf(text, sizeof text, "%s%s%s\r\n", name, *argument ? " " : "", argument);
	queue(l, text);
	return expect_ok(l);
}

static void connect_to(struct line *l, uint16_t port, bool tls)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;

	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&to, sizeof to) != 0)
		die("cannot connect");
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (tls) {
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		l->ssl = context ? SSL_new(context) : NULL;
		if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1 || SSL_connect(l->ssl) != 1)
			die("no TLS");
		SSL_set_mode(l->ssl,
			SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	}
	if (fcntl(l->fd, F_SETFL, O_NONBLOCK) != 0)
		die("fcntl");
}

/* "+OK 12 3456" */
static uint64_t count_of(const char *stat)
{
	uint64_t n = 0;

	for (const char *c = stat + 4; *c >= '0' && *c <= '9' && n < UINT32_MAX; c++)
		n = n * 10 + (uint64_t)(*c - '0');
	return n;
}

/* Counts the messages that end in what has come, and keeps as much as may begin another end. */
static uint64_t count_ends(struct line *l)
{
	const char *at = l->in, *limit = l->in + l->in_len, *end;
	uint64_t n = 0;

	while ((end = memmem(at, (size_t)(limit - at), END_OF_MAIL, END_LEN))) {
		n++;
		at = end + END_LEN;
	}
	size_t rest = (size_t)(limit - at);
	if (rest > END_LEN - 1)
		rest = END_LEN - 1;
	memmove(l->in, limit - rest, rest);
	l->in_len = rest;
	return n;
}

static void drain(struct line *l, uint64_t messages, uint64_t window)
{
	uint64_t asked = 0, done = 0;

	while (done < messages) {
		/* In batches of half a window, so that commands share packets. */
		if (asked - done <= window / 2) {
			while (asked < messages && asked - done < window &&
				sizeof l->out - l->out_len > COMMAND_ROOM) {
				char text[COMMAND_ROOM];
				(void)snprintf(text, sizeof text, "RETR %" PRIu64 "\r\n", ++asked);
				queue(l, text);
			}
		}
		if (turn(l) > 0)
			done += count_ends(l);
	}
}

static uint64_t list(struct line *l)
{
	uint64_t n = 0;

	(void)command(l, "UIDL", "");
	while (strcmp(next_line(l), ".") != 0)
		n++;
	return n;
}

static void run(struct line *l, const struct options *o)
{
	double start = seconds();
	struct rusage used;

	connect_to(l, o->port, o->tls);
	(void)expect_ok(l);
	(void)command(l, "USER", o->user);
	(void)command(l, "PASS", o->password);
	uint64_t messages = count_of(command(l, "STAT", ""));
	double ready = seconds();
	uint64_t before = l->received;
	if (messages > o->max)
		messages = o->max;
	if (o->uidl)
		messages = list(l);
	else
		drain(l, messages, o->window);
	double end = seconds();
	l->in_len = 0;
	(void)command(l, "QUIT", "");
	getrusage(RUSAGE_SELF, &used);
	printf("{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"window\": %" PRIu64
	       ", \"login_s\": %.4f, \"transfer_s\": %.4f, \"total_s\": %.4f, \"rss_kb\": %ld}\n",
		messages, l->received - before, o->window, ready - start, end - ready,
		seconds() - start, used.ru_maxrss);
}

int main(int argc, char **argv)
{
	static struct line l;
	struct options o = {.window = 256, .max = UINT64_MAX};
	int c;

	while ((c = getopt(argc, argv, "tuw:n:")) != -1) {
		if (c == 't')
			o.tls = true;
		else if (c == 'u')
			o.uidl = true;
		else if (c == 'w')
			o.window = number(optarg);
		else if (c == 'n')
			o.max = number(optarg);
		else
			return 2;
	}
	o.password = getenv("DRAIN_PASSWORD");
	if (argc - optind != 2 || !o.password || o.window == 0)
		die("usage: DRAIN_PASSWORD=… drain [-t] [-u] [-w WINDOW] [-n MAX] PORT USER");
	o.port = (uint16_t)number(argv[optind]);
	o.user = argv[optind + 1];
	run(&l, &o);
	return 0;
}
