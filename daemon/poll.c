#include "daemon/poll.h"

#include "archive/limits.h"

#include <inttypes.h>
#include <stdio.h>

enum { FIRST_RECONNECT_MS = 500 };

int poll_new(const struct session_tools *tools, const struct account *account, void *owner,
	struct poll **ret, struct fault *f)
{
	struct poll *one = calloc(1, sizeof *one);

	if (!one)
		return fault_memory(f);
	one->tools = tools;
	one->account = account;
	one->owner = owner;
	one->began = monotonic_ms();
	*ret = one;
	return 0;
}

/* What only a poll at work needs. */
static void release(struct poll *one)
{
	one->session = session_free(one->session);
	secret_deinit(&one->secret);
	if (one->locked)
		intake_release_maildrop(one->tools->intake, one->maildrop.number);
	one->locked = false;
}

struct poll *poll_free(struct poll *one)
{
	if (!one)
		return NULL;
	release(one);
	trouble_deinit(&one->trouble);
	maildrop_deinit(&one->maildrop);
	for (size_t i = 0; i < one->told_n; i++)
		free(one->told[i]);
	free(one);
	return NULL;
}

/* ---- Counts --------------------------------------------------------------------------------- */

/* The sums over all sessions of the poll, the present one included. */
static struct session_counts total(const struct poll *one)
{
	struct session_counts sum = one->before;

	if (!one->session)
		return sum;
	const struct session_counts *now = session_counts(one->session);
	sum.to_fetch = sum.fetched + now->to_fetch;
	sum.to_fetch_bytes = sum.fetched_bytes + now->to_fetch_bytes;
	sum.fetched += now->fetched;
	sum.fetched_bytes += now->fetched_bytes;
	sum.new_messages += now->new_messages;
	sum.duplicates += now->duplicates;
	sum.new_bytes += now->new_bytes;
	sum.settled += now->settled;
	sum.retrieve_ms += now->retrieve_ms;
	return sum;
}

void poll_fill_counts(const struct poll *one, struct poller_event *e)
{
	struct session_counts sum = total(one);

	e->to_fetch = sum.to_fetch;
	e->to_fetch_bytes = sum.to_fetch_bytes;
	e->fetched = sum.fetched;
	e->fetched_bytes = sum.fetched_bytes;
	e->new_messages = sum.new_messages;
	e->duplicates = sum.duplicates;
	e->new_bytes = sum.new_bytes;
	e->retrieve_ms = sum.retrieve_ms;
	e->sessions = one->sessions;
	e->sums = one->sums;
	e->elapsed_ms = monotonic_ms() - one->began;
}

/* ---- Before the first session ---------------------------------------------------------------- */

static void end(struct poll *one)
{
	release(one);
	one->state = POLL_ENDED;
}

void poll_end(struct poll *one, const struct fault *why, enum hindrance hindrance)
{
	one->fault = *why;
	one->hindrance = hindrance;
	end(one);
}

void poll_begin(struct poll *one)
{
	one->state = POLL_SECRET;
	one->began = monotonic_ms();
}

void poll_give(struct poll *one, struct secret secret)
{
	struct fault f = {0};

	one->secret = secret;
	one->state = POLL_REGISTERING;
	if (intake_ask_maildrop(one->tools->intake, one->account, one, &f) < 0)
		poll_end(one, &f, HINDRANCE_PASSING);
}

/* ---- One session after another --------------------------------------------------------------- */

static void begin_session(struct poll *one)
{
	struct fault f = {0};

	one->sessions++;
	one->state = POLL_RUNNING;
	if (session_new(one->tools, one->account, &one->secret, &one->maildrop, &one->trouble,
		    &one->session, &f) < 0)
		poll_end(one, &f, hindrance_of(&f, REPLY_CODE_NONE));
}

void poll_register(struct poll *one, struct maildrop_answer *answer)
{
	one->maildrop = answer->maildrop;
	answer->maildrop = (struct maildrop){0};
	if (answer->outcome < 0) {
		poll_end(one, &answer->fault, hindrance_of(&answer->fault, REPLY_CODE_NONE));
		return;
	}
	one->locked = true;
	one->sums = one->maildrop.sums;
	if (one->stopped)
		end(one);
	else
		begin_session(one);
}

/* Only our own session before it stands in the way: it was dropped, and the server has not noticed
 * yet. */
static int64_t wait_for_own_session(struct poll *one)
{
	int64_t pause = one->in_use_ms ? one->in_use_ms : FIRST_RECONNECT_MS;

	if (one->sessions < 2 || one->in_use_ms + pause > LIMIT_IN_USE_MS)
		return -1;
	one->in_use_ms += pause;
	return pause;
}

/* A session that went well may have shown a part of the maildrop: Gmail lists some 250 messages
 * that nobody has fetched yet (it says EXPIRE 0, as whoever hides what was fetched should). Many
 * new ones came, and either nothing was known before it or what is known was not listed: then
 * another one follows, until that brings nothing. A LOGIN-DELAY, which Gmail announces too, is no
 * reason not to try: where it is meant, the server says so. */
static bool was_part(const struct poll *one, const struct session *s)
{
	bool first = one->sessions == 1 && one->maildrop.polled == 0;
	struct sums sums;

	return session_sums(s, &sums) && sums.listed <= LIMIT_PARTIAL_MANY &&
	       session_counts(s)->new_messages >= LIMIT_PARTIAL_FEW &&
	       ((first && session_hides_fetched(s)) || session_unlisted(s) > 0);
}

/* Milliseconds to the next session, or <0 for none: a session that broke is worth another where it
 * got something done. */
static int64_t reconnect_after(struct poll *one, const struct session *s)
{
	const struct fault *f = session_fault(s);
	const struct session_counts *c = session_counts(s);

	if (one->stopped || one->sessions >= LIMIT_RECONNECTS)
		return -1;
	if (f->code == FAULT_NONE) {
		one->looks_again = was_part(one, s);
		return one->looks_again ? 0 : -1;
	}
	if (f->code != FAULT_PROTOCOL)
		return -1;
	if (session_hindrance(s) == HINDRANCE_IN_USE)
		return wait_for_own_session(one);
	one->barren = c->new_messages + c->duplicates > 0 ? 0 : one->barren + 1;
	if (f->scope > SCOPE_SESSION || c->settled == 0 || one->barren > LIMIT_BARREN)
		return -1;
	one->in_use_ms = 0;
	return 0;
}

static void end_session(struct poll *one)
{
	struct session *s = one->session;
	bool looked_again = one->looks_again;
	int64_t pause = reconnect_after(one, s);
	struct sums sums;

	if (looked_again && pause < 0 && !session_sums(s, &sums) && !one->stopped) {
		/* It was not let in for another look: the poll before it went well, and the next
		 * one looks again. */
		one->session = session_free(s);
		end(one);
		return;
	}
	one->fault = *session_fault(s);
	one->hindrance = one->stopped && one->fault.code != FAULT_NONE ? HINDRANCE_STOPPED
								       : session_hindrance(s);
	one->login_delay_s = session_login_delay(s);
	one->before = total(one);
	(void)session_sums(s, &one->sums);
	one->session = session_free(s);
	if (pause < 0) {
		end(one);
		return;
	}
	one->resume = monotonic_ms() + pause;
	one->state = POLL_PAUSED;
}

/* True when it was not told in this poll before. */
static bool is_news(struct poll *one, const char *text)
{
	for (size_t i = 0; i < one->told_n; i++) {
		if (strcmp(one->told[i], text) == 0)
			return false;
	}
	if (one->told_n < POLL_TEXTS) {
		char *copy = strdup(text);

		if (copy)
			one->told[one->told_n++] = copy;
	}
	return true;
}

int poll_step(struct poll *one, char *ret_notice)
{
	if (one->state == POLL_PAUSED && monotonic_ms() >= one->resume)
		begin_session(one);
	if (one->state != POLL_RUNNING)
		return 0;
	for (;;) {
		int r = session_step(one->session, ret_notice);

		if (r == SESSION_NOTICE && !is_news(one, ret_notice))
			continue;
		if (r == SESSION_NOTICE)
			return POLL_NOTICE;
		if (r == 0)
			end_session(one);
		return 0;
	}
}

bool poll_is_due(const struct poll *one)
{
	if (one->state == POLL_PAUSED)
		return monotonic_ms() >= one->resume;
	return one->state == POLL_RUNNING && session_is_due(one->session);
}

int poll_timeout(const struct poll *one)
{
	if (one->state == POLL_RUNNING)
		return session_timeout(one->session);
	if (one->state != POLL_PAUSED)
		return 1000;
	int64_t left = one->resume - monotonic_ms();
	return left < 0 ? 0 : left > 1000 ? 1000 : (int)left;
}

void poll_stop(struct poll *one, const struct fault *why)
{
	one->stopped = true;
	switch (one->state) {
	case POLL_RUNNING:
		session_stop(one->session, why);
		break;
	case POLL_REGISTERING:
		/* The answer ends it. */
		one->fault = *why;
		one->hindrance = HINDRANCE_STOPPED;
		break;
	case POLL_QUEUED:
	case POLL_SECRET:
	case POLL_PAUSED:
		poll_end(one, why, HINDRANCE_STOPPED);
		break;
	case POLL_ENDED:
		break;
	}
}
