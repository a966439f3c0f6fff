/* The traps named here are those of libcurl 7.88 that the project's notes on POP3 number:
 *  1 receive once when UP, or a later transfer may prune the connection: probe()
 *  2 never FORBID_REUSE, and the easy handle stays in the multi handle: set_limits(),
 * connection_close() 3 an explicit CA file and no CA folder, or each connection parses the bundle:
 * set_tls() 4 a few hundred connections for each multi handle: LIMIT_CONNECTIONS 5 a receive gives
 * one TLS record at most, and OK with 0 is the end: connection_receive() 6 no user name, so libcurl
 * stops after CAPA and STLS: set_url() 7 CR or LF in a user name goes out raw: login_new() refuses
 * it 8 what comes together with an answer is lost: nothing is sent before UP, login never pipelines
 *  9 QUIT is the owner's to send
 * 10 no limits after the hand-over: login and POP3 have their own
 * 11 a send that would block is repeated with the same bytes: connection_send()
 * 12 closing inside a batch of events: network_wait() gives no list of events, only flags
 * 13 libcurl's timers fire late: CONNECTTIMEOUT_MS and a deadline of our own
 * 14 no SCRAM in libcurl: the login is ours */
#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/connection_private.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <sys/socket.h>

/* Refused lines are kept in c->heard; libcurl then ends with CURLE_WRITE_ERROR. */
static size_t on_line(char *data, size_t size, size_t n, void *context)
{
	struct connection *c = context;
	struct slice line = slice_of(data, size * n);
	int r = c->account->protocol == PROTOCOL_IMAP
			? imap_preamble_add_line(&c->imap_preamble, line, &c->heard)
			: preamble_add_line(&c->preamble, line, &c->heard);

	return r < 0 ? 0 : size * n;
}

/* Without it libcurl would print to stdout. */
static size_t on_body(char *data, size_t size, size_t n, void *context)
{
	(void)data;
	(void)context;
	return size * n;
}

static void keep_pin(struct connection *c, X509 *certificate)
{
	unsigned char *der = NULL;
	unsigned char sha256[EVP_MAX_MD_SIZE], base64[64];
	unsigned int len = 0;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

	if (n > 0 && EVP_Digest(der, (size_t)n, sha256, &len, EVP_sha256(), NULL) == 1) {
		(void)EVP_EncodeBlock(base64, sha256, (int)len);
		(void)snprintf(c->pin, sizeof c->pin, "sha256//%.44s", (const char *)base64);
	}
	OPENSSL_free(der);
}

/* Changes nothing of OpenSSL's verdict: it only looks at the certificate, so that a refused one can
 * be told to a person. */
static int on_verify(int verdict, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct connection *c = ssl ? SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;
	X509 *certificate = X509_STORE_CTX_get0_cert(store);

	if (c && certificate && !c->pin[0])
		keep_pin(c, certificate);
	return verdict;
}

static CURLcode on_tls_context(CURL *easy, void *tls_context, void *context)
{
	SSL_CTX *ssl = tls_context;

	(void)easy;
	SSL_CTX_set_app_data(ssl, context);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
	return CURLE_OK;
}

/* curl_easy_setopt() fails for want of memory, or for an option that this libcurl lacks. */
#define SET(c, option, value) (curl_easy_setopt((c)->easy, (option), (value)) == CURLE_OK)

static bool set_tls(struct connection *c)
{
	const struct account *a = c->account;
	const char *ca_file = reach_ca_file(a);

	return SET(c, CURLOPT_USE_SSL, a->tls == TLS_NONE ? CURLUSESSL_NONE : CURLUSESSL_ALL) &&
	       SET(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) &&
	       SET(c, CURLOPT_SSL_VERIFYPEER, 1L) && SET(c, CURLOPT_SSL_VERIFYHOST, 2L) &&
	       SET(c, CURLOPT_CAINFO, ca_file) && SET(c, CURLOPT_CAPATH, NULL) &&
	       SET(c, CURLOPT_PROXY_CAINFO, reach_ca_file(NULL)) &&
	       SET(c, CURLOPT_PROXY_CAPATH, NULL) && SET(c, CURLOPT_PINNEDPUBLICKEY, a->tls_pin) &&
	       SET(c, CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
	       SET(c, CURLOPT_SSL_CTX_FUNCTION, on_tls_context) && SET(c, CURLOPT_SSL_CTX_DATA, c);
}

/* "" keeps libcurl from the environment's proxies and their exceptions. */
static bool set_proxy(struct connection *c)
{
	const char *proxy = c->account->proxy;

	return SET(c, CURLOPT_PROXY, proxy ? proxy : "") && SET(c, CURLOPT_NOPROXY, "") &&
	       SET(c, CURLOPT_HTTPPROXYTUNNEL, 1L) && SET(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static bool set_limits(struct connection *c)
{
	return SET(c, CURLOPT_CONNECT_ONLY, 1L) && SET(c, CURLOPT_FRESH_CONNECT, 1L) &&
	       SET(c, CURLOPT_PROTOCOLS_STR, "pop3,pop3s,imap,imaps") &&
	       SET(c, CURLOPT_REDIR_PROTOCOLS_STR, "pop3s") && SET(c, CURLOPT_FOLLOWLOCATION, 0L) &&
	       SET(c, CURLOPT_NOSIGNAL, 1L) && SET(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
	       SET(c, CURLOPT_QUICK_EXIT, 1L) /* closing does not wait for a slow resolver */ &&
	       SET(c, CURLOPT_CONNECTTIMEOUT_MS, (long)LIMIT_CONNECT_MS) &&
	       SET(c, CURLOPT_BUFFERSIZE, (long)LIMIT_GREETING) &&
	       SET(c, CURLOPT_TCP_NODELAY, 1L) && SET(c, CURLOPT_TCP_KEEPALIVE, 1L);
}

static bool set_callbacks(struct connection *c)
{
	return SET(c, CURLOPT_PRIVATE, c) && SET(c, CURLOPT_ERRORBUFFER, c->error) &&
	       SET(c, CURLOPT_HEADERFUNCTION, on_line) && SET(c, CURLOPT_HEADERDATA, c) &&
	       SET(c, CURLOPT_WRITEFUNCTION, on_body);
}

static const char *scheme(const struct account *a)
{
	bool secure = a->tls == TLS_IMPLICIT;

	if (a->protocol == PROTOCOL_IMAP)
		return secure ? "imaps" : "imap";
	return secure ? "pop3s" : "pop3";
}

/* Part by part, so that nothing in a host's name can become another part; without a user. */
static int set_url(struct connection *c, struct fault *f)
{
	const struct account *a = c->account;
	char port[8], host[300], name[300];

	(void)snprintf(port, sizeof port, "%u", a->port);
	(void)snprintf(host, sizeof host, strchr(a->host, ':') ? "[%s]" : "%s", a->host);
	c->url = curl_url();
	if (!c->url)
		return fault_memory(f);
	if (curl_url_set(c->url, CURLUPART_SCHEME, scheme(a), 0) != CURLUE_OK ||
		curl_url_set(c->url, CURLUPART_HOST, host, 0) != CURLUE_OK ||
		curl_url_set(c->url, CURLUPART_PORT, port, 0) != CURLUE_OK ||
		!SET(c, CURLOPT_CURLU, c->url))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"\"%s\" is no name of a server; check `server`",
			reach_name(a, name, sizeof name));
	return 0;
}

static int prepare(struct connection *c, struct fault *f)
{
	c->easy = curl_easy_init();
	if (!c->easy)
		return fault_memory(f);
	if (!set_callbacks(c) || !set_limits(c) || !set_tls(c) || !set_proxy(c))
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"libcurl takes not all of the account's settings; check tls-pin, "
			"tls-ca-file and proxy");
	return set_url(c, f);
}

int connection_new(
	struct network *n, const struct account *account, struct connection **ret, struct fault *f)
{
	if (n->n_connections == LIMIT_CONNECTIONS)
		return fault_set(f, FAULT_LIMIT, SCOPE_SESSION, 0,
			"more than %d connections at once", LIMIT_CONNECTIONS);
	struct connection *c CLEANUP(connection_closep) = calloc(1, sizeof *c);
	if (!c)
		return fault_memory(f);
	c->account = account;
	c->socket = -1;
	c->deadline_ms = monotonic_ms() + LIMIT_CONNECT_MS;
	preamble_init(&c->preamble);
	imap_preamble_init(&c->imap_preamble);
	(void)snprintf(c->tls, sizeof c->tls, "none");
	if (prepare(c, f) < 0)
		return -1;
	CURLMcode r = curl_multi_add_handle(n->multi, c->easy);
	if (r != CURLM_OK)
		return fault_set(f, FAULT_SYSTEM, SCOPE_SESSION, (int)r, "libcurl: %s",
			curl_multi_strerror(r));
	c->network = n;
	n->connections[n->n_connections++] = c;
	n->n_connecting++;
	n->has_new = true;
	*ret = TAKE(c);
	return 0;
}

static void leave_network(struct connection *c)
{
	struct network *n = c->network;

	(void)curl_multi_remove_handle(n->multi, c->easy);
	for (size_t i = 0; i < n->n_connections; i++) {
		if (n->connections[i] == c)
			n->connections[i] = n->connections[--n->n_connections];
	}
	if (c->state == CONNECTION_CONNECTING)
		n->n_connecting--;
}

struct connection *connection_close(struct connection *c)
{
	if (!c)
		return NULL;
	if (c->network)
		leave_network(c);
	curl_easy_cleanup(c->easy);
	curl_url_cleanup(c->url);
	free(c);
	return NULL;
}

void connection_closep(struct connection **c)
{
	*c = connection_close(*c);
}

static void fail(struct connection *c)
{
	c->state = CONNECTION_FAILED;
	c->network->n_connecting--;
}

/* Trap 1. Nothing can be there yet, unless the server speaks unasked or has closed. */
static bool probe(struct connection *c)
{
	char byte;
	size_t n = 0;
	CURLcode r = curl_easy_recv(c->easy, &byte, 1, &n);

	if (r == CURLE_AGAIN)
		return true;
	if (r == CURLE_OK && n > 0)
		fault_record(&c->fault, FAULT_PROTOCOL, SCOPE_SESSION, 0,
			"the server speaks out of turn before the login");
	else
		reach_fault(c, r == CURLE_OK ? CURLE_GOT_NOTHING : r, &c->fault);
	return false;
}

static void describe_tls(struct connection *c)
{
	struct curl_tlssessioninfo *info = NULL;

	if (curl_easy_getinfo(c->easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info ||
		info->backend != CURLSSLBACKEND_OPENSSL || !info->internals)
		return;
	const SSL *ssl = info->internals;
	(void)snprintf(
		c->tls, sizeof c->tls, "%s, %s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}

void connection_settle(struct connection *c, CURLcode result)
{
	curl_socket_t socket = CURL_SOCKET_BAD;

	if (result == CURLE_OK &&
		(curl_easy_getinfo(c->easy, CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK ||
			socket == CURL_SOCKET_BAD))
		result = CURLE_COULDNT_CONNECT;
	if (result != CURLE_OK) {
		reach_fault(c, result, &c->fault);
		fail(c);
		return;
	}
	if (!probe(c)) {
		fail(c);
		return;
	}
	describe_tls(c);
	c->socket = socket;
	c->state = CONNECTION_UP;
	c->network->n_connecting--;
}

void connection_expire(struct connection *c)
{
	(void)curl_multi_remove_handle(c->network->multi, c->easy);
	reach_fault(c, CURLE_OPERATION_TIMEDOUT, &c->fault);
	fail(c);
}

enum connection_state connection_state(const struct connection *c)
{
	return c->state;
}

const struct fault *connection_fault(const struct connection *c)
{
	return &c->fault;
}

const struct preamble *connection_preamble(const struct connection *c)
{
	return &c->preamble;
}

const struct imap_preamble *connection_imap_preamble(const struct connection *c)
{
	return &c->imap_preamble;
}

/* Implicit TLS, or USE_SSL=ALL: UP means that it is there. */
enum connection_channel connection_channel(const struct connection *c)
{
	return c->account->tls == TLS_NONE ? CHANNEL_CLEAR : CHANNEL_TLS;
}

void connection_want(struct connection *c, unsigned events)
{
	c->want = events;
}

unsigned connection_ready(const struct connection *c)
{
	return c->ready;
}

static int cut(struct connection *c, CURLcode result, struct fault *f)
{
	reach_fault(c, result, f);
	f->code = FAULT_PROTOCOL;
	return -1;
}

int connection_receive(struct connection *c, void *to, size_t size, size_t *ret_n, struct fault *f)
{
	size_t n = 0;
	CURLcode r = curl_easy_recv(c->easy, to, size, &n);

	c->may_hold_bytes = r == CURLE_OK;
	if (r == CURLE_AGAIN)
		return CONNECTION_WOULD_BLOCK;
	if (r != CURLE_OK)
		return cut(c, r, f);
	if (n == 0)
		return CONNECTION_CLOSED;
	/* It does not last: the kernel goes back to its own ways. */
	if (c->acks == ACKS_AT_ONCE)
		(void)setsockopt(c->socket, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
	*ret_n = n;
	return 0;
}

void connection_set_acks(struct connection *c, enum connection_acks acks)
{
	c->acks = acks;
}

int connection_send(struct connection *c, struct slice bytes, size_t *ret_n, struct fault *f)
{
	size_t n = 0;
	CURLcode r = curl_easy_send(c->easy, bytes.data, bytes.len, &n);

	if (r == CURLE_AGAIN || (r == CURLE_OK && n == 0))
		return CONNECTION_WOULD_BLOCK;
	if (r != CURLE_OK)
		return cut(c, r, f);
	*ret_n = n;
	return 0;
}

void connection_tls_info(const struct connection *c, char ret[static CONNECTION_TLS_TEXT])
{
	memcpy(ret, c->tls, sizeof c->tls);
}

void connection_pin(const struct connection *c, char ret[static CONNECTION_PIN_TEXT])
{
	memcpy(ret, c->pin, sizeof c->pin);
}
