/* A tree of conditions as SQL. The text is put together of fixed fragments; what somebody asked for
 * is in the parameters alone. Inside archive/ only. */
#pragma once

#include "archive/bytes.h"
#include "archive/condition.h"
#include "archive/digest.h"

#include <sqlite3.h>

enum find_value_kind { VALUE_NUMBER, VALUE_TEXT, VALUE_DIGEST };

struct find_value {
	enum find_value_kind kind;
	int64_t number;
	char *text; /* owned */
	struct digest digest;
};

/* Zero-initialise by find_sql_make(). */
struct find_sql {
	struct buffer text;
	struct find_value *value;
	size_t values, size;
	/* Whether search.db is attached, as the schema "search". Without it no message is
	 * indexed. */
	enum find_index { INDEX_ABSENT, INDEX_ATTACHED } index;
};
struct find_sql find_sql_make(enum find_index index);
void find_sql_deinit(struct find_sql *q);

/* What is behind FROM: the tables, and the condition in WHERE; NULL: all messages. A condition of
 * the header is NULL for a message that is not indexed, so that SQL's three values of truth say
 * what is true, false, and not known without the index. FAULT_USAGE: an id that is not 1 to 64 hex
 * digits; FAULT_LIMIT. */
int find_sql_where(struct find_sql *q, const struct condition *wanted, struct fault *f) MUST_CHECK;
/* The same, but the messages of which the index alone could say whether they match. There is one
 * condition of the header at least. */
int find_sql_where_unknown(
	struct find_sql *q, const struct condition *wanted, struct fault *f) MUST_CHECK;
int find_sql_add(struct find_sql *q, const char *fixed, struct fault *f) MUST_CHECK;
/* A parameter. */
int find_sql_number(struct find_sql *q, int64_t number, struct fault *f) MUST_CHECK;

/* The parameters are copied. */
int find_sql_bind(const struct find_sql *q, sqlite3_stmt *s, struct fault *f) MUST_CHECK;

/* The digests that begin with these hex digits, as a range. False: not hex, or more than
 * 64 digits. */
bool find_digests(const char *hex, struct digest *ret_low, struct digest *ret_high);
