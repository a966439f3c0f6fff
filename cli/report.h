/* The accounts of configuration and archive, side by side, and which of them need attention. Reads;
 * status.h shows it. */
#pragma once

#include "archive/health.h"
#include "archive/maildrop.h"
#include "daemon/config.h"

enum account_needs {
	NEEDS_FIRST_POLL = 1, /* configured, never polled to the end */
	NEEDS_PENDING = 2,
	NEEDS_REFUSED = 4, /* refused, and nobody accepted it */
	NEEDS_VANISHED = 8,
	NEEDS_POLLS = 16, /* its polls fail, and that will not pass by itself: report_terms */
	NEEDS_FRESH = 32  /* stale */
};

/* A failing poll may pass by itself: an account needs attention once it has been failing for
 * REPORT_INTERVALS of its intervals, or for REPORT_FAILING_MS, whichever is sooner, and at once
 * when its state is HEALTH_ATTENTION. */
enum { REPORT_INTERVALS = 3, REPORT_FAILING_MS = 60 * 60 * 1000 };

#define REPORT_ANY_AGE UINT64_MAX

struct report_terms {
	moment_ms now;
	/* A configured account whose last complete poll is longer ago, or that had none, is stale;
	 * without any configuration, an account of the archive that was ever polled. */
	uint64_t max_age_ms; /* REPORT_ANY_AGE: none is */
};

struct account_report {
	const char *name, *user;	 /* borrowed */
	char *server;			 /* owned */
	const struct maildrop *maildrop; /* NULL: not in the archive yet */
	struct sums sums;		 /* its own, or none */
	const struct health *health;	 /* NULL: its last poll went well, or none is known */
	uint64_t to_accept;		 /* refused, and nobody accepted it */
	bool configured;
	bool replaced; /* its name is a later maildrop's: an old server or user; needs nothing */
	bool imported; /* of imports: never polled, and needs nothing */
	bool stale;
	unsigned needs; /* of enum account_needs */
};

/* Configured accounts in their order, then the archive's other maildrops. */
struct report {
	struct account_report *accounts;
	size_t n, attention, failing, stale; /* of them; failing: with a health */
	struct sums sums;		     /* over all */
	struct maildrop *maildrops;
	size_t maildrops_n;
	struct health *health;
	size_t health_n;
	uint64_t free_bytes,
		min_free;  /* of the archive's file system; min_free 0: not configured */
	bool disk_full;	   /* free_bytes < min_free */
	bool served;	   /* a popkeepd runs */
	bool write_failed; /* the last write to the archive failed, and none came after it */
};

/* config may be NULL; it and the store are borrowed for as long as the report lives.
 * Zero-initialise *ret. Costs O(n log n) of all accounts, and a query for each with refusals. */
int report_read(struct report *ret, struct store *s, const struct config *config,
	const struct report_terms *terms, struct fault *f) MUST_CHECK;
void report_deinit(struct report *r);
