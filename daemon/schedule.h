/* When an account is polled next, and how it fares. Pure: no I/O, no clock, no random numbers of
 * its own; milliseconds throughout.
 *
 *   NONE      the interval, ±10 %
 *   PASSING   a minute (or the interval where that is shorter), doubled with each failure, up to an
 *             hour or the interval
 *   IN_USE    2 minutes, doubled up to 30 minutes or the interval; failing only after several
 *   TOO_SOON  the interval doubles, up to a day, and stays so: each poll that goes well takes a
 *             quarter off it
 *   LOGIN     5 minutes, 15 minutes, then one try a day: that locks nobody out, and where the
 *             provider was at fault the account comes back by itself
 *   PERSON    an hour, doubled up to a day: nothing is tried against a password, and a keyring
 *             that was locked in the morning is found open before noon
 *   STOPPED   a minute; nothing else changes
 *
 * Nothing but NONE and STOPPED is sooner for random's sake, and nothing is sooner than the server's
 * LOGIN-DELAY. */
#pragma once

#include "daemon/hindrance.h"

#include <stdbool.h>
#include <stdint.h>

#define SCHEDULE_SECOND UINT64_C(1000)
#define SCHEDULE_MINUTE (60 * SCHEDULE_SECOND)
#define SCHEDULE_HOUR	(60 * SCHEDULE_MINUTE)
#define SCHEDULE_DAY	(24 * SCHEDULE_HOUR)

#define SCHEDULE_FIRST_WITHIN	 SCHEDULE_MINUTE /* after the service's start */
#define SCHEDULE_PASSING	 SCHEDULE_MINUTE
#define SCHEDULE_PASSING_MOST	 SCHEDULE_HOUR
#define SCHEDULE_IN_USE		 (2 * SCHEDULE_MINUTE)
#define SCHEDULE_IN_USE_MOST	 (30 * SCHEDULE_MINUTE)
#define SCHEDULE_LOGIN_FIRST	 (5 * SCHEDULE_MINUTE)
#define SCHEDULE_LOGIN_SECOND	 (15 * SCHEDULE_MINUTE)
#define SCHEDULE_SLOW_MOST	 SCHEDULE_DAY
#define SCHEDULE_PERSON		 SCHEDULE_HOUR
#define SCHEDULE_STOPPED	 SCHEDULE_MINUTE
#define SCHEDULE_ATTENTION_AFTER SCHEDULE_DAY /* of failing */

enum {
	SCHEDULE_JITTER_PERCENT = 10,
	SCHEDULE_LOGINS = 3,	/* refusals in a row before the account is paused */
	SCHEDULE_FAILURES = 20, /* in a row before it needs attention */
	SCHEDULE_WAITS = 5	/* IN_USE and TOO_SOON in a row before it is failing */
};

enum schedule_state {
	SCHEDULE_WELL,
	SCHEDULE_FAILING,
	SCHEDULE_ATTENTION /* a person should look; never left but by a poll that goes well */
};

/* What the configuration says of the account. */
struct schedule_terms {
	uint32_t interval_ms;
};

/* Embedded; all zero: never polled. logins_refused and failures may be set from what was remembered
 * before the service was started again, so that starting it often gives no more tries. */
struct schedule {
	enum schedule_state state;
	uint32_t failures;	 /* in a row; IN_USE and TOO_SOON are none */
	uint32_t logins_refused; /* since the last poll that went well */
	uint32_t waits;		 /* IN_USE and TOO_SOON in a row */
	uint64_t slow_ms;	 /* the interval that TOO_SOON taught; 0: none */
	uint64_t login_delay_ms; /* as the server announced it last, capped */
	uint64_t failing_ms;	 /* the pauses since the last poll that went well */
};

/* The delay before the first poll after the service's start: spread over a minute, or over the
 * interval where that is shorter. */
int64_t schedule_first(const struct schedule_terms *t, uint64_t random);

/* A poll ended with h: the delay until the next one, and the new state. login_delay_s: what the
 * server's LOGIN-DELAY said, 0 when it said nothing; capped at LIMIT_LOGIN_DELAY_S. random: any 64
 * bits. Never more than a day, or the interval where that is longer, and a tenth. */
int64_t schedule_next(struct schedule *s, const struct schedule_terms *t, enum hindrance h,
	uint64_t login_delay_s, uint64_t random);

/* Logins are refused and only one a day is tried. */
bool schedule_is_paused(const struct schedule *s);

/* As if never polled: the account's configuration has changed. A poll that a person asks for needs
 * none: when it goes well all is forgotten anyway, and when not the count goes on. What the server
 * said about the pace is kept. */
void schedule_reset(struct schedule *s);
