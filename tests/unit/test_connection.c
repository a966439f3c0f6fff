/* Against a server in a child process that follows a script; TLS with a certificate of its own. */
#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/connection.h"
#include "tests/unit/check.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char ca_file[] = "/tmp/popkeep-connection-XXXXXX";
static X509 *certificate;
static EVP_PKEY *key;

/* The server */

struct server {
	pid_t pid;
	uint16_t port;
};

struct peer {
	int fd;
	SSL *ssl;
};

static void serve_say(struct peer *p, const char *text)
{
	size_t len = strlen(text);

	if (p->ssl)
		(void)!SSL_write(p->ssl, text, (int)len);
	else
		(void)!send(p->fd, text, len, MSG_NOSIGNAL);
}

/* Waits for a line that begins with command; ends the server where another comes. */
static void serve_hear(struct peer *p, const char *command)
{
	char line[256];
	size_t len = 0;

	while (len < sizeof line - 1 && (len == 0 || line[len - 1] != '\n')) {
		ssize_t n = p->ssl ? SSL_read(p->ssl, line + len, 1) : read(p->fd, line + len, 1);
		if (n <= 0)
			_exit(1);
		len++;
	}
	if (strncmp(line, command, strlen(command)) != 0)
		_exit(2);
}

static void serve_tls(struct peer *p)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	SSL_CTX_use_certificate(context, certificate);
	SSL_CTX_use_PrivateKey(context, key);
	p->ssl = SSL_new(context);
	SSL_set_fd(p->ssl, p->fd);
	if (SSL_accept(p->ssl) != 1)
		_exit(3);
}

static void serve_until_closed(struct peer *p)
{
	char byte;

	while ((p->ssl ? SSL_read(p->ssl, &byte, 1) : read(p->fd, &byte, 1)) > 0)
		;
}

static void start_server(struct server *s, void (*script)(struct peer *))
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	s->port = ntohs(address.sin_port);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		(void)signal(SIGPIPE, SIG_IGN);
		(void)alarm(60);
		struct peer p = {.fd = accept(listener, NULL, NULL)};
		script(&p);
		_exit(0);
	}
	(void)close(listener);
}

static void stop_server(struct server *s)
{
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
}

/* The client */

struct setting {
	struct server server;
	struct account account;
	struct network *network;
	struct connection *connection;
	struct fault fault;
};

static char localhost[] = "localhost", loopback[] = "127.0.0.1", user[] = "anna";

static void begin(struct setting *t, enum tls_mode tls, void (*script)(struct peer *))
{
	*t = (struct setting){0};
	start_server(&t->server, script);
	t->account.host = tls == TLS_NONE ? loopback : localhost;
	t->account.port = t->server.port;
	t->account.user = user;
	t->account.tls = tls;
	t->account.tls_ca_file = ca_file;
	assert_int_equal(network_open(&t->network, &t->fault), 0);
}

static void end(struct setting *t)
{
	connection_closep(&t->connection);
	network_closep(&t->network);
	stop_server(&t->server);
}

static void wait_for(struct setting *t, enum connection_state state)
{
	int64_t deadline = monotonic_ms() + 20000;

	while (connection_state(t->connection) == CONNECTION_CONNECTING &&
		monotonic_ms() < deadline)
		assert_int_equal(network_wait(t->network, NULL, 0, 1000, &t->fault), 0);
	if (connection_state(t->connection) == CONNECTION_FAILED && state != CONNECTION_FAILED)
		fail_msg("%s", connection_fault(t->connection)->text);
	assert_int_equal(connection_state(t->connection), state);
}

static void connect_up(struct setting *t)
{
	assert_int_equal(connection_new(t->network, &t->account, &t->connection, &t->fault), 0);
	wait_for(t, CONNECTION_UP);
}

static void expect_failure(struct setting *t, enum fault_code code, const char *part)
{
	char port[16];

	assert_int_equal(connection_new(t->network, &t->account, &t->connection, &t->fault), 0);
	wait_for(t, CONNECTION_FAILED);
	const struct fault *f = connection_fault(t->connection);
	if (f->code != code || !strstr(f->text, part))
		fail_msg("\"%s\" (%d) is not in \"%s\" (%d)", part, code, f->text, f->code);
	(void)snprintf(port, sizeof port, ":%u: ", t->server.port);
	assert_non_null(strstr(f->text, port));
	end(t);
}

/* Receives until len bytes are there. */
static void receive(struct setting *t, char *to, size_t len)
{
	int64_t deadline = monotonic_ms() + 20000;
	size_t got = 0, n = 0;

	connection_want(t->connection, CONNECTION_READ);
	while (got < len && monotonic_ms() < deadline) {
		int r = connection_receive(t->connection, to + got, len - got, &n, &t->fault);

		if (r < 0)
			fail_msg("%s", t->fault.text);
		assert_int_not_equal(r, CONNECTION_CLOSED);
		if (r == 0)
			got += n;
		else
			assert_int_equal(network_wait(t->network, NULL, 0, 1000, &t->fault), 0);
	}
	assert_int_equal(got, len);
}

static void serve_capa(struct peer *p, const char *capabilities)
{
	serve_hear(p, "CAPA");
	serve_say(p, "+OK\r\n");
	serve_say(p, capabilities);
	serve_say(p, ".\r\n");
}

static void script_plain(struct peer *p)
{
	serve_say(p, "+OK hello <1.2@here>\r\n");
	serve_capa(p, "UIDL\r\nSASL PLAIN\r\n");
	serve_hear(p, "NOOP");
	serve_say(p, "+OK\r\n");
	serve_until_closed(p);
}

static void a_plain_connection_stops_before_the_login(void **state)
{
	struct setting t;
	char text[CONNECTION_TLS_TEXT], reply[5];
	size_t n;

	(void)state;
	begin(&t, TLS_NONE, script_plain);
	connect_up(&t);
	const struct preamble *p = connection_preamble(t.connection);
	assert_string_equal(p->greeting, "+OK hello <1.2@here>");
	assert_string_equal(p->capabilities.text, "UIDL, SASL PLAIN");
	assert_false(p->lf_only);
	assert_int_equal(connection_channel(t.connection), CHANNEL_CLEAR);
	connection_tls_info(t.connection, text);
	assert_string_equal(text, "none");
	assert_int_equal(connection_send(t.connection, slice_text("NOOP\r\n"), &n, &t.fault), 0);
	assert_int_equal(n, 6);
	receive(&t, reply, sizeof reply);
	assert_memory_equal(reply, "+OK\r\n", 5);
	end(&t);
}

static void script_lf(struct peer *p)
{
	serve_say(p, "+OK\n");
	serve_hear(p, "CAPA");
	serve_say(p, "-ERR\n");
	serve_until_closed(p);
}

static void line_ends_of_lf_alone_are_seen(void **state)
{
	struct setting t;

	(void)state;
	begin(&t, TLS_NONE, script_lf);
	connect_up(&t);
	assert_true(connection_preamble(t.connection)->lf_only);
	assert_false(connection_preamble(t.connection)->capabilities.known);
	end(&t);
}

static void script_stls(struct peer *p)
{
	serve_say(p, "+OK\r\n");
	serve_capa(p, "STLS\r\nSASL PLAIN\r\n");
	serve_hear(p, "STLS");
	serve_say(p, "+OK\r\n");
	serve_tls(p);
	serve_capa(p, "USER\r\n");
	serve_until_closed(p);
}

static void stls_is_followed_by_capa_under_tls(void **state)
{
	struct setting t;
	char text[CONNECTION_TLS_TEXT];

	(void)state;
	begin(&t, TLS_STARTTLS, script_stls);
	connect_up(&t);
	const struct preamble *p = connection_preamble(t.connection);
	assert_int_equal(p->state, PREAMBLE_END);
	assert_string_equal(p->capabilities.text, "USER");
	assert_int_equal(connection_channel(t.connection), CHANNEL_TLS);
	connection_tls_info(t.connection, text);
	assert_non_null(strstr(text, "TLSv1.3, TLS_"));
	end(&t);
}

static void script_injection(struct peer *p)
{
	serve_say(p, "+OK\r\n");
	serve_capa(p, "STLS\r\n");
	serve_hear(p, "STLS");
	serve_say(p, "+OK\r\n+OK\r\nSASL PLAIN\r\n.\r\n");
	serve_tls(p);
	serve_capa(p, "USER\r\n");
	serve_until_closed(p);
}

static void what_is_said_in_clear_behind_stls_ends_the_session(void **state)
{
	struct setting t;

	(void)state;
	begin(&t, TLS_STARTTLS, script_injection);
	expect_failure(&t, FAULT_PROTOCOL, "in clear behind the answer to STLS");
}

static void script_late_injection(struct peer *p)
{
	serve_say(p, "+OK\r\n");
	serve_capa(p, "STLS\r\n");
	serve_hear(p, "STLS");
	serve_say(p, "+OK\r\n");
	(void)poll(NULL, 0, 50); /* another packet */
	serve_say(p, "+OK\r\nSASL PLAIN\r\n.\r\n");
	serve_tls(p);
	serve_capa(p, "USER\r\n");
	serve_until_closed(p);
}

static void and_so_does_what_comes_a_packet_later(void **state)
{
	struct setting t;

	(void)state;
	begin(&t, TLS_STARTTLS, script_late_injection);
	expect_failure(&t, FAULT_REACH, "SSL");
}

static void script_no_stls(struct peer *p)
{
	serve_say(p, "+OK\r\n");
	serve_capa(p, "USER\r\n");
	serve_until_closed(p);
}

static void script_stls_refused(struct peer *p)
{
	serve_say(p, "+OK\r\n");
	serve_capa(p, "STLS\r\n");
	serve_hear(p, "STLS");
	serve_say(p, "-ERR not today\x1b\r\n");
	serve_until_closed(p);
}

static void without_stls_nothing_goes_out_in_clear(void **state)
{
	struct setting t;

	(void)state;
	begin(&t, TLS_STARTTLS, script_no_stls);
	expect_failure(&t, FAULT_REACH, "offers no STLS");
	begin(&t, TLS_STARTTLS, script_stls_refused);
	expect_failure(&t, FAULT_REACH, "refuses STLS: \"-ERR not today\\x1b\"");
}

static void script_tls(struct peer *p)
{
	serve_tls(p);
	serve_say(p, "+OK\r\n");
	serve_capa(p, "USER\r\n");
	serve_until_closed(p);
}

static void a_certificate_of_an_own_authority_is_taken(void **state)
{
	struct setting t;
	char pin[CONNECTION_PIN_TEXT];

	(void)state;
	begin(&t, TLS_IMPLICIT, script_tls);
	connect_up(&t);
	connection_pin(t.connection, pin);
	end(&t);
	assert_int_equal(strlen(pin), 8 + 44);

	begin(&t, TLS_IMPLICIT, script_tls);
	t.account.tls_pin = pin;
	connect_up(&t);
	end(&t);

	pin[10] = pin[10] == 'A' ? 'B' : 'A';
	begin(&t, TLS_IMPLICIT, script_tls);
	t.account.tls_pin = pin;
	expect_failure(&t, FAULT_REACH, "another public key than tls-pin names: sha256//");
}

static void a_certificate_that_nobody_known_signed_is_refused(void **state)
{
	struct setting t;

	(void)state;
	begin(&t, TLS_IMPLICIT, script_tls);
	t.account.tls_ca_file = NULL;
	expect_failure(
		&t, FAULT_REACH, "tls-ca-file (the key it shows, in the form of tls-pin: sha256//");
	begin(&t, TLS_STARTTLS, script_stls);
	t.account.tls_ca_file = NULL;
	expect_failure(&t, FAULT_REACH, "the certificate is refused");
}

static void a_certificate_of_another_host_is_refused(void **state)
{
	struct setting t;

	(void)state;
	begin(&t, TLS_IMPLICIT, script_tls);
	t.account.host = loopback;
	expect_failure(&t, FAULT_REACH, "check the name in `server`");
}

static void script_http(struct peer *p)
{
	serve_say(p, "HTTP/1.1 400 Bad\x1bRequest\r\n");
	serve_until_closed(p);
}

static void script_turns_away(struct peer *p)
{
	serve_say(p, "-ERR [SYS/TEMP] too many connections\r\n");
	serve_until_closed(p);
}

static void script_closes(struct peer *p)
{
	(void)p;
}

static void script_never_ends_a_line(struct peer *p)
{
	char much[4097];

	memset(much, 'x', sizeof much - 1);
	much[sizeof much - 1] = '\0';
	serve_say(p, "+OK ");
	for (int i = 0; i < 16; i++)
		serve_say(p, much);
	serve_say(p, "\r\n");
	serve_until_closed(p);
}

static void script_endless_capa(struct peer *p)
{
	serve_say(p, "+OK\r\n");
	serve_hear(p, "CAPA");
	serve_say(p, "+OK\r\n");
	for (int i = 0; i <= LIMIT_CAPA_LINES; i++)
		serve_say(p, "X-MORE\r\n");
	serve_until_closed(p);
}

static void servers_that_are_none_are_named(void **state)
{
	struct setting t;

	(void)state;
	begin(&t, TLS_NONE, script_http);
	expect_failure(&t, FAULT_PROTOCOL, "it greets with \"HTTP/1.1 400 Bad\\x1bRequest\"");
	begin(&t, TLS_NONE, script_turns_away);
	expect_failure(&t, FAULT_REACH, "turns us away: \"-ERR [SYS/TEMP] too many connections\"");
	begin(&t, TLS_NONE, script_closes);
	expect_failure(&t, FAULT_REACH, "closes without a greeting");
	begin(&t, TLS_NONE, script_never_ends_a_line);
	expect_failure(&t, FAULT_LIMIT, "a line of more than 8192 bytes");
	begin(&t, TLS_NONE, script_endless_capa);
	expect_failure(&t, FAULT_LIMIT, "more than 256 lines");
}

static void hosts_that_are_none_are_refused(void **state)
{
	static char odd[] = "host/path@x", unknown[] = "nosuchhost.invalid";
	struct setting t;

	(void)state;
	begin(&t, TLS_NONE, script_closes);
	t.account.host = odd;
	assert_int_equal(connection_new(t.network, &t.account, &t.connection, &t.fault), -1);
	assert_int_equal(t.fault.code, FAULT_USAGE);
	t.account.host = unknown;
	expect_failure(&t, FAULT_REACH, "check the name in `server`");
}

enum { RECORD = 16000 };

static void script_one_record(struct peer *p)
{
	static char record[RECORD + 1];

	memset(record, 'y', RECORD);
	serve_tls(p);
	serve_say(p, "+OK\r\n");
	serve_capa(p, "USER\r\n");
	serve_hear(p, "GO");
	serve_say(p, record);
	serve_until_closed(p);
}

/* An owner that takes a little for each wake-up never waits while TLS holds the rest. */
static void bytes_that_tls_has_decoded_are_never_forgotten(void **state)
{
	struct setting t;
	char bytes[1000];
	size_t got = 0, n;

	(void)state;
	begin(&t, TLS_IMPLICIT, script_one_record);
	connect_up(&t);
	connection_want(t.connection, CONNECTION_READ);
	assert_int_equal(connection_send(t.connection, slice_text("GO\r\n"), &n, &t.fault), 0);
	int64_t before = monotonic_ms();
	while (got < RECORD && monotonic_ms() - before < 8000) {
		assert_int_equal(network_wait(t.network, NULL, 0, 10000, &t.fault), 0);
		if (!(connection_ready(t.connection) & CONNECTION_READ))
			continue;
		int r = connection_receive(t.connection, bytes, sizeof bytes, &n, &t.fault);
		if (r < 0)
			fail_msg("%s", t.fault.text);
		got += r == 0 ? n : 0;
	}
	assert_true(monotonic_ms() - before < 8000);
	assert_int_equal(got, RECORD);
	end(&t);
}

static void script_resets(struct peer *p)
{
	struct linger now = {.l_onoff = 1};

	serve_say(p, "+OK\r\n");
	serve_capa(p, "USER\r\n");
	serve_hear(p, "GO");
	(void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	(void)close(p->fd);
}

static void an_owner_that_wants_nothing_is_not_woken_even_by_a_reset(void **state)
{
	struct setting t;
	char byte;
	size_t n;

	(void)state;
	begin(&t, TLS_NONE, script_resets);
	connect_up(&t);
	assert_int_equal(connection_send(t.connection, slice_text("GO\r\n"), &n, &t.fault), 0);
	int64_t before = monotonic_ms();
	while (monotonic_ms() - before < 100)
		assert_int_equal(network_wait(t.network, NULL, 0, 500, &t.fault), 0);
	assert_true(monotonic_ms() - before >= 490);
	assert_int_equal(connection_ready(t.connection), 0);

	connection_want(t.connection, CONNECTION_READ);
	assert_int_equal(network_wait(t.network, NULL, 0, 5000, &t.fault), 0);
	assert_int_equal(connection_ready(t.connection), CONNECTION_READ);
	assert_int_equal(connection_receive(t.connection, &byte, 1, &n, &t.fault), -1);
	assert_int_equal(t.fault.code, FAULT_PROTOCOL);
	assert_non_null(strstr(t.fault.text, "the connection was cut"));
	end(&t);
}

static void *wake_later(void *network)
{
	(void)poll(NULL, 0, 100);
	network_wake(network);
	return NULL;
}

static void script_silent(struct peer *p)
{
	serve_until_closed(p);
}

static void a_wait_is_ended_from_another_thread(void **state)
{
	pthread_t thread;
	struct setting t;

	(void)state;
	begin(&t, TLS_NONE, script_silent);
	for (int connecting = 0; connecting < 2; connecting++) {
		int64_t before = monotonic_ms();

		if (connecting)
			assert_int_equal(
				connection_new(t.network, &t.account, &t.connection, &t.fault), 0);
		assert_int_equal(pthread_create(&thread, NULL, wake_later, t.network), 0);
		while (monotonic_ms() - before < 90)
			assert_int_equal(network_wait(t.network, NULL, 0, 20000, &t.fault), 0);
		assert_true(monotonic_ms() - before < 10000);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	end(&t);
}

static void an_owners_descriptor_ends_the_wait(void **state)
{
	struct setting t;
	int pipes[2];

	(void)state;
	begin(&t, TLS_NONE, script_silent);
	assert_int_equal(connection_new(t.network, &t.account, &t.connection, &t.fault), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	struct pollfd extra = {.fd = pipes[0], .events = POLLIN};
	int64_t before = monotonic_ms();
	while (!extra.revents && monotonic_ms() - before < 10000)
		assert_int_equal(network_wait(t.network, &extra, 1, 5000, &t.fault), 0);
	assert_int_equal(extra.revents, POLLIN);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	end(&t);
}

/* A certificate for localhost that is its own authority. */
static int make_certificate(void **state)
{
	int fd = mkstemp(ca_file);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	(void)state;
	key = EVP_EC_gen("P-256");
	certificate = X509_new();
	if (!file || !key || !certificate)
		return -1;
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	X509_EXTENSION *names =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
	X509_add_ext(certificate, names, -1);
	X509_EXTENSION_free(names);
	X509_sign(certificate, key, EVP_sha256());
	PEM_write_X509(file, certificate);
	return fclose(file);
}

static int remove_certificate(void **state)
{
	(void)state;
	X509_free(certificate);
	EVP_PKEY_free(key);
	return unlink(ca_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_connection_stops_before_the_login),
		TEST(line_ends_of_lf_alone_are_seen),
		TEST(stls_is_followed_by_capa_under_tls),
		TEST(what_is_said_in_clear_behind_stls_ends_the_session),
		TEST(and_so_does_what_comes_a_packet_later),
		TEST(without_stls_nothing_goes_out_in_clear),
		TEST(a_certificate_of_an_own_authority_is_taken),
		TEST(a_certificate_that_nobody_known_signed_is_refused),
		TEST(a_certificate_of_another_host_is_refused),
		TEST(servers_that_are_none_are_named),
		TEST(hosts_that_are_none_are_refused),
		TEST(bytes_that_tls_has_decoded_are_never_forgotten),
		TEST(an_owner_that_wants_nothing_is_not_woken_even_by_a_reset),
		TEST(a_wait_is_ended_from_another_thread),
		TEST(an_owners_descriptor_ends_the_wait),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name(
		"connection", tests, make_certificate, remove_certificate);
}
