#include "daemon/account.h"

#include "archive/escape.h"
#include "archive/limits.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PORT_POP3 = 110, PORT_POP3S = 995, PORT_IMAP = 143, PORT_IMAPS = 993 };
enum { HOST_MAX = 253 };       /* RFC 1035 section 2.3.4, as text without the last dot */
enum { INTERVAL_MS = 900000 }; /* "15m" */

/* What a URL says, before any of it goes into an account. */
struct url {
	enum tls_mode tls;
	uint16_t port;
	char *user, *host, *folder;
};

static void url_deinit(struct url *u)
{
	free(u->user);
	free(u->host);
	free(u->folder);
}

void account_init(struct account *a)
{
	*a = (struct account){
		.class_ = strdup("default"),
		.max_message_size = LIMIT_MESSAGE_DEFAULT,
		.timeout_ms = LIMIT_REPLY_MS,
		.interval_ms = INTERVAL_MS,
		.pipelining = true,
	};
}

void account_deinit(struct account *a)
{
	free(a->name);
	free(a->host);
	free(a->user);
	free(a->authzid);
	free(a->secret_value);
	free(a->auth);
	free(a->tls_ca_file);
	free(a->tls_pin);
	free(a->proxy);
	free(a->class_);
	*a = (struct account){0};
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool account_is_same(const struct account *a, const struct account *b)
{
	return same_text(a->name, b->name) && a->protocol == b->protocol &&
	       same_text(a->host, b->host) && a->port == b->port && a->tls == b->tls &&
	       same_text(a->user, b->user) && same_text(a->authzid, b->authzid) &&
	       a->secret_source == b->secret_source &&
	       same_text(a->secret_value, b->secret_value) && same_text(a->auth, b->auth) &&
	       same_text(a->tls_ca_file, b->tls_ca_file) && same_text(a->tls_pin, b->tls_pin) &&
	       same_text(a->proxy, b->proxy) && same_text(a->class_, b->class_) &&
	       a->max_message_size == b->max_message_size && a->timeout_ms == b->timeout_ms &&
	       a->pipelining == b->pipelining;
}

/* FNV-1a, each text with its NUL. */
static uint64_t add_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
	while (*text++);
	return hash;
}

uint64_t account_place(const struct account *a)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ a->port;

	hash = add_text(add_text(hash, a->host), a->user);
	return hash ? hash : 1;
}

char *account_server(const struct account *a)
{
	bool is_v6 = strchr(a->host, ':');
	char *text = NULL;

	if (a->port == PORT_POP3 || a->port == PORT_POP3S)
		return strdup(a->host);
	if (asprintf(&text, is_v6 ? "[%s]:%u" : "%s:%u", a->host, (unsigned)a->port) < 0)
		return NULL;
	return text;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool account_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (len < 1 || len > LIMIT_ACCOUNT_NAME || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_letter_or_digit(name[i]) && !strchr("._-@+", name[i]))
			return false;
	}
	return true;
}

static int usage(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0, "%s", what);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int account_check_user(struct slice user, struct fault *f)
{
	if (user.len == 0)
		return usage(f, "the user is empty");
	if (user.len > LIMIT_USER)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"the user is longer than %d bytes", LIMIT_USER);
	for (size_t i = 0; i < user.len; i++) {
		/* Each of them would end the command that carries it, or cut it short. */
		if (user.data[i] == '\0' || user.data[i] == '\r' || user.data[i] == '\n')
			return usage(f, "the user holds a NUL, CR or LF");
	}
	return 0;
}

/* Decodes %XX; ret has room for len bytes and a NUL. */
static int url_decode(const char *text, size_t len, char *ret, size_t *ret_n, struct fault *f)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] != '%') {
			ret[n++] = text[i];
			continue;
		}
		int high = i + 2 < len ? hex(text[i + 1]) : -1,
		    low = high < 0 ? -1 : hex(text[i + 2]);
		if (low < 0)
			return usage(f, "a % in the URL is not followed by two hexadecimal digits "
					"(a percent sign is written %25)");
		ret[n++] = (char)(high << 4 | low);
		i += 2;
	}
	ret[n] = '\0';
	*ret_n = n;
	return 0;
}

static int url_user(const char *text, size_t len, char **ret, struct fault *f)
{
	char *user CLEANUP(freep) = malloc(len + 1);
	size_t n;

	if (!user)
		return fault_memory(f);
	if (memchr(text, ':', len))
		return usage(f, "a password in the URL: give it by password-command or "
				"password-file (a colon in the user is written %3A)");
	if (url_decode(text, len, user, &n, f) < 0 || account_check_user(slice_of(user, n), f) < 0)
		return -1;
	*ret = TAKE(user);
	return 0;
}

static bool is_utf8(struct slice text)
{
	uint32_t ignored;

	while (text.len > 0) {
		size_t n = utf8_next(text, &ignored);

		if (n == 0)
			return false;
		text = slice_of(text.data + n, text.len - n);
	}
	return true;
}

/* text begins with the slash behind the host. */
static int url_folder(const char *text, char **ret, struct fault *f)
{
	size_t len = strlen(text), n;
	char *folder CLEANUP(freep) = NULL;

	while (len > 0 && text[len - 1] == '/')
		len--;
	for (; len > 0 && *text == '/'; text++)
		len--;
	if (len == 0)
		return 0;
	folder = malloc(len + 1);
	if (!folder)
		return fault_memory(f);
	if (url_decode(text, len, folder, &n, f) < 0)
		return -1;
	if (n > LIMIT_FOLDER)
		return fault_set(f, FAULT_USAGE, SCOPE_ACCOUNT, 0,
			"the URL's folder is longer than %d bytes", LIMIT_FOLDER);
	if (memchr(folder, '\0', n) || strpbrk(folder, "\r\n") || !is_utf8(slice_of(folder, n)))
		return usage(f, "the URL's folder is not UTF-8, or holds a NUL, CR or LF");
	*ret = TAKE(folder);
	return 0;
}

static bool host_is_valid(const char *host, size_t len)
{
	if (len < 1 || len > HOST_MAX || host[0] == '.' || host[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_letter_or_digit(host[i]) && !strchr("._-", host[i]))
			return false;
	}
	return true;
}

/* text is digits and nothing else. */
static int url_port(const char *text, uint16_t *ret, struct fault *f)
{
	unsigned port = 0;
	size_t len = strlen(text);

	for (size_t i = 0; i < len && len <= 5; i++) {
		if (text[i] < '0' || text[i] > '9')
			return usage(f, "the URL's port is not a number");
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	if (port < 1 || port > UINT16_MAX)
		return usage(f, "the URL's port is not between 1 and 65535");
	*ret = (uint16_t)port;
	return 0;
}

/* text is "host", "host:port", "[v6]" or "[v6]:port". */
static int url_host(char *text, struct url *u, struct fault *f)
{
	bool is_v6 = text[0] == '[';
	char *host = is_v6 ? text + 1 : text;
	size_t len = strcspn(host, is_v6 ? "]" : ":");
	char *after = host + len;
	struct in6_addr address;

	if (is_v6 && *after++ != ']')
		return usage(f, "the URL's IPv6 address has no closing bracket");
	if (*after == ':') {
		if (url_port(after + 1, &u->port, f) < 0)
			return -1;
	} else if (*after) {
		return usage(
			f, "the URL's closing bracket is followed by something else than a port");
	}
	host[len] = '\0';
	if (!is_v6 && len > 1 && host[len - 1] == '.')
		host[--len] = '\0';
	if (is_v6 ? inet_pton(AF_INET6, host, &address) != 1 : !host_is_valid(host, len))
		return usage(
			f, is_v6 ? "the URL's IPv6 address is not one"
				 : "the URL's host is empty or not a host name (letters, digits, "
				   "dot and hyphen; others in their xn-- form)");
	u->host = strdup(host);
	if (!u->host)
		return fault_memory(f);
	for (char *p = u->host; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	return 0;
}

/* What follows "://". */
static int url_authority(
	const char *text, enum account_protocol protocol, struct url *u, struct fault *f)
{
	char *copy CLEANUP(freep) = strdup(text);

	if (!copy)
		return fault_memory(f);
	if (protocol == PROTOCOL_IMAP) {
		char *slash = copy + strcspn(copy, "/"); /* one in the user is written %2F */

		if (url_folder(slash, &u->folder, f) < 0)
			return -1;
		*slash = '\0';
	}
	char *at = strrchr(copy, '@');
	char *host = at ? at + 1 : copy;
	char *path = host + strcspn(host, "/?#");

	if (path[0] == '/' && path[1] == '\0')
		path[0] = '\0';
	if (path[0])
		return usage(f, "the URL has something behind the host");
	if (at && url_user(copy, (size_t)(at - copy), &u->user, f) < 0)
		return -1;
	return url_host(host, u, f);
}

/* The schemes of a protocol. */
static const struct scheme {
	enum account_protocol protocol;
	const char *begin;
	enum tls_mode tls;
	uint16_t port;
} schemes[] = {
	{PROTOCOL_POP3, "pop3s://", TLS_IMPLICIT, PORT_POP3S},
	{PROTOCOL_POP3, "pop3://", TLS_STARTTLS, PORT_POP3},
	{PROTOCOL_IMAP, "imaps://", TLS_IMPLICIT, PORT_IMAPS},
	{PROTOCOL_IMAP, "imap://", TLS_STARTTLS, PORT_IMAP},
};

static const struct scheme *scheme_of(const char *url, enum account_protocol protocol)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		const struct scheme *s = &schemes[i];

		if (s->protocol == protocol && strncasecmp(url, s->begin, strlen(s->begin)) == 0)
			return s;
	}
	return NULL;
}

static int set_url(struct account *a, enum account_protocol protocol, const char *url,
	char **ret_folder, struct fault *f)
{
	struct url u CLEANUP(url_deinit) = {0};
	const struct scheme *scheme = scheme_of(url, protocol);

	if (!scheme)
		return usage(
			f, protocol == PROTOCOL_IMAP
				   ? "expected imaps://USER@HOST[:PORT][/FOLDER] (TLS from the "
				     "start) or imap://… (STARTTLS)"
				   : "expected pop3s://HOST[:PORT] (TLS from the start) or "
				     "pop3://HOST[:PORT] (STLS)");
	u.tls = scheme->tls;
	u.port = scheme->port;
	if (url_authority(url + strlen(scheme->begin), protocol, &u, f) < 0)
		return -1;
	if (!a->class_)
		return fault_memory(f); /* account_init() had none left */
	a->protocol = protocol;
	a->tls = u.tls;
	a->port = u.port;
	free(a->host);
	a->host = TAKE(u.host);
	if (u.user) {
		free(a->user);
		a->user = TAKE(u.user);
	}
	if (ret_folder)
		*ret_folder = TAKE(u.folder);
	return 0;
}

int account_set_url(struct account *a, const char *url, struct fault *f)
{
	return set_url(a, PROTOCOL_POP3, url, NULL, f);
}

int account_set_imap_url(struct account *a, const char *url, char **ret_folder, struct fault *f)
{
	return set_url(a, PROTOCOL_IMAP, url, ret_folder, f);
}
