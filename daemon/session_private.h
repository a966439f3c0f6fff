/* The inside of struct session: for session*.c and retrieval*.c. */
#pragma once

#include "daemon/login.h"
#include "daemon/pop3.h"
#include "daemon/retrieval.h"
#include "daemon/session.h"

enum session_state {
	SESSION_CONNECTING,
	SESSION_LOGIN,
	SESSION_LISTING,
	SESSION_FETCHING,
	SESSION_SETTLING, /* until all that was handed in is durable; with a connection: QUIT
			     follows */
	SESSION_QUITTING,
	SESSION_ENDED
};

enum { SESSION_NOTICES = 4 };

struct session {
	const struct session_tools *tools;
	const struct account *account;
	const struct secret *secret;
	const struct maildrop *maildrop;
	struct trouble *trouble;

	enum session_state state;
	struct connection *connection;
	struct login *login;
	const struct mechanism *refused; /* by the server that then hung up */
	struct pop3 *pop3;
	/* What takes the events of this state: >0 to go on, 0 when the state has done its work. And
	 * what queues commands before the session waits; may be NULL. */
	int (*on_event)(struct session *s, const struct pop3_event *e, struct fault *f);
	int (*on_idle)(struct session *s, struct fault *f);

	struct capabilities capabilities;
	bool pipelining;
	struct listing listing;
	struct plan plan;
	bool planned;
	struct retrieval retrieval;
	struct spool *spool; /* the message that is arriving */

	int64_t deadline;
	uint64_t trickle; /* octets since the deadline was set */
	bool held_back;	  /* the intake is full: nothing is read, no deadline runs */
	uint64_t submitted, settled;
	bool end_submitted;
	bool stepped;		    /* since it came into this state */
	enum reply_code login_code; /* of a login that was refused */
	char notice[SESSION_NOTICES][FAULT_TEXT_MAX];
	size_t notices;
	struct fault fault;
	struct session_counts counts;
};

/* The server made progress: the deadline begins again. */
void session_touch(struct session *s);
void session_submit(struct session *s, struct item *item);

/* session_listing.c. After the login: asks for the listing. When that is complete: plans, tells the
 * archive, orders what is to be fetched; LISTING_IDLE: nothing is. */
int session_begin_listing(struct session *s, struct fault *f) MUST_CHECK;
enum { LISTING_IDLE = 1 };
int session_end_listing(struct session *s, struct fault *f) MUST_CHECK;
