/* What is said over the control socket: one JSON object a line, both ways, no I/O here.
 *
 * A connection carries one request: {"v":1,"request":"fetch","accounts":["anna"]}. Its answer is
 * any number of lines {"v":1,"reply":"progress", …}, of which "end" is the last. Readers ignore
 * keys they do not know; a request that is not known, or of another version, is answered with
 * "error" and "end". Texts are safe to print. */
#pragma once

#include "archive/bytes.h"
#include "archive/limits.h"
#include "archive/moment.h"
#include "daemon/poller.h"
#include "daemon/schedule.h"

enum { CONTROL_VERSION = 1 };
enum { CONTROL_NAME_MAX = LIMIT_ACCOUNT_NAME + 1, CONTROL_ARCHIVE_MAX = 4096 };

/* ---- Requests --------------------------------------------------------------------------- */

enum control_verb {
	CONTROL_FETCH,	/* polls the accounts now, all when none is named; daemon at once, every
			   event of them, then end with the exit status */
	CONTROL_STATUS, /* daemon, then the accounts that are not well (named ones, or all, when it
			   says so) */
	CONTROL_RELOAD	/* reads the configuration again; error when it is broken */
};

enum control_extent { CONTROL_SOME, CONTROL_ALL };

struct control_request {
	uint64_t client; /* of control_take(); no part of the message */
	enum control_verb verb;
	enum control_extent extent; /* STATUS: CONTROL_ALL lists accounts that are well too */
	char **accounts;	    /* each a valid name; none: all */
	size_t accounts_n;
};

void control_request_deinit(struct control_request *r);

/* Appends the line with its LF. */
int control_request_encode(
	const struct control_request *r, struct buffer *to, struct fault *f) MUST_CHECK;
/* A line without its LF. On success *ret owns its accounts. FAULT_USAGE: no request that this
 * version knows, says which; FAULT_LIMIT, FAULT_MEMORY. */
int control_request_decode(
	struct slice line, struct control_request *ret, struct fault *f) MUST_CHECK;

/* ---- Replies ---------------------------------------------------------------------------- */

enum control_reply_kind {
	CONTROL_EVENT,	 /* "progress", "notice", "done": struct poller_event */
	CONTROL_DAEMON,	 /* "daemon" */
	CONTROL_ACCOUNT, /* "account" */
	CONTROL_ERROR,	 /* "error": why there is nothing better */
	CONTROL_END	 /* "end": the last line */
};

struct control_event {
	char account[CONTROL_NAME_MAX]; /* "": of the archive */
	struct poller_event event; /* its account is neither read nor set: NULL after decoding */
};

struct control_daemon {
	int64_t pid;
	moment_ms started;
	char version[32];
	char archive[CONTROL_ARCHIVE_MAX];   /* the folder */
	char config_error[FAULT_TEXT_MAX];   /* of the last reload; "": none */
	char disk[FAULT_TEXT_MAX];	     /* "": there is room */
	char sandbox[FAULT_TEXT_MAX];	     /* what holds and what does not */
	char worker_sandbox[FAULT_TEXT_MAX]; /* of popkeep-worker; "": none ran yet */
	uint64_t sessions;		     /* open now */
	uint64_t accounts, failing, attention;
};

enum control_activity {
	CONTROL_WAITING, /* for its time, `next` */
	CONTROL_QUEUED,	 /* it is time; others come first */
	CONTROL_POLLING,
	CONTROL_PAUSED /* logins were refused, or the disk is full: see text */
};

struct control_account {
	char name[CONTROL_NAME_MAX];
	enum control_activity activity;
	enum schedule_state health;
	moment_ms since;     /* health is what it is since; 0: not known */
	moment_ms next;	     /* poll; 0: not known, or under way */
	moment_ms succeeded; /* the last poll that went well; 0: none */
	uint64_t failures;
	enum fault_code code; /* of the last poll */
	enum hindrance hindrance;
	char text[FAULT_TEXT_MAX]; /* why the last poll did not go well; "" */
	struct sums sums;
	/* POLLING: */
	uint64_t to_fetch, to_fetch_bytes, fetched, fetched_bytes;
};

struct control_reply {
	enum control_reply_kind kind;
	union {
		struct control_event event;
		struct control_daemon daemon;
		struct control_account account;
		struct {
			int status;
			char text[FAULT_TEXT_MAX];
		} error;
		struct {
			int status; /* exit status */
		} end;
	};
};

/* Appends the line with its LF. Texts that are no UTF-8 are escaped. FAULT_LIMIT, FAULT_MEMORY. */
int control_reply_encode(
	const struct control_reply *r, struct buffer *to, struct fault *f) MUST_CHECK;
/* A line without its LF. Texts that are too long are cut, control characters become '?'.
 * CONTROL_UNKNOWN: a reply of a later version, to be passed over. FAULT_PROTOCOL: not a reply. */
enum { CONTROL_UNKNOWN = 1 };
int control_reply_decode(struct slice line, struct control_reply *ret, struct fault *f) MUST_CHECK;

/* The same without a struct control_reply. e->account NULL: the archive's own event. */
int control_event_encode(
	const struct poller_event *e, struct buffer *to, struct fault *f) MUST_CHECK;
int control_end_encode(int status, struct buffer *to, struct fault *f) MUST_CHECK;
int control_error_encode(
	int status, const char *text, struct buffer *to, struct fault *f) MUST_CHECK;
