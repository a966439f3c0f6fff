/* The beginning of popkeep's query language: words that must all hold, and options that say the
 * same.
 *
 *   account:NAME   archived:DATE   archived:>=DATE   archived:<DATE   (also > and <=)
 *   size:>1M       size:<1M        (also >= and <=)  id:HEX
 *
 * Anything else is refused with what is understood. */
#pragma once

#include "archive/find.h"
#include "cli/options.h"

/* The options that commands with a query share. */
#define QUERY_OPTIONS                                                                              \
	{"account", 0, "NAME", "only messages of this account"},                                   \
		{"since", 0, "DATE", "only those archived on this date or later"},                 \
		{"before", 0, "DATE", "only those archived before this date"},                     \
		{"min-size", 0, "SIZE", "only those of this size or larger (10K, 3M, 1G)"},        \
		{"max-size", 0, "SIZE", "only those of this size or smaller"},                     \
	{                                                                                          \
		"id", 0, "HEX", "only those whose id begins with these digits"                     \
	}

/* What a query may say, for help texts. */
#define QUERY_DETAILS                                                                              \
	"A QUERY is made of words that must all hold: account:NAME, archived:>=DATE,\n"            \
	"archived:<DATE, archived:DATE, size:>1M, size:<10K, id:HEX. Dates are YYYY-MM-DD\n"       \
	"or RFC 3339, in the local zone."

/* Zero-initialise. */
struct query {
	struct condition *wanted; /* NULL: all messages */
	char *canonical; /* the same query in the same words, dates in UTC; "": all messages. At
			  * most LIMIT_QUERY bytes of UTF-8, without control characters */
};
void query_deinit(struct query *q);

/* words and the options above. utc as in date.h. FAULT_USAGE. */
int query_read(struct query *ret, const struct arguments *a, bool utc, struct fault *f) MUST_CHECK;

/* ---- The parts of it ------------------------------------------------------------------------- */

/* Both; takes them, and accepts NULL as what is always true. NULL on want of memory. */
struct condition *query_both(struct condition *a, struct condition *b, struct fault *f);
/* wanted in the words of the language: what reads as the same tree. */
int query_canonical(const struct condition *wanted, struct buffer *to, struct fault *f) MUST_CHECK;
