/* How the polls of an account went lately, as far as they did not go well: what tells a person why
 * mail does not come. Of the catalog alone: no line of the ledger says it, a rebuilt catalog knows
 * none of it, and the next poll brings it again. */
#pragma once

#include "archive/moment.h"
#include "archive/store.h"

#include <stdint.h>

struct item;

/* The catalog stores these numbers: new ones go to the end. */
enum health_state {
	HEALTH_WELL,	 /* has no row */
	HEALTH_FAILING,	 /* it is tried again, and may pass */
	HEALTH_ATTENTION /* a person has to do something */
};

struct health {
	char *account; /* name in the configuration; at most LIMIT_ACCOUNT_NAME */
	enum health_state state;
	moment_ms since;   /* when this state began */
	moment_ms tried;   /* the last poll */
	moment_ms next;	   /* when the next one is due; 0: unknown */
	uint32_t failures; /* in a row */
	enum fault_code code;
	char *text; /* safe to print; what is beyond LIMIT_HEALTH_TEXT is cut */
};

/* An ITEM_HEALTH for a batch, with copies of what h says; HEALTH_WELL takes the account's row away,
 * and of h then only the name counts. NULL with *f set. */
struct item *item_new_health(const struct health *h, struct fault *f);

/* All accounts that are not well, ascending by name as strcmp(). *ret is an array of *ret_n, to be
 * freed with health_free(). */
int store_health(struct store *s, struct health **ret, size_t *ret_n, struct fault *f) MUST_CHECK;
void health_free(struct health *all, size_t n);
