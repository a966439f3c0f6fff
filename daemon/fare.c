#include "daemon/fare.h"

void fare_restore(struct schedule *s, const struct health *h)
{
	s->failures = h->failures;
	s->logins_refused = h->code == FAULT_LOGIN ? h->failures : 0;
	switch (h->state) {
	case HEALTH_WELL:
		s->state = SCHEDULE_WELL;
		break;
	case HEALTH_FAILING:
		s->state = SCHEDULE_FAILING;
		break;
	case HEALTH_ATTENTION:
		s->state = SCHEDULE_ATTENTION;
		break;
	}
}

void fare_note(struct health *h, const struct schedule *s)
{
	h->failures = s->failures;
	switch (s->state) {
	case SCHEDULE_WELL:
		h->state = HEALTH_WELL;
		break;
	case SCHEDULE_FAILING:
		h->state = HEALTH_FAILING;
		break;
	case SCHEDULE_ATTENTION:
		h->state = HEALTH_ATTENTION;
		break;
	}
}
