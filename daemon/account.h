/* One configured account, as configuration or command line gave it, checked. */
#pragma once

#include "archive/bytes.h"
#include "archive/moment.h"

#include <stdbool.h>
#include <stdint.h>

enum account_protocol {
	PROTOCOL_POP3,
	PROTOCOL_IMAP /* as a target of mail: never configured, never in the ledger */
};

enum tls_mode {
	TLS_IMPLICIT, /* pop3s://, imaps://, RFC 8314; ports 995, 993 */
	TLS_STARTTLS, /* pop3://, imap://, STLS or STARTTLS required, RFC 2595; ports 110, 143 */
	TLS_NONE      /* only where tls = "none" was written */
};

enum secret_source {
	SECRET_NONE,	      /* nothing configured */
	SECRET_COMMAND,	      /* password-command: value is run by /bin/sh -c, its first line is the
				 password */
	SECRET_FILE,	      /* password-file: value is a path */
	SECRET_CREDENTIAL,    /* systemd: value is a name in $CREDENTIALS_DIRECTORY */
	SECRET_TOKEN_COMMAND, /* token-command: as SECRET_COMMAND, an OAuth 2 bearer token */
	SECRET_ASK	      /* asked on the terminal */
};

struct account {
	char *name;
	enum account_protocol protocol;
	char *host; /* lower case; an IPv6 address without brackets */
	uint16_t port;
	enum tls_mode tls;
	char *user;    /* any bytes but NUL, CR, LF */
	char *authzid; /* whose mail it shall be where a master user logs in (SASL's authorization
			  identity); NULL: user's own */
	enum secret_source secret_source;
	char *secret_value; /* command, path or name: never the secret itself */
	char *auth; /* forced mechanism in upper case ("SCRAM-SHA-256", "APOP", "USER"); NULL: the
		       strongest */
	char *tls_ca_file; /* NULL: the system's */
	char *tls_pin; /* "sha256//BASE64[;sha256//BASE64…]", as CURLOPT_PINNEDPUBLICKEY; or NULL */
	char *proxy;   /* URL, or NULL */
	char *class_; /* retention class; never NULL, "default" */
	uint64_t max_message_size;
	uint32_t timeout_ms; /* without a byte from the server */
	uint32_t interval_ms;
	bool pipelining; /* false: one command at a time, whatever the server says */
};

void account_init(struct account *a);
void account_deinit(struct account *a);
/* Whether all is the same that a session depends on: all but the interval. */
bool account_is_same(const struct account *a, const struct account *b);

/* A number for where and as whom it logs in, to tell that two configurations mean the same; never
 * 0, and no proof of anything. */
uint64_t account_place(const struct account *a);

/* How the ledger names the server: "host", or "host:port" where the port is neither 110 nor 995 (so
 * that going from STLS to implicit TLS is no new UIDL space). Freed by the caller; NULL when out of
 * memory. */
char *account_server(const struct account *a);

/* Sets host, port, tls and, where the URL has one, user, from
 * pop3s://[user@]host[:port] or pop3://…; the last @ separates; %XX is decoded in user. tls_none
 * set by configuration comes later. FAULT_USAGE says what is wrong with it. A password in the URL
 * is refused. */
int account_set_url(struct account *a, const char *url, struct fault *f) MUST_CHECK;

/* The same from imaps://[user@]host[:port][/folder] or imap://…, and sets protocol. *ret_folder:
 * the path with %XX decoded, levels separated by '/', without empty ones at its ends; UTF-8 without
 * NUL, CR and LF, at most LIMIT_FOLDER bytes; NULL where the URL has none. The caller frees it. */
int account_set_imap_url(
	struct account *a, const char *url, char **ret_folder, struct fault *f) MUST_CHECK;

/* A user: 1 to LIMIT_USER bytes, none of them NUL, CR or LF. */
int account_check_user(struct slice user, struct fault *f) MUST_CHECK;

/* 1 to LIMIT_ACCOUNT_NAME of A-Z a-z 0-9 . _ - @ +, not beginning with . or -. */
bool account_name_is_valid(const char *name);
