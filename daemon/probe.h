/* `account check`: logs in, asks, changes nothing, quits. */
#pragma once

#include "daemon/account.h"
#include "daemon/secret.h"

struct probe_report {
	char tls[128];		  /* "TLSv1.3, TLS_AES_256_GCM_SHA384"; "none" */
	char mechanism[32];	  /* how it logged in */
	char capabilities[512];	  /* escaped, in one line; empty when the server has no CAPA */
	uint64_t messages, bytes; /* from STAT */
	bool has_uidl, has_pipelining, has_top;
	bool expire_known;    /* EXPIRE of RFC 2449 */
	uint64_t expire_days; /* UINT64_MAX: NEVER */
	uint64_t login_delay_s;
	int64_t rtt_ms;	       /* of one command */
	int64_t login_ms;      /* from connecting to the mailbox being open */
	uint64_t sample_bytes; /* size of the listing, and how long it took: for the estimate */
	int64_t sample_ms;
};

int account_probe(const struct account *a, const struct secret *secret, struct probe_report *ret,
	struct fault *f) MUST_CHECK;
