/* Bringing kept mail into a mailbox or a Maildir: what `restore` does once, and `migrate` for many.
 * Nothing is printed here; who called is told what happens. */
#pragma once

#include "archive/find.h"
#include "cli/restore_placement.h"
#include "daemon/account.h"
#include "daemon/secret.h"

enum restore_gone {
	GONE_AGAIN, /* what an earlier run brought and is not there any more is brought again */
	GONE_STAYS  /* somebody took it away there: it stays away */
};

enum restore_compare {
	COMPARE_SIZES,	 /* each folder is listed in the end */
	COMPARE_DIGESTS, /* and what was sent is fetched back, all its bytes compared */
	COMPARE_NONE	 /* the server's word counts */
};

/* What is to be done; all borrowed. */
struct restore_order {
	struct store *store;
	const struct condition *wanted; /* NULL: all messages */
	struct placement_rules rules;
	const char *target; /* for ledger and journal: a URL without a secret */

	const char *maildir; /* NULL: an IMAP server, with what follows */
	const struct account *account;
	const struct secret *secret;
	const char *journal; /* its path */
	const char *spool;   /* folder for large messages on their way */
	unsigned connections;
	enum restore_gone gone;
	bool look_only; /* nothing is changed: a dry run */
	enum restore_compare compare;
};

struct restore_sums {
	bool unlooked;		/* it ended before what is there was looked at: of the target
				 * nothing is known, and only the next two mean something */
	uint64_t messages;	/* that match */
	uint64_t wanted, bytes; /* the same, once for each folder they go to */
	uint64_t there;		/* of them, before this run */
	uint64_t found;		/* of those, not brought by popkeep */
	uint64_t sent, sent_bytes;
	uint64_t gone;	    /* taken away there since, and left alone */
	uint64_t at_target; /* there in the end, looked up */
	uint64_t at_target_bytes;
	uint64_t changed;	   /* of them, with other bytes than were sent */
	uint64_t compared;	   /* fetched back */
	uint64_t uncompared;	   /* that were to be, and that the server did not give out */
	uint64_t crlf;		   /* sent with CRLF for line ends that were LF alone */
	uint64_t damaged, refused; /* not there */
	uint64_t unsure;	   /* not there, or nobody knows */
	unsigned connections;	   /* that were used at once */
	unsigned reconnects;
};

enum restore_told {
	RESTORE_NOTE,	 /* text, for a person */
	RESTORE_FAILED,	 /* message, folder, text: it is not at the target, and why */
	RESTORE_FOLDER,	 /* folder, counts: in the end, or what a dry run found */
	RESTORE_PROGRESS /* done */
};

struct restore_folder {
	const char *path;
	uint64_t messages, bytes, there, sent, failed;
	bool created; /* or, by a dry run: would be */
};

struct restore_event {
	enum restore_told kind;
	const struct message *message;
	const char *path; /* of the folder, UTF-8, not safe to print */
	const char *text; /* safe to print */
	const struct restore_folder *folder;
	const char *label; /* PROGRESS: "restoring" */
	uint64_t done, all, items, items_all;
};

/* >0 stops: FAULT_INTERRUPT, and the same order goes on later. */
struct restore_watch {
	int (*tell)(void *context, const struct restore_event *e);
	void *context;
};

/* *ret is set in any case, as far as it came. FAULT_MISSING: nothing matches. FAULT_LOGIN,
 * FAULT_REACH, FAULT_PROTOCOL: the server; FAULT_LIMIT, scope account: its quota is reached;
 * FAULT_INTERRUPT. Messages that could not be brought are counted, and no failure. */
int restore_imap(const struct restore_order *order, const struct restore_watch *watch,
	struct restore_sums *ret, struct fault *f) MUST_CHECK;
int restore_maildir(const struct restore_order *order, const struct restore_watch *watch,
	struct restore_sums *ret, struct fault *f) MUST_CHECK;
static inline int restore_execute(const struct restore_order *order,
	const struct restore_watch *watch, struct restore_sums *ret, struct fault *f)
{
	return order->maildir ? restore_maildir(order, watch, ret, f)
			      : restore_imap(order, watch, ret, f);
}
