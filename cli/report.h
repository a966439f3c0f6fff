/* The accounts of configuration and archive, side by side, and which of them need attention. */
#pragma once

#include "archive/maildrop.h"
#include "daemon/config.h"

enum account_needs {
	NEEDS_FIRST_POLL = 1, /* configured, never polled to the end */
	NEEDS_PENDING = 2,
	NEEDS_REFUSED = 4, /* refused, and nobody accepted it */
	NEEDS_VANISHED = 8
};

struct account_report {
	const char *name, *user;	 /* borrowed */
	char *server;			 /* owned */
	const struct maildrop *maildrop; /* NULL: not in the archive yet */
	struct sums sums;		 /* its own, or none */
	bool configured;
	bool replaced;	/* its name is a later maildrop's: an old server or user; needs nothing */
	unsigned needs; /* of enum account_needs */
};

/* Configured accounts in their order, then the archive's other maildrops. */
struct report {
	struct account_report *accounts;
	size_t n, attention;
	struct maildrop *maildrops;
	size_t maildrops_n;
};

/* config may be NULL; it and the store are borrowed for as long as the report lives.
 * Zero-initialise *ret. */
int report_read(struct report *ret, struct store *s, const struct config *config,
	struct fault *f) MUST_CHECK;
void report_deinit(struct report *r);
