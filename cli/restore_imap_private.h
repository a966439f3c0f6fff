/* How restore_imap() works: the plan in memory (restore_items.h), the journal, and some
 * connections to the server in one event loop. The parts:
 *
 *	restore_imap.c		the order of things; the plan
 *	restore_lines.c		connections: making them, waiting, making them again
 *	restore_look.c		folders, and what is in them
 *	restore_send.c		reading mail, APPEND, fetching back
 */
#pragma once

#include "cli/restore.h"
#include "cli/restore_items.h"
#include "cli/restore_journal.h"
#include "cli/restore_wire.h"
#include "daemon/imap_session.h"

/* Cookies of commands that lines_ask() waits for; below them are those of jobs. */
#define ASKED_COOKIES (UINT64_C(1) << 32)

enum job_state {
	JOB_FREE,
	JOB_READ,      /* in its spool, not announced in the journal yet */
	JOB_ANNOUNCED, /* may be sent */
	JOB_CHECK,     /* to be compared with a message that is there */
	JOB_FLYING,    /* a line has it */
	JOB_DRAINING   /* answered, but the server takes the rest of its bytes */
};

struct job {
	enum job_state state;
	bool checks; /* fetches instead of sending */
	uint32_t item;
	struct message message; /* without its texts */
	struct spool *spool;	/* NULL: nothing to send, the digest alone counts */
	uint64_t size, given;
	struct digest digest; /* of the bytes as sent */
	char *flags;
	moment_ms received;
	struct line *line; /* FLYING, DRAINING */
	struct hasher *fetched, *fetched_loose;
	bool again; /* DRAINING: and then it is sent again */
};

struct line {
	struct imap_session *session; /* NULL: none */
	bool up;
	int64_t begin_at;  /* monotonic: not before */
	uint32_t wait_ms;  /* the last wait; doubles */
	unsigned failures; /* in a row without anything done */
	unsigned selected; /* a folder's number + 1; 0: none */
	unsigned flying;
};

/* An IMAP command whose end is waited for. */
struct asked {
	uint64_t cookie;
	bool replied;
	enum imap_verdict verdict;
	struct imap_reply reply; /* its slices are gone */
	char text[256];		 /* what the server said, safe to print */
	/* Gets what comes before the reply; NULL: nobody. <0: stops, with *f set. */
	int (*taker)(void *context, const struct imap_event *e, struct fault *f);
	void *context;
};

struct candidate {
	uint32_t item, uid;
};

struct imap_restore {
	const struct restore_order *order;
	const struct restore_watch *watch;
	struct restore_sums *sums;
	struct items items;
	struct journal *journal;
	struct network *network;
	struct spool_pool *pool;
	struct line lines[LIMIT_RESTORE_CONNECTIONS];
	unsigned lines_n; /* that may be used */
	unsigned refused; /* connections that the server did not want */
	uint64_t cookie;
	struct asked *asked;
	char delimiter;
	char *prefix;		      /* of the personal namespace where names need one, or NULL */
	struct candidate *candidates; /* by item and uid */
	size_t candidates_n, candidates_size;
	struct job *jobs; /* LIMIT_RESTORE_JOBS */
	unsigned jobs_n;  /* that are not free */
	uint64_t jobs_bytes;
	unsigned unannounced;
	uint64_t done_bytes; /* for the bar */
	uint64_t done_items;
	int64_t doubt_at; /* when the last answer was lost */
	uint8_t piece[64 * 1024];
	bool checked;		  /* all that is DONE was looked for in the end */
	bool up_once;		  /* the server let us in */
	uint32_t journal_folders; /* that it has a number for */
	const char *label;	  /* of what is going on */
	bool stopping;		  /* asked to, or nothing more can be sent: read no more */
	struct fault why;	  /* of stopping; FAULT_NONE: none */
};

/* ---- restore_lines.c ------------------------------------------------------------------------- */

/* Sends what the events of all lines ask for and waits at most wait_ms; again and again until
 * something happened. <0: nothing can be done any more. */
int lines_turn(struct imap_restore *x, int wait_ms, struct fault *f) MUST_CHECK;
/* One line that is up, waiting and trying again as long as that makes sense. */
int lines_first(struct imap_restore *x, struct line **ret, struct fault *f) MUST_CHECK;
/* Queues the order with a cookie of its own and waits for its end, on the first line; when the
 * connection breaks, *ret_broke and 0. Stops where asked to: FAULT_INTERRUPT. */
int lines_ask(struct imap_restore *x, struct line *l, const struct imap_order *order,
	struct asked *a, bool *ret_broke, struct fault *f) MUST_CHECK;
/* Begins the others, as many as order->connections. */
void lines_open_all(struct imap_restore *x);
void lines_close(struct imap_restore *x);
/* This line shall be left alone for a while; the server's word, or 0. */
void line_pause(struct imap_restore *x, struct line *l, uint32_t wait_ms);
void line_did_well(struct line *l);

/* ---- restore_look.c -------------------------------------------------------------------------- */

/* Finds out how folders are spelled, makes those that are missing, notes what is in them. */
int look_at_folders(struct imap_restore *x, struct fault *f) MUST_CHECK;
/* Lists folder from this UID on: which of ours are there, which may be. */
int look_into(struct imap_restore *x, unsigned folder, uint32_t first, struct fault *f) MUST_CHECK;
/* The next message of the target that may be this item, after the one in item->uid. False: none. */
bool look_next_candidate(struct imap_restore *x, uint32_t item);

/* ---- restore_send.c -------------------------------------------------------------------------- */

/* Brings what is TODO or CANDIDATE, once through the archive. */
int send_all(struct imap_restore *x, struct fault *f) MUST_CHECK;
/* Fetches back what is DONE and compares. */
int send_compare(struct imap_restore *x, struct fault *f) MUST_CHECK;
/* An event of a line that send_all() or send_compare() wait for. */
int send_take(struct imap_restore *x, struct line *l, const struct imap_event *e,
	struct fault *f) MUST_CHECK;
/* What the line had in hand when it broke. */
void send_lost(struct imap_restore *x, struct line *l);
void send_free(struct imap_restore *x);

/* ---- restore_imap.c -------------------------------------------------------------------------- */

void tell_note(struct imap_restore *x, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void tell_failed(struct imap_restore *x, struct item *i, const struct message *m, const char *text);
/* >0: stop. */
int tell_progress(struct imap_restore *x);
/* It is there: state, journal, bar. */
int note_done(struct imap_restore *x, struct item *i, const struct message *m,
	struct fault *f) MUST_CHECK;
