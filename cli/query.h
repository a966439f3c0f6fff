/* The query language of all commands: popkeep-query(7). What it says becomes a tree of conditions
 * that archive/find.h answers. */
#pragma once

#include "archive/find.h"
#include "cli/run.h"

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

/* And those that act on what it finds: query_ready() with QUERY_ALL. */
#define QUERY_ACCEPT_OPTION                                                                        \
	{                                                                                          \
		"accept-unindexed", 0, NULL,                                                       \
			"go on without messages that are not indexed yet, where the query needs "  \
			"it"                                                                       \
	}

/* What a query may say, for help texts. */
#define QUERY_DETAILS                                                                              \
	"A QUERY is made of words and conditions that must all hold, or are joined by AND, OR,\n"  \
	"NOT and ( ). A word is looked for in From, To, Cc, Subject and names of attachments.\n"   \
	"  from:anna  to:bob  cc:carol  subject:invoice  \"quarterly report\"  invoi*\n"           \
	"  before:2026-01-31  after:2025  on:yesterday      the message's own Date\n"              \
	"  archived:>=2026-01  size:>1M  account:anna  id:1f3a  msgid:<...>  has:attachment\n"     \
	"popkeep-query(7) tells all of it."

/* Zero-initialise. */
struct query {
	struct condition *wanted; /* NULL: all messages */
	char *canonical; /* the same query in the same words, dates in UTC; "": all messages. At
			  * most LIMIT_QUERY bytes of UTF-8, without control characters */
};
void query_deinit(struct query *q);

/* Of the command's operands and the options above; 0, or the exit status: it was said what is
 * wrong, with a mark under the place. */
int query_begin(struct run *run, struct query *ret) MUST_CHECK;
/* The same without saying it. utc as in date.h. FAULT_USAGE. */
int query_read(struct query *ret, const struct arguments *a, bool utc, struct fault *f) MUST_CHECK;
/* Of a tree; takes it. FAULT_USAGE: too large. */
int query_set(struct query *ret, struct condition *wanted, struct fault *f) MUST_CHECK;

/* wanted in the words of the language: what reads as the same tree. FAULT_LIMIT. */
int query_canonical(const struct condition *wanted, struct buffer *to, struct fault *f) MUST_CHECK;
/* How many parentheses and NOTs are in each other there. */
unsigned query_nesting(const struct condition *wanted);

/* Before a query that needs the index is answered: brings it up to date, if that can be done now.
 * QUERY_ALL: where messages remain of which nobody knows whether they match, that is said, and
 * unless --accept-unindexed was given, it ends the command. 0, or the exit status. */
enum query_need { QUERY_SOME, QUERY_ALL };
int query_ready(struct run *run, const struct query *q, enum query_need need) MUST_CHECK;
/* After it was answered: how many such messages there are; a note says so. */
uint64_t query_say_unindexed(struct run *run, const struct query *q);

/* Prints how it was understood; with --json a line of type `query`. */
void query_explain(struct run *run, const struct query *q);
