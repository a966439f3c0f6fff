#include "daemon/schedule.h"

#include "archive/limits.h"

#include <assert.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Up to a tenth more. Where being early does harm there is no less. */
static uint64_t spread_up(uint64_t ms, uint64_t random)
{
	return ms + random % (ms * SCHEDULE_JITTER_PERCENT / 100 + 1);
}

static uint64_t spread(uint64_t ms, uint64_t random)
{
	uint64_t tenth = ms * SCHEDULE_JITTER_PERCENT / 100;

	return ms - tenth + random % (2 * tenth + 1);
}

/* first, doubled with each time after the first, up to cap. */
static uint64_t doubled(uint64_t first, uint32_t times, uint64_t cap)
{
	uint64_t ms = first;

	for (uint32_t i = 1; i < times && ms < cap; i++)
		ms *= 2;
	return least(ms, cap);
}

static void count_up(uint32_t *n)
{
	*n += *n < UINT32_MAX;
}

static void worsen(struct schedule *s, enum schedule_state state)
{
	if (s->state < state)
		s->state = state;
}

static uint64_t after_well(struct schedule *s, const struct schedule_terms *t, uint64_t random)
{
	uint64_t slow = s->slow_ms - s->slow_ms / 4;

	*s = (struct schedule){
		.slow_ms = slow > t->interval_ms ? slow : 0, .login_delay_ms = s->login_delay_ms};
	if (s->slow_ms)
		return spread_up(s->slow_ms, random);
	return spread(t->interval_ms, random);
}

static uint64_t after_passing(struct schedule *s, const struct schedule_terms *t, uint64_t random)
{
	count_up(&s->failures);
	worsen(s, s->failures >= SCHEDULE_FAILURES ? SCHEDULE_ATTENTION : SCHEDULE_FAILING);
	return spread_up(doubled(least(SCHEDULE_PASSING, t->interval_ms), s->failures,
				 most(SCHEDULE_PASSING_MOST, t->interval_ms)),
		random);
}

static void count_wait(struct schedule *s)
{
	count_up(&s->waits);
	if (s->waits >= SCHEDULE_WAITS)
		worsen(s, SCHEDULE_FAILING);
}

static uint64_t after_in_use(struct schedule *s, const struct schedule_terms *t, uint64_t random)
{
	count_wait(s);
	return spread_up(
		doubled(SCHEDULE_IN_USE, s->waits, most(SCHEDULE_IN_USE_MOST, t->interval_ms)),
		random);
}

static uint64_t after_too_soon(struct schedule *s, const struct schedule_terms *t, uint64_t random)
{
	uint64_t slow = 2 * most(s->slow_ms, t->interval_ms);

	count_wait(s);
	s->slow_ms = least(slow, most(SCHEDULE_SLOW_MOST, t->interval_ms));
	return spread_up(s->slow_ms, random);
}

static uint64_t after_login(struct schedule *s, const struct schedule_terms *t, uint64_t random)
{
	static const uint64_t pauses[SCHEDULE_LOGINS - 1] = {
		SCHEDULE_LOGIN_FIRST, SCHEDULE_LOGIN_SECOND};

	count_up(&s->failures);
	count_up(&s->logins_refused);
	if (s->logins_refused < SCHEDULE_LOGINS) {
		worsen(s, SCHEDULE_FAILING);
		return spread_up(pauses[s->logins_refused - 1], random);
	}
	worsen(s, SCHEDULE_ATTENTION);
	return spread_up(most(SCHEDULE_DAY, t->interval_ms), random);
}

static uint64_t after_person(struct schedule *s, const struct schedule_terms *t, uint64_t random)
{
	count_up(&s->failures);
	worsen(s, SCHEDULE_ATTENTION);
	return spread_up(
		doubled(SCHEDULE_PERSON, s->failures, most(SCHEDULE_DAY, t->interval_ms)), random);
}

static uint64_t pause_after(
	struct schedule *s, const struct schedule_terms *t, enum hindrance h, uint64_t random)
{
	switch (h) {
	case HINDRANCE_NONE:
		return after_well(s, t, random);
	case HINDRANCE_PASSING:
		return after_passing(s, t, random);
	case HINDRANCE_LOGIN:
		return after_login(s, t, random);
	case HINDRANCE_IN_USE:
		return after_in_use(s, t, random);
	case HINDRANCE_TOO_SOON:
		return after_too_soon(s, t, random);
	case HINDRANCE_PERSON:
		return after_person(s, t, random);
	case HINDRANCE_STOPPED:
		break;
	}
	assert(h == HINDRANCE_STOPPED);
	return spread_up(least(SCHEDULE_STOPPED, t->interval_ms), random);
}

int64_t schedule_first(const struct schedule_terms *t, uint64_t random)
{
	return (int64_t)(random % (least(SCHEDULE_FIRST_WITHIN, t->interval_ms) + 1));
}

int64_t schedule_next(struct schedule *s, const struct schedule_terms *t, enum hindrance h,
	uint64_t login_delay_s, uint64_t random)
{
	if (login_delay_s > 0)
		s->login_delay_ms = SCHEDULE_SECOND * least(login_delay_s, LIMIT_LOGIN_DELAY_S);
	if (h != HINDRANCE_NONE && h != HINDRANCE_STOPPED &&
		s->failing_ms >= SCHEDULE_ATTENTION_AFTER)
		worsen(s, SCHEDULE_ATTENTION);
	if (h != HINDRANCE_IN_USE && h != HINDRANCE_TOO_SOON && h != HINDRANCE_STOPPED)
		s->waits = 0;

	uint64_t pause = pause_after(s, t, h, random);
	/* These say that a login was tried, which is what the server wants to see less of. */
	bool logged_in = h == HINDRANCE_IN_USE || h == HINDRANCE_LOGIN;
	uint64_t floor = most(s->login_delay_ms, logged_in ? s->slow_ms : 0);
	if (pause < floor)
		pause = spread_up(floor, random);
	if (h != HINDRANCE_NONE && h != HINDRANCE_STOPPED)
		s->failing_ms += pause;
	return (int64_t)pause;
}

bool schedule_is_paused(const struct schedule *s)
{
	return s->logins_refused >= SCHEDULE_LOGINS;
}

void schedule_reset(struct schedule *s)
{
	*s = (struct schedule){.slow_ms = s->slow_ms, .login_delay_ms = s->login_delay_ms};
}
