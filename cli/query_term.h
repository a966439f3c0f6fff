/* What one term of a query means. Of cli/query*.c alone. */
#pragma once

#include "archive/condition.h"
#include "cli/date.h"
#include "cli/query_lex.h"

/* What a query means beside its words. */
struct query_context {
	enum date_zone zone; /* of dates that name none */
	moment_ms now;	     /* what today and 7d count from */
};

/* A new condition in *ret. FAULT_USAGE, with what is wrong in *f alone. */
int query_term(const struct query_token *t, const struct query_context *context,
	struct condition **ret, struct fault *f) MUST_CHECK;
