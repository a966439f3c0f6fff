/* Connections: up to order->connections of them, in one event loop. One that breaks is made again,
 * after waits that grow; one that the server does not want beside the others is given up. */
#include "cli/restore_imap_private.h"

#include "archive/escape.h"
#include "archive/limits.h"
#include "cli/output.h"

#include <stdio.h>

enum { FIRST_WAIT_MS = 1000, TURN_MS = 200, LOGIN_TRIES = 3 };

static const int64_t NEVER = INT64_MAX;

static unsigned lines_usable(const struct imap_restore *x)
{
	unsigned n = 0;

	for (unsigned i = 0; i < x->lines_n; i++)
		n += x->lines[i].begin_at != NEVER;
	return n;
}

static uint32_t next_wait(const struct line *l, uint32_t asked_ms)
{
	uint32_t wait = l->wait_ms ? l->wait_ms * 2 : FIRST_WAIT_MS;

	if (asked_ms > wait)
		return asked_ms;
	return wait < LIMIT_RESTORE_WAIT_MS ? wait : LIMIT_RESTORE_WAIT_MS;
}

void line_pause(struct imap_restore *x, struct line *l, uint32_t wait_ms)
{
	(void)x;
	l->failures++;
	l->wait_ms = next_wait(l, wait_ms);
	l->begin_at = monotonic_ms() + l->wait_ms;
}

void line_did_well(struct line *l)
{
	l->failures = 0;
	l->wait_ms = 0;
}

static void drop(struct imap_restore *x, struct line *l)
{
	send_lost(x, l);
	l->session = imap_session_free(l->session);
	l->up = false;
	l->selected = 0;
	l->flying = 0;
}

/* <0: without this line there is nothing left to try. */
static int broke(struct imap_restore *x, struct line *l, const struct fault *why, struct fault *f)
{
	enum hindrance h = l->session ? imap_session_hindrance(l->session) : HINDRANCE_PERSON;
	uint32_t wait_ms = l->session ? imap_session_wait_ms(l->session) : 0;
	bool was_up = l->up, for_good = h == HINDRANCE_LOGIN || h == HINDRANCE_PERSON;
	char wait[TEXT_NUMBER];

	drop(x, l);
	if (x->up_once && !was_up && for_good)
		for_good = lines_usable(x) > 1 || l->failures >= LOGIN_TRIES;
	line_pause(x, l, wait_ms);
	if (!x->up_once || for_good || l->failures > LIMIT_RESTORE_TRIES) {
		l->begin_at = NEVER;
		if (lines_usable(x) == 0 || !x->up_once) {
			*f = *why;
			return -1;
		}
		return 0;
	}
	x->sums->reconnects++;
	tell_note(x, "%s; trying again in %s", why->text, text_duration(l->wait_ms, wait));
	return 0;
}

static int begin(struct imap_restore *x, struct line *l, struct fault *f)
{
	struct fault why;

	l->begin_at = 0;
	if (imap_session_new(x->network, x->order->account, x->order->secret, &l->session, &why) ==
		0)
		return 0;
	l->session = NULL;
	return broke(x, l, &why, f);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static int take_asked(struct asked *a, const struct imap_event *e, struct fault *f)
{
	if (e->kind != IMAP_REPLY)
		return a->taker ? a->taker(a->context, e, f) : 0;
	a->replied = true;
	a->verdict = imap_verdict(&e->reply);
	a->reply = e->reply;
	(void)escape_text(e->reply.text, a->text, sizeof a->text);
	return 0;
}

static void count_up(struct imap_restore *x)
{
	unsigned n = 0;

	x->up_once = true;
	for (unsigned i = 0; i < x->lines_n; i++)
		n += x->lines[i].up;
	if (n > x->sums->connections)
		x->sums->connections = n;
}

static int take(struct imap_restore *x, struct line *l, const struct imap_event *e, struct fault *f)
{
	char text[256];

	if (e->kind == IMAP_UP) {
		l->up = true;
		count_up(x);
		return 0;
	}
	if (e->kind == IMAP_NOTICE) {
		tell_note(x, "the server says: %s", escape_text(e->reply.text, text, sizeof text));
		return 0;
	}
	if (x->asked && e->cookie == x->asked->cookie)
		return take_asked(x->asked, e, f);
	return send_take(x, l, e, f);
}

/* 1 when something happened or more is there. */
static int pump(struct imap_restore *x, struct line *l, struct fault *f)
{
	struct imap_event e;
	struct fault why;
	int r, did = 0;

	while ((r = imap_session_next(l->session, &e, &why)) == IMAP_EVENT) {
		did = 1;
		if (take(x, l, &e, f) < 0)
			return -1;
	}
	if (r == IMAP_SESSION_TURN)
		return 1;
	if (r == IMAP_SESSION_END) {
		fault_record(&why, FAULT_PROTOCOL, SCOPE_SESSION, 0, "the server logged us out");
		r = -1;
	}
	if (r < 0)
		return broke(x, l, &why, f) < 0 ? -1 : 1;
	return did;
}

static int wait_of(const struct imap_restore *x, int wait_ms)
{
	int64_t now = monotonic_ms();

	for (unsigned i = 0; i < x->lines_n; i++) {
		const struct line *l = &x->lines[i];

		if (l->session && imap_session_timeout(l->session) < wait_ms)
			wait_ms = imap_session_timeout(l->session);
		if (l->begin_at > now && l->begin_at - now < wait_ms)
			wait_ms = (int)(l->begin_at - now);
	}
	return wait_ms;
}

int lines_turn(struct imap_restore *x, int wait_ms, struct fault *f)
{
	int64_t now = monotonic_ms();
	bool did = false;

	for (unsigned i = 0; i < x->lines_n; i++) {
		struct line *l = &x->lines[i];

		if (!l->session && l->begin_at <= now && begin(x, l, f) < 0)
			return -1;
		int r = l->session ? pump(x, l, f) : 0;
		if (r < 0)
			return -1;
		did |= r > 0;
	}
	if (tell_progress(x) > 0 && !x->stopping) {
		x->stopping = true;
		fault_record(&x->why, FAULT_INTERRUPT, SCOPE_SESSION, 0,
			"stopped; the same command goes on from here");
	}
	return network_wait(x->network, NULL, 0, did ? 0 : wait_of(x, wait_ms), f);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static int stopped(const struct imap_restore *x, struct fault *f)
{
	if (!x->stopping)
		return 0;
	*f = x->why;
	return -1;
}

int lines_first(struct imap_restore *x, struct line **ret, struct fault *f)
{
	int64_t now;

	for (;;) {
		now = monotonic_ms();
		for (unsigned i = 0; i < x->lines_n; i++) {
			struct line *l = &x->lines[i];

			if (l->up && l->begin_at <= now) {
				*ret = l;
				return 0;
			}
		}
		if (stopped(x, f) < 0 || lines_turn(x, TURN_MS, f) < 0)
			return -1;
	}
}

int lines_ask(struct imap_restore *x, struct line *l, const struct imap_order *order,
	struct asked *a, bool *ret_broke, struct fault *f)
{
	struct imap_order with_cookie = *order;
	const struct imap_session *session = l->session;
	int r = 0;

	with_cookie.cookie = a->cookie = ASKED_COOKIES + ++x->cookie;
	*ret_broke = false;
	a->replied = false;
	if (imap_command(imap_session_engine(l->session), &with_cookie, f) < 0)
		return -1;
	x->asked = a;
	while (r == 0 && !a->replied && l->session == session && l->up) {
		r = lines_turn(x, TURN_MS, f);
		if (r == 0)
			r = stopped(x, f);
	}
	x->asked = NULL;
	*ret_broke = !a->replied;
	return r;
}

void lines_open_all(struct imap_restore *x)
{
	x->lines_n = x->order->connections;
	if (x->lines_n > LIMIT_RESTORE_CONNECTIONS)
		x->lines_n = LIMIT_RESTORE_CONNECTIONS;
	x->lines_n = x->lines_n ? x->lines_n : 1;
}

void lines_close(struct imap_restore *x)
{
	for (unsigned i = 0; i < LIMIT_RESTORE_CONNECTIONS; i++)
		x->lines[i].session = imap_session_free(x->lines[i].session);
}
