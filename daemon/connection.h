/* Connections to POP3 and IMAP servers, as the account's protocol says. libcurl does DNS, TCP,
 * proxy, TLS, STLS or STARTTLS and the first CAPA or CAPABILITY, and stops there; from then on the
 *connection's owner sends and receives the bytes. One struct network is one event loop of one
 *thread; all its connections belong to that thread.
 *
 *	connection_new(net, account, &c, &f);
 *	connection_want(c, CONNECTION_READ);
 *	for (;;) {
 *		network_wait(net, NULL, 0, timeout_ms, &f);
 *		if (connection_state(c) == CONNECTION_FAILED)
 *			return end_with(connection_fault(c));
 *		if (connection_state(c) == CONNECTION_CONNECTING)
 *			continue;
 *		(first time up: login_new(account, secret, connection_preamble(c), …))
 *		while ((r = connection_receive(c, buf, size, &n, &f)) == 0)
 *			feed(buf, n);
 *		...<0: the fault; CONNECTION_CLOSED: the server closed; else CONNECTION_WOULD_BLOCK
 *		while (out.len > 0 && (r = connection_send(c, out, &n, &f)) == 0)
 *			out = rest(out, n);
 *		connection_want(c, CONNECTION_READ | (out.len ? CONNECTION_WRITE : 0));
 *	}
 *	c = connection_close(c);
 */
#pragma once

#include "archive/bytes.h"
#include "daemon/account.h"
#include "daemon/imap_preamble.h"
#include "daemon/preamble.h"

#include <poll.h>

/* The event loop. */
struct network;
/* FAULT_SYSTEM, FAULT_MEMORY. */
int network_open(struct network **ret, struct fault *f) MUST_CHECK;
/* After the last of its connections was closed. */
struct network *network_close(struct network *n);
void network_closep(struct network **n);

/* Moves connecting ones on and waits until one of these holds: a connection's state changed, a
 * connection is ready for what its owner wants, one of extra's descriptors has events (its revents
 * are set as poll does), network_wake() was called, timeout_ms passed (<0: no limit; a connection's
 * own deadline ends the wait in any case). extra may be NULL. May also return for no reason.
 * FAULT_SYSTEM: the loop itself is broken; what happens to one connection is that one's fault. */
int network_wait(struct network *n, struct pollfd *extra, size_t n_extra, int timeout_ms,
	struct fault *f) MUST_CHECK;

/* Ends the present or the next network_wait() early. From any thread, and from a signal handler: it
 * is one write(2) to an eventfd, with errno kept. */
void network_wake(struct network *n);

struct connection;
enum connection_state { CONNECTION_CONNECTING, CONNECTION_UP, CONNECTION_FAILED };
enum connection_channel { CHANNEL_CLEAR, CHANNEL_TLS };

/* Begins to connect to the account's host and port, which ends in UP or FAILED within
 * LIMIT_CONNECT_MS (libcurl's limit, and one of our own). account is borrowed until
 * connection_close(). FAULT_USAGE: host or proxy are not usable; FAULT_LIMIT: this network holds
 * LIMIT_CONNECTIONS already. */
int connection_new(struct network *n, const struct account *account, struct connection **ret,
	struct fault *f) MUST_CHECK;
/* Drops the socket at once; no QUIT is sent by anyone but the owner. Returns NULL. */
struct connection *connection_close(struct connection *c);
void connection_closep(struct connection **c);

enum connection_state connection_state(const struct connection *c);
/* Of a FAILED connection; scope session. FAULT_REACH: name, network, TLS or certificate, the
 * server turned us away before the login, or did not speak in time; FAULT_PROTOCOL: it speaks
 * something else than its protocol, or in clear after STLS or STARTTLS; FAULT_LIMIT: it has too
 * much to say. */
const struct fault *connection_fault(const struct connection *c);

/* What the server said so far: greeting and capabilities; once UP. Lives as long as c. The one for
 * the account's protocol. */
const struct preamble *connection_preamble(const struct connection *c);
const struct imap_preamble *connection_imap_preamble(const struct connection *c);
enum connection_channel connection_channel(const struct connection *c);

enum { CONNECTION_READ = 1, CONNECTION_WRITE = 2 };
/* What network_wait() shall wait for; bits, 0 (as at first) for nothing: that is how an owner that
 * can take no more pushes back. */
void connection_want(struct connection *c, unsigned events);
/* Which of them hold, as of the last network_wait(). Errors and a closed connection show as
 * readiness. Where the last connection_receive() brought bytes, READ holds without asking the
 * kernel, because TLS may hold decoded bytes that poll does not see: no wake-up is lost when an
 * owner stops reading early. */
unsigned connection_ready(const struct connection *c);

enum { CONNECTION_WOULD_BLOCK = 1, CONNECTION_CLOSED = 2 };
/* Up to size bytes to to; 0 with *ret_n > 0. WOULD_BLOCK: nothing there now. CLOSED: the server
 * closed properly. One call gives at most 512 KiB, with TLS at most one record of 16 KiB: go on
 * until WOULD_BLOCK, however little came. FAULT_PROTOCOL, scope session: the connection broke. */
int connection_receive(
	struct connection *c, void *to, size_t size, size_t *ret_n, struct fault *f) MUST_CHECK;
/* Sends the first *ret_n > 0 of bytes (which are not empty), or WOULD_BLOCK. After WOULD_BLOCK the
 * next call must begin with the same bytes (under TLS they are half on their way); more may follow
 * behind them and they may lie elsewhere. Never blocks: go on reading meanwhile, or both sides
 * wait for ever. FAULT_PROTOCOL as above. */
int connection_send(
	struct connection *c, struct slice bytes, size_t *ret_n, struct fault *f) MUST_CHECK;

/* A server that writes an answer in small pieces (popa3d, solid-pop3d) waits for each to be
 * acknowledged, and the kernel takes 40 ms where we have nothing to send. Worth a system call and a
 * packet for each receive only where commands are not pipelined. */
enum connection_acks { ACKS_AS_USUAL, ACKS_AT_ONCE };
void connection_set_acks(struct connection *c, enum connection_acks acks);

enum { CONNECTION_TLS_TEXT = 128, CONNECTION_PIN_TEXT = 64 };
/* "TLSv1.3, TLS_AES_256_GCM_SHA384", or "none"; for messages. */
void connection_tls_info(const struct connection *c, char ret[static CONNECTION_TLS_TEXT]);
/* "sha256//BASE64" of the public key in the server's certificate, as tls-pin takes it; "" without
 * TLS. Also known where the certificate was refused. */
void connection_pin(const struct connection *c, char ret[static CONNECTION_PIN_TEXT]);
