/* What network.c, connection.c and reach.c share; for nobody else. */
#pragma once

#include "archive/limits.h"
#include "daemon/connection.h"
#include "daemon/imap_preamble.h"

#include <curl/curl.h>

struct network {
	CURLM *multi;
	int wake; /* eventfd */
	size_t n_connections;
	size_t n_connecting; /* while 0, libcurl has nothing to do */
	bool has_new;	     /* one that libcurl has not seen yet */
	struct connection *connections[LIMIT_CONNECTIONS];
	struct pollfd *polls; /* rebuilt for each wait */
	struct curl_waitfd *waits;
	size_t n_room;
};

struct connection {
	struct network *network;
	const struct account *account;
	enum connection_state state;
	CURL *easy;
	CURLU *url;
	int socket; /* libcurl's; -1 until UP */
	int64_t deadline_ms;
	unsigned want, ready;
	bool may_hold_bytes; /* the last receive brought some */
	enum connection_acks acks;
	struct preamble preamble;	    /* of a POP3 server */
	struct imap_preamble imap_preamble; /* of an IMAP server */
	struct fault heard; /* why preamble refused a line; FAULT_NONE: it did not */
	struct fault fault;
	char error[CURL_ERROR_SIZE];
	char tls[CONNECTION_TLS_TEXT];
	char pin[CONNECTION_PIN_TEXT];
};

/* libcurl has done its part, or failed. */
void connection_settle(struct connection *c, CURLcode result);
/* The deadline has passed. */
void connection_expire(struct connection *c);

/* Sets *ret to what result means for a person: host and port, the reason, what to do next. */
void reach_fault(struct connection *c, CURLcode result, struct fault *ret);
/* "host:port", brackets around an IPv6 address. */
const char *reach_name(const struct account *a, char *ret, size_t size);
/* The bundle of certificate authorities that holds where the account has none of its own. */
const char *reach_ca_file(const struct account *a);
